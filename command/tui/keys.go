package tui

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/quicproquo/qpq"
)

// Action is something that a key does.
type Action string

// place is where a key does what it does. Keys of everywhere count in all other places too.
type place string

const (
	everywhere place = "everywhere"
	writing    place = "while you write"
	reading    place = "among messages"
	choosing   place = "in lists"
)

// binding is an action with its keys.
type binding struct {
	action    Action
	place     place
	keys, vim string // separated by spaces; vim is empty where it is the same
	help      string
}

// bindings are all actions, in the order of the help.
var bindings = []binding{
	{"help", everywhere, "f1", "", "show the keys"},
	{"quit", everywhere, "ctrl+q", "", "end; what you have begun to write is kept"},
	{"interrupt", everywhere, "ctrl+c", "", "give up what is under way; twice: end"},
	{"back", everywhere, "esc", "", "leave what is open, then go to the messages; a draft stays"},
	{"next-conversation", everywhere, "ctrl+n alt+down", "", "go to the next conversation"},
	{"previous-conversation", everywhere, "ctrl+p alt+up", "", "go to the one before"},
	{"next-unread", everywhere, "alt+n", "", "go to the next conversation with something new"},
	{"go", everywhere, "ctrl+g", "", "go to a conversation by its name"},
	{"search", everywhere, "ctrl+f", "", "search in what was said"},
	{"threads", everywhere, "ctrl+t", "", "list the threads of the conversation"},
	{"devices", everywhere, "f2", "", "list your devices"},
	{"transfers", everywhere, "f3", "", "list what is under way: files and other commands"},
	{"profiles", everywhere, "f4", "", "go to another profile"},
	{"page-up", everywhere, "pgup", "pgup ctrl+b", "scroll back"},
	{"page-down", everywhere, "pgdown", "pgdown", "scroll forth"},
	{"first", everywhere, "ctrl+home", "", "go to the very first message"},
	{"last", everywhere, "ctrl+end", "", "go to the newest message"},
	{"redraw", everywhere, "ctrl+l", "", "draw the screen anew"},

	{"send", writing, "enter", "", "send, or carry out a command"},
	{"newline", writing, "alt+enter shift+enter ctrl+j", "", "break the line"},
	{"complete", writing, "tab", "", "complete a command, a name or an emoji; again: the next one"},
	{"complete-back", writing, "shift+tab", "", "the completion before"},
	{"line-up", writing, "up", "", "a line up, then back in what you sent"},
	{"line-down", writing, "down", "", "a line down, then forth"},
	{"left", writing, "left", "", "a character back"},
	{"right", writing, "right", "", "a character forth"},
	{"word-left", writing, "alt+left ctrl+left alt+b", "", "a word back"},
	{"word-right", writing, "alt+right ctrl+right alt+f", "", "a word forth"},
	{"line-start", writing, "home ctrl+a", "", "to the start of the line"},
	{"line-end", writing, "end ctrl+e", "", "to its end"},
	{"delete-back", writing, "backspace ctrl+h", "", "delete the character before"},
	{"delete", writing, "delete ctrl+d", "", "delete the one after; with nothing written: end"},
	{"delete-word", writing, "ctrl+w alt+backspace", "", "delete the word before"},
	{"delete-to-end", writing, "ctrl+k", "", "delete to the end of the line"},
	{"delete-all", writing, "ctrl+u", "", "delete all that is written; undo brings it back"},
	{"yank", writing, "ctrl+y", "", "put back what was deleted last"},

	{"up", reading, "up", "up k", "the message before"},
	{"down", reading, "down", "down j", "the next message"},
	{"first-message", reading, "home", "home g", "the very first message"},
	{"last-message", reading, "end", "end G", "the newest message"},
	{"write", reading, "enter tab", "i a enter tab", "write"},
	{"reply", reading, "r", "", "reply to the message"},
	{"react", reading, "+", "", "react to it"},
	{"edit", reading, "e", "", "change it, if it is yours"},
	{"delete-message", reading, "d", "d x", "delete it, if it is yours"},
	{"thread", reading, "t", "", "show its thread"},
	{"fetch", reading, "o", "", "download its file, or view what can be viewed once"},
	{"show-keys", reading, "?", "", "show the keys"},
	{"search-here", reading, "/", "", "search in what was said"},
	{"command", reading, ":", "", "write a command"},
	{"vim-next", reading, "ctrl+down", "J ctrl+down", "the next conversation"},
	{"vim-previous", reading, "ctrl+up", "K ctrl+up", "the conversation before"},

	{"list-up", choosing, "up ctrl+p", "", "the one above"},
	{"list-down", choosing, "down ctrl+n", "", "the one below"},
	{"choose", choosing, "enter", "", "take it"},
}

// Keys are which keys do what.
type Keys struct {
	keys  map[Action][]string
	does  map[place]map[string]Action
	modal bool // writing has to be begun and left, as in vi
}

