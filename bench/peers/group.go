package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport/quic"
	"github.com/quicproquo/qpq/wire"
)

// fan is how long a message to a group of idle clients takes to be with all of them.
type fan struct {
	devices int
	took    []float64 // milliseconds, one for each message
	arrived atomic.Int64
}

func (f *fan) received(stamp) { f.arrived.Add(1) }

// fanSends is how many messages are sent to the group, one after the other.
const fanSends = 9

// fanOut sends to the group that prepare made of the first users, who are connected.
func (s *subject) fanOut(ctx context.Context, f *fan, clients []client, n int) error {
	q, ok := s.server.(*quicproquo)
	if !ok || q.group == (qpq.ChannelID{}) {
		return nil
	}
	f.devices = n
	for range fanSends {
		f.arrived.Store(0)
		began := stamp(time.Now().UnixNano())
		_, err := wire.Call(ctx, clients[0].(*qpqClient).session, wire.Send{Channel: q.group, ID: messageID(began), Payload: envelope(q.group, began.payload())})
		if err != nil {
			return fmt.Errorf("send to %d: %w", n, err)
		}
		if err := f.all(ctx, int64(n-1)); err != nil {
			return err
		}
		f.took = append(f.took, float64(time.Now().UnixNano()-int64(began))/1e6)
	}
	s.found.fan = f
	return nil
}

// all waits until so many have it.
func (f *fan) all(ctx context.Context, want int64) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for f.arrived.Load() < want {
		select {
		case <-time.After(200 * time.Microsecond):
		case <-ctx.Done():
			return fmt.Errorf("a message to %d others is with %d of them a minute later", want, f.arrived.Load())
		}
	}
	return nil
}

// storm is what came of all clients connecting at once.
type storm struct {
	clients, refused int // refused for good
	late             int // neither connected nor refused when the time was over
	again            int64
	took             time.Duration
	first            error // that made somebody try again
}

// tries is how often a client tries, after waiting longer each time as clients do, before it counts as refused for good.
const tries = 10

// stormTime is how long all of them may take.
const stormTime = 3 * time.Minute

// storm cuts all clients off at once and has all of them connect at the same time, from one new socket.
func (q *quicproquo) storm(ctx context.Context, clients []client) (*storm, error) {
	before := q.from
	var err error
	if q.from, err = quic.NewEndpoint("127.0.0.1:0", quic.Config{}); err != nil {
		return nil, err
	}
	if err := before.Close(); err != nil {
		return nil, err
	}
	s := &storm{clients: len(clients)}
	var again, refused, late atomic.Int64
	var first atomic.Pointer[error]
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, stormTime)
	defer cancel()
	err = together(len(clients), len(clients), func(i int) error {
		c := clients[i].(*qpqClient)
		<-c.done
		wait := 100 * time.Millisecond
		for range tries {
			err := c.connect(within)
			if err == nil {
				return nil
			}
			if within.Err() != nil {
				late.Add(1)
				return ctx.Err()
			}
			again.Add(1)
			first.CompareAndSwap(nil, &err)
			time.Sleep(wait + rand.N(wait))
			wait = min(2*wait, 5*time.Second)
		}
		refused.Add(1)
		return ctx.Err()
	})
	s.took, s.again, s.refused, s.late = time.Since(began), again.Load(), int(refused.Load()), int(late.Load())
	if e := first.Load(); e != nil {
		s.first = *e
	}
	return s, err
}
