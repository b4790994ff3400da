package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/clipperhouse/displaywidth"
)

// geometry is where things are on the screen, for the mouse.
type geometry struct {
	left     int // columns of the list, with its border; 0 where it is not shown
	listTop  int // index of the conversation in the first row of the list
	body     int // rows of messages, from row 1 on
	composer int // the row where it begins
	entries  []int64
}

// least is the smallest screen on which the list is beside the messages.
const least = 60

// leftWidth returns how many columns the list takes, with its border.
func (m *Model) leftWidth() int {
	if m.width < least {
		return 0
	}
	return min(max(m.width/4, 18), 30)
}

// rightWidth returns how many columns the messages take.
func (m *Model) rightWidth() int { return max(m.width-m.leftWidth(), 1) }

// lower returns the rows below the messages, but for the line at the bottom, and where the cursor is in them.
func (m *Model) lower() (rows []row, x, y int) {
	width := m.rightWidth()
	if len(m.asking) > 0 {
		rows, x, y = m.questionRows(m.asking[0], width)
	} else if m.at != nil {
		rows, x, y = m.composerRows(width)
	}
	if most := max(min(maxComposer, m.height/3), 1); len(rows) > most { // the row of the cursor is shown
		from := min(max(y-most+1, 0), len(rows)-most)
		rows, y = rows[from:from+most], y-from
	}
	return rows, x, y
}

// composerRows returns what is written.
func (m *Model) composerRows(width int) (rows []row, x, y int) {
	c := &m.at.composer
	typed, x, y := c.rows(max(width-2, 1))
	for i, r := range typed {
		lead := "  "
		if i == 0 {
			lead = "› "
		}
		rows = append(rows, append(row{{style{role: faint}, lead}}, r...))
	}
	return rows, x + 2, y
}

// bodyHeight returns how many rows there are for messages: all but the title, a ruler, what is written and what is at the bottom.
func (m *Model) bodyHeight() int {
	lower, _, _ := m.lower()
	return max(m.height-2-len(lower)-len(m.bottom()), 0)
}

// rows returns what gives the rows of the entries of an account.
func (m *Model) rows(a *account) func(i int) []row {
	width := m.rightWidth()
	return func(i int) []row { return a.entryRows(i, width) }
}

// View implements tea.Model.
func (m *Model) View() tea.View {
	lines, x, y := m.screen()
	drawn := make([]string, len(lines))
	for i, r := range lines {
		drawn[i] = m.theme.draw(r)
	}
	v := tea.NewView(strings.Join(drawn, "\n"))
	v.AltScreen, v.ReportFocus, v.MouseMode = true, true, tea.MouseModeCellMotion
	v.WindowTitle = m.title()
	if x >= 0 {
		v.Cursor = tea.NewCursor(x, y)
	}
	return v
}

// title is that of the window: no word from outside is in it.
func (m *Model) title() string {
	n := 0
	for _, a := range m.accounts {
		n += a.unread()
	}
	if n == 0 {
		return "qpq"
	}
	return fmt.Sprintf("qpq (%d)", n)
}

// screen returns all rows of the screen, each as wide as that, and where the cursor is; x is below 0 for nowhere.
func (m *Model) screen() (lines []row, x, y int) {
	if m.width < 1 || m.height < 1 || m.at == nil {
		return nil, -1, 0
	}
	left, right := m.leftWidth(), m.rightWidth()
	lower, x, y := m.lower()
	body, bottom := m.bodyHeight(), m.bottom()
	m.drawn = geometry{left: left, body: body, composer: 2 + body}
	rows := append([]row{m.heading(right)}, m.bodyRows(right, body)...)
	rows = append(append(rows, m.between(right)), lower...)
	x, y = x+left, y+2+body
	if left > 0 {
		list := m.listRows(left-1, m.height-len(bottom))
		for i := range rows {
			beside := row{}
			if i < len(list) {
				beside = list[i]
			}
			rows[i] = append(append(beside.fit(left-1), span{style{role: faint}, "│"}), rows[i]...)
		}
	}
	rows = append(rows, bottom...)
	for i := range rows {
		rows[i] = rows[i].fit(m.width)
	}
	if len(rows) > m.height {
		over := len(rows) - m.height
		rows, y = rows[over:], y-over
	}
	if len(m.asking) == 0 {
		if at, ok := m.overlayCursor(); m.above != nil {
			if x, y = at.x+left, at.y+1; !ok {
				x = -1
			}
		} else if m.focus == onMessages {
			x = -1
		}
	}
	if x >= m.width || y >= m.height || y < 0 {
		x = -1
	}
	return rows, x, y
}

