package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// crowd is pairs of connected users of a running server.
type crowd struct {
	processes *processes
	pairs     []*pair
}

// pair is somebody who sends, and somebody who receives.
type pair struct {
	from, to client
	number   int // of the receiver
	arrived  atomic.Int64

	mu   sync.Mutex
	took []time.Duration // from when each was due until the receiver had it
	last time.Time
}

func (p *pair) received(s stamp) {
	now := time.Now()
	p.mu.Lock()
	p.took = append(p.took, now.Sub(time.Unix(0, int64(s))))
	p.last = now
	p.mu.Unlock()
	p.arrived.Add(1)
}

// take returns what was recorded, and begins anew.
func (p *pair) take() (took []time.Duration, last time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	took, p.took = p.took, nil
	p.arrived.Store(0)
	return took, p.last
}

// gather connects so many pairs.
func gather(ctx context.Context, s server, running *processes, pairs int) (*crowd, error) {
	c := &crowd{processes: running, pairs: make([]*pair, pairs)}
	err := together(pairs, 16, func(i int) (err error) {
		p := &pair{number: 2*i + 1}
		c.pairs[i] = p
		if p.to, err = s.client(ctx, p.number, p.received); err != nil {
			return err
		}
		p.from, err = s.client(ctx, 2*i, func(stamp) {})
		return err
	})
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *crowd) close() {
	for _, p := range c.pairs {
		if p == nil {
			continue
		}
		for _, user := range []client{p.from, p.to} {
			if user != nil {
				_ = user.close()
			}
		}
	}
}

// figures are what one measurement found.
type figures struct {
	messages  int
	took      time.Duration   // until the last was delivered
	server    time.Duration   // processor time of all its processes
	clients   time.Duration   // processor time of this process
	accepted  []time.Duration // from when each was due until its sender had the acknowledgement
	delivered []time.Duration // from when each was due until its receiver had it
}

func (f figures) rate() float64      { return float64(f.messages) / f.took.Seconds() }
func (f figures) serverCPU() float64 { return float64(f.server.Microseconds()) / float64(f.messages) }
func (f figures) clientCPU() float64 { return float64(f.clients.Microseconds()) / float64(f.messages) }

// used returns the processor time of this process.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measured has send send over some pairs, waits until all is delivered, and returns what it took.
func (c *crowd) measured(ctx context.Context, pairs []*pair, send func() ([]time.Duration, error)) (f figures, err error) {
	for _, p := range pairs {
		p.take()
	}
	server, own, began := c.processes.cpu(), used(), time.Now()
	if f.accepted, err = send(); err != nil {
		return f, err
	}
	f.messages = len(f.accepted)
	if err := delivered(ctx, pairs, f.messages); err != nil {
		return f, err
	}
	f.server, f.clients = c.processes.cpu()-server, used()-own
	for _, p := range pairs {
		took, last := p.take()
		f.delivered = append(f.delivered, took...)
		f.took = max(f.took, last.Sub(began))
	}
	return f, c.processes.over()
}

// delivered waits until receivers have so many messages.
func delivered(ctx context.Context, pairs []*pair, want int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		have := 0
		for _, p := range pairs {
			have += int(p.arrived.Load())
		}
		if have >= want {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("%d messages were acknowledged, and %d of them are delivered a minute later", want, have)
		}
	}
}

// closed has each of some pairs send one message after the other, the next when the one before was acknowledged.
func (c *crowd) closed(ctx context.Context, pairs int, d time.Duration) (figures, error) {
	some := c.pairs[:pairs]
	return c.measured(ctx, some, func() ([]time.Duration, error) {
		took := make([][]time.Duration, pairs)
		end := time.Now().Add(d)
		err := together(pairs, pairs, func(i int) error {
			for due := time.Now(); due.Before(end); due = time.Now() {
				if err := some[i].from.send(ctx, some[i].number, stamp(due.UnixNano())); err != nil {
					return fmt.Errorf("send: %w", err)
				}
				took[i] = append(took[i], time.Since(due))
			}
			return nil
		})
		return slices.Concat(took...), err
	})
}

// open has all pairs send by turns at fixed times, however many messages are under way.
func (c *crowd) open(ctx context.Context, rate float64, d time.Duration) (figures, error) {
	return c.measured(ctx, c.pairs, func() ([]time.Duration, error) {
		n := max(1, int(rate*d.Seconds()))
		took, errs := make([]time.Duration, n), make([]error, n)
		clock, err := newClock()
		if err != nil {
			return nil, err
		}
		defer clock.close()
		start := time.Now()
		var wg sync.WaitGroup
		for i := range n {
			due := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
			if errs[i] = clock.until(due); errs[i] != nil {
				break
			}
			wg.Go(func() {
				p := c.pairs[i%len(c.pairs)]
				errs[i] = p.from.send(ctx, p.number, stamp(due.UnixNano()))
				took[i] = time.Since(due)
			})
		}
		wg.Wait()
		return took, errors.Join(errs...)
	})
}

// percentile returns what a share of some times does not exceed, in milliseconds.
func percentile(all []time.Duration, share float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return float64(all[min(len(all)-1, int(share*float64(len(all))))].Microseconds()) / 1000
}

// median returns the middle of some numbers, or the mean of the two in the middle.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	k := len(all) / 2
	if len(all)%2 == 1 {
		return all[k]
	}
	return (all[k-1] + all[k]) / 2
}
