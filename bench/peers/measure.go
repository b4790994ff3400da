package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// subject is a peer while it is measured, with what was found so far.
type subject struct {
	peer
	site   site
	server server
	found  findings
	broken bool // it could not be prepared, and is not measured
	voids  []*void
}

// void is something that could not be measured, and why.
type void struct {
	peer, what string
	cause      error
}

// Error implements error.
func (v *void) Error() string { return fmt.Sprintf("%s: %s: %v", v.peer, v.what, v.cause) }

// Unwrap returns why.
func (v *void) Unwrap() error { return v.cause }

// void says that something could not be measured. What else was found, or is to be, counts all the same.
func (s *subject) void(what string, cause error) *void {
	v := &void{s.name, what, cause}
	s.voids = append(s.voids, v)
	return v
}

// voided reports whether something could not be measured whose name begins so.
func (s *subject) voided(begins string) bool {
	return slices.ContainsFunc(s.voids, func(v *void) bool { return strings.HasPrefix(v.what, begins) })
}

// findings are what the rounds and the single measurements found.
type findings struct {
	startups []float64         // milliseconds
	closed   map[int][]figures // by pairs
	half     []figures         // at half of each round's maximum
	equal    []figures         // at the rate that is the same for all
	idle     []idle
	syncs    *syncs
	untraced error // why there are no syncs
	crash    *crash
	fan      *fan
	storm    *storm
}

// begin starts the server, and waits until somebody could connect.
func (s *subject) begin(ctx context.Context) (*processes, time.Duration, error) {
	began := time.Now()
	p, err := s.server.start(ctx)
	if err != nil {
		return nil, 0, err
	}
	var first client
	err = until(ctx, p, func() (err error) {
		first, err = s.server.client(ctx, 0, func(stamp) {})
		return err
	})
	took := time.Since(began)
	if err != nil {
		p.stop()
		return nil, 0, err
	}
	if err := first.close(); err != nil && !errors.Is(err, context.Canceled) {
		p.stop()
		return nil, 0, err
	}
	return p, took, nil
}

// round is one turn of a peer: start-up, the greatest rates, latencies.
func (s *subject) round(ctx context.Context, o options) error {
	p, took, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer p.stop()
	c, err := gather(ctx, s.server, p, o.pairs[len(o.pairs)-1])
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.close()
	s.found.startups = append(s.found.startups, float64(took.Microseconds())/1000)
	if s.found.closed == nil {
		s.found.closed = map[int][]figures{}
	}
	if _, err := c.closed(ctx, len(c.pairs), o.time/10); err != nil { // so that everything is there that is made at first use
		return fmt.Errorf("warm up: %w", err)
	}
	var greatest float64
	for _, pairs := range o.pairs {
		f, err := c.closed(ctx, pairs, o.time)
		if err != nil {
			return fmt.Errorf("%d pairs: %w", pairs, err)
		}
		s.found.closed[pairs] = append(s.found.closed[pairs], f)
		greatest = f.rate()
	}
	half, err := c.open(ctx, greatest/2, o.time)
	if err != nil {
		return fmt.Errorf("half of the greatest rate: %w", err)
	}
	equal, err := c.open(ctx, o.equal, o.time)
	if err != nil {
		return fmt.Errorf("%.0f a second: %w", o.equal, err)
	}
	s.found.half, s.found.equal = append(s.found.half, half), append(s.found.equal, equal)
	return nil
}

// idle is what so many connected users who do nothing cost.
type idle struct {
	clients   int
	perClient memory
	collected *memory // after a collection, where the server can be told to
	took      time.Duration
}

// quiet waits until a server does next to nothing, at least so long, and at most half a minute.
func quiet(ctx context.Context, p *processes, least time.Duration) error {
	began, before := time.Now(), p.cpu()
	for time.Since(began) < 30*time.Second {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
		now := p.cpu()
		if now-before < 50*time.Millisecond && time.Since(began) >= least {
			return nil
		}
		before = now
	}
	return nil
}

// laneRest is longer than lanes without calls are kept.
const laneRest = 17 * time.Second

// idleStage is what the measurement of so many idle clients is called.
func idleStage(clients int) string { return fmt.Sprintf("%d idle clients", clients) }

// stageStorm is what reconnecting is called.
const stageStorm = "all clients back at once"

// errNotTried says why more clients were not tried.
var errNotTried = errors.New("not tried, because fewer could not be measured")

