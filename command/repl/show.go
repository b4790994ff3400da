package repl

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/markdown"
	"github.com/quicproquo/qpq/command/repl/editor"
)

// Styles, as parameters of SGR.
const (
	dim  = "2"
	bold = "1"
	red  = "31"
)

// names are the styles of names.
var names = []string{"32", "33", "34", "35", "36", "92", "93", "94", "95", "96"}

func (r *REPL) paint(style, text string) string {
	if !r.cfg.Color || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[m"
}

func (r *REPL) print(text string) { r.cfg.Console.Print(text) }

// note tells something that is no result.
func (r *REPL) note(text string) {
	const mark = "-- "
	r.cfg.Console.Note(r.wrap(r.paint(dim, mark), mark, text, len(mark)))
}

// indent is how far the lines of an entry after the first are set in: no text can look like another entry.
const indent = 6

// wrap breaks a text after a head into lines as wide as the console, all but the first set in. painted is the head as it is shown.
func (r *REPL) wrap(painted, head, text string, indent int) string {
	width := r.cfg.Console.Width() - 1
	first := width - displaywidth.String(head)
	if width < 20 {
		return painted + strings.ReplaceAll(markdown.Clean(text), "\n", "\n"+strings.Repeat(" ", indent))
	}
	var rows []string
	if first < 10 { // it begins below the head
		rows, first = []string{""}, width-indent
	}
	for i, line := range strings.Split(markdown.Clean(text), "\n") {
		room := width - indent
		if i == 0 {
			room = first
		}
		rows = append(rows, markdown.Break(line, room, width-indent)...)
	}
	return painted + strings.Join(rows, "\n"+strings.Repeat(" ", indent))
}

// styled is wrap for the words of a message whose text is shown as its marks say.
func (r *REPL) styled(painted, head string, e *command.EntryJSON, indent int) string {
	before, doc := e.Document()
	before = markdown.Clean(before)
	painted, head = painted+before, head+before
	if !r.cfg.Color {
		return r.wrap(painted, head, doc.Plain(), indent)
	}
	width := r.cfg.Console.Width() - 1
	first := width - displaywidth.String(head)
	lines := doc.Lines()
	var rows []string
	if width >= 20 && first < 10 {
		rows, first = []string{""}, width-indent
	}
	for i, l := range lines {
		start, room := l.Head(), width-indent
		if i == 0 {
			room = first
		}
		parts := []string{l.Text()}
		if width >= 20 {
			if min(room, width-indent)-len(start) < 8 {
				start = start[:min(len(start), 2)] // how deep a quote is has no room here
			}
			parts = markdown.Break(parts[0], room-len(start), width-indent-len(start))
		}
		for _, spans := range l.Broken(parts) {
			row := start
			for _, s := range spans {
				row += markdown.SGR(s)
			}
			rows = append(rows, row)
		}
	}
	return painted + strings.Join(rows, "\n"+strings.Repeat(" ", indent))
}

// entry shows an entry of the current conversation, or of another one. marked says that its text is to be shown as its marks say.
func (r *REPL) entry(e *command.EntryJSON, here, marked bool) {
	at := e.Time.Local()
	r.showing.Lock()
	defer r.showing.Unlock()
	if day := at.Format(time.DateOnly); day != r.day {
		r.day = day
		r.print(r.paint(dim, "-- "+at.Format("Monday, 2 January 2006")+" --"))
	}
	r.mu.Lock()
	if r.self == "" && e.Own {
		r.self = e.Sender
	}
	self := r.self
	r.mu.Unlock()
	clock, from := at.Format("15:04")+" ", ""
	if !here {
		from = command.Place(command.ShortUser(self, e.Name))
	}
	if e.Type == "notice" {
		r.print(r.wrap(r.paint(dim, clock+from+"-- "), clock+from+"-- ", e.Text, indent))
		return
	}
	head := command.ShortUser(self, qpq.OneLine(e.Sender)) + e.Mark()
	if !here && e.Name == e.Sender {
		head = strings.TrimPrefix(e.Mark(), ": ")
	}
	if e.Short != "" {
		clock += e.Short + " "
	}
	style := bold
	if !e.Own {
		h := fnv.New32a()
		_, _ = h.Write([]byte(e.Sender))
		style = names[h.Sum32()%uint32(len(names))]
	}
	painted, head := r.paint(dim, clock+from)+r.paint(style, head), clock+from+head
	if marked {
		r.print(r.styled(painted, head, e, indent))
		return
	}
	r.print(r.wrap(painted, head, e.Words(), indent))
}

// prompt shows where one is, and where there is something new.
func (r *REPL) prompt() {
	r.showing.Lock()
	defer r.showing.Unlock()
	prompt := editor.Prompt{Text: r.where() + "> "}
	if r.cfg.Color {
		prompt.Style = bold
	}
	r.cfg.Console.SetPrompt(prompt)
}

func (r *REPL) where() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, more := "", 0
	if r.current != nil {
		text = brief(command.ShortUser(r.self, r.current.name)) + " "
	}
	var elsewhere []string
	for _, p := range r.places {
		switch {
		case p == r.current || p.unread == 0:
		case len(elsewhere) == 3:
			more++
		default:
			elsewhere = append(elsewhere, fmt.Sprintf("%s %d", brief(command.ShortUser(r.self, p.name)), p.unread))
		}
	}
	if more > 0 {
		elsewhere = append(elsewhere, fmt.Sprintf("%d more", more))
	}
	if len(elsewhere) > 0 {
		text += "[" + strings.Join(elsewhere, ", ") + "] "
	}
	if r.moving != "" {
		text += "(" + r.moving + ") "
	}
	switch {
	case r.offline && r.unsent > 0:
		text += fmt.Sprintf("(offline, %d queued) ", r.unsent)
	case r.offline:
		text += "(offline) "
	case r.slow && r.unsent > 0:
		text += fmt.Sprintf("(sending %d) ", r.unsent)
	}
	return strings.TrimSuffix(text, " ")
}

