package playbook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
)

// place is where a step stands: what it sees, who does it, and what it is within.
type place struct {
	scope *scope
	as    string
	group string
	quiet bool // only failures are reported: there are too many steps
}

// in returns the place of what is within a step.
func (p place) in(s *Step, name string) place {
	if s.Name.given {
		p.group = strings.TrimPrefix(p.group+" / "+name, " / ")
	}
	return p
}

// steps does steps one after the other. Those that are not done are reported.
func (r *run) steps(ctx context.Context, list []Step, at place) error {
	for i := range list {
		if err := r.step(ctx, &list[i], at); err != nil {
			for j := i + 1; j < len(list) && !at.quiet; j++ {
				r.skipped(&list[j], at)
			}
			return err
		}
	}
	return nil
}

// step does a step, as often as it says.
func (r *run) step(ctx context.Context, s *Step, at place) error {
	switch {
	case ctx.Err() != nil:
		r.skipped(s, at)
		return r.failure(s.At, s.title(), given(ctx))
	case s.Repeat.given:
		return r.repeat(ctx, s, at)
	case s.Each != nil:
		return r.each(ctx, s, at)
	case s.Rate.given:
		return r.load(ctx, s, at)
	}
	return r.single(ctx, s, at)
}

// single does a step one time, if it is to be done.
func (r *run) single(ctx context.Context, s *Step, at place) error {
	if s.As.given {
		as, err := s.As.text(at.scope)
		if err != nil {
			return r.broken(s, at, err)
		}
		at.as = as
	}
	if s.If != nil {
		holds, err := s.If.holds(at.scope)
		if err != nil {
			return r.broken(s, at, err)
		}
		if !holds {
			r.skipped(s, at)
			return nil
		}
	}
	if r.done.Add(1) > maxSteps {
		return r.broken(s, at, qpq.E(qpq.TooLarge, "usage", fmt.Sprintf("more than %d steps were done: have fewer of them", maxSteps)))
	}
	switch {
	case s.Set != nil:
		return r.set(ctx, s, at)
	case s.Steps != nil, s.Parallel != nil:
		return r.block(ctx, s, at)
	}
	return r.call(ctx, s, at)
}

func (r *run) set(ctx context.Context, s *Step, at place) error {
	began := time.Now()
	for _, e := range s.Set {
		v, err := r.filled(ctx, e.Value.tree, at.scope)
		if err == nil {
			err = at.scope.set(e.Name, v)
		}
		if err != nil {
			return r.ended(s, at, began, 1, err)
		}
	}
	return r.ended(s, at, began, 1, nil)
}

// broken reports a step that failed before it was begun.
func (r *run) broken(s *Step, at place, err error) error {
	return r.ended(s, at, time.Now(), 0, err)
}

// filled returns a value with those of its variables, when users have signed up that it names.
func (r *run) filled(ctx context.Context, tree any, sc *scope) (any, error) {
	if err := r.mentioned(ctx, tree); err != nil {
		return nil, err
	}
	return fill(tree, sc)
}

func (r *run) repeat(ctx context.Context, s *Step, at place) error {
	n, err := s.Repeat.value(at.scope, 0)
	if err == nil && n > maxRepeat {
		err = qpq.E(qpq.TooLarge, "usage", fmt.Sprintf("%d times is too often: repeat takes at most %d", n, maxRepeat))
	}
	if err != nil {
		return r.broken(s, at, err)
	}
	for i := range n {
		if err := r.iteration(ctx, s, at, map[string]any{"n": int64(i + 1)}); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) each(ctx context.Context, s *Step, at place) error {
	e := s.Each[0]
	v, err := r.filled(ctx, e.Value.tree, at.scope)
	list, ok := v.([]any)
	if err == nil && !ok {
		err = qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%s is %s: each takes a list", e.Name, shorten(v)))
	}
	if err != nil {
		return r.broken(s, at, err)
	}
	for i, item := range list {
		if err := r.iteration(ctx, s, at, map[string]any{"n": int64(i + 1), e.Name: item}); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) iteration(ctx context.Context, s *Step, at place, local map[string]any) error {
	if ctx.Err() != nil {
		return r.failure(s.At, s.title(), given(ctx))
	}
	at.scope = at.scope.within(local)
	defer at.scope.leave()
	return r.single(ctx, s, at)
}

// block does the steps that are within one.
func (r *run) block(ctx context.Context, s *Step, at place) error {
	title, err := s.Name.text(at.scope)
	if err != nil {
		return r.broken(s, at, err)
	}
	within := at.in(s, title)
	if s.Timeout.given {
		d, err := s.Timeout.value(at.scope, 0)
		if err != nil {
			return r.broken(s, at, err)
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, late(d))
		defer cancel()
	}
	if s.Steps != nil {
		return r.steps(ctx, s.Steps, within)
	}
	return r.parallel(ctx, s, within)
}

func (r *run) parallel(ctx context.Context, s *Step, at place) error {
	limit, err := s.Limit.value(at.scope, 16)
	if err != nil {
		return r.broken(s, at, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	room := make(chan struct{}, max(limit, 1))
	errs := make([]error, len(s.Parallel))
	var work sync.WaitGroup
	for i := range s.Parallel {
		room <- struct{}{}
		work.Go(func() {
			defer func() { <-room }()
			if errs[i] = r.step(ctx, &s.Parallel[i], at); errs[i] != nil {
				cancel(errGivenUp)
			}
		})
	}
	work.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil && !errors.Is(err, errGivenUp) }); i >= 0 {
		return errs[i]
	}
	return cmp.Or(errs...)
}

// errGivenUp is the cause of contexts of steps that go on when one beside them fails.
var errGivenUp = qpq.E(qpq.Unavailable, "cancelled", "given up, because a step beside it failed")

// errInterrupted is what a step ends with when the run is ended.
var errInterrupted = qpq.E(qpq.Unavailable, "cancelled", "given up on request")

func late(d time.Duration) error {
	return qpq.E(qpq.Unavailable, CodeLate, fmt.Sprintf("it took longer than %v: give it more time with timeout", d))
}

// CodeLate is the code of errors of steps that took too long.
const CodeLate = "time-out"

// given returns why a context is done.
func given(ctx context.Context) error {
	if err := context.Cause(ctx); qpq.CodeOf(err) != "" {
		return err
	}
	return errInterrupted
}
