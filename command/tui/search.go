package tui

import (
	"context"

	tea "charm.land/bubbletea/v2"

	"github.com/quicproquo/qpq/command"
)

// foundMsg is what a search came to.
type found struct {
	words string
	list  []command.EntryJSON
	err   error
}

// searcher searches while somebody writes what for, and goes to the message that is chosen.
func (m *Model) searcher() overlay {
	if _, err := command.Find("search"); err != nil {
		m.report(err)
		return nil
	}
	a := m.at
	var list []command.EntryJSON
	c := &chooser{name: "Search", asks: "search:", help: m.keys.first("choose") + " goes to the message", empty: "Write what to search for. in:NAME, from:NAME, before:DATE and has:file narrow it down."}
	c.fill = func(_ *Model, width int) (items []item) {
		for _, e := range list {
			lead := e.Time.Local().Format("2006-01-02") + " " + brief(short(a.self, e.Name), 14) + "  "
			items = append(items, item{row{{style{role: faint}, lead}, {text: a.summary(&e, max(width-row{{text: lead}}.width()-3, 8))}}, e})
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
				var e command.EntryJSON
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
