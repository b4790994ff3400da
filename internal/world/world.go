// Package world is a small world to test the product in: users with their devices, a server, and a network between them. Client and
// server are the real ones on real databases; disks, links and time are simulated, and fail as a scenario
// has it. An oracle, a plain model of what must be true, watches what people see.
//
// A history is played by one of three drivers (driver.go). Simulated time, under testing/synctest, in which hours take a moment, is that of most: on links in
// memory, where calls get lost, or over QUIC on a simulated network, where datagrams are lost, late and out of order. Both follow from the seed as far as
// the product's own goroutines do: with one processor (GOMAXPROCS=1 GODEBUG=asyncpreemptoff=1) they mostly run in the same
// order again, and keys and nonces are the same. Which of several ready cases a select takes, the order of maps, and how long clients wait before they
// connect again, is not repeatable. Live histories are played in real time over real sockets, with relays for datagrams to get lost in, ten times as fast
// as they were made up.
//
// What people do begins at times that were drawn beforehand: nobody waits for anybody else, nor, live, for what they sent to be accepted. Each person
// does one thing after the other, and begins late what comes while they still do another. That is a soak of what is right. How much a server bears, by arrivals that
// wait for nothing at all, is what bench/delivery measures.
package world

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/transport"
)

// Plant is a bug, planted where the product meets what it stands on. Tests of the tests use it.
type Plant struct {
	Lies     bool                                // the server's disk claims to have synced
	Engine   func(store.Engine) store.Engine     // changes what the server's database does
	Contents func(store.Contents) store.Contents // changes what becomes of the server's files
	Conn     func(transport.Conn) transport.Conn // changes what devices and server say to each other
	Profile  func(*profile.Profile) error        // changes what a device keeps, whenever it connects
}

// World is where a history takes place.
type World struct {
	t        *testing.T
	seed     uint64
	scenario Scenario
	plant    Plant
	driver   driver
	disks    uint64
	net      *Net
	server   *Server
	users    map[string]*User
	devices  map[string]*Device
	order    []*Device
	oracle   *Oracle
	began    time.Time

	mu       sync.Mutex
	lines    []string // what happened
	failures []string // what must not have
	given    string   // what settle has given up waiting for
}

// Play plays a scenario and returns what was wrong, nothing if all was well, and the whole story. A test calls it outside of any bubble.
func Play(t *testing.T, s Scenario, p Plant) (failures, story []string) {
	t.Helper()
	return simulate(t, s, p, simulated)
}

// PlayQUIC is Play over QUIC on a simulated network, which loses datagrams.
func PlayQUIC(t *testing.T, s Scenario, p Plant) (failures, story []string) {
	t.Helper()
	return simulate(t, s, p, simulatedQUIC)
}

// PlayLive is Play over real sockets and in real time. What randomness is drawn is not repeatable. From the end of ctx on nothing new begins: what
// happened until then is judged.
func PlayLive(ctx context.Context, t *testing.T, s Scenario, p Plant) (failures, story []string) {
	t.Helper()
	w := newWorld(t, s, p, live)
	w.play(ctx)
	return w.failures, w.lines
}

// PlayFolders is PlayLive with all databases in real folders, on which machines are killed, and which are full now and then.
func PlayFolders(ctx context.Context, t *testing.T, s Scenario, p Plant) (failures, story []string) {
	t.Helper()
	w := newWorld(t, s, p, liveFolders)
	w.play(ctx)
	return w.failures, w.lines
}

func simulate(t *testing.T, s Scenario, p Plant, by func(*World) (driver, error)) (failures, story []string) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, s.Seed)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)))
		w := newWorld(t, s, p, by)
		w.play(context.Background())
		failures, story = w.failures, w.lines
	})
	return failures, story
}

func newWorld(t *testing.T, s Scenario, p Plant, by func(*World) (driver, error)) *World {
	t.Helper()
	w := &World{t: t, seed: s.Seed, scenario: s, plant: p, users: map[string]*User{}, devices: map[string]*Device{}, began: time.Now()}
	w.oracle = newOracle(w)
	w.net = &Net{w: w, conns: map[*conn]struct{}{}}
	var err error
	if w.driver, err = by(w); err != nil {
		t.Fatal(err)
	}
	return w
}

// play lets happen what begins before the end of until, heals what can be healed, and lets the oracle judge.
func (w *World) play(until context.Context) {
	defer w.driver.network.Close()
	var err error
	if w.server, err = newServer(w); err != nil {
		w.fail("the server cannot be made: %v", err)
		return
	}
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	w.server.up()
	running.Go(func() { w.server.watch(ctx) })
	for i, name := range w.scenario.devices() {
		w.addDevice(name, uint64(i+1))
	}
	for _, d := range w.order {
		running.Go(func() { d.live(ctx) })
	}
	for _, step := range w.scenario.Steps {
		pause(until, time.Until(w.began.Add(w.soon(step.At))))
		if until.Err() != nil {
			break
		}
		w.begin(step)
	}
	w.heal()
	for _, d := range w.order {
		w.begin(Step{Who: d.name, Do: "on"})
		d.pending.Wait()
	}
	w.heal() // what broke meanwhile
	if !w.server.gone() {
		w.driver.rest(w, 40*time.Minute) // longer than programs wait between two rounds
		w.oracle.judge()
	}
	end()
	running.Wait()
}

// begin begins a step: a fault happens at once, a person does things one after the other on each device.
func (w *World) begin(s Step) {
	if f, ok := faults[s.Do]; ok {
		w.log(s.Who, "%s", s.what())
		f(w, s)
		return
	}
	d := w.devices[s.Who]
	d.pending.Add(1)
	d.todo <- s
}

// heal ends all troubles. What died comes back by itself.
func (w *World) heal() {
	w.server.disk.spare()
	w.server.disk.fill(false)
	for _, d := range w.order {
		d.disk.spare()
		d.disk.fill(false)
		d.line.heal()
	}
	w.mu.Lock()
	w.scenario.Weather.Loss = 0
	w.mu.Unlock()
}

// soon returns how long something takes here that takes so long where nobody hastens.
func (w *World) soon(d time.Duration) time.Duration { return d / w.driver.haste }

// now returns how long the history has lasted.
func (w *World) now() time.Duration { return time.Since(w.began) }

// log notes what happened.
func (w *World) log(who, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf("%9.3fs  %-9s %s", w.now().Seconds(), who, fmt.Sprintf(format, args...)))
}

// fail notes what must not have happened.
func (w *World) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.log("oracle", "WRONG: %s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, text)
}

// weather returns how the network is now.
func (w *World) weather() Weather {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.scenario.Weather
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// userOf returns the name of the user whose device is named.
func userOf(device string) string {
	name, _, _ := strings.Cut(device, "/")
	return name
}
