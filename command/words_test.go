package command_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

func TestWords(t *testing.T) {
	for line, want := range map[string][]string{
		`send bob hello`:            {"send", "bob", "hello"},
		"  send\tbob  \n hello ":    {"send", "bob", "hello"},
		`send "my team" 'a "b" \c'`: {"send", "my team", `a "b" \c`},
		`send bob it\'s\ fine`:      {"send", "bob", "it's fine"},
		`send bob "a \"b\" \n \\"`:  {"send", "bob", `a "b" \n \`},
		`send bob ""`:               {"send", "bob", ""},
		`send bob --text="a b"c`:    {"send", "bob", "--text=a bc"},
		``:                          nil,
	} {
		if got, err := command.Words(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", line, got, err)
		}
	}
	for _, line := range []string{`send "bob`, `send 'bob`, `send bob \`} {
		if got, err := command.Words(line); qpq.KindOf(err) != qpq.Invalid {
			t.Errorf("%s: %q, %v", line, got, err)
		}
	}
}

func TestLinesAreParsed(t *testing.T) {
	for line, want := range map[string]map[string]any{
		"whoami":                          {},
		"devices rename phone pocket":     {"device": "phone", "name": "pocket"},
		"send bob hello --no-wait there":  {"conversation": "bob", "text": "hello there", "no-wait": true},
		"send bob -- --no-wait":           {"conversation": "bob", "text": "--no-wait"},
		"send bob":                        {"conversation": "bob"},
		"history bob --limit 7":           {"conversation": "bob", "limit": int64(7)},
		"recv --wait=10s":                 {"wait": "10s"},
		"group invite team carol dave":    {"group": "team", "user": []string{"carol", "dave"}},
		`group create "our team" bob`:     {"name": "our team", "user": []string{"bob"}},
		"watch team --after 0":            {"conversation": "team", "after": int64(0)},
		"register alice --recovery-code":  {"user": "alice", "recovery-code": true},
		"list --offline=false":            {"offline": false},
		"dm bob what is it worth to you?": {"user": "bob", "text": "what is it worth to you?"},
	} {
		words, err := command.Words(line)
		check(t, err)
		c, got, err := command.Parse(words, nil)
		if err != nil || !reflect.DeepEqual(got, want) || !strings.HasPrefix(line, c.Name) {
			t.Errorf("%s: %v, %v", line, got, err)
		}
	}
	for line, what := range map[string]string{
		"":                       "the name of a command is missing",
		"sned bob":               `there is no command "sned"`,
		"group crate x":          `there is no command "group crate"`,
		"devices renmae a b":     `there is no command "devices renmae"`,
		"whoami now":             `"now" is one argument too many`,
		"members":                "an argument is missing: write members CONVERSATION",
		"send bob --now":         "unknown flag: --now",
		"history bob --limit ab": `invalid argument "ab"`,
	} {
		words, err := command.Words(line)
		check(t, err)
		if _, got, err := command.Parse(words, nil); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v, %v", line, got, err)
		}
	}
}

// TestNumbersMayBeReadOtherwise: who fills in numbers later decides what stands for one.
func TestNumbersMayBeReadOtherwise(t *testing.T) {
	_, got, err := command.Parse([]string{"history", "bob", "--limit", "later"}, func(s string) (any, error) { return "<" + s + ">", nil })
	if err != nil || got["limit"] != "<later>" {
		t.Error(got, err)
	}
}

func FuzzWords(f *testing.F) {
	f.Add(`send "my team" it\'s 'fine'`)
	f.Fuzz(func(t *testing.T, line string) {
		words, err := command.Words(line)
		if err != nil {
			return
		}
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
		}
		again, err := command.Words(strings.Join(quoted, " "))
		if err != nil || strings.ToValidUTF8(line, "") == line && !slices.Equal(again, words) {
			t.Errorf("%q: %q and then %q, %v", line, words, again, err)
		}
		_, _, _ = command.Parse(words, nil)
	})
}
