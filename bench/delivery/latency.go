package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/quicproquo/qpq/wire"
)

// latencies prints how long 1:1 messages take at fixed rates, from when each was due: until its sender has the receipt, and until its
// receiver, who is told by push, has it. Who is due sends, however many others are on their way (an open loop).
func latencies(ctx context.Context, w io.Writer, dir string, o options) (err error) {
	c, err := gather(ctx, dir, o.profile, 2*senders, []int{2})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	fmt.Fprintf(w, "1:1 messages of %d bytes, %d senders by turns, receivers that get them by push. Milliseconds from when a message was due.\n\n", payloadSize, senders)
	fmt.Fprintln(w, "due/s | sent | | p50 | p90 | p99 | p99.9 | max | server cpu-µs/message | fsyncs/1000\n--:|--:|---|--:|--:|--:|--:|--:|--:|--:")
	for range o.repeat {
		for _, rate := range o.rates {
			if err := c.pace(ctx, w, rate, o.time); err != nil {
				return err
			}
		}
	}
	return nil
}

// pace prints the lines of one rate.
func (c *crowd) pace(ctx context.Context, w io.Writer, rate int, d time.Duration) error {
	who, _ := c.spread(2)
	reading := c.receivers(2, who)
	got := make([][]time.Duration, len(c.inboxes))
	for _, i := range reading {
		c.inboxes[i].took = func(r wire.InboxRow) { got[i] = append(got[i], time.Since(dueOf(r.ID))) }
	}
	var accepted []time.Duration
	k, err := c.measured(func() (int64, error) {
		err := c.followed(ctx, reading, func() (err error) { accepted, err = c.openLoop(ctx, rate, d); return err })
		return int64(len(accepted)), err
	})
	if err != nil {
		return err
	}
	n := float64(k.messages)
	fmt.Fprintf(w, "%d | %d | accepted | %s | %.0f | %.0f\n", rate, k.messages, percentiles(accepted), float64(k.CPU.Microseconds())/n, 1000*float64(k.Syncs)/n)
	fmt.Fprintf(w, " | | delivered | %s | | \n", percentiles(slices.Concat(got...)))
	return c.empty(ctx)
}

// openLoop sends so many messages a second, and returns when all are accepted how long each took.
func (c *crowd) openLoop(ctx context.Context, rate int, d time.Duration) ([]time.Duration, error) {
	who, where := c.spread(2)
	n := int(d.Seconds() * float64(rate))
	took, errs := make([]time.Duration, n), make([]error, n)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range n {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		wg.Go(func() {
			k := i % len(who)
			_, errs[i] = wire.Call(ctx, c.people[who[k]], wire.Send{Channel: where[k], ID: messageID(due, i), Payload: envelope(where[k], payloadSize)})
			took[i] = time.Since(due)
		})
	}
	wg.Wait()
	return took, errors.Join(errs...)
}

// percentiles writes some of many times, in milliseconds, as columns.
func percentiles(all []time.Duration) string {
	if len(all) == 0 {
		return "- | - | - | - | -"
	}
	slices.Sort(all)
	at := func(share float64) float64 {
		return float64(all[min(len(all)-1, int(share*float64(len(all))))].Microseconds()) / 1000
	}
	return fmt.Sprintf("%.1f | %.1f | %.1f | %.1f | %.1f", at(.5), at(.9), at(.99), at(.999), at(1))
}
