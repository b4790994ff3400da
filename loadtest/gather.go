package loadtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
)

// Bounds of what others can make a coordinator keep.
const (
	mostGreeted = 256     // connections that have not shown yet that they know the secret
	mostNotes   = 10      // of those who do not know it, in the report
	mostKinds   = 100     // kinds of errors of a worker, and storms
	mostText    = 1000    // characters of each of its texts
	mostSlices  = 100_000 // of time, of each thing that it measured
)

// gather waits until all workers are there, and gives each its plan.
func (c *coordinator) gather(ctx context.Context, team Team, plans []Plan) error {
	config, err := credentials(team.Secret)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", team.Listen)
	if err != nil {
		return qpq.Wrap(qpq.Unavailable, "cannot-listen", fmt.Sprintf("cannot wait for workers on %s: %v: choose another address with --coordinator", team.Listen, err), err)
	}
	if team.Listening != nil {
		team.Listening(l.Addr())
	}
	waiting, stop := context.WithCancel(ctx)
	greeted, failed := make(chan *hand), make(chan error, 1)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	defer context.AfterFunc(waiting, func() { _ = l.Close() })()
	defer l.Close()
	work.Go(func() { failed <- c.greetAll(waiting, l, config, greeted) })
	for len(c.workers) < len(plans) {
		c.say("waiting for workers", len(c.workers), len(plans))
		select {
		case h := <-greeted:
			c.hire(h, plans[len(c.workers)])
		case <-ctx.Done():
			return qpq.E(qpq.Unavailable, "interrupted", fmt.Sprintf("it was interrupted when %d of %d workers were there", len(c.workers), len(plans)))
		case err := <-failed:
			return fmt.Errorf("wait for workers: %w", err)
		}
	}
	c.say("waiting for workers", len(plans), len(plans))
	return nil
}

// hire gives a worker its plan. One that is gone by then is turned away.
func (c *coordinator) hire(h *hand, plan Plan) {
	h.plan, h.name = plan, fmt.Sprintf("%d, %s", plan.Part, h.name)
	if err := h.say(order{Plan: &plan}); err != nil {
		_ = h.conn.Close()
		c.turnAway(h.conn, err)
		return
	}
	c.workers = append(c.workers, h)
}

// greetAll greets all who connect, each for itself: one that says nothing holds nobody up. It returns why the listener ended, when nobody is being
// greeted any more.
func (c *coordinator) greetAll(ctx context.Context, l net.Listener, config *tls.Config, greeted chan<- *hand) error {
	var work sync.WaitGroup
	defer work.Wait()
	room := make(chan struct{}, mostGreeted)
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		room <- struct{}{} // in time: nobody is greeted for longer than silence
		work.Go(func() {
			defer func() { <-room }()
			c.greet(ctx, tls.Server(conn, config), greeted)
		})
	}
}

// greet hands on a worker that knows the secret, and turns away who does not. Whoever is not handed on when ctx ends is let go.
func (c *coordinator) greet(ctx context.Context, conn net.Conn, greeted chan<- *hand) {
	leave := context.AfterFunc(ctx, func() { _ = conn.Close() })
	h := &hand{speaker: newSpeaker(conn), ready: make(chan struct{})}
	var hello answer
	err := conn.SetWriteDeadline(time.Now().Add(silence))
	if err == nil {
		err = h.hear(&hello, silence)
	}
	if err != nil {
		leave()
		if !errors.Is(err, net.ErrClosed) {
			c.turnAway(conn, err)
		}
		_ = conn.Close() // who was turned away knows by it that this is noted
		return
	}
	h.name = fmt.Sprintf("%s at %s", clip(hello.Host), conn.RemoteAddr())
	if leave() {
		select {
		case greeted <- h:
		case <-ctx.Done():
			_ = conn.Close()
		}
	}
}

// turnAway notes that somebody was turned away, and why.
func (c *coordinator) turnAway(conn net.Conn, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turnedAway++; len(c.notes) < mostNotes {
		c.notes = append(c.notes, fmt.Sprintf("somebody at %s was turned away: %s", conn.RemoteAddr(), clip(why.Error())))
	}
}

// clip returns the beginning of what somebody else says, as it may be shown.
func clip(text string) string {
	all := []rune(qpq.Printable(text))
	if len(all) > mostText {
		return string(all[:mostText]) + "…"
	}
	return string(all)
}

// bounded is what a worker has measured, without more texts than can be read.
func (s *share) bounded() *share {
	for _, list := range []*[]ErrorCount{&s.Errors, &s.Retried} {
		*list = (*list)[:min(len(*list), mostKinds)]
		for i := range *list {
			e := &(*list)[i]
			e.During, e.Kind, e.Example = clip(e.During), clip(e.Kind), clip(e.Example)
		}
	}
	s.Server.Domain, s.Server.Software, s.Server.Fingerprint = clip(s.Server.Domain), clip(s.Server.Software), clip(s.Server.Fingerprint)
	s.Storms = s.Storms[:min(len(s.Storms), mostKinds)]
	if s.Limit != nil {
		s.Limit.Why = clip(s.Limit.Why)
	}
	return s
}
