package world

import (
	"time"

	"github.com/quicproquo/qpq/transport/quic"
)

// A driver is how a history is played: over what devices reach the server, and what becomes of the time.
type driver struct {
	network network
	haste   time.Duration               // by which the times of steps and of people are divided
	rest    func(*World, time.Duration) // lets all have time for what they still have to do
	folders bool                        // machines keep their files in real folders
	expiry  time.Duration               // how long a timer is at most whose end is waited for
	open    bool                        // people do not wait for what they sent to be accepted before they do the next thing
}

// simulated is simulated time, on links in memory.
func simulated(*World) (driver, error) {
	return driver{network: &memory{}, haste: 1, expiry: 2 * time.Hour, rest: sleep}, nil
}

// simulatedQUIC is simulated time, with QUIC on a simulated network that delays, reorders and loses datagrams.
func simulatedQUIC(w *World) (driver, error) {
	w.scenario.Weather = Weather{Delay: max(w.scenario.Weather.Delay, 20*time.Millisecond), Loss: max(w.scenario.Weather.Loss, 0.01)}
	n, err := newDatagrams(w, quic.Config{}, &simulatedSockets{ways: map[string]*way{}})
	return driver{network: n, haste: 1, expiry: 2 * time.Hour, rest: sleep}, err
}

// live is real time, over QUIC on real sockets, through relays that delay, reorder and lose datagrams. Steps follow each other fast, and nobody waits for what
// happens by itself now and then: all look whether there is anything, until nothing changes any more. Whatever takes long by its nature (weeks away, slow
// networks) is for simulated time.
func live(w *World) (driver, error) {
	w.scenario.Weather.Delay = min(w.scenario.Weather.Delay, 20*time.Millisecond)
	n, err := newDatagrams(w, quic.Config{IdleTimeout: 10 * time.Second, KeepAlive: 2 * time.Second}, &realSockets{relays: map[*way]*relay{}})
	return driver{network: n, haste: 10, expiry: 5 * time.Second, rest: settle, open: true}, err
}

// sleep lets simulated time pass.
func sleep(_ *World, d time.Duration) { time.Sleep(d) }

// liveFolders is live, and all databases are in real folders.
func liveFolders(w *World) (driver, error) {
	d, err := live(w)
	d.folders = true
	return d, err
}
