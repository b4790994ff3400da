package main

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/quicproquo/qpq/wire"
)

// TestMain is the server too, which start runs as a process of its own.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "-serve" {
		if err := serveMain(os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestFsyncs: who waits at the same time shares an fsync and a signature, on a real server with a connection for each sender; and who is alone gets an
// fsync to himself before he is answered.
func TestFsyncs(t *testing.T) {
	const each, most = 16, 60
	c, err := gather(t.Context(), t.TempDir(), "", senders, []int{2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	who, where := c.spread(2)
	signing, err := key(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	var signatures sync.Map
	c.receipt = func(q wire.Send, r wire.SendReply) {
		if signatures.Store(r.Signature, true); !wire.VerifyMessage([32]byte(signing.Public().(ed25519.PublicKey)), q, r) {
			t.Errorf("the receipt %+v does not count", r)
		}
	}
	send := func(senders, each int) cost {
		k, err := c.measured(func() (int64, error) {
			return c.flood(t.Context(), who[:senders], where, func(sent int) bool { return sent < each })
		})
		if err != nil || k.messages != int64(senders*each) {
			t.Fatalf("%d messages were accepted, then: %v", k.messages, err)
		}
		return k
	}
	if k := send(senders, each); 1000*k.Syncs > most*k.messages {
		t.Errorf("%d messages of %d senders took %d fsyncs in %d commits: at most %d for a thousand are expected", k.messages, senders, k.Syncs, k.Commits, most)
	}
	signed := 0
	for range signatures.Range {
		signed++
	}
	t.Logf("%d messages of %d senders took %d signatures", senders*each, senders, signed)
	if 1000*signed > most*senders*each {
		t.Errorf("%d messages of %d senders took %d signatures: at most %d for a thousand are expected", senders*each, senders, signed, most)
	}
	if k := send(1, 32); k.Syncs < k.messages {
		t.Errorf("%d messages, each sent when the one before was accepted, took %d fsyncs: some were accepted before they were durable", k.messages, k.Syncs)
	}
}
