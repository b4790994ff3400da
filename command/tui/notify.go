package tui

import (
	"context"
	"slices"

	tea "charm.land/bubbletea/v2"

	"github.com/quicproquo/qpq/command"
)

// lines are the kinds of messages that are lines of a history; others change them.
var lines = []string{"text", "reply", "file", "view-once", "unknown"}

// notify has the desktop tell of a message of somebody else, while nobody looks at the terminal.
func (m *Model) notify(a *account, e *command.EntryJSON) tea.Cmd {
	if !m.away || m.cfg.Tell == nil || m.cfg.Notify == NotifyOff || e.Type != "message" || e.Own || !slices.Contains(lines, e.Kind) {
		return nil
	}
	title, text := "qpq", "a message from "+oneLine(short(a.self, e.Sender))
	if e.Name != e.Sender {
		text += " in " + brief(e.Name, 40)
	}
	if m.cfg.Notify == NotifyText && (e.Kind == "text" || e.Kind == "reply") {
		title, text = oneLine(short(a.self, e.Sender)), brief(e.Text, 200)
	}
	return m.command(func(context.Context) tea.Msg {
		m.cfg.Tell(title, text)
		return nil
	})
}