// heading says which conversation this is.
func (m *Model) heading(width int) row {
	a, v := m.at, m.at.current()
	name, about := "", ""
	switch {
	case m.above != nil:
		name = m.above.title()
	case v == nil && !a.listed:
		name = "qpq"
	case v == nil:
		name = "qpq"
	default:
		name = short(a.self, v.Name)
		about = conversationNote(v)
	}
	about = brief(about, max(width/2, 4)) + " "
	if about == " " {
		about = ""
	}
	r := row{{style{role: strong}, squeezed(name, max(width-displaywidth.String(about)-2, 4))}}
	gap := width - r.width() - displaywidth.String(about)
	return append(r, span{text: strings.Repeat(" ", max(gap, 1))}, span{style{role: faint}, about})
}

// conversationNote says what kind of conversation one is, and how one stands in it.
func conversationNote(v *conversation) string {
	note := "direct"
	if !v.Direct {
		note = fmt.Sprintf("%d members", len(v.Members))
	}
	if v.Standing != "active" && v.Standing != "" {
		note += ", " + v.Standing
	}
	return note
}

// bodyRows returns the messages, or what lies above them.
func (m *Model) bodyRows(width, height int) []row {
	rows := make([]row, height)
	a := m.at
	switch {
	case m.above != nil:
		copy(rows, m.above.rows(m, width, height))
	case a.messages.conversation == "":
		copy(rows, m.emptyRows(width))
	default:
		shown, _, _ := a.messages.onScreen(height, m.rows(a))
		pad := height - len(shown)
		m.drawn.entries = make([]int64, height)
		for i, r := range shown {
			rows[pad+i], m.drawn.entries[pad+i] = r.row, r.position
		}
		if a.messages.loaded && len(shown) == 0 {
			copy(rows, wrap([]span{{style{role: faint}, "Nothing was said here yet."}}, width, width))
		}
	}
	return rows
}

// emptyRows say what to do where there is no conversation.
func (m *Model) emptyRows(width int) []row {
	text := ""
	switch a := m.at; {
	case !a.ready && len(m.asking) > 0:
		text = "Welcome to qpq: messages that nobody in between can read.\n\nNobody is signed in here yet."
	case a.listed && a.ready:
		text = "No conversations yet.\n\n/dm NAME begins one, /create-group NAME makes a group, " + m.keys.first("help") + " shows the keys."
	}
	return wrap([]span{{text: text}}, width, width)
}

// between is the ruler above what is written, with what is to be known there.
func (m *Model) between(width int) row {
	text, as := "", faint
	if m.at.current() != nil || len(m.asking) > 0 {
		c := &m.at.composer
		switch {
		case len(m.asking) > 0:
		case c.about != nil && c.about.command == "edit":
			text, as = "change: "+m.at.summary(&c.about.entry, width), fresh
		case c.about != nil:
			text, as = "reply to "+m.at.summary(&c.about.entry, width), fresh
		case !m.at.messages.follow && m.focus == onComposer:
			text = "older messages; " + m.keys.first("last") + " goes to the newest"
		default:
			text = m.typingNote()
		}
	}
	if text == "" {
		return row{{style{role: faint}, strings.Repeat("─", width)}}
	}
	return ruler(brief(text, max(width-4, 1)), width, as)
}

