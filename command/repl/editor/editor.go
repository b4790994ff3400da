// Package editor edits a line at a terminal on which other text appears meanwhile.
//
// What is printed goes above the line that is being typed, which is drawn again with each print: rows that never fill the terminal, so
// that all terminals agree on where they end. Only the most common control sequences are used (ECMA-48: CUU, CUF, EL, ED, SGR).
package editor

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// Config is what an Editor needs. It is not changed after New.
type Config struct {
	In    io.Reader // keys, as a terminal in raw mode sends them
	Out   io.Writer // gets each drawing in one Write
	Size  func() (width, height int)
	ASCII bool // Out shows nothing else: any other character is drawn as a question mark
	// Complete returns what a text may go on with: candidates that replace it from a byte on. It is asked with what stands before the
	// cursor. Nil completes nothing.
	Complete func(before string) (from int, candidates []string)
	// Suspend gives the terminal to whoever started the program, and returns when it is back. Nil where that cannot be.
	Suspend func()
}

// EventKind says what a person did.
type EventKind int

// The kinds of events.
const (
	Line      EventKind = iota // a line was entered
	Interrupt                  // Ctrl-C; what was typed is gone
	End                        // Ctrl-D on an empty line, or no more input; the last event
)

// Event is something that a person did.
type Event struct {
	Kind EventKind
	Text string // of a Line
	// Empty says of an Interrupt that nothing was typed, Again that nothing else was done since the one before.
	Empty, Again bool
}

// ErrInterrupted is what Ask returns when its question was not answered.
var ErrInterrupted = errors.New("not answered")

// Prompt stands before the line.
type Prompt struct {
	Text  string
	Style string // parameters of SGR; empty for none
}

// Editor is a line being edited. It is safe for use by several goroutines.
type Editor struct {
	cfg    Config
	events chan Event
	done   chan struct{} // closed by Close

	mu          sync.Mutex
	prompt      Prompt
	line        Buffer
	history     History
	asking      *question
	queue       []*question // questions that wait for the one before
	drawn       drawing
	keys        decoder
	killed      []rune // by the last kill, for yank
	interrupted bool   // by the last key
	closed      bool
}

// question is one that a program asks.
type question struct {
	prompt Prompt
	secret bool
	line   Buffer // what was being typed when it was asked
	answer chan []rune
}

// New returns an editor that shows its prompt and reads. The goroutine that reads ends with the input, or with Close and the key after it.
func New(c Config, p Prompt) *Editor {
	e := &Editor{cfg: c, prompt: p, events: make(chan Event), done: make(chan struct{})}
	e.draw()
	go e.read()
	return e
}

// Events returns what the person does, as it happens.
func (e *Editor) Events() <-chan Event { return e.events }

// Close takes the prompt from the terminal. Nothing is drawn any more; Print goes on to work.
func (e *Editor) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.write(e.drawn.erase(e.Width()))
		e.closed, e.drawn = true, drawing{}
		close(e.done)
	}
}

// SetPrompt changes the prompt.
func (e *Editor) SetPrompt(p Prompt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p != e.prompt {
		e.prompt = p
		e.draw()
	}
}

// Print shows lines above the one that is being typed. They may have styles, and must be clean of any other control sequence.
func (e *Editor) Print(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	shown := strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\r\n") + "\r\n"
	out := e.drawn.erase(e.Width()) + shown
	e.drawn = drawing{}
	if !e.closed {
		out += e.drawing()
	}
	e.write(out)
}

// Ask asks a question, the answer to which is no line and not in the history. What was being typed comes back afterwards.
func (e *Editor) Ask(ctx context.Context, p Prompt, secret bool) ([]byte, error) {
	q := &question{prompt: p, secret: secret, answer: make(chan []rune, 1)}
	e.mu.Lock()
	if e.asking == nil {
		e.ask(q)
	} else {
		e.queue = append(e.queue, q)
	}
	e.mu.Unlock()
	select {
	case answer := <-q.answer:
		if answer == nil {
			return nil, ErrInterrupted
		}
		b := make([]byte, 0, 4*len(answer)) // no more copies: it may be a secret
		for _, r := range answer {
			b = utf8.AppendRune(b, r)
		}
		clear(answer)
		return b, nil
	case <-ctx.Done():
	case <-e.done:
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.withdraw(q)
	return nil, errors.Join(ErrInterrupted, ctx.Err())
}

// ask shows a question instead of the line. The caller holds mu.
func (e *Editor) ask(q *question) {
	q.line, e.line, e.asking = e.line, Buffer{}, q
	e.draw()
}

// answered ends the question that is asked, and shows the next one or the line. The caller holds mu.
func (e *Editor) answered(answer []rune) {
	q := e.asking
	e.line, e.asking = q.line, nil
	if len(e.queue) > 0 {
		next := e.queue[0]
		e.queue = e.queue[1:]
		e.ask(next)
	}
	q.answer <- answer
}

// withdraw takes a question back. The caller holds mu.
func (e *Editor) withdraw(q *question) {
	if e.asking == q {
		clear(e.line.Text)
		e.answered(nil)
		e.draw()
		return
	}
	for i, waiting := range e.queue {
		if waiting == q {
			e.queue = append(e.queue[:i:i], e.queue[i+1:]...)
			return
		}
	}
}

// read handles what is typed until the input ends.
func (e *Editor) read() {
	b := make([]byte, 4096)
	for {
		n, err := e.cfg.In.Read(b)
		for _, event := range e.handle(b[:n]) {
			if !e.tell(event) || event.Kind == End {
				return
			}
		}
		clear(b[:n]) // it may have been a secret
		if err != nil {
			e.tell(Event{Kind: End})
			return
		}
	}
}

func (e *Editor) tell(event Event) bool {
	select {
	case e.events <- event:
		return true
	case <-e.done:
		return false
	}
}

// handle handles bytes from the terminal, and returns what came of it.
func (e *Editor) handle(b []byte) (events []Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	for _, k := range e.keys.decode(b) {
		if k.code == keySuspend {
			e.suspend()
			continue
		}
		if event, ok := e.key(k); ok {
			events = append(events, event)
		}
		e.interrupted = k.code == keyInterrupt
	}
	e.draw()
	return events
}

// suspend takes the line from the terminal until the program is back. The caller holds mu.
func (e *Editor) suspend() {
	if e.cfg.Suspend == nil {
		return
	}
	e.write(e.drawn.erase(e.Width()))
	e.drawn = drawing{}
	e.mu.Unlock()
	e.cfg.Suspend()
	e.mu.Lock()
}

// Width returns how many columns the terminal has.
func (e *Editor) Width() int {
	width, _ := e.size()
	return width
}

func (e *Editor) size() (width, height int) {
	width, height = e.cfg.Size()
	if width < 4 || height < 2 {
		return 80, 24 // it does not tell
	}
	return width, height
}

func (e *Editor) write(s string) {
	if s != "" {
		_, _ = io.WriteString(e.cfg.Out, s) // a terminal that is gone is noticed by the reader
	}
}
