package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/quicproquo/qpq/command"
)

// conversationChooser goes to a conversation by its name.
func (m *Model) conversationChooser() overlay {
	return &chooser{name: "Go to", asks: "›", help: m.keys.first("choose") + " goes there", empty: "No conversation is called so.", choose: func(m *Model, i item) tea.Cmd {
		return m.goTo(i.value.(string))
	}, fill: func(m *Model, width int) (items []item) {
		c, _ := m.above.(*chooser)
		for _, v := range m.at.list {
			name := short(m.at.self, oneLine(v.Name))
			if c != nil && !strings.Contains(strings.ToLower(name), strings.ToLower(strings.TrimSpace(c.text.String()))) {
				continue
			}
			note := ""
			if v.Unread > 0 {
				note = fmt.Sprintf("  %d new", v.Unread)
			}
			items = append(items, item{row{{text: squeezed(name, width-12)}, {style{role: fresh}, note}}, v.ID})
		}
		return items
	}}
}

// profileChooser goes to another profile.
func (m *Model) profileChooser() overlay {
	names := m.cfg.Profiles()
	return &chooser{name: "Profiles", at: max(slices.Index(names, m.at.profile), 0), help: m.keys.first("choose") + " goes there; /profile NAME makes a new one", empty: "There is no profile.", choose: func(m *Model, i item) tea.Cmd {
		return m.enter(i.value.(string))
	}, fill: func(m *Model, _ int) (items []item) {
		for _, name := range names {
			note := ""
			if a := m.accounts[name]; a != nil {
				note = "  " + oneLine(a.self)
				if n := a.unread(); n > 0 {
					note += fmt.Sprintf(", %d new", n)
				}
			}
			items = append(items, item{row{{text: brief(name, 24)}, {style{role: faint}, note}}, name})
		}
		return items
	}}
}

// deletion asks whether a message is to be deleted.
func (m *Model) deletion(e command.EntryJSON) overlay {
	return &chooser{name: "Delete for everybody: " + m.at.summary(&e, 40), help: m.keys.first("choose") + " takes it", fill: func(*Model, int) []item {
		return []item{{row{{text: "keep it"}}, false}, {row{{style{role: alarm}, "delete it"}}, true}}
	}, choose: func(m *Model, i item) tea.Cmd {
		if !i.value.(bool) {
			return nil
		}
		return m.run(m.at, "delete", aboutArgs("delete", &e, ""), "")
	}}
}

// emojiChooser takes the emoji for a reaction.
func (m *Model) emojiChooser(e command.EntryJSON) overlay {
	return &chooser{name: "React to " + m.at.summary(&e, 40), asks: ":", help: m.keys.first("choose") + " reacts; again takes it back", empty: "No emoji is called so; an emoji itself does as well.",
		fill: func(m *Model, _ int) (items []item) {
			typed := ""
			if c, ok := m.above.(*chooser); ok {
				typed = strings.TrimSpace(c.text.String())
			}
			for _, v := range emojiNamed(strings.Trim(typed, ":")) {
				items = append(items, item{row{{text: v.text + "  "}, {style{role: faint}, v.name}}, v.text})
			}
			if len(items) == 0 && typed != "" && !strings.ContainsAny(typed, "abcdefghijklmnopqrstuvwxyz ") {
				items = append(items, item{row{{text: visible(typed)}}, typed})
			}
			return items
		}, choose: func(m *Model, i item) tea.Cmd {
			args := aboutArgs("react", &e, i.value.(string))
			for _, r := range e.Reactions {
				if r.Emoji == i.value.(string) && slices.Contains(r.Users, m.at.self) {
					args["remove"] = true
				}
			}
			return m.run(m.at, "react", args, "")
		}}
}
