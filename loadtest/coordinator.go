package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// Team is the workers that a coordinator waits for.
type Team struct {
	Listen  string // where they connect
	Secret  wire.Secret
	Workers int
	// Listening, if not nil, is told where they can connect.
	Listening func(net.Addr)
}

// Coordinate has workers carry out a plan together, each a share of clients and rate, from the same moment on. It only watches the server. A
// worker that is lost is an error of the report, and the others go on.
func Coordinate(ctx context.Context, plan Plan, team Team, local Local) (*Report, error) {
	plan = plan.withDefaults()
	shares, err := plan.divide(team.Workers)
	if err != nil {
		return &Report{Plan: plan}, err
	}
	c := &coordinator{plan: plan, local: local}
	if c.watch, err = newWatch(ctx, local); err != nil {
		return &Report{Plan: plan}, err
	}
	if err := c.gather(ctx, team, shares); err != nil {
		c.dismiss()
		return &Report{Plan: plan}, err
	}
	return c.run(ctx)
}

// divide shares clients and rate out, in whole conversations.
func (p Plan) divide(n int) ([]Plan, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	unit := scenarios[p.Scenario].least(p)
	units := p.Clients / unit
	if units < n {
		return nil, qpq.E(qpq.Invalid, "bad-plan", fmt.Sprintf("%d clients are too few for %d workers in this scenario: raise --clients to %d", p.Clients, n, n*unit))
	}
	out := make([]Plan, n)
	for i := range out {
		out[i] = p
		out[i].Part = i + 1
		out[i].Clients = (units*(i+1)/n - units*i/n) * unit
		out[i].Rate = p.Rate * float64(out[i].Clients) / float64(units*unit)
	}
	return out, nil
}

// coordinator is a load test of several processes.
type coordinator struct {
	plan    Plan
	local   Local
	watch   *watch
	workers []*hand
	began   time.Time

	mu         sync.Mutex // guards the fields below
	notes      []string   // about those who were turned away, the first few
	turnedAway int
}

// hand is a worker as its coordinator sees it.
type hand struct {
	*speaker
	name string
	plan Plan

	mu       sync.Mutex // guards the fields below
	ready    chan struct{}
	progress Progress
	result   *share
	lost     string
	failed   string
}

// run has all workers prepare, start at the same moment, and hand in what they measured.
func (c *coordinator) run(ctx context.Context) (*Report, error) {
	defer context.AfterFunc(ctx, func() { c.all(func(h *hand) { _ = h.say(order{Stop: true}) }) })()
	var work sync.WaitGroup
	for _, h := range c.workers {
		work.Go(h.listen)
	}
	for i, h := range c.workers {
		c.say("workers that are ready", i, len(c.workers))
		select {
		case <-h.ready:
		case <-ctx.Done():
		}
	}
	c.began = time.Now()
	c.all(func(h *hand) { _ = h.say(order{Start: true}) }) // that one is lost, listen sees
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	watched := make(chan struct{})
	go func() { defer close(watched); c.watch.follow(watching, c.began, c.tell) }()
	work.Wait()
	stop()
	<-watched
	c.dismiss()
	return c.report(ctx)
}

// all does something with all workers at the same time.
func (c *coordinator) all(do func(*hand)) {
	var wg sync.WaitGroup
	for _, h := range c.workers {
		wg.Go(func() { do(h) })
	}
	wg.Wait()
}

func (c *coordinator) dismiss() {
	for _, h := range c.workers {
		_ = h.conn.Close()
	}
}

// listen reads what a worker says until it is done or lost.
func (h *hand) listen() {
	var once sync.Once
	ready := func() { once.Do(func() { close(h.ready) }) }
	defer ready()
	for {
		var a answer
		err := h.hear(&a, silence)
		h.mu.Lock()
		switch {
		case err != nil:
			h.lost = lostHow(err)
		case a.Progress != nil:
			h.progress = *a.Progress
		case a.Done != nil:
			h.result, h.failed = a.Done.bounded(), clip(a.Failed)
		}
		h.mu.Unlock()
		if a.Ready {
			ready()
		}
		if err != nil || a.Done != nil {
			return
		}
	}
}

func lostHow(err error) string {
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return fmt.Sprintf("nothing was heard of it for %s", silence)
	}
	return "it died or lost the connection: " + err.Error()
}

// report merges what workers handed in, and tells of those who did not.
func (c *coordinator) report(ctx context.Context) (*Report, error) {
	var shares []share
	for _, h := range c.workers {
		if h.result != nil {
			shares = append(shares, *h.result)
		}
	}
	r, err := merge(c.plan, shares, c.watch.usage())
	r.Interrupted = ctx.Err() != nil
	r.Notes = append(r.Notes, c.notes...)
	if more := c.turnedAway - len(c.notes); more > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d more were turned away", more))
	}
	for _, h := range c.workers {
		w := Worker{Name: h.name, Clients: h.plan.Clients, Lost: h.lost}
		if h.failed != "" {
			w.Lost = "it failed: " + h.failed
		}
		r.Workers = append(r.Workers, w)
		if w.Lost != "" && !r.Interrupted {
			r.Errors = sum(r.Errors, []ErrorCount{{During: "worker", Kind: "lost", Count: 1, Example: w.Lost}})
		}
	}
	if err == nil && r.Began.IsZero() && !r.Interrupted {
		err = qpq.E(qpq.Unavailable, "workers-lost", "no worker measured anything: "+r.whyLost())
	}
	return r, err
}

// whyLost says of all workers why they were lost.
func (r *Report) whyLost() string {
	var list []string
	for _, w := range r.Workers {
		list = append(list, fmt.Sprintf("worker %s: %s", w.Name, w.Lost))
	}
	return strings.Join(list, "; ")
}

func (c *coordinator) say(doing string, done, of int) {
	if c.local.Progress != nil {
		c.local.Progress(Progress{Doing: doing, Done: done, Of: of})
	}
}

// tell tells how the run goes for all workers: rates are sums, and latencies those of the worker that is worst off.
func (c *coordinator) tell() {
	if c.local.Progress == nil {
		return
	}
	p := Progress{Elapsed: time.Since(c.began), Lasts: c.plan.Duration, Server: c.watch.latest()}
	at := map[string]int{}
	for _, h := range c.workers {
		h.mu.Lock()
		for _, s := range h.progress.Series {
			i, ok := at[s.Name]
			if !ok {
				i = len(p.Series)
				at[s.Name], p.Series = i, append(p.Series, Rate{Name: s.Name})
			}
			all := &p.Series[i]
			all.PerSec, all.P50, all.P99 = all.PerSec+s.PerSec, max(all.P50, s.P50), max(all.P99, s.P99)
		}
		p.Errors += h.progress.Errors
		h.mu.Unlock()
	}
	c.local.Progress(p)
}
