package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"

	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/markdown"
)

// indent is how far rows of an entry after the first are set in, on screens that are not narrow.
const indent = 6

// entryRows returns the rows of the i-th entry of the window, as wide as width at most.
func (a *account) entryRows(i, width int) []row {
	m := &a.messages
	e := &m.entries[i]
	var rows []row
	at := e.Time.Local()
	if i == 0 && m.first || i > 0 && dayOf(m.entries[i-1].Time) != dayOf(e.Time) {
		rows = append(rows, ruler(at.Format("Monday, 2 January 2006"), width, faint))
	}
	if m.fresh > 0 && e.Position > m.fresh && (i == 0 || m.entries[i-1].Position <= m.fresh) {
		rows = append(rows, ruler("new", width, fresh))
	}
	of := a.body(e, width)
	if e.Position == m.selected {
		for j := range of {
			of[j] = mark(of[j], width)
		}
	}
	return append(rows, of...)
}

func dayOf(t time.Time) string { return t.Local().Format(time.DateOnly) }

// ruler is a line across the view, with a word in it.
func ruler(text string, width int, r role) row {
	text = "── " + text + " "
	if w := displaywidth.String(text); w < width {
		text += strings.Repeat("─", width-w)
	}
	return row{{style{role: r}, text}}
}

// mark shows a row as selected, whatever colours there are.
func mark(r row, width int) row {
	r = r.fit(width)
	for i := range r {
		r[i].marked = true
	}
	return r
}

// body returns the rows of what an entry says. What somebody wrote stands behind the name and a colon, and below that is set in. All else, which no text
// can look like, stands before the colon, has no colon, or has a mark where texts are set in.
func (a *account) body(e *command.EntryJSON, width int) []row {
	clock := span{style{role: faint}, e.Time.Local().Format("15:04") + " "}
	if e.Type == "notice" {
		return laid(row{clock, {style{role: faint}, "-- "}}, []span{{style{role: faint}, visible(e.Text)}}, width)
	}
	if slices.Contains(e.Mentions, a.self) && !e.Own {
		clock.role = fresh
	}
	who := style{role: nameRole(e.Sender)}
	if e.Own {
		who = style{role: strong}
	}
	head := row{clock, {who, oneLine(short(a.self, e.Sender))}, {style{role: faint}, notes(e)}}
	spans, wrote := a.said(e)
	if wrote {
		head = append(head, span{who, ": "})
	} else {
		head = append(head, span{style{role: faint}, " -- "})
	}
	rows := append(a.quoted(e, width), laid(head, append(spans, state(e)...), width)...)
	return append(rows, a.under(e, width)...)
}

