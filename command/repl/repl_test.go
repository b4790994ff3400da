package repl

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/repl/editor"
)

// paper is a console that keeps what is shown, of a width.
type paper struct {
	Console
	width int
	shown []string
	ask   editor.Prompt
}

func (p *paper) Print(text string)            { p.shown = append(p.shown, text) }
func (p *paper) Note(text string)             { p.shown = append(p.shown, text) }
func (p *paper) Width() int                   { return p.width }
func (p *paper) SetPrompt(text editor.Prompt) { p.ask = text }

// session returns one in which there are conversations, the first of them current.
func session(width int, list ...conversation) (*REPL, *paper) {
	p := &paper{width: width}
	r := New(Config{Console: p, Person: true})
	r.self = "alice@localhost"
	for _, v := range list {
		r.learn(&v)
	}
	if len(list) > 0 {
		r.current = r.places[0]
	}
	return r, p
}

var (
	bob = conversation{ID: "b0b", Name: "bob@localhost", Direct: true, Standing: "active",
		Members: []struct{ User string }{{"alice@localhost"}, {"bob@localhost"}}}
	team = conversation{ID: "7ea3", Name: "Dream team", Standing: "active", Unread: 2,
		Members: []struct{ User string }{{"alice@localhost"}, {"carol@example.org"}}}
	former = conversation{ID: "01d", Name: "former", Standing: "ended", Unread: 1}
)

func TestArguments(t *testing.T) {
	for line, want := range map[string]map[string]any{
		"members":                      {"conversation": "b0b"},
		"members team":                 {"conversation": "team"},
		`members "Dream team"`:         {"conversation": "Dream team"},
		"history --limit 10":           {"conversation": "b0b", "limit": int64(10)},
		"history --limit=10 team":      {"conversation": "team", "limit": int64(10)},
		"invite carol dave":            {"group": "b0b", "user": []string{"carol", "dave"}},
		"create-group 'a b' carol":     {"name": "a b", "user": []string{"carol"}},
		"create-group alone":           {"name": "alone"},
		"rename   A new  title":        {"group": "b0b", "title": "A new  title"},
		"role carol admin":             {"group": "b0b", "user": "carol", "role": "admin"},
		"dm carol are you --there?":    {"user": "carol", "text": "are you --there?"},
		"dm carol":                     {"user": "carol"},
		"send team --no-wait   hi you": {"conversation": "team", "text": "hi you", "no-wait": true},
		"join":                         {},
		"delete-account --yes":         {"yes": true},
		"group-info":                   {"conversation": "b0b"},
		"leave":                        {"group": "b0b"},
	} {
		name, rest, _ := strings.Cut(line, " ")
		s := slashes.Find(name)
		if s == nil {
			t.Errorf("there is no /%s", name)
			continue
		}
		if got, err := s.Arguments(rest, "b0b"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("/%s means %v, %v and not %v", line, got, err, want)
		}
	}
}

func TestArgumentsThatAreRefused(t *testing.T) {
	for line, want := range map[string]string{
		"invite":            "user is missing: write /invite USER...",
		"members a b":       `"b" is one argument too many: write /members [CONVERSATION]`,
		"history --limit x": "--limit takes a number",
		"history --nothing": "there is no option --nothing",
		"send team":         "text is missing: write /send CONVERSATION TEXT",
		"rename":            "title is missing",
	} {
		name, rest, _ := strings.Cut(line, " ")
		_, err := slashes.Find(name).Arguments(rest, "b0b")
		if qpq.KindOf(err) != qpq.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("/%s: %v", line, err)
		}
	}
	if _, err := slashes.Find("members").Arguments("", ""); qpq.CodeOf(err) != "no-conversation" {
		t.Errorf("without a conversation: %v", err)
	}
}

// TestAllThatIsPromised: each command that people know is there, and does what its name says.
func TestAllThatIsPromised(t *testing.T) {
	for name, of := range map[string]string{
		"dm": "dm", "create-group": "group create", "invite": "group invite", "remove": "group remove", "leave": "group leave", "join": "join", "list": "list",
		"members": "members", "group-info": "group info", "history": "history", "whoami": "whoami", "devices": "devices", "verify-fs": "verify-fs",
		"update-key": "update-key", "delete-account": "delete-account", "devices-rename": "devices rename", "passwd": "passwd",
	} {
		if s := slashes.Find(name); s == nil || s.Command == nil || s.Command.Name != of {
			t.Errorf("/%s is not %s", name, of)
		}
	}
	for _, name := range []string{"switch", "help", "quit"} {
		if slashes.Find(name) == nil {
			t.Errorf("there is no /%s", name)
		}
	}
	for _, c := range command.All() {
		if s := slashes.Find(c.Name); s == nil || s.Command != c {
			t.Errorf("there is no slash for %s", c.Name)
		}
	}
}

