package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/quicproquo/qpq/command/repl/editor"
)

// overlay lies above the conversation until it is left.
type overlay interface {
	title() string
	hint(*Model) string
	rows(m *Model, width, height int) []row
	key(*Model, tea.KeyPressMsg) tea.Cmd
	paste(*Model, string)
	wheel(by int)
	click(m *Model, y int) tea.Cmd
	take(m *Model, value any) // what it asked for
	tend(*Model) tea.Cmd      // what it asks for
}

// overlayMsg is what an overlay asked for.
type overlayMsg struct {
	of
	overlay overlay
	value   any
}

// overlayKey takes a key for what lies above the conversation.
func (m *Model) overlayKey(k tea.KeyPressMsg) tea.Cmd {
	if a := m.keys.action(everywhere, k.String()); a == "back" {
		m.above = nil
		return nil
	} else if a == "quit" {
		return tea.Quit
	}
	return m.above.key(m, k)
}

type point struct{ x, y int }

// overlayCursor returns where the cursor is in what lies above the conversation, if it is anywhere.
func (m *Model) overlayCursor() (at point, ok bool) {
	if c, is := m.above.(*chooser); is && c.asks != "" {
		_, x, _ := c.input()
		return point{x, 0}, true
	}
	return point{}, false
}

// page is text to be read.
type page struct {
	name, text string
	hang       int // how far the rows after the first of a line are set in that begins with two spaces
	top        int
	last       int // the highest top
	height     int
}

// show lays text above the conversation.
func (m *Model) show(name, text string) { m.above = &page{name: name, text: text} }

func (p *page) title() string { return p.name }

func (p *page) hint(m *Model) string {
	return m.keys.first("back") + " closes · " + m.keys.first("page-down") + " goes on"
}

func (p *page) rows(_ *Model, width, height int) []row {
	all := laidOut(p.text, width, p.hang)
	p.height, p.last = height, max(len(all)-height, 0)
	p.top = min(p.top, p.last)
	return all[p.top:min(p.top+height, len(all))]
}

// laidOut breaks text into rows. What a line begins with is kept: tables stay tables.
func laidOut(text string, width, hang int) (rows []row) {
	for line := range strings.SplitSeq(visible(text), "\n") {
		in := 0
		if strings.HasPrefix(line, "  ") && hang < width/2 {
			in = hang
		}
		for i, r := range wrap([]span{{text: line}}, width, width-in) {
			if i > 0 && in > 0 {
				r = append(row{{text: strings.Repeat(" ", in)}}, r...)
			}
			rows = append(rows, r)
		}
	}
	return rows
}

func (p *page) key(m *Model, k tea.KeyPressMsg) tea.Cmd {
	switch action, where := m.keys.action(reading, k.String()), m.keys.action(choosing, k.String()); {
	case where == "list-up" || action == "up":
		p.wheel(-1)
	case where == "list-down" || action == "down":
		p.wheel(1)
	case action == "page-up":
		p.wheel(-p.height)
	case action == "page-down":
		p.wheel(p.height)
	case action == "first-message":
		p.wheel(-p.last)
	case action == "last-message":
		p.wheel(p.last)
	case where == "choose":
		m.above = nil
	case k.Text != "" && !m.keys.modal: // somebody goes on writing
		m.above, m.focus = nil, onComposer
		return m.key(k)
	}
	return nil
}

func (p *page) wheel(by int) { p.top = max(0, min(p.top+by, p.last)) }

func (p *page) paste(*Model, string) {}

func (p *page) click(*Model, int) tea.Cmd { return nil }

func (p *page) take(*Model, any) {}

func (p *page) tend(*Model) tea.Cmd { return nil }

// item is a line of a chooser.
type item struct {
	row
	value any
}

// chooser is a list of which one is taken. With asks there is a line to write in above it.
type chooser struct {
	name, help, empty, asks string
	fill                    func(m *Model, width int) []item   // called whenever it is drawn
	choose                  func(m *Model, i item) tea.Cmd     // nil does nothing
	typed                   func(m *Model, c *chooser) tea.Cmd // when what is written has changed
	took                    func(m *Model, c *chooser, value any)
	stays                   bool // it stays open when something was chosen

	text   editor.Buffer
	items  []item
	at     int
	top    int
	height int
	begun  bool
}

