package tui

import (
	"context"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/clipperhouse/displaywidth"

	"github.com/quicproquo/qpq/command"
)

// found is what a search came to.
type found struct {
	words string
	list  []command.HitJSON
	err   error
}

// hit returns a message that was found in one line: who wrote it, and what, from near the first place on that fits.
func (a *account) hit(h *command.HitJSON, width int) row {
	r := row{{text: squeezed(short(a.self, h.Sender), max(width/3, 8)) + ": "}}
	if h.File != nil {
		name := marks(h.File.Name, h.NameSpans)
		if r = append(r, name...); h.Text != "" {
			r = append(r, span{text: " "})
		}
	}
	room := width - r.width()
	said := marks(h.Text, h.Spans)
	if len(said) > 1 && said[:2].width() > room { // what comes before the first place leaves no room for it
		before := &said[0]
		before.text = lastColumns(before.text, max(room/3, 1))
	}
	if r = append(r, said...); r.width() > width {
		r = append(r.fit(width-1), span{text: "…"})
	}
	return r
}

// marks returns a text in one line, with the places in it marked. Those that are none are left out.
func marks(text string, places []command.SpanJSON) (r row) {
	at := 0
	for _, p := range places {
		if p.Start < at || p.End <= p.Start || p.End > len(text) {
			continue
		}
		r = append(r, span{text: flat(text[at:p.Start])}, span{style{role: hit}, flat(text[p.Start:p.End])})
		at = p.End
	}
	return append(r, span{text: flat(text[at:])})
}

// flat is visible text with spaces in place of line breaks.
func flat(text string) string {
	return strings.ReplaceAll(visible(strings.ReplaceAll(text, "\n", " ")), "\n", " ")
}

// lastColumns returns the end of a text that is too long.
func lastColumns(text string, width int) string {
	rest := []string{}
	for g := displaywidth.StringGraphemes(text); g.Next(); {
		rest = append(rest, g.Value())
	}
	for len(rest) > 0 && displaywidth.String(strings.Join(rest, "")) > width {
		rest = rest[1:]
	}
	return "…" + strings.Join(rest, "")
}

// searcher searches while somebody writes what for, and goes to the message that is chosen.
func (m *Model) searcher() overlay {
	if _, err := command.Find("search"); err != nil {
		m.report(err)
		return nil
	}
	a := m.at
	var list []command.HitJSON
	c := &chooser{name: "Search", asks: "search:", help: m.keys.first("choose") + " goes to the message", empty: "Write what to search for. in:NAME, from:NAME, before:DATE and has:file narrow it down."}
	c.fill = func(_ *Model, width int) (items []item) {
		for _, e := range list {
			lead := row{{style{role: faint}, e.Time.Local().Format("2006-01-02") + " " + squeezed(short(a.self, e.Name), 14) + "  "}}
			items = append(items, item{append(lead, a.hit(&e, max(width-lead.width()-3, 8))...), e.EntryJSON})
		}
		return items
	}
	c.typed = func(m *Model, c *chooser) tea.Cmd {
		words := c.text.String()
		if words == "" {
			list = nil
			return nil
		}
		return m.command(func(ctx context.Context) tea.Msg {
			got := &collector{}
			_, err := a.call(ctx, "search", map[string]any{searchParam(): words}, got)
			f := found{words: words, err: err}
			for _, o := range got.parts {
				var e command.HitJSON
				if decode(o.Value, &e) == nil && e.Position > 0 {
					f.list = append(f.list, e)
				}
			}
			return overlayMsg{of{a}, c, f}
		})
	}
	c.took = func(_ *Model, c *chooser, value any) {
		f := value.(found)
		if f.words != c.text.String() {
			return // there is a newer one under way
		}
		list, c.empty = f.list, "Nothing was found."
		if f.err != nil {
			c.empty = oneLine(f.err.Error())
		}
	}
	c.choose = func(m *Model, i item) tea.Cmd { return m.jump(i.value.(command.EntryJSON)) }
	return c
}

// searchParam returns the name of the parameter that says what to search for.
func searchParam() string {
	if c, err := command.Find("search"); err == nil {
		for _, p := range c.Params {
			if !p.Flag {
				return p.Name
			}
		}
	}
	return "words"
}

// jump goes to a message, wherever it is.
func (m *Model) jump(e command.EntryJSON) tea.Cmd {
	a := m.at
	a.open(e.Conversation)
	a.leaveThread()
	m.above, m.focus = nil, onMessages
	a.messages.loading = true
	return m.query(a, query{kind: around, conversation: e.Conversation, from: e.Position + 1, limit: pageSize, target: e.Position})
}