// notes returns what is to be known of a message, to be shown behind its sender.
func notes(e *command.EntryJSON) string {
	var list []string
	if e.Edited && e.Gone == "" {
		list = append(list, "edited")
	}
	if e.Expires != nil {
		list = append(list, "until "+e.Expires.Local().Format("2 Jan 15:04"))
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// quoted returns the row above a reply that says what it answers.
func (a *account) quoted(e *command.EntryJSON, width int) []row {
	text := "something that is not here"
	switch {
	case e.Kind != "reply" || e.Gone != "":
		return nil
	case e.Quote != nil:
		text = short(a.self, e.Quote.Sender) + ": " + e.Quote.Text
	}
	return []row{append(aside("┌", width), span{style{role: quote}, brief(text, width-inset(width))})}
}

// said returns what a message says, and whether its sender wrote that.
func (a *account) said(e *command.EntryJSON) (spans []span, wrote bool) {
	switch {
	case e.Gone != "", e.Kind == "unknown", e.Kind == "view-once" && e.File == nil:
		return []span{{style{role: faint}, visible(e.Text)}}, false
	case e.Kind == "text", e.Kind == "reply":
		return a.text(e.Text), true
	case e.File != nil:
		note := " (" + command.Bytes(e.File.Size) + ")"
		if e.File.Once {
			note = " (" + command.Bytes(e.File.Size) + ", to be viewed once)"
		}
		spans = []span{{style{role: link}, oneLine(e.File.Name)}, {style{role: faint}, note}}
		if e.File.Caption != "" {
			spans = append(append(spans, span{text: "\n"}), a.text(e.File.Caption)...)
		}
		return spans, false
	}
	return []span{{style{role: faint}, oneLine(e.Kind) + ": " + visible(e.Text)}}, false
}

// text returns what somebody wrote, as its marks say where that is wished.
func (a *account) text(written string) (spans []span) {
	written = visible(written)
	if !a.format {
		return []span{{text: written}}
	}
	for i, l := range markdown.Parse(written).Lines() {
		if i > 0 {
			spans = append(spans, span{text: "\n"})
		}
		base := style{}
		if l.Quote > 0 {
			base.role = quote
		}
		if head := l.Head(); head != "" {
			spans = append(spans, span{style{role: faint}, head})
		}
		for _, s := range l.Spans {
			spans = append(spans, span{a.marked(s, base), s.Text})
		}
	}
	return spans
}

// marked returns how a part of a text looks.
func (a *account) marked(s markdown.Span, base style) style {
	base.bold, base.italic, base.strike = s.Style&markdown.Bold != 0, s.Style&markdown.Italic != 0, s.Style&markdown.Strike != 0
	switch {
	case s.Kind == markdown.Link:
		base.role = link
	case s.Kind == markdown.Mention && strings.EqualFold(s.Target, a.self), s.Kind == markdown.Mention && s.Target == short(a.self, a.self):
		base.role = fresh
	case s.Kind == markdown.Mention:
		base.bold = true
	case s.Style&markdown.Code != 0:
		base.role = code
	}
	return base
}

// state returns what became of an own message.
func state(e *command.EntryJSON) []span {
	if !e.Own {
		return nil
	}
	switch e.State {
	case "queued":
		return []span{{style{role: faint}, " (queued)"}}
	case "failed":
		return []span{{style{role: alarm}, " (failed)"}}
	case "sent":
		return []span{{style{role: good}, " ✓"}}
	case "delivered":
		return []span{{style{role: good}, " ✓✓"}}
	case "read":
		return []span{{style{role: good}, " ✓✓ read"}}
	}
	return nil
}

// under returns the rows below a message: reactions with how many there are, and how many answers.
func (a *account) under(e *command.EntryJSON, width int) []row {
	var spans []span
	for _, r := range e.Reactions {
		as := style{}
		if slices.Contains(r.Users, a.self) {
			as.role = fresh
		}
		spans = append(spans, span{as, reaction(r.Emoji) + " " + fmt.Sprint(r.Count)}, span{text: "  "})
	}
	if e.Replies > 0 {
		spans = append(spans, span{style{role: faint}, "↳ " + command.Replies(e.Replies)})
	}
	if len(spans) == 0 {
		return nil
	}
	rows := wrap(spans, width-inset(width), width-inset(width))
	for i := range rows {
		mark := "├"
		if i == len(rows)-1 {
			mark = "└"
		}
		rows[i] = append(aside(mark, width), rows[i]...)
	}
	return rows
}

// reaction returns an emoji of others. What may be something else, such as words with numbers, is quoted.
func reaction(text string) string {
	text = brief(text, 12)
	if g := displaywidth.StringGraphemes(text); g.Next() && g.Value() == text && text[0] >= utf8.RuneSelf {
		return text
	}
	return "“" + strings.NewReplacer("“", "'", "”", "'").Replace(text) + "”"
}

// inset returns how far rows of an entry after the first are set in: no text can look like another entry.
func inset(width int) int {
	if width < 24 {
		return 2
	}
	return indent
}

// setIn sets rows in.
func setIn(rows []row, width int) []row {
	for i := range rows {
		rows[i] = append(row{{text: strings.Repeat(" ", inset(width))}}, rows[i]...)
	}
	return rows
}

// aside returns the beginning of a row that is set in and does not belong to the text of a message: there is a mark where texts have nothing.
func aside(mark string, width int) row {
	if inset(width) < indent {
		return row{{style{role: faint}, mark + " "}}
	}
	return row{{style{role: faint}, "   " + mark + "─ "}}
}

// laid puts text after a head, or below it where there is hardly any room behind. Rows after the first are set in.
func laid(head row, text []span, width int) []row {
	in := inset(width)
	first := width - head.width()
	if first < 10 {
		rows := wrap(head, width, width-in)
		return append(append(rows[:1:1], setIn(rows[1:], width)...), setIn(wrap(text, width-in, width-in), width)...)
	}
	rows := wrap(text, first, width-in)
	return append([]row{append(head, rows[0]...)}, setIn(rows[1:], width)...)
}

// summary says in one line what an entry is about, for quotes and hints.
func (a *account) summary(e *command.EntryJSON, width int) string {
	if e == nil {
		return ""
	}
	text := e.Text
	if e.File != nil {
		text = e.File.Name + " " + text
	}
	return brief(fmt.Sprintf("%s: %s", short(a.self, e.Sender), text), width)
}
