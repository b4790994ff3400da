package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/markdown"
)

// Results go to standard output; what is shown on the way, notices and errors go to standard error. With --json each
// is one line of JSON.

// print shows the result of a command, if there is one.
func (p *program) print(o command.Output) error {
	p.endProgress()
	if o.Value == nil && o.Text == "" {
		return nil
	}
	if p.settings.json {
		return p.printJSON(o.Value)
	}
	_, err := fmt.Fprintln(p.stdout, p.result(o.Text))
	return err
}

func (p *program) printJSON(v any) error { return writeJSON(p.stdout, v) }

// writeJSON writes a value in a line, in which what is not to be shown at a terminal is escaped.
func writeJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(command.Legible(b), '\n'))
	return err
}

// Result implements command.UI.
func (p *program) Result(o command.Output) error {
	if err := p.print(o); err != nil {
		return qpq.Wrap(qpq.Unavailable, "output", fmt.Sprintf("the output cannot be written: %v", err), err)
	}
	return nil
}

// ResultStyled implements command.StyledUI: styles are shown at terminals that have them.
func (p *program) ResultStyled(o command.Output, spans []markdown.Span) error {
	if p.settings.json || !p.colors(os.Stdout) {
		return p.Result(o)
	}
	p.endProgress()
	if _, err := fmt.Fprintln(p.stdout, p.styled(spans)); err != nil {
		return qpq.Wrap(qpq.Unavailable, "output", fmt.Sprintf("the output cannot be written: %v", err), err)
	}
	return nil
}

// Show implements command.UI. How far something is has a line of its own, at terminals alone.
func (p *program) Show(o command.Output) {
	if p.settings.json {
		_ = writeJSON(p.stderr, o.Value)
		return
	}
	if _, ok := o.Progress(); ok {
		p.progress(o.Text)
		return
	}
	p.endProgress()
	fmt.Fprintln(p.stderr, qpq.Printable(o.Text))
}

// progress shows a line in place of the one before.
func (p *program) progress(text string) {
	width, _, err := term.GetSize(int(os.Stderr.Fd()))
	if err != nil || !p.cursor() || p.quiet {
		return
	}
	if width == 0 { // it does not say
		width = 80
	}
	line := []rune(qpq.Printable(text))
	atomic.StoreInt32(&p.drawn, 1)
	fmt.Fprintf(p.stderr, "\r\x1b[K%s", string(line[:max(0, min(len(line), width-1))]))
}

// endProgress takes the line away.
func (p *program) endProgress() {
	if atomic.SwapInt32(&p.drawn, 0) == 1 {
		fmt.Fprint(p.stderr, "\r\x1b[K")
	}
}

// notice tells what nobody asked for.
func (p *program) notice(n client.Notice) {
	if p.settings.json {
		_ = writeJSON(p.stderr, command.Noticed(n).Value)
		return
	}
	p.endProgress()
	fmt.Fprintf(p.stderr, "%s %s\n", p.paint("note:", "33"), qpq.Printable(n.Text))
}

func (p *program) showError(err error) {
	if p.settings.json {
		_ = writeJSON(p.stderr, map[string]any{"error": map[string]string{
			"kind": qpq.KindOf(err).String(), "code": qpq.CodeOf(err), "text": err.Error()}})
		return
	}
	p.endProgress()
	fmt.Fprintf(p.stderr, "%s %s\n", p.paint("qpq:", "31"), qpq.Printable(err.Error()))
}

// colors reports whether people want colours, and a file is a terminal that has them (no-color.org).
func (p *program) colors(f *os.File) bool {
	no, _ := p.lookup("NO_COLOR")
	kind, _ := p.lookup("TERM")
	return p.settings.color != "never" && no == "" && kind != "dumb" && kind != "" && term.IsTerminal(int(f.Fd()))
}

// paint colours text for the terminal that errors go to, if it can.
func (p *program) paint(text, color string) string {
	if !p.colors(os.Stderr) {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// printable wraps a writer for locales that cannot show all of Unicode.
func (p *program) printable(w io.Writer) io.Writer {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v, _ := p.lookup(name); v != "" {
			v = strings.ToUpper(v)
			if strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8") {
				return w
			}
			return ascii{w}
		}
	}
	return w
}

// ascii writes what is not ASCII as what comes nearest.
type ascii struct{ w io.Writer }

var nearest = strings.NewReplacer("…", "...", "–", "-", "—", "-", "“", `"`, "”", `"`, "’", "'")