// Rebinding is a line of a settings file: an action, and its keys with spaces between them.
type Rebinding struct {
	Action, Keys string
	Line         int
}

// NewKeys returns the keys of a set, "default" or "vim", with changes. It fails with qpq.Invalid where an action or a key is unknown, or a key would do
// two things in one place.
func NewKeys(set string, changes []Rebinding) (*Keys, error) {
	k := &Keys{modal: set == "vim", keys: map[Action][]string{}, does: map[place]map[string]Action{everywhere: {}, writing: {}, reading: {}, choosing: {}}}
	lines := map[Action]int{}
	for _, b := range bindings {
		k.keys[b.action] = strings.Fields(b.keys)
		if set == "vim" && b.vim != "" {
			k.keys[b.action] = strings.Fields(b.vim)
		}
	}
	for _, c := range changes {
		if _, ok := k.keys[Action(c.Action)]; !ok {
			return nil, wrongKey(c.Line, fmt.Sprintf("there is no action %q%s", c.Action, similar(c.Action)))
		}
		k.keys[Action(c.Action)] = strings.Fields(c.Keys)
		lines[Action(c.Action)] = c.Line
		for _, key := range k.keys[Action(c.Action)] {
			if err := checkKey(key); err != nil {
				return nil, wrongKey(c.Line, fmt.Sprintf("%s: %v", c.Action, err))
			}
		}
	}
	return k, k.index(lines)
}

// index notes what keys do. A key of the settings takes it from one that has it by default; two of the settings are in conflict.
func (k *Keys) index(lines map[Action]int) error {
	for _, b := range bindings {
		for _, key := range slices.Clone(k.keys[b.action]) {
			other, taken := k.taken(b.place, key)
			switch {
			case !taken:
			case lines[b.action] > 0 && lines[other] > 0:
				return wrongKey(max(lines[b.action], lines[other]), fmt.Sprintf("%q would do both %s and %s: give one of them another key", key, other, b.action))
			case lines[b.action] > 0:
				k.drop(other, key)
			case lines[other] > 0:
				k.drop(b.action, key)
				continue
			}
			k.does[b.place][key] = b.action
		}
	}
	for _, a := range []Action{"quit", "back", "send"} { // without them nobody gets out, or says anything
		if len(k.keys[a]) == 0 {
			return wrongKey(lines[a], fmt.Sprintf("%s has no key left: give it one", a))
		}
	}
	return nil
}

// taken returns what has a key where one of a place would want it. Lists have keys of their own.
func (k *Keys) taken(p place, key string) (Action, bool) {
	places := []place{p}
	switch p {
	case everywhere:
		places = []place{everywhere, writing, reading}
	case writing, reading:
		places = append(places, everywhere)
	}
	for _, p := range places {
		if a, ok := k.does[p][key]; ok {
			return a, true
		}
	}
	return "", false
}

func (k *Keys) drop(a Action, key string) {
	k.keys[a] = slices.DeleteFunc(k.keys[a], func(s string) bool { return s == key })
	for _, does := range k.does {
		if does[key] == a {
			delete(does, key)
		}
	}
}

// action returns what a key does in a place, empty where that is nothing.
func (k *Keys) action(p place, key string) Action {
	if a, ok := k.does[p][key]; ok {
		return a
	}
	return k.does[everywhere][key]
}

// first returns the first key of an action, for hints.
func (k *Keys) first(a Action) string {
	if keys := k.keys[a]; len(keys) > 0 {
		return keyName(keys[0])
	}
	return "–"
}

// keyName returns a key as people write it.
func keyName(key string) string {
	parts := strings.Split(key, "+")
	for i, p := range parts {
		if len(p) > 1 {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.NewReplacer("Pgup", "PgUp", "Pgdown", "PgDn").Replace(strings.Join(parts, "-"))
}

// named are keys that are called by a word.
var named = strings.Fields("enter esc tab backspace delete insert space up down left right home end pgup pgdown " +
	"f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12")

// checkKey refuses what no key is called.
func checkKey(key string) error {
	rest := key
	for _, modifier := range []string{"ctrl+", "alt+", "shift+", "super+"} {
		rest = strings.TrimPrefix(rest, modifier)
	}
	if slices.Contains(named, rest) || utf8.RuneCountInString(rest) == 1 {
		return nil
	}
	return fmt.Errorf("there is no key %q: write one character or a word such as enter, pgup or f5, after ctrl+, alt+ and shift+ in this order", key)
}

func wrongKey(line int, what string) error {
	where := "[keys]"
	if line > 0 {
		where = fmt.Sprintf("line %d, [keys]", line)
	}
	return qpq.E(qpq.Invalid, "bad-keys", where+": "+what)
}

// similar suggests the action that was probably meant.
func similar(name string) string {
	for _, b := range bindings {
		if a := string(b.action); len(name) > 2 && (strings.Contains(a, name) || strings.Contains(name, a)) {
			return fmt.Sprintf(": perhaps %q is meant", a)
		}
	}
	return ": docs/tui.md lists them"
}
