package tui

import (
	"context"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// typingAgain is how often others are told that somebody goes on writing.
const typingAgain = 5 * time.Second

// typed tells the others of the conversation that somebody writes, where there is a way to tell them.
func (m *Model) typed() tea.Cmd {
	a, v := m.at, m.at.current()
	text := a.composer.String()
	if v == nil || a.offline != "" || strings.TrimSpace(text) == "" || strings.HasPrefix(text, "/") || a.telling[v.ID] {
		return nil
	}
	id := v.ID
	a.telling[id] = true
	return tea.Batch(
		m.command(func(ctx context.Context) tea.Msg {
			_, _ = a.call(ctx, "typing", map[string]any{"conversation": id, "state": "on"}, &collector{}) // of the moment: nobody misses it
			return nil
		}),
		tea.Tick(typingAgain, func(time.Time) tea.Msg { return toldMsg{of{a}, id} }))
}

// toldMsg says that others may be told again that somebody writes.
type toldMsg struct {
	of
	conversation string
}

// whoTypes notes in a list who writes in the conversation with an id.
func (a *account) whoTypes(ctx context.Context, id string, list []conversation) {
	i := slices.IndexFunc(list, func(v conversation) bool { return v.ID == id })
	if i < 0 {
		return
	}
	var v struct{ Typing []string }
	out, err := a.call(ctx, "typing", map[string]any{"conversation": id}, &collector{})
	if err == nil && decode(out.Value, &v) == nil { // of the moment: nobody misses it
		list[i].Typing = v.Typing
	}
}
