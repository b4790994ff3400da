package tui

import (
	"context"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/quicproquo/qpq/command"
)

// openThread shows the thread of a message in place of the conversation. What is written there answers it.
func (m *Model) openThread(e command.EntryJSON) tea.Cmd {
	a := m.at
	if a.beneath == nil {
		before := a.messages
		a.beneath = &before
	}
	a.turn(messages{conversation: e.Conversation, thread: e.ID, root: &e, follow: true})
	m.above = nil
	if !m.keys.modal {
		m.focus = onComposer
	}
	return nil
}

// leaveThread shows the conversation again.
func (a *account) leaveThread() {
	if a.beneath != nil {
		a.turn(*a.beneath)
		a.beneath = nil
		a.messages.stale, a.messages.loading = true, false
	}
}

// command is the name of the command that answers the query.
func (q query) command() string {
	if q.thread != "" {
		return "thread"
	}
	return "history"
}

// threadJSON is what the command threads says of one.
type threadJSON struct {
	Root    command.EntryJSON
	Replies int
	Unread  int
	Last    time.Time
}

// openThreads lists the threads of the conversation, those with the newest replies first.
func (m *Model) openThreads() tea.Cmd {
	a, v := m.at, m.at.current()
	if v == nil {
		return nil
	}
	var list []threadJSON
	c := &chooser{name: "Threads", help: m.keys.first("choose") + " shows one", empty: "…"}
	c.fill = func(_ *Model, width int) (items []item) {
		for _, t := range list {
			note := fmt.Sprintf("  %s, %s", command.Replies(t.Replies), t.Last.Local().Format("2 Jan 15:04"))
			fresh1 := ""
			if t.Unread > 0 {
				fresh1 = fmt.Sprintf(", %d new", t.Unread)
			}
			items = append(items, item{row{{text: a.summary(&t.Root, max(width-len(note)-len(fresh1)-3, 10))}, {style{role: faint}, note}, {style{role: fresh}, fresh1}}, t})
		}
		return items
	}
	c.took = func(m *Model, c *chooser, value any) {
		if err, failed := value.(error); failed {
			m.report(err)
			return
		}
		list, c.empty = value.([]threadJSON), "Nobody answered a message here yet."
	}
	c.choose = func(m *Model, i item) tea.Cmd { return m.openThread(i.value.(threadJSON).Root) }
	m.above = c
	return m.command(func(ctx context.Context) tea.Msg {
		out, err := a.call(ctx, "threads", map[string]any{"conversation": v.ID, "offline": true}, &collector{})
		var list []threadJSON
		if err == nil {
			err = decode(out.Value, &list)
		}
		if err != nil {
			return overlayMsg{of{a}, c, err}
		}
		return overlayMsg{of{a}, c, list}
	})
}