// moves shows at the prompt what a line moves, and takes it away where that is nothing.
func (r *REPL) moves(what string) {
	r.mu.Lock()
	same := r.moving == what
	r.moving = what
	r.mu.Unlock()
	if !same {
		r.prompt()
	}
}

// brief returns a name that leaves room for what is typed.
func brief(name string) string { return displaywidth.TruncateString(qpq.OneLine(name), 24, "…") }

// quiet is the UI of commands that the person did not call.
type quiet struct{ r *REPL }

// Show implements command.UI.
func (quiet) Show(command.Output) {}

// Result implements command.UI.
func (quiet) Result(command.Output) error { return nil }

// Ask implements command.UI.
func (quiet) Ask(context.Context, command.Question) ([]byte, error) {
	return nil, qpq.E(qpq.Invalid, "no-answer", "nobody was asked")
}

// visible is the UI of commands that the person called.
type visible struct{ r *REPL }

// Show implements command.UI. What a command says of the connection is told by who stays connected.
func (v visible) Show(o command.Output) {
	var notice struct{ Notice *struct{ Code string } }
	if decode(o.Value, &notice) == nil && notice.Notice != nil {
		return
	}
	if p, ok := o.Progress(); ok { // the result says when it is done
		v.r.moves(fmt.Sprintf("%s %d%%", brief(p.Name), int(100*p.Part())))
		return
	}
	v.r.cfg.Console.Note(markdown.Clean(o.Text))
}

// Result implements command.UI.
func (v visible) Result(o command.Output) error { return v.ResultStyled(o, nil) }

// ResultStyled implements command.StyledUI. Entries are laid out here: the spans say that there are styles.
func (v visible) ResultStyled(o command.Output, spans []markdown.Span) error {
	var e command.EntryJSON
	if err := decode(o.Value, &e); err == nil && (e.Type == "message" || e.Type == "notice") {
		v.r.mu.Lock()
		here := v.r.current == nil || v.r.current.id == e.Conversation
		v.r.mu.Unlock()
		v.r.entry(&e, here, len(spans) > 0)
		return nil
	}
	if o.Text != "" { // all of it was written by others, as what can be viewed once is
		pad := strings.Repeat(" ", indent)
		v.r.print(v.r.wrap(pad, pad, o.Text, indent))
	}
	return nil
}

// Ask implements command.UI.
func (v visible) Ask(ctx context.Context, q command.Question) ([]byte, error) {
	b, err := v.r.cfg.Console.Ask(ctx, q)
	if errors.Is(err, editor.ErrInterrupted) {
		err = qpq.E(qpq.Unavailable, "cancelled", "given up on request")
	}
	return b, err
}

// output shows the result of a command.
func (r *REPL) output(o command.Output) {
	if o.Text != "" {
		r.print(markdown.Clean(o.Text))
	}
}
