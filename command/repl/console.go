package repl

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/repl/editor"
)

// Asker returns the answer to a question.
type Asker func(context.Context, command.Question) ([]byte, error)

// terminal is a console with a line editor.
type terminal struct {
	*editor.Editor
	given func(string) ([]byte, bool, error)
}

// Terminal returns a console with a line editor. given returns the answer to a question that nobody is to be asked.
func Terminal(e *editor.Editor, given func(question string) ([]byte, bool, error)) Console {
	return terminal{e, given}
}

func (t terminal) Ready() {}

func (t terminal) Note(text string) { t.Print(text) }

func (t terminal) Ask(ctx context.Context, q command.Question) ([]byte, error) {
	if b, ok, err := t.given(q.Name); ok {
		return b, err
	}
	for {
		typed, err := t.Editor.Ask(ctx, editor.Prompt{Text: q.Prompt}, q.Secret)
		if err != nil || !q.Twice {
			return typed, err
		}
		again, err := t.Editor.Ask(ctx, editor.Prompt{Text: "Again: "}, q.Secret)
		same := bytes.Equal(typed, again)
		clear(again)
		if err == nil && same {
			return typed, nil
		}
		clear(typed)
		if err != nil {
			return nil, err
		}
		t.Print("these differ; once more")
	}
}

// maxLine bounds a line that comes from a pipe, in bytes. It is more than any command takes, so that the command says what it takes.
const maxLine = 1 << 20

// Plain is a console that only reads lines and writes lines.
type Plain struct {
	in       *bufio.Scanner
	out, err io.Writer
	asker    Asker
	shown    bool // there is a prompt
	events   chan editor.Event
	want     chan struct{}

	mu      sync.Mutex
	prompt  string
	waiting bool // a line may come; what is typed of it stands behind the prompt
}

// NewPlain returns a console of lines; a prompt stands before them if prompt is true. interrupts are those of the person. The goroutines
// that read end with in and interrupts.
func NewPlain(in io.Reader, out, err io.Writer, prompt bool, asker Asker, interrupts <-chan struct{}) *Plain {
	p := &Plain{in: bufio.NewScanner(in), out: out, err: err, asker: asker, shown: prompt, prompt: "> ", events: make(chan editor.Event), want: make(chan struct{}, 1)}
	p.in.Buffer(nil, maxLine)
	lines := make(chan editor.Event)
	go p.read(lines)
	go p.merge(lines, interrupts)
	return p
}

// read reads a line whenever one is wanted: between them others may read the same terminal.
func (p *Plain) read(lines chan<- editor.Event) {
	for range p.want {
		if !p.in.Scan() {
			if err := p.in.Err(); err != nil {
				p.Note(fmt.Sprintf("the input cannot be read any further: %v", err))
			}
			lines <- editor.Event{Kind: editor.End}
			return
		}
		p.mu.Lock()
		p.waiting = false
		p.mu.Unlock()
		lines <- editor.Event{Kind: editor.Line, Text: strings.TrimSuffix(p.in.Text(), "\r")}
	}
}

// merge tells of lines and interrupts. The terminal throws away what was typed when there is an interrupt.
func (p *Plain) merge(lines <-chan editor.Event, interrupts <-chan struct{}) {
	again := false
	for {
		select {
		case event := <-lines:
			p.events <- event
			if event.Kind == editor.End {
				return
			}
			again = false
		case <-interrupts:
			p.events <- editor.Event{Kind: editor.Interrupt, Empty: true, Again: again}
			again = true
		}
	}
}

// Events implements Console.
func (p *Plain) Events() <-chan editor.Event { return p.events }

// Ready implements Console.
func (p *Plain) Ready() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting {
		return
	}
	p.waiting = true
	if p.shown {
		p.write(p.out, p.prompt)
	}
	p.want <- struct{}{}
}

// Print implements Console.
func (p *Plain) Print(text string) { p.show(p.out, text) }

// Note implements Console.
func (p *Plain) Note(text string) { p.show(p.err, text) }

func (p *Plain) show(w io.Writer, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text += "\n"
	if p.waiting && p.shown {
		text = "\n" + text + p.prompt
	}
	p.write(w, text)
}

func (p *Plain) write(w io.Writer, text string) { _, _ = io.WriteString(w, text) } // nobody is left to be told

// SetPrompt implements Console.
func (p *Plain) SetPrompt(prompt editor.Prompt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prompt = prompt.Text
}

// Ask implements Console.
func (p *Plain) Ask(ctx context.Context, q command.Question) ([]byte, error) {
	if p.asker == nil {
		return nil, qpq.E(qpq.Invalid, "no-answer", "there is nobody to ask")
	}
	return p.asker(ctx, q)
}

// Width implements Console.
func (p *Plain) Width() int { return 0 }
