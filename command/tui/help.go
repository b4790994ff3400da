package tui

import (
	"fmt"
	"strings"
)

// keyColumn is where the help says what keys do.
const keyColumn = 25

// helpText says which keys do what.
func (m *Model) helpText() string {
	var b strings.Builder
	b.WriteString("What you write is said in the conversation; what begins with a slash is a command (/help lists them).\n")
	var at place
	for _, v := range bindings {
		keys := m.keys.keys[v.action]
		if len(keys) == 0 {
			continue
		}
		if v.place != at {
			at = v.place
			fmt.Fprintf(&b, "\n%s\n", strings.ToUpper(string(at[:1]))+string(at[1:]))
		}
		shown := make([]string, len(keys))
		for i, k := range keys {
			shown[i] = keyName(k)
		}
		fmt.Fprintf(&b, "  %-*s %s\n", keyColumn-3, strings.Join(shown, " "), v.help)
	}
	b.WriteString("\nKeys are changed in the settings file: docs/tui.md says how.")
	return b.String()
}

// commandsText lists the commands.
func (m *Model) commandsText() string {
	widest := 0
	for _, s := range slashes {
		widest = max(widest, len(s.Usage))
	}
	var b strings.Builder
	b.WriteString("What does not begin with a slash is said in the current conversation.\n\n")
	for _, s := range slashes {
		fmt.Fprintf(&b, "%-*s  %s\n", min(widest, m.rightWidth()/2), s.Usage, s.Summary)
	}
	return b.String()
}