// rest measures memory with more and more idle clients.
func (s *subject) rest(ctx context.Context, o options) (err error) {
	p, base, err := s.beginEmpty(ctx, o)
	if err != nil {
		for _, n := range o.idle {
			s.void(idleStage(n), err)
		}
		return nil
	}
	defer p.stop()
	clients := make([]client, o.idle[len(o.idle)-1])
	fanned := &fan{}
	defer func() { err = errors.Join(err, closeAll(clients)) }()
	for i, n := range o.idle {
		some := clients[:n]
		if err := s.restWith(ctx, p, o, base, some, fanned); err != nil {
			s.void(idleStage(n), err)
			for _, more := range o.idle[i+1:] {
				s.void(idleStage(more), errNotTried)
			}
			return nil
		}
		if i > 0 {
			continue
		}
		if err := s.fanOut(ctx, fanned, some, n); err != nil {
			s.void(fmt.Sprintf("a message to %d", n), err)
		}
	}
	if q, ok := s.server.(*quicproquo); ok {
		if s.found.storm, err = q.storm(ctx, clients); err != nil {
			s.void(stageStorm, err)
		}
	}
	return nil
}

// beginEmpty starts the server, and returns what it holds while nobody is connected.
func (s *subject) beginEmpty(ctx context.Context, o options) (*processes, memory, error) {
	var base memory
	p, _, err := s.begin(ctx)
	if err != nil {
		return nil, base, err
	}
	if err = quiet(ctx, p, min(o.rest, 3*time.Second)); err == nil {
		base, err = s.hold(p)
	}
	if err != nil {
		p.stop()
	}
	return p, base, err
}

// restWith measures memory with some clients, of whom the first may be connected already.
func (s *subject) restWith(ctx context.Context, p *processes, o options, base memory, clients []client, fanned *fan) error {
	began := time.Now()
	if err := s.arrive(ctx, clients, o.arrive, fanned.received); err != nil {
		return err
	}
	found := idle{clients: len(clients), took: time.Since(began)}
	if err := s.weigh(ctx, p, o, base, &found); err != nil {
		return err
	}
	s.found.idle = append(s.found.idle, found)
	return nil
}

const (
	// arriving is how many clients connect at a time.
	arriving = 32
	// attempts is how often each tries.
	attempts = 6
)

// arrive connects those who are not yet, so many a second at most. All of them have two minutes, and ten times as long as it takes at this
// rate: what else the machine does must not void what is measured when all are there.
func (s *subject) arrive(ctx context.Context, clients []client, rate float64, received func(stamp)) error {
	first := slices.Index(clients, nil)
	if first < 0 {
		return nil
	}
	took := func(n int) time.Duration { return time.Duration(float64(n) / rate * float64(time.Second)) }
	missing := len(clients) - first
	within, cancel := context.WithTimeout(ctx, 2*time.Minute+10*took(missing))
	defer cancel()
	began := time.Now()
	return together(missing, arriving, func(i int) error {
		n := first + i
		var err error
		for try := range attempts {
			due := began.Add(took(i))
			if try > 0 {
				due = time.Now().Add(time.Duration(try) * time.Second)
			}
			if !sleepUntil(within, due) {
				break
			}
			if clients[n], err = s.server.client(within, n, received); err == nil {
				return nil
			}
			clients[n] = nil
		}
		return fmt.Errorf("client %d of %d could not connect within %v: %w", n+1, len(clients), time.Since(began).Round(time.Second), cmp.Or(err, within.Err()))
	})
}

// sleepUntil waits for a time. It reports false where ctx ended before.
func sleepUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// hold returns what a server holds, after a collection where it can be told to.
func (s *subject) hold(p *processes) (m memory, err error) {
	if c, ok := s.server.(collector); ok {
		if err := c.collect(); err != nil {
			return m, err
		}
	}
	return p.memory()
}

func (s *subject) weigh(ctx context.Context, p *processes, o options, base memory, found *idle) error {
	_, own := s.server.(*quicproquo)
	least := o.rest
	if !own { // no lanes that rest
		least = min(least, 3*time.Second)
	}
	if err := quiet(ctx, p, least); err != nil {
		return err
	}
	m, err := p.memory()
	if err != nil {
		return err
	}
	found.perClient = m.over(base, found.clients)
	if _, ok := s.server.(collector); ok {
		if m, err = s.hold(p); err != nil {
			return err
		}
		each := m.over(base, found.clients)
		found.collected = &each
	}
	return nil
}

// over returns what each of so many clients added.
func (m memory) over(base memory, clients int) memory {
	return memory{(m.rss - base.rss) / int64(clients), (m.pss - base.pss) / int64(clients)}
}

func closeAll(clients []client) error {
	return together(len(clients), 64, func(i int) error {
		if clients[i] != nil {
			_ = clients[i].close()
		}
		return nil
	})
}
