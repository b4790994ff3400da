package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/wire"
)

// Bounds of what an answer collects of the parts of a result.
const (
	maxParts     = 1000
	maxCollected = 1 << 20 // bytes
)

// outcome is the result of a command, for programs.
type outcome struct {
	Value json.RawMessage   `json:"value,omitempty"` // what it came to; absent where the parts are all
	Text  string            `json:"text,omitempty"`  // the same for people
	Count int               `json:"count,omitempty"` // of parts
	Parts []json.RawMessage `json:"parts,omitempty"` // absent where they are too many, and came as notifications
	Shown []any             `json:"shown,omitempty"` // on the way
}

// call is a command that is being run for a request. It is the command's UI.
type call struct {
	id      json.RawMessage // of the request; nil for a notification
	answers map[string]wire.Secret
	send    func(any) error // tells what comes; nil where only the answer is taken

	out   outcome
	size  int // of the parts that are collected
	whole bool
}

// part is what a command shows or gives while it goes on, for programs.
type part struct {
	ID    json.RawMessage `json:"id"`
	Value json.RawMessage `json:"value,omitempty"`
	Text  string          `json:"text,omitempty"`
}

// find returns the command of a method: its words with dots, or spaces, between them.
func find(method string) (*command.Command, error) {
	if c, err := command.Find(strings.ReplaceAll(method, ".", " ")); err == nil {
		return c, nil
	}
	return nil, &protocolError{codeMethod, qpq.E(qpq.NotFound, "no-command", fmt.Sprintf("there is no method %q: rpc.discover lists them", clip(method)))}
}

func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

// run runs a command for a request.
func (s *session) run(ctx context.Context, c *command.Command, r *request) (*call, error) {
	u := &call{id: r.id, answers: r.answers, send: s.send, whole: true}
	for name := range r.answers {
		if !slices.ContainsFunc(c.Asks, func(q command.Question) bool { return q.Name == name }) {
			return u, errParams(fmt.Sprintf("%s: it asks no %q", c.Name, clip(name)))
		}
	}
	if c.Endless && s.send == nil {
		return u, qpq.E(qpq.Unsupported, "endless", c.Name+" goes on until it is cancelled, and needs somebody who takes what it gives as it comes: "+
			"take lines (Accept: application/x-ndjson), or GET /events")
	}
	args, err := json.Marshal(s.d.arguments(c, r.params))
	if err == nil {
		args, err = s.paths(c, args)
	}
	if err != nil {
		return u, err
	}
	out, err := c.Run(ctx, &command.Env{Client: s.d.client, UI: u}, args)
	if err != nil {
		return u, cause(ctx, err)
	}
	if u.out.Value, err = value(out); err != nil {
		return u, err
	}
	u.out.Text = out.Text
	if !u.whole {
		u.out.Parts = nil
	}
	return u, nil
}

// paths makes paths whole. Those of a program that is elsewhere have to be.
func (s *session) paths(c *command.Command, args json.RawMessage) (json.RawMessage, error) {
	whole, err := c.Whole(args, func() (string, error) {
		if s.folder == "" {
			return "", errElsewhere
		}
		return s.folder, nil
	})
	if errors.Is(err, errElsewhere) {
		return nil, errParams(c.Name + ": a path is missing or begins at no root: the daemon is in another folder than you; write whole paths")
	}
	return whole, err
}

var errElsewhere = errors.New("the program is elsewhere")

// arguments returns the parameters of a request with what a front end has to say of its own.
func (d *Daemon) arguments(c *command.Command, params map[string]json.RawMessage) map[string]json.RawMessage {
	const name = "device-name"
	wanted := slices.ContainsFunc(c.Params, func(p command.Param) bool { return p.Name == name })
	if _, given := params[name]; !wanted || given || d.cfg.DeviceName == "" {
		return params
	}
	args := map[string]json.RawMessage{name: quote(d.cfg.DeviceName)}
	for k, v := range params {
		args[k] = v
	}
	return args
}

func quote(s string) json.RawMessage {
	b, _ := encode(s) // a text always encodes
	return b
}

// cause returns what a command failed with, or, where that says no more than that it was given up, why.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil && qpq.CodeOf(why) != "" && (qpq.CodeOf(err) == "" || qpq.CodeOf(err) == "cancelled") {
		return why
	}
	return err
}

func value(o command.Output) (json.RawMessage, error) {
	if o.Value == nil {
		return nil, nil
	}
	return encode(o.Value)
}

// Show implements command.UI.
func (u *call) Show(o command.Output) {
	v, err := value(o)
	if err != nil {
		return
	}
	if _, passing := o.Progress(); !passing && len(u.out.Shown) < maxParts {
		u.out.Shown = append(u.out.Shown, v)
	}
	if u.send != nil && u.id != nil {
		_ = u.send(notify("show", part{u.id, v, o.Text})) // a program that is gone is noticed when it is answered
	}
}

// errNobody is what gives parts back that nobody takes: an entry that comes to nobody stays unread.
var errNobody = qpq.E(qpq.Invalid, "no-id", "a request without an id gets no answer: nobody would take the result")

// errLarge is what ends a command whose result is more than an answer holds.
var errLarge = qpq.E(qpq.TooLarge, "result-too-large", fmt.Sprintf(
	"the result has over %d parts or %d bytes: ask for less, or take it part by part (Accept: application/x-ndjson)", maxParts, maxCollected))

// Result implements command.UI.
func (u *call) Result(o command.Output) error {
	if u.id == nil {
		return errNobody
	}
	v, err := value(o)
	if err != nil {
		return err
	}
	fits := len(u.out.Parts) < maxParts && u.size+len(v) <= maxCollected
	if !fits && u.send == nil {
		return errLarge
	}
	if u.send != nil {
		if err := u.send(notify("part", part{u.id, v, o.Text})); err != nil {
			return err
		}
	}
	u.out.Count++
	if u.whole = u.whole && fits; u.whole {
		u.out.Parts, u.size = append(u.out.Parts, v), u.size+len(v)
	}
	return nil
}

// Ask implements command.UI: from the answers that came with the request.
func (u *call) Ask(_ context.Context, q command.Question) ([]byte, error) {
	a, ok := u.answers[q.Name]
	if !ok {
		return nil, qpq.E(qpq.Invalid, "no-answer", fmt.Sprintf("the request answers no %q: give it in params, as \"answers\": {%q: …}", q.Name, q.Name))
	}
	return []byte(a.Reveal()), nil
}
