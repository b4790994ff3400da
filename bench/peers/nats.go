package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
)

func natsPeer(name string, always bool) peer {
	p := peer{name: name, ack: "PubAck of the stream", source: "docs.nats.io, JetStream configuration, sync_interval",
		programs: []string{"strace"},
		open:     func(s site) server { return &jetstream{site: s, always: always} }}
	if always {
		p.what = "JetStream, file storage, sync_interval: always, one durable consumer with explicit acknowledgements for each receiver, without TLS"
		p.durable = "after the message is synced"
		p.version = func(tools string) string {
			v, err := output(context.Background(), "", filepath.Join(tools, "nats-server"), "--version")
			if err != nil {
				return "of unknown version"
			}
			return v + ", built from its module, because Debian's has no sync_interval"
		}
	} else {
		p.what = "the same with Debian's server, which syncs every two minutes"
		p.durable = "after the message is written; it is synced within two minutes"
		p.programs = append(p.programs, "nats-server")
		p.version = func(string) string { return debian("nats-server") }
	}
	return p
}

type jetstream struct {
	site
	always bool
	port   int
}

// natsStream holds all messages until their consumer has acknowledged them.
const natsStream = "MESSAGES"

func (j *jetstream) settings() []string {
	interval := "stock sync interval (2 minutes)"
	if j.always {
		interval = "sync_interval: always"
	}
	return []string{"JetStream with file storage, " + interval + ", work-queue retention; no TLS, no passwords"}
}

func (j *jetstream) prepare(ctx context.Context) (err error) {
	if j.port, err = freePort(); err != nil {
		return err
	}
	sync := ""
	if j.always {
		sync = ", sync_interval: always"
	}
	text := fmt.Sprintf("listen: \"127.0.0.1:%d\"\njetstream { store_dir: %q%s }\n", j.port, j.path("jetstream"), sync)
	if err := os.WriteFile(j.path("nats.conf"), []byte(text), 0o600); err != nil {
		return err
	}
	p, err := j.start(ctx)
	if err != nil {
		return err
	}
	defer p.stop()
	var conn *nats.Conn
	if err := until(ctx, p, func() error { conn, err = j.dial(); return err }); err != nil {
		return err
	}
	defer conn.Close()
	return j.consumers(ctx, conn, p)
}

// consumers makes the stream, and a consumer for each receiver.
func (j *jetstream) consumers(ctx context.Context, conn *nats.Conn, p *processes) error {
	js, err := conn.JetStream(nats.MaxWait(patience))
	if err != nil {
		return err
	}
	err = until(ctx, p, func() error {
		_, err := js.AddStream(&nats.StreamConfig{Name: natsStream, Subjects: []string{"to.*"}, Storage: nats.FileStorage, Retention: nats.WorkQueuePolicy})
		return err
	})
	for i := 0; i < j.pairs && err == nil; i++ {
		n := 2*i + 1
		_, err = js.AddConsumer(natsStream, &nats.ConsumerConfig{Durable: fmt.Sprintf("user%d", n), FilterSubject: fmt.Sprintf("to.%d", n),
			DeliverSubject: fmt.Sprintf("deliver.%d", n), AckPolicy: nats.AckExplicitPolicy, AckWait: 10 * time.Minute, MaxAckPending: 100_000})
	}
	return err
}

func (j *jetstream) start(context.Context) (*processes, error) {
	program := "nats-server"
	if j.always {
		program = filepath.Join(j.tools, program)
	}
	p := &processes{}
	if err := p.run(job{dir: j.dir, args: []string{program, "-c", j.path("nats.conf")}}); err != nil {
		return nil, err
	}
	return p, nil
}

func (j *jetstream) dial() (*nats.Conn, error) {
	return nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", j.port), nats.NoReconnect(), nats.Timeout(30*time.Second), nats.IgnoreAuthErrorAbort())
}

// natsClient uses the protocol of the stream itself: a publication with a reply subject is acknowledged there.
type natsClient struct{ conn *nats.Conn }

// client subscribes to where the user's consumer delivers.
func (j *jetstream) client(_ context.Context, n int, received func(stamp)) (client, error) {
	conn, err := j.dial()
	if err != nil {
		return nil, err
	}
	_, err = conn.Subscribe(fmt.Sprintf("deliver.%d", n), func(m *nats.Msg) {
		if s, err := stampOf(m.Data); err == nil {
			received(s)
			_ = m.Ack()
		}
	})
	if err == nil {
		err = conn.FlushTimeout(patience)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return natsClient{conn}, nil
}

func (c natsClient) send(ctx context.Context, to int, s stamp) error {
	reply, err := c.conn.RequestWithContext(ctx, fmt.Sprintf("to.%d", to), s.payload())
	if err == nil && bytes.HasPrefix(reply.Data, []byte(`{"error":`)) {
		err = errors.New(string(reply.Data))
	}
	return err
}

// fetch has nothing to do: the consumer delivers to who subscribes.
func (c natsClient) fetch(context.Context) error { return nil }

func (c natsClient) close() error {
	c.conn.Close()
	return nil
}

// buildNATS builds nats-server at the version that go.mod names.
func buildNATS(ctx context.Context, tools string) error {
	here, err := os.Getwd()
	if err == nil {
		_, err = output(ctx, "", "go", "build", "-C", here, "-o", filepath.Join(tools, "nats-server"), "github.com/nats-io/nats-server/v2")
	}
	return err
}