func TestComplete(t *testing.T) {
	r, _ := session(80, bob, team, former)
	for before, want := range map[string][]string{
		"/mem":               {"/members"},
		"/switch ":           {`"Dream team"`, "bob"},
		"/switch dr":         {`"Dream team"`},
		`/switch "Dr`:        {`"Dream team"`},
		"/switch f":          nil,
		"/invite ":           {"alice", "bob", "carol@example.org"},
		"/invite carol@e":    {"carol@example.org"},
		"/invite bob a":      {"alice"},
		"/invite bob b":      nil,
		"/role bob ad":       {"admin"},
		"/help mem":          {"members"},
		"/members B":         {"bob"},
		"/nothing ":          nil,
		"plain /mem":         nil,
		"/create-group x bo": {"bob"},
	} {
		from, got := r.Complete(before)
		if !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%q goes on with %q and not %q", before, got, want)
		}
		if word := before[from:]; len(got) > 0 && strings.Contains(strings.Trim(word, `"`), " ") {
			t.Errorf("%q: %q would be replaced", before, word)
		}
	}
}

// progress is how far a transfer is, as it comes from another process.
func progress(done, total int) command.Output {
	return command.Output{Value: json.RawMessage(fmt.Sprintf(`{"progress":{"transfer":1,"name":"holiday.jpg","done":%d,"total":%d}}`, done, total))}
}

func TestPrompt(t *testing.T) {
	r, p := session(80, bob, team, former)
	for _, c := range []struct {
		change func()
		want   string
	}{
		{func() {}, "bob [Dream team 2, former 1]> "},
		{func() { r.places[2].unread = 0 }, "bob [Dream team 2]> "},
		{func() { r.offline = true }, "bob [Dream team 2] (offline)> "},
		{func() { r.unsent = 3 }, "bob [Dream team 2] (offline, 3 queued)> "},
		{func() { r.offline, r.slow = false, true }, "bob [Dream team 2] (sending 3)> "},
		{func() { visible{r}.Show(progress(45, 100)) }, "bob [Dream team 2] (holiday.jpg 45%) (sending 3)> "},
		{func() { visible{r}.Show(progress(100, 100)) }, "bob [Dream team 2] (holiday.jpg 100%) (sending 3)> "},
		{func() { r.moves("") }, "bob [Dream team 2] (sending 3)> "},
		{func() { r.unsent, r.current = 0, nil }, "[Dream team 2]> "},
		{func() { r.places[1].name = "evil\x1b[31m\n" + strings.Repeat("x", 100) }, "[evil[31m xxxxxxxxxxxxxx… 2]> "},
	} {
		c.change()
		r.prompt()
		if p.ask.Text != c.want {
			t.Errorf("the prompt is %q and not %q", p.ask.Text, c.want)
		}
	}
}

// TestNoTextLooksLikeAnother: whatever somebody writes, none of its lines begins where entries do, and nothing but text reaches the terminal.
func TestNoTextLooksLikeAnother(t *testing.T) {
	at := time.Now()
	forged := at.Local().Format("15:04") + " bob: send money"
	for _, text := range []string{"x\n" + forged, "x" + strings.Repeat(" ", 200) + forged, "x\r" + forged, "x\x1b[A\x1b[G" + forged, "x\u2028" + forged,
		strings.Repeat("y", 200) + " " + forged, "x\v\f\u0085\u202e" + forged} {
		for _, width := range []int{0, 24, 31, 60, 100} {
			for _, lay := range []struct{ marked, color bool }{{false, false}, {true, false}, {true, true}} {
				for _, before := range []string{"", "> ", ">>>>>>>> ", "**a** ", "```\n"} {
					noForgery(t, at, before+text, width, lay.marked, lay.color)
				}
			}
		}
	}
}

var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

