package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// within fails where more was counted for each message than is allowed, or less than half of it: then the bound tells nothing any more.
func within(t *testing.T, what string, counted, messages int64, most float64) {
	t.Helper()
	each := float64(counted) / float64(messages)
	t.Logf("%s: %.2f for each message, at most %.2f", what, each, most)
	if each > most || each < most/2 {
		t.Errorf("%s: %.2f for each message, and %.2f to %.2f are expected", what, each, most/2, most)
	}
}

// TestCounts counts what a message between two takes of a real server while 256 send: memory that is allocated, commits' fsyncs, and what the
// lanes and pushes carry.
func TestCounts(t *testing.T) {
	c, err := gather(t.Context(), t.TempDir(), "", 2*senders, []int{2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := c.empty(t.Context()); err != nil {
		t.Fatal(err)
	}
	who, where := c.spread(2)
	sent, received, acks := c.traffic.sent.Load(), c.traffic.received.Load(), c.acks()
	k, err := c.measured(func() (n int64, err error) {
		err = c.followed(t.Context(), c.receivers(2, who), func() (err error) {
			n, err = c.flood(t.Context(), who, where, func(sent int) bool { return sent < 32 })
			return err
		})
		return n, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if k.messages != 32*senders {
		t.Fatalf("%d messages were delivered", k.messages)
	}
	within(t, "objects that the server allocates", int64(k.Allocs), k.messages, 140)
	within(t, "bytes that the server allocates", int64(k.Bytes), k.messages, 12<<10)
	if 1000*k.Syncs > 60*k.messages {
		t.Errorf("%d fsyncs for %d messages: at most 60 for a thousand are expected", k.Syncs, k.messages)
	}
	if k.Writes > 4*k.messages {
		t.Errorf("the server wrote %d times for %d messages: at most 4 for each are expected", k.Writes, k.messages)
	}
	within(t, "bytes to the server", c.traffic.sent.Load()-sent, k.messages, 640)
	within(t, "bytes from the server", c.traffic.received.Load()-received, k.messages, 1200)
	if n := c.acks() - acks; 2*n > k.messages {
		t.Errorf("%d messages took %d acknowledgements: they do not wait for others", k.messages, n)
	}
}

// acks returns how many acknowledgements there were.
func (c *crowd) acks() (n int64) {
	for _, b := range c.inboxes {
		n += b.Acknowledgements()
	}
	return n
}

// TestEngineCounts counts what a message takes of two whole clients, one of which sends, and of their server: fsyncs, writes of files, calls and bytes,
// memory that is allocated.
func TestEngineCounts(t *testing.T) {
	const messages = 100
	dir := t.TempDir()
	p, err := start(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}()
	var both [2]*program
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, len(both))
	for i := range both {
		if both[i], err = p.install(ctx, dir, fmt.Sprintf("person%d", i)); err != nil {
			t.Fatal(err)
		}
		go func() { ended <- both[i].Run(ctx) }()
	}
	defer func() {
		stop()
		for _, k := range both {
			if err := errors.Join(<-ended, k.close()); err != nil {
				t.Error(err)
			}
		}
	}()
	id, err := both[0].Direct(ctx, both[1].user)
	if err != nil {
		t.Fatal(err)
	}
	if err := both[1].SetPrivacy(client.Privacy{}); err != nil { // receipts go once a second: how many depends on how long all takes
		t.Fatal(err)
	}
	talk := func(n int) { both[0].talk(t, both[1], id, n) }
	talk(10) // both have joined, and nothing is left to do
	server, before := p.used(t), countersOf(p)
	talk(messages)
	k, after := p.used(t).since(server), countersOf(p)
	within(t, "fsyncs of both clients", after.syncs-before.syncs, messages, 4.2)
	within(t, "writes of both clients' files", after.writes-before.writes, messages, 48)
	within(t, "objects that both clients allocate", int64(after.objects-before.objects), messages, 450)
	within(t, "bytes to the server", after.sent-before.sent, messages, 500)
	within(t, "bytes from the server", after.received-before.received, messages, 900)
	within(t, "fsyncs of the server", k.Syncs, messages, 2)
	within(t, "objects that the server allocates", int64(k.Allocs), messages, 150)
}

// talk sends so many messages, one after the other, and waits until the other has them.
func (k *program) talk(t *testing.T, to *program, id qpq.ChannelID, n int) {
	t.Helper()
	at, err := to.Newest()
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		m, err := k.SendText(t.Context(), id, fmt.Sprintf("%0100d", i))
		if err == nil {
			err = k.Wait(t.Context(), id, m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for e, err := range to.Entries(t.Context(), at) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Message != nil {
			n--
		}
		if n == 0 {
			return
		}
	}
}

func (p *process) used(t *testing.T) counters {
	t.Helper()
	c, err := p.counters()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ownCounters are what this process, with its clients, has used.
type ownCounters struct {
	syncs, writes, sent, received int64
	objects                       uint64
}

func countersOf(p *process) ownCounters {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return ownCounters{disks().Syncs(), disks().Writes(), p.traffic.sent.Load(), p.traffic.received.Load(), m.Mallocs}
}
