// Package daemon offers the commands of package command to other programs, in any language: JSON-RPC 2.0 by lines on standard input and output
// or on a UNIX socket, and by HTTP on this machine alone, with server-sent events. It stays connected as long as it runs.
//
// Who may speak to it is who may use the profile: the socket belongs to its owner, and HTTP takes a token from a file that only the owner can read.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// Config says how a daemon behaves. Its zero value is useful.
type Config struct {
	Release    string       // of the program
	DeviceName string       // what to call this device where a request does not say so
	Log        *slog.Logger // nil discards: what was asked for and how it ended, never arguments or contents

	// Stall is how long a program that is connected may take nothing before its connection is closed. Zero is a minute.
	Stall time.Duration
	// Patience is how long commands may go on once the daemon is to end. Zero is 30 seconds.
	Patience time.Duration
	// Heartbeat is how often a stream of events that are rare says that it lives. Zero is 15 seconds.
	Heartbeat time.Duration
}

// Doors are the ways into a daemon. At least one of them is there.
type Doors struct {
	In     io.Reader    // lines, and
	Out    io.Writer    // the answers to them; nil for none. The end of the lines ends the daemon
	Folder string       // where paths in these lines begin; those that come in by other doors are whole
	Socket net.Listener // made by Listen; nil for none
	Web    net.Listener // made by ListenWeb; nil for none
	Token  string       // that Web asks for
}

// Daemon is one that runs. Notice and SignedIn may be called by any goroutine, also before Run.
type Daemon struct {
	cfg     Config
	client  *client.Client
	work    sync.WaitGroup
	leaving chan struct{} // closed when it is to end
	leave   func()
	signed  chan struct{} // has room for one: perhaps somebody has signed in
	conns   chan struct{} // has room for those that are served at once

	mu      sync.Mutex
	hearers map[*hearer]struct{}
}

// New returns a daemon that does nothing yet.
func New(c Config) *Daemon {
	c.Stall, c.Patience = cmp.Or(c.Stall, time.Minute), cmp.Or(c.Patience, 30*time.Second)
	c.Heartbeat = cmp.Or(c.Heartbeat, 15*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := &Daemon{cfg: c, leaving: make(chan struct{}), signed: make(chan struct{}, 1), conns: make(chan struct{}, maxConns), hearers: map[*hearer]struct{}{}}
	d.leave = sync.OnceFunc(func() { close(d.leaving) })
	return d
}

// maxConns bounds the connections, and the calls by HTTP, that are served at once.
const maxConns = 64

// What requests and subscriptions end with that the daemon does not bring to their end.
var (
	errLeaves    = qpq.E(qpq.Unavailable, "shutting-down", "the daemon is about to end: connect again when it is back, and go on after the last position")
	errCancelled = qpq.E(qpq.Unavailable, "cancelled", "given up on request")
	errGone      = qpq.E(qpq.Unavailable, "cancelled", "the connection has ended")
)

// Run takes requests until ctx is done, or there are no more lines. Then it brings commands to their end, but for those that would wait for what comes,
// tells subscribers, and returns when all is over. It closes the listeners.
func (d *Daemon) Run(ctx context.Context, c *client.Client, doors Doors) error {
	d.client = c
	defer context.AfterFunc(ctx, d.leave)()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(errGone)
	var connected sync.WaitGroup
	connected.Go(func() { d.stay(ctx) })
	failures := make(chan error, 2)
	door := func(open bool, serve func() error) {
		if open {
			d.work.Go(func() {
				defer d.leave()
				failures <- serve()
			})
		}
	}
	door(doors.Socket != nil, func() error { return d.serveSocket(ctx, doors.Socket) })
	door(doors.Web != nil, func() error { return d.serveWeb(ctx, doors.Web, doors.Token) })
	if doors.In != nil {
		d.work.Go(func() {
			defer d.leave()
			d.serve(ctx, doors.In, newWriter(doors.Out), doors.Folder)
		})
	}
	<-d.leaving
	late := time.AfterFunc(d.cfg.Patience, func() { cancel(errLeaves) })
	defer late.Stop()
	d.work.Wait()
	cancel(errLeaves)
	connected.Wait()
	close(failures)
	var err error
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	return err
}

// stay is connected whenever somebody is signed in. Where trying again is of no use, as after the device was revoked, it waits until
// this is another device.
func (d *Daemon) stay(ctx context.Context) {
	var over qpq.DeviceID // of no more use
	for ctx.Err() == nil {
		_, device, err := d.client.Self()
		if err == nil && device != over {
			if err = d.client.Run(ctx); err != nil && ctx.Err() == nil {
				over = device
				d.cfg.Log.Warn("not connected any more", "kind", qpq.KindOf(err), "code", qpq.CodeOf(err))
				d.Notice(client.Notice{Code: cmp.Or(qpq.CodeOf(err), "disconnected"), Text: err.Error()})
			}
			continue
		}
		select {
		case <-d.signed:
		case <-ctx.Done():
		}
	}
}

// SignedIn says that somebody may have signed in.
func (d *Daemon) SignedIn() {
	select {
	case d.signed <- struct{}{}:
	default:
	}
}

// hearer takes notices. One that is slow misses some.
type hearer struct{ notices chan client.Notice }

// Notice tells all subscribers what the client has to tell. It never waits for them.
func (d *Daemon) Notice(n client.Notice) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for h := range d.hearers {
		select {
		case h.notices <- n:
		default:
		}
	}
}

func (d *Daemon) hear() (h *hearer, end func()) {
	h = &hearer{make(chan client.Notice, 64)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hearers[h] = struct{}{}
	return h, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.hearers, h)
	}
}
