package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/clipperhouse/displaywidth"
)

// listRows returns the list of conversations in rows of a width.
func (m *Model) listRows(width, height int) []row {
	a := m.at
	rows := []row{{{style{role: strong}, brief(" Conversations", width)}}}
	height--
	at := m.currentIndex()
	if at >= height { // the current one is on the screen
		m.drawn.listTop = at - height + 1
	}
	for i := m.drawn.listTop; i < len(a.list) && i < m.drawn.listTop+height; i++ {
		rows = append(rows, m.listRow(&a.list[i], i == at, width))
	}
	return rows
}

// listRow returns the line of a conversation: a mark where it is the current one, its name, and how many messages are new.
func (m *Model) listRow(v *conversation, current bool, width int) row {
	a := m.at
	count := ""
	if v.Unread > 0 {
		count = fmt.Sprint(v.Unread)
		if v.Unread > 999 {
			count = "999+"
		}
	} else if v.ID != a.messages.conversation && a.drafts[v.ID] != "" {
		count = "draft"
	}
	lead := " "
	if current {
		lead = "›"
	}
	name := squeezed(short(a.self, v.Name), max(width-displaywidth.String(count)-3, 3))
	gap := width - 1 - displaywidth.String(name) - displaywidth.String(count) - 1
	as := style{}
	switch {
	case current:
		as = style{role: chosen, bold: v.Unread > 0}
	case v.Standing == "ended":
		as = style{role: faint}
	case v.Unread > 0:
		as = style{role: fresh}
	}
	return row{{as, lead + name + strings.Repeat(" ", max(gap, 1)) + count + " "}}
}

// currentIndex returns which of the list is on the screen, -1 for none.
func (m *Model) currentIndex() int {
	return slices.IndexFunc(m.at.list, func(v conversation) bool { return v.ID == m.at.messages.conversation })
}

// goTo shows a conversation.
func (m *Model) goTo(id string) tea.Cmd {
	m.at.open(id)
	m.above = nil
	m.status = status{}
	if !m.keys.modal {
		m.focus = onComposer
	}
	return nil
}

// goBy shows the conversation so many after the current one in the list; with unread, the next that has something new.
func (m *Model) goBy(step int, unread bool) tea.Cmd {
	a := m.at
	n := len(a.list)
	if n == 0 {
		return nil
	}
	at := m.currentIndex()
	for i := 1; i <= n; i++ {
		to := ((at+i*step)%n + n) % n
		if !unread || a.list[to].Unread > 0 {
			return m.goTo(a.list[to].ID)
		}
	}
	return nil
}
