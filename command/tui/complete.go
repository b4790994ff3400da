package tui

import (
	"slices"
	"strings"
	"unicode"

	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/slash"
)

// slashes are the commands of a session, in the order of the help.
var slashes = slash.New(
	[]*slash.Command{{Name: "switch", Usage: "/switch NAME", Summary: "go to another conversation", Of: command.OfConversations}},
	[]*slash.Command{
		{Name: "profile", Usage: "/profile [NAME]", Summary: "go to another profile, each with an account of its own", Of: ofProfiles},
		{Name: "help", Usage: "/help [COMMAND]", Summary: "show what there is, or what a command does", Of: slash.OfCommands},
		{Name: "quit", Usage: "/quit", Summary: "end"},
	})

// ofProfiles is what a parameter names that stands for a profile.
const ofProfiles command.Of = "profiles"

// completion is what a word may become.
type completion struct {
	from  int // where the word begins, in characters
	words []string
	at    int // the one that stands in the text; -1 for none of them
}

// complete completes the word before the cursor as far as there is one way, and goes through the ways where there are several.
func (m *Model) complete(step int) {
	c := &m.at.composer
	if d := c.completed; d != nil {
		d.at = (d.at + step + len(d.words)) % len(d.words)
		if d.at < 0 {
			d.at = len(d.words) - 1
		}
		c.replace(d.from, d.words[d.at])
		return
	}
	before := string(c.Text[:c.At])
	from, words := m.candidates(before)
	if len(words) == 0 {
		return
	}
	at := len([]rune(before[:from]))
	if len(words) == 1 {
		c.replace(at, words[0]+" ")
		return
	}
	if common := commonStart(words); len(common) > len(before)-from {
		c.replace(at, common)
	}
	c.completed = &completion{at, words, -1}
}

func (c *composer) replace(from int, with string) {
	c.Cut(from, c.At)
	c.Insert(with)
}

// commonStart returns how all words begin.
func commonStart(words []string) string {
	common := []rune(words[0])
	for _, w := range words[1:] {
		n := 0
		for n < len(common) && n < len([]rune(w)) && unicode.ToLower(common[n]) == unicode.ToLower([]rune(w)[n]) {
			n++
		}
		common = common[:n]
	}
	return string(common)
}

// candidates returns what may stand for the last word of a text: commands and what they name, people after an @, emoji after a colon.
func (m *Model) candidates(before string) (from int, words []string) {
	if strings.HasPrefix(before, "/") {
		return slashes.Complete(before, m.named)
	}
	from = strings.LastIndexFunc(before, unicode.IsSpace) + 1
	word := before[from:]
	switch {
	case strings.HasPrefix(word, "@"):
		for _, name := range m.members() {
			words = append(words, "@"+name)
		}
		return from, slash.Starting(words, word)
	case strings.HasPrefix(word, ":") && len(word) > 1:
		return from, emojiFor(word[1:])
	}
	return 0, nil
}

// members returns who else is in the conversation.
func (m *Model) members() (names []string) {
	if v := m.at.current(); v != nil {
		for _, member := range v.Members {
			if member.User != m.at.self {
				names = append(names, short(m.at.self, oneLine(member.User)))
			}
		}
	}
	slices.Sort(names)
	return names
}

// named returns what a parameter of a command may name.
func (m *Model) named(of command.Of) (list []string) {
	a := m.at
	switch of {
	case command.OfConversations:
		for _, v := range a.list {
			if v.Standing != "ended" {
				list = append(list, short(a.self, oneLine(v.Name)))
			}
		}
	case command.OfUsers:
		for _, v := range a.list {
			for _, member := range v.Members {
				list = append(list, short(a.self, oneLine(member.User)))
			}
		}
	case command.OfRoles:
		list = slices.Clone(command.Roles)
	case command.OfSwitch:
		list = []string{"off", "on"}
	case command.OfPrivacy:
		list = slices.Clone(command.Privacies)
	case ofProfiles:
		list = m.cfg.Profiles()
	}
	slices.Sort(list)
	return slices.Compact(list)
}
