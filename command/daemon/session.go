package daemon

import (
	"context"
	"fmt"
	"sync"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// Bounds of one connection.
const (
	maxRunning       = 32 // commands at once
	maxWaiting       = 64 // requests that were read and have not ended; then no more are read
	maxSubscriptions = 32
)

// session is a program that is connected, or one call by HTTP.
type session struct {
	d       *Daemon
	ctx     context.Context // of its commands
	send    func(any) error // returns once the message is written, or fails for good; nil where only answers are taken
	folder  string          // where paths begin; empty where they are whole
	work    sync.WaitGroup
	running chan struct{}
	waiting chan struct{}

	mu     sync.Mutex
	leaves error // what to answer to requests that come too late
	calls  map[*performance]struct{}
	subs   map[int]context.CancelCauseFunc
	last   int // number of the newest subscription
}

// performance is a request that is under way.
type performance struct {
	id     string           // empty for notifications
	of     *command.Command // nil for subscribe
	cancel context.CancelCauseFunc
}

// session returns one whose commands end when ctx does. Whoever made it waits for its work.
func (d *Daemon) session(ctx context.Context, send func(any) error) *session {
	return &session{d: d, ctx: ctx, send: send, running: make(chan struct{}, maxRunning), waiting: make(chan struct{}, maxWaiting),
		calls: map[*performance]struct{}{}, subs: map[int]context.CancelCauseFunc{}}
}

// message carries out what one line, or one body, says, and calls answer with what is to be answered, once: nil is nothing. It waits while
// too much is under way.
func (s *session) message(text []byte, answer func(any)) {
	list, batch, err := parse(text)
	if err != nil {
		answer(&response{id: null, err: err})
		return
	}
	if !batch {
		s.begin(list[0], func(r *response) {
			if r == nil {
				answer(nil)
				return
			}
			answer(r)
			r.after()
		})
		return
	}
	s.batch(list, answer)
}

// batch answers several requests together, in the order in which they ended.
func (s *session) batch(list []request, answer func(any)) {
	var mu sync.Mutex
	var answers []*response
	left := len(list)
	for _, r := range list {
		s.begin(r, func(r *response) {
			mu.Lock()
			defer mu.Unlock()
			if r != nil {
				answers = append(answers, r)
			}
			if left--; left > 0 {
				return
			}
			if len(answers) == 0 {
				answer(nil)
				return
			}
			answer(answers)
			for _, r := range answers {
				r.after()
			}
		})
	}
}

// after does what comes after an answer.
func (r *response) after() {
	if r.then != nil {
		r.then()
	}
}

// begin carries out a request. done is called once, with nil where nothing is to be answered.
func (s *session) begin(r request, done func(*response)) {
	finish := func(a *response) {
		if a.id = r.id; a.id == nil {
			a.after()
			a = nil
		}
		done(a)
	}
	if r.invalid != nil {
		finish(&response{err: r.invalid})
		return
	}
	if result, ok, err := s.quick(&r); ok {
		finish(&response{result: result, err: err})
		return
	}
	select {
	case s.waiting <- struct{}{}:
	case <-s.ctx.Done():
		finish(&response{err: context.Cause(s.ctx)})
		return
	}
	s.perform(&r, func(a *response) {
		finish(a)
		<-s.waiting // not before: answers that nobody takes count too
	})
}

// perform runs what may take long in the background.
func (s *session) perform(r *request, done func(*response)) {
	var c *command.Command
	if r.method != methodSubscribe {
		var err error
		if c, err = find(r.method); err != nil {
			done(&response{err: err})
			return
		}
	}
	ctx, end, err := s.enter(r, c)
	if err != nil {
		done(&response{err: err})
		return
	}
	s.work.Go(func() {
		a := &response{}
		select {
		case s.running <- struct{}{}:
			a = s.answer(ctx, c, r)
			<-s.running
		case <-ctx.Done():
			a.err = context.Cause(ctx)
		}
		end()
		done(a)
	})
}

// answer runs a command, or begins a subscription.
func (s *session) answer(ctx context.Context, c *command.Command, r *request) *response {
	if c == nil {
		result, then, err := s.subscribe(ctx, r)
		return &response{result: result, err: err, then: then}
	}
	u, err := s.run(ctx, c, r)
	if err != nil {
		s.d.cfg.Log.Warn("command failed", "command", c.Name, "kind", qpq.KindOf(err), "code", qpq.CodeOf(err))
		return &response{err: err, shown: u.out.Shown}
	}
	s.d.cfg.Log.Info("command done", "command", c.Name)
	s.d.SignedIn()
	return &response{result: &u.out}
}

// enter notes a request, so that it can be cancelled.
func (s *session) enter(r *request, c *command.Command) (context.Context, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaves != nil {
		return nil, nil, s.leaves
	}
	p := &performance{id: string(r.id), of: c}
	for other := range s.calls {
		if p.id != "" && other.id == p.id {
			return nil, nil, errRequest(fmt.Sprintf("a request with the id %s is under way", p.id))
		}
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancelCause(s.ctx)
	s.calls[p] = struct{}{}
	return ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.calls, p)
		p.cancel(nil)
	}, nil
}

// wind has the session come to its end: subscriptions and endless commands are told why, and where all is true others that wait for what comes
// too. What comes from now on is refused.
func (s *session) wind(why error, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaves = why
	for _, cancel := range s.subs {
		cancel(why)
	}
	for p := range s.calls {
		if p.of != nil && (p.of.Endless || p.of.Moves && all) {
			p.cancel(why)
		}
	}
}
