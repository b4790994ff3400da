package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/markdown"
)

// indent is how far rows of an entry after the first are set in: no text can look like another entry.
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

// body returns the rows of what an entry says.
func (a *account) body(e *command.EntryJSON, width int) []row {
	clock := span{style{role: faint}, e.Time.Local().Format("15:04") + " "}
	if e.Type == "notice" {
		return a.laid(row{clock, {style{role: faint}, "-- "}}, []span{{style{role: faint}, visible(e.Text)}}, width)
	}
	if slices.Contains(e.Mentions, a.self) && !e.Own {
		clock.role = fresh
	}
	who := style{role: nameRole(e.Sender)}
	if e.Own {
		who = style{role: strong}
	}
	head := row{clock, {who, brief(short(a.self, e.Sender), max(width/3, 8))}, {who, ": "}}
	spans := append(a.quoted(e, width), a.said(e)...)
	spans = append(spans, state(e)...)
	return append(a.laid(head, spans, width), a.under(e, width)...)
}

// quoted returns the line of the message that a reply answers.
func (a *account) quoted(e *command.EntryJSON, width int) []span {
	switch {
	case e.Kind != "reply" || e.Gone != "":
		return nil
	case e.Quote == nil:
		return []span{{style{role: quote}, "↳ something that is not here\n"}}
	}
	return []span{{style{role: quote}, brief("↳ "+short(a.self, e.Quote.Sender)+": "+e.Quote.Text, max(width/2, 10)) + "\n"}}
}

// said returns what a message says.
func (a *account) said(e *command.EntryJSON) []span {
	var spans []span
	switch {
	case e.Gone != "", e.Kind == "unknown":
		spans = []span{{style{role: faint}, "(" + visible(e.Text) + ")"}}
	case e.Kind == "text", e.Kind == "reply":
		spans = a.text(e.Text)
	case e.File != nil:
		note := " (" + command.Bytes(e.File.Size)
		if e.File.State != "" && e.File.State != "there" {
			note += ", " + oneLine(e.File.State)
		}
		spans = []span{{style{role: link}, oneLine(e.File.Name)}, {style{role: faint}, note + ")"}}
		if e.File.Caption != "" {
			spans = append(append(spans, span{text: "\n"}), a.text(e.File.Caption)...)
		}
	default:
		spans = []span{{style{role: faint}, "(" + oneLine(e.Kind) + ") "}, {text: visible(e.Text)}}
	}
	if e.Edited && e.Gone == "" {
		spans = append(spans, span{style{role: faint}, " (edited)"})
	}
	if e.Expires != nil {
		spans = append(spans, span{style{role: faint}, " (until " + e.Expires.Local().Format("2 Jan 15:04") + ")"})
	}
	return spans
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
		spans = append(spans, span{as, brief(r.Emoji, 12) + " " + fmt.Sprint(r.Count)}, span{text: "  "})
	}
	if e.Replies > 0 {
		note := "↳ 1 reply"
		if e.Replies > 1 {
			note = fmt.Sprintf("↳ %d replies", e.Replies)
		}
		spans = append(spans, span{style{role: faint}, note})
	}
	if len(spans) == 0 {
		return nil
	}
	in := min(indent, width/4)
	rows := wrap(spans, width-in, width-in)
	for i := range rows {
		rows[i] = append(row{{text: strings.Repeat(" ", in)}}, rows[i]...)
	}
	return rows
}

// laid puts text after a head. Rows after the first are set in.
func (a *account) laid(head row, text []span, width int) []row {
	in := indent
	if width < 24 {
		in = 2
	}
	first := width - head.width()
	if first < 10 { // below the head
		rows := []row{head.fit(width)}
		for _, r := range wrap(text, width-in, width-in) {
			rows = append(rows, append(row{{text: strings.Repeat(" ", in)}}, r...))
		}
		return rows
	}
	rows := wrap(text, first, width-in)
	rows[0] = append(append(row{}, head...), rows[0]...)
	for i := 1; i < len(rows); i++ {
		rows[i] = append(row{{text: strings.Repeat(" ", in)}}, rows[i]...)
	}
	return rows
}

// summary says in one line what an entry is about, for quotes and hints.
func (a *account) summary(e *command.EntryJSON, width int) string {
	if e == nil {
		return ""
	}
	return brief(fmt.Sprintf("%s: %s", short(a.self, e.Sender), e.Text), width)
}
