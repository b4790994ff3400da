// Package world is a small world to test the product in: users with their devices, a server, and a network between them. Client and
// server are the real ones on real databases; disks, links and time are simulated, and fail as a scenario
// has it. An oracle, a plain model of what must be true, watches what people see.
//
// A history is mostly played under testing/synctest, so that hours take a moment (driver.go has the other ways). It follows from its seed as far as the
// product's own goroutines do: with one processor (GOMAXPROCS=1 GODEBUG=asyncpreemptoff=1) they mostly run in the same
// order again, and keys and nonces are the same. Which of several ready cases a select takes, and the order of maps, is not repeatable.
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
	Lies    bool                                // the server's disk claims to have synced
	Engine  func(store.Engine) store.Engine     // changes what the server's database does
	Conn    func(transport.Conn) transport.Conn // changes what devices and server say to each other
	Profile func(*profile.Profile) error        // changes what a device keeps, whenever it connects
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
}

// Play plays a scenario and returns what was wrong, nothing if all was well, and the whole story. A test calls it outside of any bubble.
func Play(t *testing.T, s Scenario, p Plant) (failures, story []string) {
	t.Helper()
	return play(t, s, p, func() (driver, error) { return sim, nil })
}

// PlayQUIC is Play over QUIC on a simulated network.
func PlayQUIC(t *testing.T, s Scenario) (failures, story []string) {
	t.Helper()
	return play(t, s, Plant{}, simQUIC)
}

func play(t *testing.T, s Scenario, p Plant, by func() (driver, error)) (failures, story []string) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, s.Seed)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)))
		d, err := by()
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, s, p, d)
		w.play()
		failures, story = w.failures, w.lines
	})
	return failures, story
}

func newWorld(t *testing.T, s Scenario, p Plant, d driver) *World {
	w := &World{t: t, seed: s.Seed, scenario: s, plant: p, driver: d, users: map[string]*User{}, devices: map[string]*Device{}, began: time.Now()}
	w.oracle = newOracle(w)
	w.net = &Net{w: w, conns: map[*conn]struct{}{}}
	return w
}

// play lets all happen, heals what can be healed, and lets the oracle judge.
func (w *World) play() {
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
		time.Sleep(time.Until(w.began.Add(step.At / w.driver.haste)))
		w.begin(step)
	}
	w.heal()
	for _, d := range w.order {
		w.begin(Step{Who: d.name, Do: "on"})
		d.pending.Wait()
	}
	w.heal()                         // what broke meanwhile
	w.driver.rest(w, 40*time.Minute) // longer than programs wait between two rounds
	w.oracle.judge()
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
	for _, d := range w.order {
		d.disk.spare()
		d.line.heal()
	}
	w.mu.Lock()
	w.scenario.Weather.Loss = 0
	w.mu.Unlock()
}

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
