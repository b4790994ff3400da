package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command/markdown"
)

// One process holds a profile. It takes the commands of others by a socket that only its owner can reach, one
// connection each, both sides writing JSON values: a request, that it is begun, then whatever the command shows, gives and asks, with an
// answer to each question and each part of the result, then the result or an error. Who closes the connection gives its command up.

// maxAnswer bounds what a caller sends for one value, in bytes.
const maxAnswer = 1 << 20

// lastWords is how long a holder that ends may take to tell a caller.
const lastWords = time.Second

// Request asks the holder for a command. It refuses what it was not begun for itself.
type Request struct {
	Release     string          `json:"release"`     // of both programs
	Server      string          `json:"server"`      // that the person named; empty for none
	Fingerprint string          `json:"fingerprint"` // that the person gave; empty for none
	Command     string          `json:"command"`
	Args        json.RawMessage `json:"args"`
}

// event is what the holder says, one of its fields.
type event struct {
	Begun  bool        `json:"begun,omitempty"`
	Move   *Moved      `json:"move,omitempty"`
	Show   *handed     `json:"show,omitempty"`
	Part   *handed     `json:"part,omitempty"` // of the result
	Ask    *Question   `json:"ask,omitempty"`
	Result *handed     `json:"result,omitempty"`
	Error  *handedFail `json:"error,omitempty"`
}

// handed is an Output on its way.
type handed struct {
	Value json.RawMessage `json:"value"`
	Text  string          `json:"text"`
	Spans []markdown.Span `json:"spans,omitempty"` // of a part of a result
}

// Moved is the error of a command that the holder of the profile did not bring to its end, because it lets go of the profile: it is to be begun anew,
// with arguments that make it go on where it was.
type Moved struct {
	Args json.RawMessage `json:"args"`
}

// Error implements error.
func (m *Moved) Error() string { return "the process that held the profile ended: try again" }

// errLeaves is the cause of contexts of commands that are to move.
var errLeaves = errors.New("the holder lets go of the profile")

// handedFail is an error on its way.
type handedFail struct {
	Kind qpq.Kind `json:"kind"`
	Code string   `json:"code"`
	Text string   `json:"text"`
}

// answer is what the caller says to a question, and to a part of the result: that it was shown.
type answer struct {
	Answer []byte      `json:"answer,omitempty"`
	Error  *handedFail `json:"error,omitempty"`
}

func fail(err error) *handedFail {
	return &handedFail{qpq.KindOf(err), qpq.CodeOf(err), err.Error()}
}

func (f *handedFail) err() error { return qpq.E(f.Kind, f.Code, f.Text) }

// output is what was handed.
func (h *handed) output() Output {
	if len(h.Value) == 0 || string(h.Value) == "null" {
		return Output{Text: h.Text}
	}
	return Output{h.Value, h.Text}
}

func hand(o Output) (*handed, error) {
	b, err := json.Marshal(o.Value)
	return &handed{Value: b, Text: o.Text}, err
}

// Holder takes the commands of other processes. What it is made of does not change once it serves.
type Holder struct {
	Client      *client.Client
	Release     string
	Server      string // that its person named; empty for none
	Fingerprint string
	Ended       func() // is told when a command has ended; may be nil

	mu      sync.Mutex
	callers map[*caller]struct{}
	leaves  bool // no more callers come
}

// Notice tells all callers what the client has to tell.
func (h *Holder) Notice(n client.Notice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.callers {
		c.Show(Noticed(n))
	}
}

// Noticed returns a notice as something to show.
func Noticed(n client.Notice) Output {
	return Output{map[string]any{"notice": map[string]string{"code": n.Code, "text": n.Text}}, "note: " + n.Text}
}

func (h *Holder) enter(c *caller) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.callers == nil {
		h.callers = map[*caller]struct{}{}
	}
	h.callers[c] = struct{}{}
	if h.leaves {
		c.move()
	}
}

// leaving has commands end that can move.
func (h *Holder) leaving() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leaves = true
	for c := range h.callers {
		c.move()
	}
}

func (h *Holder) leave(c *caller) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.callers, c)
}

// Serve runs commands that come in until l is closed, and returns when all of them have ended. Those that can move do so then; the others
// are brought to their end, unless ctx is done.
func (h *Holder) Serve(ctx context.Context, l net.Listener) error {
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			h.leaving()
			return nil
		}
		if err != nil {
			return err
		}
		calls.Go(func() { h.serve(ctx, conn) })
	}
}

func (h *Holder) serve(parent context.Context, conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	defer cancel(nil)
	c := &caller{ctx: ctx, out: json.NewEncoder(conn), answers: make(chan answer)}
	defer context.AfterFunc(parent, func() {
		_ = conn.SetWriteDeadline(time.Now().Add(lastWords))
		cancel(errLeaves)
	})()
	in := json.NewDecoder(&io.LimitedReader{R: bufio.NewReader(conn), N: 64 * maxAnswer})
	var q Request
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	if err := in.Decode(&q); err != nil || !stop() {
		return
	}
	c.send(event{Begun: true})
	done := make(chan struct{})
	defer close(done)
	go func() { // reads answers; when the caller is gone, the command ends
		defer cancel(errCancelled)
		for {
			var a answer
			if err := in.Decode(&a); err != nil {
				return
			}
			select {
			case c.answers <- a:
			case <-done:
				return
			}
		}
	}()
	result := h.outcome(ctx, c, q, func() { cancel(errLeaves) })
	if h.Ended != nil {
		h.Ended()
	}
	c.send(result)
}