func noForgery(t *testing.T, at time.Time, text string, width int, marked, color bool) {
	t.Helper()
	r, p := session(width, bob)
	r.cfg.Color = color
	r.entry(&command.EntryJSON{Type: "message", Short: "ab3de7gh", Conversation: "b0b", Name: "bob@localhost", Sender: "carol\x1b@localhost", Kind: "text", Time: at, Text: text}, true, marked)
	shown := strings.Join(p.shown, "\n")
	if color {
		shown = sgr.ReplaceAllString(shown, "")
	}
	for i, line := range strings.Split(shown, "\n") {
		if i > 0 && !strings.HasPrefix(line, "      ") || strings.ContainsAny(line, "\x1b\r\v\f\u202e\u2028") {
			t.Errorf("width %d, %q: line %d is %q", width, text, i, line)
		}
		if width > 0 && len([]rune(line)) >= width {
			t.Errorf("width %d, %q: line %d breaks at the edge: %q", width, text, i, line)
		}
	}
}

func TestMarks(t *testing.T) {
	at := time.Date(2026, 11, 27, 15, 4, 0, 0, time.Local)
	for _, color := range []bool{false, true} {
		r, p := session(40, bob)
		r.day, r.cfg.Color = "2026-11-27", color
		text := "**bold** and `code` [x](https://evil.example/)\n> quoted *and* more than fits into a line"
		r.entry(&command.EntryJSON{Type: "message", Name: "bob@localhost", Sender: "bob@localhost", Kind: "text", Text: text, Time: at}, true, true)
		want := "15:04 bob: **bold** and `code`\n      [x](https://evil.example/)\n      > quoted *and* more than fits\n      into a line"
		if color {
			want = "\x1b[2m15:04 \x1b[m\x1b[33mbob: \x1b[m\x1b[1mbold\x1b[m and \x1b[36mcode\x1b[m \x1b[4mx\x1b[m\n" +
				"      \x1b[4m<https://evil.example/>\x1b[m\n      > quoted \x1b[3mand\x1b[m more than fits into\n      > a line"
		}
		if got := strings.Join(p.shown, "\n"); got != want {
			t.Errorf("with colours %v it is shown as\n%q, wanted\n%q", color, got, want)
		}
	}
}

func TestEntries(t *testing.T) {
	at := time.Date(2026, 11, 27, 15, 4, 0, 0, time.Local)
	r, p := session(0, bob)
	r.day = "2026-11-26"
	for _, e := range []command.EntryJSON{
		{Type: "message", Name: "bob@localhost", Sender: "bob@localhost", Kind: "text", Text: "hi"},
		{Type: "message", Name: "bob@localhost", Sender: "alice@localhost", Own: true, State: "queued", Kind: "text", Text: "later"},
		{Type: "message", Name: "bob@localhost", Sender: "alice@localhost", Own: true, State: "failed", Kind: "text", Text: "never"},
		{Type: "message", Name: "bob@localhost", Sender: "bob@localhost", Kind: "unknown", Text: "something"},
		{Type: "notice", Name: "bob@localhost", Text: "bob left"},
	} {
		e.Time = at
		r.entry(&e, true, false)
	}
	r.entry(&command.EntryJSON{Type: "message", Name: "carol@localhost", Sender: "carol@localhost", Kind: "text", Text: "psst", Time: at}, false, false)
	r.entry(&command.EntryJSON{Type: "message", Name: "Dream team", Sender: "carol@example.org", Kind: "text", Text: "all", Time: at.AddDate(0, 0, 1)}, false, false)
	want := []string{"-- Friday, 27 November 2026 --", "15:04 bob: hi", "15:04 alice (queued): later", "15:04 alice (failed): never", "15:04 bob (something)",
		"15:04 -- bob left", "15:04 [carol] psst", "-- Saturday, 28 November 2026 --", "15:04 [Dream team] carol@example.org: all"}
	if !slices.Equal(p.shown, want) {
		t.Errorf("shown is %q", p.shown)
	}
}

// TestPartsImitateNoEntries: of what a command gives that is no entry, as a text to be viewed once, no line stands where entries begin.
func TestPartsImitateNoEntries(t *testing.T) {
	for _, width := range []int{0, 40, 80} {
		r, p := session(width, bob)
		text := "12:04 ab3de7gh bob: send her the money\n12:05 ab3de7gi bob: now"
		if err := (visible{r}).Result(command.Output{Value: map[string]string{"id": "a1", "text": text}, Text: text}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.Join(p.shown, "\n"), "\n")
		for _, line := range lines {
			if !strings.HasPrefix(line, "      ") {
				t.Errorf("%d columns: a line is shown as %q", width, line)
			}
		}
		if got := strings.Join(strings.Fields(strings.Join(lines, " ")), " "); got != strings.ReplaceAll(text, "\n", " ") {
			t.Errorf("%d columns: it is shown as %q", width, got)
		}
	}
}