func (c *chooser) title() string { return c.name }

func (c *chooser) hint(m *Model) string {
	return c.help + " · " + m.keys.first("back") + " closes"
}

// input returns the line to write in, and where its cursor is.
func (c *chooser) input() (r row, x, y int) {
	w := composer{Buffer: c.text}
	rows, x, y := w.rows(1 << 20)
	lead := c.asks + " "
	return append(row{{style{role: faint}, lead}}, rows[0]...), x + row{{text: lead}}.width(), y
}

func (c *chooser) rows(m *Model, width, height int) (rows []row) {
	if c.asks != "" {
		r, _, _ := c.input()
		rows = append(rows, r)
	}
	c.height = max(height-len(rows), 1)
	c.items = c.fill(m, width)
	c.at = max(0, min(c.at, len(c.items)-1))
	c.top = max(0, min(c.top, c.at))
	if c.at >= c.top+c.height {
		c.top = c.at - c.height + 1
	}
	if len(c.items) == 0 && c.empty != "" {
		return append(rows, wrap([]span{{style{role: faint}, c.empty}}, width, width)...)
	}
	for i := c.top; i < len(c.items) && i < c.top+c.height; i++ {
		r := c.items[i].row
		if i == c.at {
			r = mark(append(row{{text: "› "}}, r...), width)
		} else {
			r = append(row{{text: "  "}}, r...)
		}
		rows = append(rows, r)
	}
	return rows
}

func (c *chooser) key(m *Model, k tea.KeyPressMsg) tea.Cmd {
	where := m.keys.action(choosing, k.String())
	if c.asks == "" && where == "" {
		switch m.keys.action(reading, k.String()) { // as among messages
		case "up":
			where = "list-up"
		case "down":
			where = "list-down"
		}
	}
	switch where {
	case "list-up":
		c.at = max(c.at-1, 0)
		return nil
	case "list-down":
		c.at = min(c.at+1, max(len(c.items)-1, 0))
		return nil
	case "choose":
		return c.take1(m)
	}
	switch m.keys.action(everywhere, k.String()) {
	case "page-up":
		c.wheel(-c.height)
		return nil
	case "page-down":
		c.wheel(c.height)
		return nil
	}
	if c.asks == "" {
		return nil
	}
	w := composer{Buffer: c.text}
	if action := m.keys.action(writing, k.String()); action != "newline" && w.edit(action) {
		c.text = w.Buffer
	} else if k.Text != "" {
		c.text.Insert(k.Text)
	} else {
		return nil
	}
	return c.changed(m)
}

func (c *chooser) changed(m *Model) tea.Cmd {
	c.at = 0
	if c.typed == nil {
		return nil
	}
	return c.typed(m, c)
}

// take1 takes the item that the mark is on.
func (c *chooser) take1(m *Model) tea.Cmd {
	if c.at >= len(c.items) || c.choose == nil {
		return nil
	}
	if !c.stays {
		m.above = nil
	}
	return c.choose(m, c.items[c.at])
}

func (c *chooser) wheel(by int) { c.at = max(0, min(c.at+by, len(c.items)-1)) }

func (c *chooser) paste(_ *Model, text string) {
	if c.asks != "" {
		c.text.Insert(strings.Join(strings.Fields(text), " "))
	}
}

func (c *chooser) click(m *Model, y int) tea.Cmd {
	if c.asks != "" {
		y--
	}
	if y < 0 || c.top+y >= len(c.items) {
		return nil
	}
	c.at = c.top + y
	return c.take1(m)
}

func (c *chooser) take(m *Model, value any) {
	if c.took != nil {
		c.took(m, c, value)
	}
}

func (c *chooser) tend(m *Model) tea.Cmd {
	if c.begun || c.typed == nil {
		return nil
	}
	c.begun = true
	return c.typed(m, c)
}
