package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// subject is a peer while it is measured, with what was found so far.
type subject struct {
	peer
	site   site
	server server
	found  findings
	failed error // why it is measured no more
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

// rest measures memory with more and more idle clients.
func (s *subject) rest(ctx context.Context, o options) (err error) {
	p, _, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer p.stop()
	if err := quiet(ctx, p, min(o.rest, 3*time.Second)); err != nil {
		return err
	}
	base, err := s.hold(p)
	if err != nil {
		return err
	}
	clients := make([]client, o.idle[len(o.idle)-1])
	fanned := &fan{}
	defer func() { err = errors.Join(err, closeAll(clients)) }()
	connected := 0
	for _, n := range o.idle {
		began := time.Now()
		err := together(n-connected, 32, func(i int) (err error) {
			clients[connected+i], err = s.server.client(ctx, connected+i, fanned.received)
			return err
		})
		if err != nil {
			return fmt.Errorf("connect %d clients: %w", n, err)
		}
		found := idle{clients: n, took: time.Since(began)}
		if err := s.weigh(ctx, p, o, base, &found); err != nil {
			return err
		}
		s.found.idle = append(s.found.idle, found)
		if connected == 0 {
			if err := s.fanOut(ctx, fanned, clients, n); err != nil {
				return err
			}
		}
		connected = n
	}
	if q, ok := s.server.(*quicproquo); ok {
		s.found.storm, err = q.storm(ctx, clients)
	}
	return err
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