// outcome runs a command, and returns what it came to. move is called when it is to be begun anew elsewhere.
func (h *Holder) outcome(ctx context.Context, c *caller, q Request, move func()) event {
	command, err := h.command(q)
	if err != nil {
		return event{Error: fail(err)}
	}
	c.move = func() {
		if command.Moves {
			move()
		}
	}
	h.enter(c)
	defer h.leave(c)
	out, err := command.Run(ctx, &Env{Client: h.Client, UI: c}, q.Args)
	var moved *Moved
	switch {
	case errors.As(err, &moved):
		return event{Move: moved}
	case err != nil && command.Moves && context.Cause(ctx) == errLeaves:
		return event{Move: &Moved{q.Args}}
	case err != nil:
		return event{Error: fail(err)}
	}
	result, err := hand(out)
	if err != nil {
		return event{Error: fail(err)}
	}
	return event{Result: result}
}

// command returns the one that is asked for, if this holder may run it.
func (h *Holder) command(q Request) (*Command, error) {
	switch {
	case q.Release != h.Release:
		return nil, qpq.E(qpq.Unsupported, "other-release", fmt.Sprintf("the process that holds the profile is release %s and this is %s: end it first", h.Release, q.Release))
	case q.Server != "" && q.Server != h.Server || q.Fingerprint != "" && q.Fingerprint != h.Fingerprint:
		return nil, qpq.E(qpq.Exists, "profile-in-use", "the process that holds the profile was begun with another --server or --fingerprint: wait until it ends, or end it")
	}
	return Find(q.Command)
}

// caller is the UI of another process.
type caller struct {
	ctx     context.Context // of the call, as long as which it lives
	move    func()
	answers chan answer

	mu  sync.Mutex
	out *json.Encoder
}

func (c *caller) send(e event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.out.Encode(e) // a caller that is gone is noticed by the reader
}

// Show implements UI.
func (c *caller) Show(o Output) {
	if shown, err := hand(o); err == nil {
		c.send(event{Show: shown})
	}
}

// Result implements UI.
func (c *caller) Result(o Output) error { return c.ResultStyled(o, nil) }

// ResultStyled implements StyledUI.
func (c *caller) ResultStyled(o Output, spans []markdown.Span) error {
	part, err := hand(o)
	if err != nil {
		return err
	}
	part.Spans = spans
	_, err = c.exchange(c.ctx, event{Part: part})
	return err
}

// Ask implements UI.
func (c *caller) Ask(ctx context.Context, q Question) ([]byte, error) {
	return c.exchange(ctx, event{Ask: &q})
}

// exchange sends what wants an answer. A command does one such thing at a time. Where the holder ends, an answer may still come for a moment.
func (c *caller) exchange(ctx context.Context, e event) ([]byte, error) {
	c.send(e)
	var late <-chan time.Time
	for done := ctx.Done(); ; {
		select {
		case a := <-c.answers:
			if a.Error != nil {
				return nil, a.Error.err()
			}
			return a.Answer, nil
		case <-done:
			if context.Cause(ctx) != errLeaves {
				return nil, errCancelled
			}
			done, late = nil, time.After(lastWords)
		case <-late:
			return nil, errCancelled
		}
	}
}

// CodeHolderLeft is the code of the error that says that the holder let go of the profile before it began the command: the profile
// is free, or somebody else's.
const CodeHolderLeft = "holder-left"

// Handover has the process at the other end of conn run a command, with ui for what it shows and asks.
func Handover(ctx context.Context, conn net.Conn, q Request, ui UI) (Output, error) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	out := json.NewEncoder(conn)
	if err := out.Encode(q); err != nil {
		return Output{}, gone(ctx, false, err)
	}
	in := json.NewDecoder(conn)
	for begun := false; ; {
		var e event
		if err := in.Decode(&e); err != nil {
			return Output{}, gone(ctx, begun, err)
		}
		switch {
		case e.Begun:
			begun = true
		case e.Show != nil:
			ui.Show(e.Show.output())
		case e.Part != nil, e.Ask != nil:
			if err := reply(ctx, out, e, ui); err != nil {
				return Output{}, gone(ctx, begun, err)
			}
		case e.Result != nil:
			return e.Result.output(), nil
		case e.Move != nil:
			return Output{}, e.Move
		case e.Error != nil && e.Error.Code == errCancelled.Code && ctx.Err() == nil:
			return Output{}, gone(ctx, begun, e.Error.err()) // nobody here gave up
		case e.Error != nil:
			return Output{}, e.Error.err()
		}
	}
}

// reply answers what wants an answer.
func reply(ctx context.Context, out *json.Encoder, e event, ui UI) error {
	var a answer
	var err error
	if e.Part != nil {
		err = styled(ui, e.Part.output(), e.Part.Spans)
	} else {
		a.Answer, err = ui.Ask(ctx, *e.Ask)
		defer clear(a.Answer)
	}
	if ctx.Err() != nil { // no answer: its error would end the command over there, and could be back before it is told here who gave up
		return ctx.Err()
	}
	if err != nil {
		a.Error = fail(err)
	}
	return out.Encode(a)
}

func gone(ctx context.Context, begun bool, err error) error {
	switch {
	case ctx.Err() != nil:
		return qpq.Wrap(qpq.Unavailable, "cancelled", "given up on request", ctx.Err())
	case !begun:
		return qpq.Wrap(qpq.Unavailable, CodeHolderLeft, "the process that held the profile was about to end: try again", err)
	}
	return qpq.Wrap(qpq.Unavailable, "holder-gone", "the process that held the profile ended: try again", err)
}
