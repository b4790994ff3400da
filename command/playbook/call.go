package playbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// attempt is a step whose command is called, once or until something is so.
type attempt struct {
	run     *run
	step    *Step
	at      place
	user    *user
	command *command.Command
	session Session
	args    json.RawMessage
	answers map[string]string

	before      []any // parts that earlier calls gave, of commands that give none twice
	beforeTexts []string
}

// call does a step that calls a command.
func (r *run) call(ctx context.Context, s *Step, at place) error {
	began, tries := time.Now(), 0
	err := func() error {
		within, err := s.Within.value(at.scope, 0)
		if err != nil {
			return err
		}
		timeout, err := s.Timeout.value(at.scope, max(usualTimeout, within+usualTimeout))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeoutCause(ctx, timeout, late(timeout))
		defer cancel()
		if err := r.needs(ctx, s); err != nil {
			return err
		}
		a, err := r.attempt(ctx, s, at)
		if err != nil {
			return err
		}
		if a.command.Endless {
			tries = 1
			return a.endless(ctx, within)
		}
		if within == 0 {
			tries = 1
			return a.try(ctx)
		}
		return a.until(ctx, within, &tries)
	}()
	return r.ended(s, at, began, tries, err)
}

// needs waits for variables that other steps set.
func (r *run) needs(ctx context.Context, s *Step) error {
	for _, name := range s.Needs {
		for {
			news := r.variables.news()
			r.variables.mu.Lock()
			_, ok := r.variables.values[name]
			r.variables.mu.Unlock()
			if ok {
				break
			}
			select {
			case <-news:
			case <-ctx.Done():
				return qpq.Wrap(qpq.Unavailable, qpq.CodeOf(given(ctx)), fmt.Sprintf("waiting for the variable %s: %v", name, given(ctx)), given(ctx))
			}
		}
	}
	return nil
}

func (r *run) attempt(ctx context.Context, s *Step, at place) (*attempt, error) {
	name := at.as
	if name == "" {
		name = r.Users[0].Name
	}
	u := r.users[name]
	if u == nil {
		return nil, qpq.E(qpq.NotFound, "no-user", fmt.Sprintf("there is no user %q: %s", name, hint(name, r.Users.names())))
	}
	a := &attempt{run: r, step: s, at: at, user: u, command: s.command(), answers: map[string]string{}}
	given := s.arguments(a.command)
	if err := r.mentioned(ctx, given); err != nil {
		return nil, err
	}
	var err error
	if a.args, err = arguments(a.command, given, at.scope); err != nil {
		return nil, err
	}
	for _, e := range s.Answers {
		if a.answers[e.Name], err = e.Value.text(at.scope); err != nil {
			return nil, err
		}
	}
	if err := a.conceal(); err != nil {
		return nil, err
	}
	if a.session, err = u.open(ctx); err != nil {
		return nil, why(ctx, err)
	}
	return a, nil
}

// arguments returns the arguments of the command of a step, before variables have their values.
func (s *Step) arguments(c *command.Command) map[string]any {
	args := map[string]any{}
	if s.Run != nil {
		args = maps.Clone(s.Run.args)
	}
	for _, e := range s.Args {
		args[e.Name] = e.Value.tree
	}
	for _, p := range c.Params {
		if p.Input && args[p.Name] == nil && s.Input != nil {
			args[p.Name] = s.Input
		}
	}
	return args
}