// typingNote says who writes just now.
func (m *Model) typingNote() string {
	v := m.at.current()
	if v == nil || len(v.Typing) == 0 {
		return ""
	}
	var names []string
	for _, u := range v.Typing {
		names = append(names, short(m.at.self, oneLine(u)))
	}
	if len(names) == 1 {
		return names[0] + " is writing…"
	}
	return strings.Join(names, ", ") + " are writing…"
}

// maxStatus is how many rows at the bottom what was done, or why not, may take, on a screen of four times as many.
const maxStatus = 3

// bottom is the line at the bottom: what was done, what may be completed, or what keys do. A sentence that is longer has more rows.
func (m *Model) bottom() []row {
	a := m.at
	right := m.standing()
	room := max(m.width-displaywidth.String(right)-1, 1)
	var rows []row
	switch c := a.composer.completed; {
	case m.status.text != "":
		as := style{role: good}
		if m.status.bad {
			as = style{role: alarm}
		}
		rows = wrap([]span{{as, m.status.text}}, room, room)
		if most := max(min(m.height/4, maxStatus), 1); m.status.brief {
			rows = []row{{{as, brief(m.status.text, room)}}}
		} else if len(rows) > most {
			rows = rows[:most]
			rows[most-1] = append(rows[most-1].fit(max(room-2, 0)), span{as, " …"})
		}
	case c != nil && m.above == nil && m.focus == onComposer:
		rows = []row{c.rows(room)}
	default:
		rows = []row{{{style{role: faint}, brief(hinted(m.hint(), room), room)}}}
	}
	last := len(rows) - 1
	rows[last] = append(rows[last].fit(room), span{style{role: faint}, " " + right})
	return rows
}

// hinted leaves out of a hint what there is no room for: what stands before the last, which says where to read all of it.
func hinted(hint string, room int) string {
	parts := strings.Split(hint, " · ")
	for n := len(parts); n > 2 && displaywidth.String(strings.Join(parts, " · ")) > room; n-- {
		parts = slices.Delete(parts, n-2, n-1)
	}
	return strings.Join(parts, " · ")
}

// standing says who one is, and how the connection is.
func (m *Model) standing() string {
	a := m.at
	who := short(a.self, a.self)
	if len(m.accounts) > 1 || a.self == "" {
		who = a.profile
	}
	who = brief(who, max(m.width/4, 8))
	if a.offline != "" {
		queued := 0
		for _, e := range a.messages.entries {
			if e.State == "queued" {
				queued++
			}
		}
		if queued > 0 {
			return fmt.Sprintf("%s (offline, %d queued)", who, queued)
		}
		return who + " (offline)"
	}
	return who
}

// hint says what the keys do that matter now.
func (m *Model) hint() string {
	k := m.keys
	switch {
	case len(m.asking) > 0:
		return fmt.Sprintf("%s answers · %s gives up", k.first("send"), k.first("back"))
	case m.above != nil:
		return m.above.hint(m)
	case m.focus == onMessages:
		return fmt.Sprintf("%s/%s select · %s reply · %s write · %s keys", k.first("up"), k.first("down"), k.first("reply"), k.first("write"), k.first("show-keys"))
	case m.at.composer.about != nil:
		return fmt.Sprintf("%s sends · %s gives up", k.first("send"), k.first("back"))
	}
	return fmt.Sprintf("%s sends · %s completes · %s messages · %s keys", k.first("send"), k.first("complete"), k.first("back"), k.first("help"))
}

// rows shows the ways on which a word may go on.
func (c *completion) rows(width int) row {
	var r row
	used := 0
	for i := max(c.at-2, 0); i < len(c.words); i++ {
		s := span{style{role: faint}, " " + brief(c.words[i], 24) + " "}
		if i == c.at {
			s.style = style{role: chosen}
		}
		w := displaywidth.String(s.text)
		if used+w > width-2 {
			return append(r, span{style{role: faint}, "…"})
		}
		r, used = append(r, s), used+w
	}
	return r
}
