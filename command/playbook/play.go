package playbook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// Config is what Play needs.
type Config struct {
	// Open opens the profile of a user.
	Open func(context.Context, Profile) (Session, error)
	// Read returns what a file has.
	Read func(path string) ([]byte, error)
	// Lookup looks up the environment, in which variables are that begin with Prefix.
	Lookup func(string) (string, bool)
	// Set are values of variables, stronger than all others.
	Set map[string]string
	// Report takes what happens, one at a time, without secrets.
	Report func(Event)
	// Temp is a folder for what playbooks write; whoever made it removes it.
	Temp string
}

// Prefix is what the names of variables begin with in the environment.
const Prefix = "QPQ_VAR_"

// Profile says which profile a user has.
type Profile struct {
	User   string // what steps call the user by
	Name   string // empty for a temporary one
	Server string // that the playbook names; empty for none
	// Notice tells what people should know and did not ask for.
	Notice func(text string)
}

// Session runs commands with one profile, several at a time.
type Session interface {
	Call(context.Context, *command.Command, json.RawMessage, command.UI) (command.Output, error)
	Close() error
}

// Bounds of time.
const (
	usualTimeout = time.Minute
	cleanupTime  = time.Minute // for the steps of always, after an interrupt
)

// Failure is what a run ends with in which a step failed.
type Failure struct {
	File string
	At   Position
	Step string // what it is called
	Err  error  // without secrets in its text
}

// Error implements error.
func (f *Failure) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s: %v", f.File, f.At.Line, f.At.Column, f.Step, f.Err)
}

// Unwrap returns what the step failed with.
func (f *Failure) Unwrap() error { return f.Err }

// run is a playbook being played.
type run struct {
	*Playbook
	cfg       Config
	variables *variables
	users     map[string]*user
	summary   Summary

	mu sync.Mutex // held while something is reported

	done atomic.Int64 // steps, of which there is a most
}

// maxSteps bounds what one run does.
const maxSteps = 2_000_000

// Play carries a playbook out, and returns what it came to. The error is that of the first step that failed, a *Failure. Steps of always are done in
// any case, also after ctx is done, for which they have a minute.
func (p *Playbook) Play(ctx context.Context, cfg Config) (*Summary, error) {
	r := &run{Playbook: p, cfg: cfg, users: map[string]*user{}, variables: newVariables()}
	began := time.Now()
	if err := r.prepare(); err != nil {
		return nil, err
	}
	r.report(Event{Event: "begin", Name: p.Name, File: p.path})
	top := &scope{all: r.variables}
	err := r.steps(ctx, p.Steps, place{scope: top})
	if len(p.Always) > 0 {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		for i := range p.Always {
			if failed := r.step(after, &p.Always[i], place{scope: top, group: "always"}); err == nil {
				err = failed
			}
		}
		cancel()
	}
	err = errors.Join(err, r.close())
	r.summary.Seconds = seconds(time.Since(began))
	r.summary.Name = p.Name
	r.report(Event{Event: "end", Name: p.Name, File: p.path, Seconds: r.summary.Seconds, Summary: &r.summary})
	return &r.summary, err
}

// close lets go of all profiles.
func (r *run) close() error {
	var errs []error
	for _, e := range r.Users {
		if u := r.users[e.Name]; u.session != nil {
			errs = append(errs, u.session.Close())
		}
	}
	return errors.Join(errs...)
}

// prepare gives the variables their values.
func (r *run) prepare() error {
	sc := &scope{all: r.variables}
	values := r.variables.values
	values["run"] = strings.ToLower(rand.Text()[:8])
	values["dir"], values["temp"] = filepath.Dir(r.path), r.cfg.Temp
	for name := range r.cfg.Set {
		if r.Vars.Find(name) == nil {
			return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("--set %s: %s has no variable of this name: %s", name, r.path, hint(name, r.Vars.names())))
		}
	}
	for _, e := range r.Vars {
		v, err := r.initial(e, sc)
		if err == nil {
			err = sc.set(e.Name, v)
		}
		if err != nil {
			return r.failure(e.At, "the variable "+e.Name, err)
		}
		if e.Value.Secret {
			if err := r.variables.conceal(e.Name, textOf(v)); err != nil {
				return r.failure(e.At, "the variable "+e.Name, err)
			}
		}
	}
	for _, e := range r.Users {
		u := &user{run: r, name: e.Name, with: e.Value, at: e.Value.At}
		r.users[e.Name] = u
	}
	for _, e := range r.Users {
		if err := r.users[e.Name].prepare(sc); err != nil {
			return r.failure(e.Value.At, "the user "+e.Name, err)
		}
		values["user."+e.Name] = r.users[e.Name].account
	}
	return nil
}

// initial returns the value that a variable begins with.
func (r *run) initial(e Entry[Var], sc *scope) (any, error) {
	if v, ok := r.cfg.Set[e.Name]; ok {
		if e.Value.Secret {
			return nil, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("--set gives a secret, which others can see: put it into the environment as %s%s, or into a file", Prefix, e.Name))
		}
		return v, nil
	}
	if v, ok := r.cfg.Lookup(Prefix + e.Name); ok {
		return v, nil
	}
	if e.Value.File.given {
		path, err := e.Value.File.text(sc)
		if err != nil {
			return nil, err
		}
		return r.firstLine(path)
	}
	if e.Value.Value.tree == nil {
		return nil, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("it has no value: give it with --set %s=VALUE, or put it into the environment as %s%s", e.Name, Prefix, e.Name))
	}
	return fill(e.Value.Value.tree, sc)
}

// firstLine returns the first line of a file.
func (r *run) firstLine(path string) (string, error) {
	b, err := r.cfg.Read(path)
	if err != nil {
		return "", qpq.Wrap(qpq.NotFound, "no-file", fmt.Sprintf("%v: name a file that can be read", err), err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", qpq.E(qpq.Invalid, "no-answer", path+" has no first line")
	}
	return line, nil
}

// failure returns the error of a step, without secrets.
func (r *run) failure(at Position, step string, err error) error {
	var known *Failure
	if errors.As(err, &known) {
		return err
	}
	text := r.variables.redact(err.Error())
	return &Failure{r.path, at, r.variables.redact(step), qpq.Wrap(qpq.KindOf(err), qpq.CodeOf(err), text, err)}
}
