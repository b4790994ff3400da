package loadtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// Work takes part in the load test of the coordinator at an address, and returns when it is over.
func Work(ctx context.Context, address string, secret wire.Secret, local Local) error {
	c, err := credentials(secret)
	if err != nil {
		return err
	}
	conn, err := (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", address)
	if err != nil {
		return refusedBy(address, err)
	}
	defer conn.Close()
	w := &worker{speaker: newSpeaker(conn), local: local}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	if err := w.say(answer{Host: host}); err != nil {
		return refusedBy(address, err)
	}
	var first order
	if err := w.hear(&first, 0); err != nil {
		return refusedBy(address, err)
	}
	if first.Plan == nil {
		return qpq.E(qpq.Invalid, "bad-coordinator", fmt.Sprintf("the coordinator at %s sent no plan: use the same version of the program at both ends", address))
	}
	return w.carryOut(ctx, *first.Plan)
}

func refusedBy(address string, err error) error {
	if errors.Is(err, errOtherSecret) {
		return errOtherSecret
	}
	if strings.Contains(err.Error(), "bad certificate") { // the alert of the other end, for which crypto/tls has no exported error
		return qpq.Wrap(qpq.Denied, "other-secret", errOtherSecret.Text, err)
	}
	return qpq.Wrap(qpq.Unavailable, "no-coordinator", fmt.Sprintf("cannot take part in the load test of the coordinator at %s: %v: check --worker, and whether it still waits", address, err), err)
}

// worker is one that has its plan.
type worker struct {
	*speaker
	local Local
}

// carryOut does the worker's share of a plan. The end of the connection ends it.
func (w *worker) carryOut(ctx context.Context, plan Plan) (err error) {
	ctx, stop := context.WithCancel(ctx)
	started := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() { w.obey(started, stop) })
	beating, quiet := context.WithCancel(context.WithoutCancel(ctx))
	work.Go(func() { w.beat(beating) })
	defer func() {
		stop()
		quiet()
		_ = w.conn.Close()
		work.Wait()
	}()
	local := w.local
	local.Progress = func(p Progress) {
		if p.Doing == "" {
			_ = w.say(answer{Progress: &p}) // that nobody hears it, obey sees
		}
		if w.local.Progress != nil {
			w.local.Progress(p)
		}
	}
	r, err := prepare(ctx, plan, local)
	if err == nil {
		err = w.measure(ctx, r, started)
	}
	r.close()
	return w.handIn(ctx, r.share(), err)
}

// measure says that the worker is ready, and does its share when all are.
func (w *worker) measure(ctx context.Context, r *runner, started chan struct{}) error {
	if err := w.say(answer{Ready: true}); err != nil {
		return err
	}
	select {
	case <-started:
		return r.measure(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// handIn tells the coordinator what was measured, and how it ended.
func (w *worker) handIn(ctx context.Context, s share, err error) error {
	last := answer{Done: &s}
	if err != nil {
		last.Failed = err.Error()
	}
	if said := w.say(last); said != nil {
		return qpq.Wrap(qpq.Unavailable, "coordinator-lost", fmt.Sprintf("what was measured could not be handed to the coordinator: %v", said), said)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // it was told to stop
	}
	return err
}

// obey does what the coordinator says, until the connection ends.
func (w *worker) obey(started chan struct{}, stop func()) {
	defer stop()
	for begun := false; ; {
		var o order
		if err := w.hear(&o, 0); err != nil {
			return
		}
		if o.Start && !begun {
			begun = true
			close(started)
		}
		if o.Stop {
			stop()
		}
	}
}

// beat says now and then that the worker is alive.
func (w *worker) beat(ctx context.Context) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = w.say(answer{}) // that nobody hears it, obey sees
		case <-ctx.Done():
			return
		}
	}
}
