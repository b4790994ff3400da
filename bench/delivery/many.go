package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq/wire"
)

// idle prints what devices that do nothing cost a server in memory, and what it takes when all of them come back at once, by one UDP socket on each side.
func idle(ctx context.Context, w io.Writer, dir string, o options) (err error) {
	c := &crowd{}
	if err := c.fill(ctx, dir, o.idle, nil); err != nil {
		return err
	}
	if c.process, err = start(dir, o.profile); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.process.close()) }()
	empty, err := c.heap("")
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "Devices, authenticated, each with its push stream, and no lane after a while. KB of the server for each after collections: resident, objects on the heap, pages that")
	fmt.Fprintln(w, "these are in, stacks, and what the runtime keeps. Then all connections end, and all devices connect and authenticate at the same time: how many tries failed, and how many")
	fmt.Fprintln(w, "devices never came in.")
	fmt.Fprintln(w, "\ndevices | | took | server cpu-µs/device | resident KB | objects | pages | stacks | runtime | failed tries | never\n--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:")
	for _, part := range []struct {
		name   string
		atOnce int
	}{{"32 at a time", 32}, {"all at once", o.idle}} {
		began := time.Now()
		var failed, never atomic.Int64
		k, err := c.measured(func() (int64, error) {
			err := together(o.idle, part.atOnce, func(i int) error {
				for range 20 {
					if err := c.people[i].connect(ctx, c.process, nil); err == nil {
						return nil
					}
					failed.Add(1)
				}
				never.Add(1)
				return ctx.Err()
			})
			return int64(o.idle), err
		})
		if err != nil {
			return err
		}
		took := time.Since(began)
		for _, p := range c.people { // lanes that nobody uses close by themselves after 5 s, for which the server waits
			if _, err := wire.Call(ctx, p, wire.Ping{}); err != nil {
				failed.Add(1)
			}
		}
		full, err := c.heap(fmt.Sprintf("%s.heap.%s", o.profile, part.name[:2]))
		if err != nil {
			return err
		}
		kb := full.each(empty.memory, o.idle)
		fmt.Fprintf(w, "%d | %s | %.1f s | %d | %.1f | %.1f | %.1f | %.1f | %.1f | %d | %d\n", o.idle, part.name, took.Seconds(), k.CPU.Microseconds()/int64(o.idle),
			kb[0], kb[1], kb[2], kb[3], kb[4], failed.Load(), never.Load())
		_ = together(o.idle, 64, func(i int) error { return c.people[i].Session.Close() })
	}
	return nil
}

// fanOut prints how long a message takes until all of a thousand devices have it, beside as many pushes of the same size that are stored nowhere.
func fanOut(ctx context.Context, w io.Writer, dir string, o options) (err error) {
	const devices = 1000
	c, err := gather(ctx, dir, o.profile, devices, []int{devices})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.empty(ctx); err != nil {
		return err
	}
	var there atomic.Int64
	all := make(chan struct{}, 1)
	for _, p := range c.people {
		_ = p.Session.Close()
	}
	err = together(len(c.people), 32, func(i int) error {
		return c.people[i].connect(ctx, c.process, func([]byte) {
			if there.Add(1) == devices-1 {
				all <- struct{}{}
			}
		})
	})
	if err != nil {
		return err
	}
	where, sender := c.channels[devices][0], c.people[0]
	payload := envelope(where, payloadSize)
	once := func(send func(i int) error, i int) (took time.Duration, err error) {
		there.Store(0)
		var wg sync.WaitGroup
		began := time.Now()
		wg.Go(func() { err = send(i) })
		select {
		case <-all:
		case <-time.After(time.Minute):
			return 0, fmt.Errorf("%d of %d devices were reached in a minute", there.Load(), devices-1)
		}
		took = time.Since(began)
		wg.Wait()
		return took, err
	}
	kinds := []struct {
		name string
		send func(i int) error
	}{
		{"pushed only", func(int) error {
			_, err := wire.Call(ctx, sender, wire.SendEphemeral{Channel: where, Payload: payload})
			return err
		}},
		{"sent", func(i int) error {
			_, err := wire.Call(ctx, sender, wire.Send{Channel: where, ID: messageID(time.Now(), i), Payload: payload})
			return err
		}},
	}
	took, cpu := make([][]time.Duration, len(kinds)), make([]time.Duration, len(kinds))
	const times = 30
	for i := range times {
		for j, kind := range kinds { // by turns, so that both meet the same machine
			k, err := c.measured(func() (int64, error) {
				d, err := once(kind.send, i)
				took[j] = append(took[j], d)
				return 1, err
			})
			if err != nil {
				return err
			}
			cpu[j] += k.CPU
		}
	}
	fmt.Fprintf(w, "A message of %d bytes to %d devices, until the last one has it: median of %d.\n\n", payloadSize, devices-1, times)
	fmt.Fprintln(w, "| ms | server cpu-ms\n---|--:|--:")
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return d[len(d)/2].Seconds() * 1000
	}
	for j, kind := range kinds {
		fmt.Fprintf(w, "%s | %.1f | %.1f\n", kind.name, median(took[j]), cpu[j].Seconds()*1000/times)
	}
	fmt.Fprintf(w, "ratio | %.1f | %.1f\n", median(took[1])/median(took[0]), cpu[1].Seconds()/cpu[0].Seconds())
	return nil
}
