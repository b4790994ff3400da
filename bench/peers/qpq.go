package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/transport/quic"
)

func qpqPeer() peer {
	return peer{name: "qpq", what: "QUIC, opaque payloads",
		durable:  "after it is synced, for all recipients, with whatever else waited",
		ack:      "the signed receipt of the call",
		source:   "ARCHITECTURE.md, What is durable, and when",
		programs: []string{"strace"},
		version:  qpqVersion,
		open:     func(s site) server { return &quicproquo{site: s} }}
}

func qpqMLSPeer() peer {
	p := qpqPeer()
	p.name, p.what, p.rates = "qpq-mls", "the same server, and clients that encrypt and decrypt in MLS groups of two (ML-KEM-768 with X25519, Ed25519), states in memory", true
	p.open = func(s site) server { return &quicproquo{site: s, mls: true} }
	return p
}

func qpqVersion(tools string) string {
	v, err := output(context.Background(), "", filepath.Join(tools, "qpq-server"), "version")
	if err != nil {
		return "of unknown version"
	}
	return v
}

// quicproquo is qpq-server, built from this tree. Accounts and conversations are put into its store before it starts, without the exchanges
// that make up registrations; connections, sessions and messages are real ones.
type quicproquo struct {
	site
	mls      bool
	running  *processes
	port     int
	from     *quic.Endpoint // of all clients
	people   []*person
	channels []qpq.ChannelID // one for each pair
	group    qpq.ChannelID   // of the first users, if any
	rooms    []*room         // where mls
}

const qpqDomain = "localhost"

// qpqLimits let one machine stand for many people.
var qpqLimits = []string{"--max-connections", "1000000", "--max-connections-per-address", "1000000", "--address-rate", "1000000", "--account-rate", "1000000",
	"--login-attempts", "1000000", "--conversations-per-day", "1000000"}

func (q *quicproquo) settings() []string {
	return []string{strings.Join(qpqLimits, " ") + " --log-level warn, since one address stands for all people",
		"accounts and conversations put into the store before the start; one UDP socket for all clients; a receiver gets the message by push and acknowledges what came within a second, as clients do",
		"built with a handler for SIGUSR1 that collects garbage, for the figure after collection"}
}

func (q *quicproquo) prepare(ctx context.Context) (err error) {
	if q.port, err = freePort(); err != nil {
		return err
	}
	if q.from, err = quic.NewEndpoint("127.0.0.1:0", quic.Config{}); err != nil {
		return err
	}
	home, err := node.OpenHome(q.path("data"), "bench")
	if err != nil {
		return err
	}
	hub, err := home.SigningKey()
	if err == nil {
		_, err = home.Passwords()
	}
	if err == nil {
		err = q.fill(ctx, home.Database())
	}
	if err := errors.Join(err, home.Close()); err != nil {
		return err
	}
	if q.mls {
		return q.foundAll(ctx, hub)
	}
	return nil
}

// fill makes all accounts, and a conversation for each pair unless they found one themselves.
func (q *quicproquo) fill(ctx context.Context, database string) (err error) {
	engine, err := sqlite.Open(ctx, sqlite.Config{Path: database})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	s, err := store.Open(ctx, engine, store.Config{Domain: qpqDomain, Now: time.Now()})
	if err != nil {
		return err
	}
	q.people = make([]*person, q.users)
	err = together(q.users, 64, func(i int) error {
		p, r, err := newPerson(fmt.Sprintf("user%d", i))
		if err != nil {
			return err
		}
		q.people[i] = p
		_, err = s.Register(ctx, r)
		return err
	})
	if err != nil || q.mls {
		return err
	}
	if q.together > 1 {
		if q.group, err = foundOpaque(ctx, s, q.people[:q.together]...); err != nil {
			return err
		}
	}
	q.channels = make([]qpq.ChannelID, q.pairs)
	return together(q.pairs, 64, func(i int) (err error) {
		q.channels[i], err = foundOpaque(ctx, s, q.people[2*i], q.people[2*i+1])
		return err
	})
}

func (q *quicproquo) start(context.Context) (*processes, error) {
	p := &processes{}
	args := append([]string{filepath.Join(q.tools, "qpq-server"), "--data", q.path("data"), "--domain", qpqDomain, "--listen", fmt.Sprintf("127.0.0.1:%d", q.port),
		"--log-level", "warn"}, qpqLimits...)
	if err := p.run(job{dir: q.dir, args: args}); err != nil {
		return nil, err
	}
	q.running = p
	return p, nil
}

func (q *quicproquo) client(ctx context.Context, n int, received func(stamp)) (client, error) {
	c := &qpqClient{server: q, person: q.people[n], n: n, received: received}
	if q.mls {
		c.room = q.rooms[n/2]
	}
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// collected is a file that appears when garbage was collected.
const collected = "collected"

// collectSource becomes part of the server's main package when it is built for the benchmark, and of nothing that is released.
const collectSource = `package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func init() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for range asked {
			debug.FreeOSMemory()
			debug.FreeOSMemory() // what pools hold outlives a collection
			_ = os.WriteFile("` + collected + `", nil, 0o600)
		}
	}()
}
`

// buildQPQ builds qpq-server from the tree that this module is part of.
func buildQPQ(ctx context.Context, tools string) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	source, overlay := filepath.Join(tools, "collect.go"), filepath.Join(tools, "overlay.json")
	b, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, "cmd/qpq-server/collect_bench.go"): source}})
	if err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(source, []byte(collectSource), 0o600), os.WriteFile(overlay, b, 0o600)); err != nil {
		return err
	}
	_, err = output(ctx, "", "go", "build", "-C", root, "-overlay", overlay, "-o", filepath.Join(tools, "qpq-server"), "./cmd/qpq-server")
	return err
}

func (q *quicproquo) address() string { return fmt.Sprintf("127.0.0.1:%d", q.port) }

// collect implements collector.
func (q *quicproquo) collect() error {
	done := q.path(collected)
	if err := os.Remove(done); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := q.running.roots[0].Process.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	return until(context.Background(), q.running, func() error { _, err := os.Stat(done); return err })
}
