package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// senders is how many send at the same time.
const senders = 256

// crowd is people on a running server, and channels of each size that all of them are in.
type crowd struct {
	*process
	people   []*person
	inboxes  []*inbox
	channels map[int][]qpq.ChannelID
	receipt  func(wire.Send, wire.SendReply) // nil, or told of each message that was accepted
}

// gather fills a store, starts a server on it, and connects everybody.
func gather(ctx context.Context, dir, profile string, people int, sizes []int) (c *crowd, err error) {
	c = &crowd{channels: map[int][]qpq.ChannelID{}}
	if err := c.fill(ctx, dir, people, sizes); err != nil {
		return nil, err
	}
	if c.process, err = start(dir, profile); err != nil {
		return nil, err
	}
	for _, p := range c.people {
		c.inboxes = append(c.inboxes, newInbox(p))
	}
	return c, together(len(c.people), 32, func(i int) error { return c.people[i].connect(ctx, c.process, c.inboxes[i].Pushed) })
}

func (c *crowd) fill(ctx context.Context, dir string, people int, sizes []int) (err error) {
	engine, s, err := open(ctx, dir, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	if c.people, err = enrol(ctx, s, "person", people); err != nil {
		return err
	}
	for _, n := range sizes {
		if c.channels[n], err = foundAll(ctx, s, c.people, n); err != nil {
			return err
		}
	}
	return nil
}

func (c *crowd) close() error {
	for _, p := range c.people {
		_ = p.Close()
	}
	return c.process.close()
}

// empty has everybody read and acknowledge all there is.
func (c *crowd) empty(ctx context.Context) error {
	return together(len(c.inboxes), 32, func(i int) error { return c.inboxes[i].Drain(ctx) })
}

// followed runs f while the inboxes with these numbers are followed, and returns when all they were told of is read.
func (c *crowd) followed(ctx context.Context, reading []int, f func() error) error {
	following, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	errs := make([]error, len(reading))
	for k, i := range reading {
		wg.Go(func() { errs[k] = c.inboxes[i].Follow(following) })
	}
	err := f()
	stop()
	wg.Wait()
	return errors.Join(append(errs, err, together(len(reading), 32, func(k int) error { return c.inboxes[reading[k]].Drain(ctx) }))...)
}

// spread are the senders: so many people as evenly over the channels as can be, and the channel of each.
func (c *crowd) spread(n int) (who []int, where []qpq.ChannelID) {
	ids := c.channels[n]
	for i := range senders {
		k := i % len(ids)
		who = append(who, k*n+i/len(ids)%n)
		where = append(where, ids[k])
	}
	return who, where
}

// receivers are all members of channels but the senders.
func (c *crowd) receivers(n int, who []int) (list []int) {
	sends := map[int]bool{}
	for _, i := range who {
		sends[i] = true
	}
	for i := range len(c.channels[n]) * n {
		if !sends[i] {
			list = append(list, i)
		}
	}
	return list
}

// flood has all senders send, one message after the other, as long as more says so of what one has sent. It returns how many were
// accepted.
func (c *crowd) flood(ctx context.Context, who []int, where []qpq.ChannelID, more func(sent int) bool) (int64, error) {
	var all atomic.Int64
	err := together(len(who), len(who), func(i int) error {
		payload := envelope(where[i], payloadSize)
		for sent := 0; more(sent); sent++ {
			q := wire.Send{Channel: where[i], ID: messageID(time.Now(), i), Payload: payload}
			reply, err := wire.Call(ctx, patient{c.people[who[i]]}, q)
			if err != nil {
				return fmt.Errorf("send: %w", err)
			}
			if c.receipt != nil {
				c.receipt(q, reply)
			}
			all.Add(1)
		}
		return nil
	})
	return all.Load(), err
}

// during is for flood: as long as a time lasts.
func during(d time.Duration) func(int) bool {
	end := time.Now().Add(d)
	return func(int) bool { return time.Now().Before(end) }
}

// cost is what a server used for so many messages.
type cost struct {
	messages int64
	took     time.Duration
	counters
	clients time.Duration // CPU time of this process
}

func (c cost) String() string {
	n := float64(c.messages)
	return fmt.Sprintf("%d | %.0f | **%.0f** | %.1f | %.0f | %.1f | %.0f", c.messages, n/c.took.Seconds(), float64(c.CPU.Microseconds())/n,
		1000*float64(c.Syncs)/n, float64(c.Allocs)/n, float64(c.Bytes)/n/1024, float64(c.clients.Microseconds())/n)
}

// costHead is the head of a table of costs, with so many columns before them.
func costHead(first ...string) string {
	columns := append(first, "messages", "messages/s", "server cpu-µs/message", "fsyncs/1000", "allocations", "KiB allocated", "clients' cpu-µs")
	return "\n" + strings.Join(columns, " | ") + "\n" + strings.Repeat("--:|", len(columns)-1) + "--:"
}

// measured returns what f, which sends so many messages, costs the server.
func (p *process) measured(f func() (int64, error)) (cost, error) {
	before, err := p.profiling()
	if err != nil {
		return cost{}, err
	}
	stop, err := p.profileClients()
	if err != nil {
		return cost{}, err
	}
	began, own := time.Now(), used()
	n, err := f()
	stop()
	if err != nil {
		return cost{}, err
	}
	k := cost{messages: n, took: time.Since(began), clients: used() - own}
	after, err := p.counters()
	k.counters = after.since(before)
	if p.profile != "" {
		fmt.Fprintf(os.Stderr, "%s.%d: %s\n", p.profile, p.made, k.Waits.over(k.took, k.Commits))
	}
	return k, err
}

// rates prints what messages cost in conversations of each size: accepted only, and delivered to all who are there.
func rates(ctx context.Context, w io.Writer, dir string, o options) (err error) {
	c, err := gather(ctx, dir, o.profile, 1000, o.sizes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	fmt.Fprintf(w, "%d senders, each with a connection of its own, send one message after the other, of %d bytes. *Accepted*: nobody reads.\n", senders, payloadSize)
	fmt.Fprintln(w, "*Delivered*: all other members are connected, get it by push, and acknowledge together what came within a second.")
	fmt.Fprintln(w, costHead("devices", ""))
	for range o.repeat {
		for _, n := range o.sizes {
			who, where := c.spread(n)
			flood := func() (int64, error) { return c.flood(ctx, who, where, during(o.time)) }
			k, err := c.measured(flood)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%d | accepted | %v\n", n, k)
			if err := c.empty(ctx); err != nil {
				return err
			}
			k, err = c.measured(func() (sent int64, err error) {
				err = c.followed(ctx, c.receivers(n, who), func() (err error) { sent, err = flood(); return err })
				return sent, err
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%d | delivered | %v\n", n, k)
			if err := c.empty(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// inTemp runs f with an empty folder.
func inTemp(f func(dir string) error) error {
	dir, err := os.MkdirTemp("", "delivery")
	if err != nil {
		return err
	}
	return errors.Join(f(dir), os.RemoveAll(dir))
}