func (a ascii) Write(b []byte) (int, error) {
	_, err := io.WriteString(a.w, inASCII(string(b)))
	return len(b), err
}

func inASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, nearest.Replace(text))
}

// Ask implements command.UI: from the file or descriptor that a flag names, else from the terminal.
func (p *program) Ask(ctx context.Context, q command.Question) ([]byte, error) {
	if b, ok, err := p.secrets.read(q.Name); ok {
		return b, err
	}
	tty, closeTTY, err := terminal(p.stdin)
	if err != nil {
		return nil, qpq.Wrap(qpq.Invalid, "no-answer", fmt.Sprintf("there is no terminal to ask for the %s: give --%s-file or --%s-fd", answerTo(q), q.Name, q.Name), err)
	}
	defer closeTTY()
	answers := make(chan error, 1)
	var typed []byte
	before, stateErr := term.GetState(int(tty.Fd()))
	go func() {
		var err error
		typed, err = p.prompt(tty, q)
		answers <- err
	}()
	select {
	case err := <-answers:
		return typed, err
	case <-ctx.Done():
		if stateErr == nil {
			_ = term.Restore(int(tty.Fd()), before) // echo comes back
		}
		fmt.Fprintln(p.stderr)
		return nil, qpq.Wrap(qpq.Unavailable, "cancelled", "given up on request", ctx.Err())
	}
}

// maxText bounds what is read from standard input, in bytes. It is more than any command takes, so that the command says what it takes.
const maxText = 1 << 20

// input reads a text from standard input, but for one line break at its end.
func (p *program) input(name string) (string, error) {
	if term.IsTerminal(int(p.stdin.Fd())) {
		fmt.Fprintln(p.stderr, "type the "+name+", and end it with Ctrl-D in a line of its own:")
	}
	b, err := io.ReadAll(io.LimitReader(p.stdin, maxText+1))
	switch {
	case err != nil:
		return "", qpq.Wrap(qpq.Invalid, "unreadable", fmt.Sprintf("the %s cannot be read from standard input: %v", name, err), err)
	case len(b) > maxText:
		return "", qpq.E(qpq.TooLarge, "message-too-large", fmt.Sprintf("the %s on standard input is over %d bytes: send it in parts, or as a file", name, maxText))
	case !utf8.Valid(b):
		return "", qpq.E(qpq.Invalid, "usage", fmt.Sprintf("the %s on standard input is not text in UTF-8", name))
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}

// terminal returns where people type.
func terminal(stdin *os.File) (*os.File, func(), error) {
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		return tty, func() { _ = tty.Close() }, nil
	}
	if term.IsTerminal(int(stdin.Fd())) {
		return stdin, func() {}, nil
	}
	return nil, nil, errors.New("no terminal")
}

func (p *program) prompt(tty *os.File, q command.Question) ([]byte, error) {
	for {
		typed, err := p.promptOnce(tty, q.Prompt, q.Secret)
		if err != nil || !q.Twice {
			return typed, err
		}
		again, err := p.promptOnce(tty, "Again: ", q.Secret)
		if err != nil {
			clear(typed)
			return nil, err
		}
		same := bytes.Equal(typed, again)
		clear(again)
		if same {
			return typed, nil
		}
		clear(typed)
		fmt.Fprintln(p.stderr, "these differ; once more")
	}
}

func (p *program) promptOnce(tty *os.File, prompt string, secret bool) ([]byte, error) {
	if secret {
		return p.promptSecret(tty, prompt)
	}
	fmt.Fprint(p.stderr, prompt)
	line, err := bufio.NewReader(tty).ReadBytes('\n')
	if err != nil && len(line) == 0 {
		return nil, qpq.Wrap(qpq.Invalid, "no-answer", "nothing was typed: nothing was done", err)
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// promptSecret switches the echo off before it asks: who answers at once is not to be shown either.
func (p *program) promptSecret(tty *os.File, prompt string) ([]byte, error) {
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err == nil {
		err = silence(fd)
	}
	if err != nil {
		return nil, qpq.Wrap(qpq.Invalid, "no-answer", "the terminal would show what is typed: nothing was asked", err)
	}
	defer func() { _ = term.Restore(fd, before) }()
	fmt.Fprint(p.stderr, prompt)
	b, err := term.ReadPassword(fd)
	fmt.Fprintln(p.stderr)
	if errors.Is(err, io.EOF) {
		err = qpq.E(qpq.Invalid, "no-answer", "nothing was typed: nothing was done")
	}
	return b, err
}
