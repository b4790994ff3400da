//go:build linux

package loadtest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

var secret, other = wire.NewSecret("a secret that is long enough"), wire.NewSecret("another secret, as long as that")

// team coordinates a plan, and calls with where workers can connect.
func team(t *testing.T, p Plan, l Local, workers int, with func(address string)) (*Report, error) {
	t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	return Coordinate(t.Context(), p, Team{Listen: "127.0.0.1:0", Secret: secret, Workers: workers, Listening: func(at net.Addr) {
		wg.Go(func() { with(at.String()) })
	}}, l)
}

// turnedAway connects with another secret, and returns once the coordinator has noted it. Who is refused knows sooner, and nothing is noted any more once all
// workers are there.
func turnedAway(t *testing.T, address string) {
	t.Helper()
	c, err := credentials(other)
	if err != nil {
		t.Error(err)
		return
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	if err := tls.Client(conn, c).HandshakeContext(t.Context()); !errors.Is(err, errOtherSecret) {
		t.Errorf("who has another secret was taken: %v", err)
	}
	_, _ = io.Copy(io.Discard, conn)
}

// TestTeam: two workers do a plan together, somebody without the secret does not, and the report is one.
func TestTeam(t *testing.T) {
	s := start(t, wide...)
	p := s.short("dm", 12)
	p.Rate = 100
	r, err := team(t, p, Local{Metrics: s.metrics}, 2, func(address string) {
		turnedAway(t, address)
		var work sync.WaitGroup
		for range 2 {
			work.Go(func() {
				if err := Work(t.Context(), address, secret, Local{}); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Workers) != 2 || r.Workers[0].Clients != 6 || r.Workers[1].Clients != 6 || r.Workers[0].Lost+r.Workers[1].Lost != "" {
		t.Errorf("%+v", r.Workers)
	}
	if r.Failed() > 0 || r.count(seriesAccepted) != 40 || r.count(seriesDelivered) != 40 || r.Setup.Registered != 12 || r.Usage == nil {
		t.Errorf("%+v %+v", r.Errors, r.Series)
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "turned away") {
		t.Errorf("%q", r.Notes)
	}
	parses(t, r)
}

// TestStrangersHoldNobodyUp: whoever connects and says nothing, or something else, keeps no worker from being greeted, and the report names some of them.
func TestStrangersHoldNobodyUp(t *testing.T) {
	s := start(t, wide...)
	var silent []net.Conn
	defer func() {
		for _, c := range silent {
			_ = c.Close()
		}
	}()
	r, err := team(t, s.short("dm", 2), Local{Metrics: s.metrics}, 1, func(address string) {
		for range 20 {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			silent = append(silent, conn)
		}
		if err := Work(t.Context(), address, other, Local{}); !errors.Is(err, qpq.Denied) {
			t.Errorf("who has another secret was taken: %v", err)
		}
		for range mostNotes + 5 {
			turnedAway(t, address)
		}
		if err := Work(t.Context(), address, secret, Local{}); err != nil {
			t.Error(err)
		}
	})
	if err != nil || r.count(seriesAccepted) == 0 {
		t.Fatal(err, r.Errors)
	}
	if len(r.Notes) != mostNotes+1 || !strings.HasSuffix(r.Notes[mostNotes], " more were turned away") {
		t.Errorf("%d notes: %q", len(r.Notes), r.Notes)
	}
}

// TestWorkersAreBounded: what a worker writes into the report is cut off where nobody reads on.
func TestWorkersAreBounded(t *testing.T) {
	s := start(t, wide...)
	long := strings.Repeat("x", 3*mostText)
	mishaps := make([]ErrorCount, 5*mostKinds)
	for i := range mishaps {
		mishaps[i] = ErrorCount{During: fmt.Sprint(i, long), Kind: long, Count: 1, Example: long}
	}
	r, err := team(t, s.short("dm", 4), Local{}, 2, func(address string) {
		var work sync.WaitGroup
		work.Go(func() {
			if err := Work(t.Context(), address, secret, Local{}); err != nil {
				t.Error(err)
			}
		})
		c, err := credentials(secret)
		if err != nil {
			t.Error(err)
			return
		}
		conn, err := tls.Dial("tcp", address, c)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		w := newSpeaker(conn)
		var o order
		if err := errors.Join(w.say(answer{Host: long}), w.hear(&o, silence), w.say(answer{Ready: true}), w.say(answer{Done: &share{Errors: mishaps}, Failed: long})); err != nil {
			t.Error(err)
		}
		work.Wait()
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil || len(b) > 4*mostKinds*mostText || len(r.Errors) > 2*mostKinds {
		t.Errorf("the report has %d bytes, and %d kinds of errors: %v", len(b), len(r.Errors), err)
	}
}

// TestWorkerIsLost: a worker that dies is told of, and the others go on.
func TestWorkerIsLost(t *testing.T) {
	s := start(t, wide...)
	p := s.short("dm", 4)
	r, err := team(t, p, Local{}, 2, func(address string) {
		var work sync.WaitGroup
		work.Go(func() {
			if err := Work(t.Context(), address, secret, Local{}); err != nil {
				t.Error(err)
			}
		})
		dies(t, address)
		work.Wait()
	})
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for _, w := range r.Workers {
		if w.Lost != "" {
			lost++
		}
	}
	if lost != 1 || r.Failed() != 1 || r.Errors[0].During != "worker" || r.count(seriesAccepted) == 0 || r.Setup.Registered != 2 {
		t.Errorf("%+v %+v", r.Workers, r.Errors)
	}
	_, err = team(t, p, Local{}, 1, func(address string) { dies(t, address) })
	if !errors.Is(err, qpq.Unavailable) || !strings.Contains(err.Error(), "no worker measured anything") {
		t.Error(err)
	}
}

// dies takes a plan and ends.
func dies(t *testing.T, address string) {
	c, err := credentials(secret)
	if err != nil {
		t.Error(err)
		return
	}
	conn, err := tls.Dial("tcp", address, c)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	w := newSpeaker(conn)
	var o order
	if err := errors.Join(w.say(answer{Host: "mortal"}), w.hear(&o, silence)); err != nil || o.Plan == nil {
		t.Errorf("%v %+v", err, o)
	}
}

// TestTeamIsInterrupted: workers are told, and what they measured until then is in the report.
func TestTeamIsInterrupted(t *testing.T) {
	s := start(t, wide...)
	p := s.short("dm", 4)
	p.Duration *= 10_000
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	defer work.Wait()
	r, err := Coordinate(ctx, p, Team{Listen: "127.0.0.1:0", Secret: secret, Workers: 1, Listening: func(at net.Addr) {
		work.Go(func() {
			if err := Work(t.Context(), at.String(), secret, Local{}); err != nil {
				t.Error(err)
			}
		})
	}}, Local{Progress: func(p Progress) {
		if p.Doing == "" && len(p.Series) > 0 {
			stop()
		}
	}})
	if err != nil || !r.Interrupted || r.count(seriesAccepted) == 0 || r.Failed() > 0 {
		t.Errorf("%v %+v", err, r)
	}
}

// TestTeamRefuses: what cannot be shared out, and secrets that can be guessed.
func TestTeamRefuses(t *testing.T) {
	p := Plan{Server: "127.0.0.1:1", Scenario: "group", Clients: 15, GroupSize: 10, Duration: 1}
	if _, err := p.divide(2); !errors.Is(err, qpq.Invalid) || !strings.Contains(err.Error(), "raise --clients to 20") {
		t.Error(err)
	}
	p.Clients, p.Rate = 50, 7
	list, err := p.divide(3)
	if err != nil {
		t.Fatal(err)
	}
	clients, rate := 0, 0.0
	for i, q := range list {
		if q.Part != i+1 || q.Clients%10 != 0 || q.Check() != nil {
			t.Errorf("%+v", q)
		}
		clients, rate = clients+q.Clients, rate+q.Rate
	}
	if clients != 50 || rate < 6.999 || rate > 7.001 {
		t.Errorf("%d clients at %g", clients, rate)
	}
	if err := Work(t.Context(), "127.0.0.1:1", wire.NewSecret("short"), Local{}); !errors.Is(err, qpq.Invalid) {
		t.Error(err)
	}
	if err := Work(t.Context(), "127.0.0.1:1", secret, Local{}); !errors.Is(err, qpq.Unavailable) || !strings.Contains(err.Error(), "--worker") {
		t.Error(err)
	}
}