// conceal has answers to secret questions never be shown.
func (a *attempt) conceal() error {
	for _, q := range a.command.Asks {
		if text, ok := a.answers[q.Name]; ok && q.Secret {
			if err := a.run.variables.conceal(strings.ReplaceAll(q.Name, "-", " ")+" of "+a.user.name, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// why returns why a context is done, if that is why something failed.
func why(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if qpq.CodeOf(err) == "cancelled" || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return given(ctx)
	}
	return err
}

// listen returns the user interface of one call.
func (a *attempt) listen() *listener {
	return &listener{user: a.user, answers: a.answers, shows: a.shown}
}

// shown sets variables from what a command shows on the way, as soon as it does.
func (a *attempt) shown(shown map[string]any) error {
	for _, e := range a.step.Capture {
		if e.Value.Path.root != "shown" {
			continue
		}
		v, err := e.Value.Path.find(&result{shown: shown}, a.at.scope)
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		if err := a.capture(e, v); err != nil {
			return err
		}
	}
	return nil
}

func (a *attempt) capture(e Entry[Capture], v any) error {
	if e.Value.Secret {
		if err := a.run.variables.conceal(e.Name, textOf(v)); err != nil {
			return err
		}
	}
	return a.at.scope.set(e.Name, v)
}

// result returns what a call gave.
func (a *attempt) result(l *listener, out command.Output, err error) *result {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &result{text: out.Text, shown: map[string]any{}, err: err}
	maps.Copy(r.shown, l.shown)
	if out.Value != nil {
		v, failed := plain(out.Value)
		if failed != nil && r.err == nil {
			r.err = failed
		}
		r.value = v
	} else {
		list := append(append([]any{}, a.before...), l.list...)
		r.value, r.text = list, strings.Join(append(append([]string{}, a.beforeTexts...), l.texts...), "\n")
	}
	return r
}

// try calls the command, and looks at what came of it.
func (a *attempt) try(ctx context.Context) error {
	l := a.listen()
	out, err := a.session.Call(ctx, a.command, a.args, l)
	err = why(ctx, err)
	if l.wrong != nil && err == nil {
		err = l.wrong
	}
	r := a.result(l, out, err)
	if a.command.Moves { // what it gave it does not give again
		a.before, _ = r.value.([]any)
		a.beforeTexts = append(a.beforeTexts, l.texts...)
	}
	return a.judge(r)
}

// judge checks what is expected, and sets variables.
func (a *attempt) judge(r *result) error {
	if err := meets(a.step.Expect, r, a.at.scope); err != nil {
		return err
	}
	for _, e := range a.step.Capture {
		v, err := e.Value.Path.find(r, a.at.scope)
		if err != nil {
			return err
		}
		if v == nil {
			return unmet("there is nothing at %s to capture as %s: the result is %s", e.Value.Path.String(), e.Name, shorten(r.value))
		}
		if err := a.capture(e, v); err != nil {
			return err
		}
	}
	if next, ok := a.answers["new-password"]; ok && r.err == nil {
		a.user.changed(next)
	}
	return nil
}

// soon and seldom are how long to wait for news before the command is called again without: not all that changes is told.
const (
	soon   = 100 * time.Millisecond
	seldom = 2 * time.Second
)

// until calls the command, whenever there is news, until what is expected is so.
func (a *attempt) until(ctx context.Context, within time.Duration, tries *int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, late(within))
	defer cancel()
	var news <-chan struct{}
	var last error
	for wait := soon; ; wait = min(2*wait, seldom) {
		*tries++
		err := a.try(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil && (last != nil || qpq.CodeOf(err) == CodeExpectation):
			if qpq.CodeOf(err) != CodeLate {
				last = err
			}
			return a.notWithin(ctx, within, last)
		case ctx.Err() != nil, hopeless(err):
			return err
		}
		last = err
		if news == nil {
			var stop func()
			news, stop = a.watch(ctx)
			defer stop()
		}
		again := time.NewTimer(wait)
		select {
		case <-news:
		case <-again.C:
		case <-ctx.Done():
			return a.notWithin(ctx, within, last)
		}
		again.Stop()
	}
}

// notWithin says that something did not come to be so in time, unless the run is ended.
func (a *attempt) notWithin(ctx context.Context, within time.Duration, last error) error {
	if qpq.CodeOf(given(ctx)) != CodeLate {
		return given(ctx)
	}
	return qpq.Wrap(qpq.KindOf(last), qpq.CodeOf(last), fmt.Sprintf("not within %v: %v", within, last), last)
}

// hopeless reports whether an error stays when the command is called again.
func hopeless(err error) bool {
	switch qpq.KindOf(err) {
	case qpq.Invalid, qpq.Unsupported, qpq.TooLarge, qpq.Damaged, qpq.Internal:
		return true
	}
	return false
}

// watch tells of news of the user, until stop is called.
func (a *attempt) watch(ctx context.Context) (news <-chan struct{}, stop func()) {
	came := make(chan struct{}, 1)
	c, err := command.Find("watch")
	if err != nil {
		return came, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		_, _ = a.session.Call(ctx, c, nil, &listener{user: a.user, parts: func(any) {
			select {
			case came <- struct{}{}:
			default:
			}
		}})
	})
	return came, func() {
		cancel()
		watching.Wait()
	}
}

// endless calls a command that goes on until what is expected is so, or the time is over.
func (a *attempt) endless(ctx context.Context, within time.Duration) error {
	if within == 0 {
		within = usualTimeout
	}
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	l := a.listen()
	enough := false
	l.parts = func(any) {
		if len(a.step.Expect) > 0 && meets(a.step.Expect, &result{value: append([]any{}, l.list...), text: strings.Join(l.texts, "\n"), shown: l.shown}, a.at.scope) == nil {
			enough = true
			cancel()
		}
	}
	out, err := a.session.Call(ctx, a.command, a.args, l)
	switch {
	case outer.Err() != nil:
		return given(outer)
	case ctx.Err() != nil:
		err = nil // that is its end
	}
	if l.wrong != nil && err == nil {
		err = l.wrong
	}
	err = a.judge(a.result(l, out, err))
	if err != nil && !enough && ctx.Err() != nil {
		return qpq.Wrap(qpq.KindOf(err), qpq.CodeOf(err), fmt.Sprintf("not within %v: %v", within, err), err)
	}
	return err
}
