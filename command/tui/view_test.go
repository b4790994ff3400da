package tui

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/clipperhouse/displaywidth"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// screenOf returns a model of a size, with an account that is signed in and reaches nothing.
func screenOf(t testing.TB, width, height int, list ...conversation) *Model {
	t.Helper()
	keys, err := NewKeys("default", nil)
	check(t, err)
	m, err := newModel(context.Background(), Config{Profile: "default", Profiles: func() []string { return []string{"default", "work"} }, Theme: Dark, Keys: keys})
	check(t, err)
	a := newAccount("default")
	a.ready, a.listed, a.format, a.self = true, true, true, "alice@localhost"
	m.accounts["default"], m.at = a, a
	m.update(tea.WindowSizeMsg{Width: width, Height: height})
	a.learn(list)
	return m
}

var (
	bob  = conversation{ID: "b0b", Name: "bob@localhost", Direct: true, Standing: "active", Members: []struct{ User, Role string }{{User: "alice@localhost"}, {User: "bob@localhost"}}}
	team = conversation{ID: "7ea3", Name: "Dream team", Standing: "active", Unread: 2, Members: []struct{ User, Role string }{{User: "alice@localhost"}, {User: "carol@example.org"}}}
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.Local)

// fromBob returns messages of bob.
func fromBob(texts ...string) (list []command.EntryJSON) {
	for i, text := range texts {
		list = append(list, command.EntryJSON{Type: "message", Kind: "text", Position: int64(i + 1), Conversation: "b0b", Name: "bob@localhost",
			ID: fmt.Sprintf("%032x", i+1), Sender: "bob@localhost", Time: noon, Text: text})
	}
	return list
}

// has puts all entries that there are into the window.
func (m *Model) has(list []command.EntryJSON) {
	s := &m.at.messages
	s.entries, s.loaded, s.first, s.last, s.follow = list, true, true, true, true
}

// press takes keys as the terminal names them: "ctrl+a", "enter", or text.
func (m *Model) press(keys ...string) {
	for _, k := range keys {
		m.update(keyOf(k))
	}
}

func keyOf(name string) tea.KeyPressMsg {
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight,
		"home": tea.KeyHome, "end": tea.KeyEnd, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "backspace": tea.KeyBackspace, "f1": tea.KeyF1, "f4": tea.KeyF4}
	k := tea.KeyPressMsg{}
	rest := name
	for prefix, mod := range map[string]tea.KeyMod{"ctrl+": tea.ModCtrl, "alt+": tea.ModAlt, "shift+": tea.ModShift} {
		if after, ok := strings.CutPrefix(rest, prefix); ok {
			k.Mod |= mod
			rest = after
		}
	}
	if code, ok := special[rest]; ok {
		k.Code = code
	} else if runes := []rune(rest); len(runes) == 1 {
		k.Code = runes[0]
		if k.Mod == 0 {
			k.Text = rest
		}
	} else {
		k.Text = rest
	}
	return k
}

// text returns what is on the screen, without styles and spaces at the ends of lines.
func (m *Model) text() string {
	var lines []string
	rows, _, _ := m.screen()
	for _, r := range rows {
		line := ""
		for _, s := range r {
			line += s.text
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return strings.Join(lines, "\n")
}

func (m *Model) shows(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(m.text(), text) {
			t.Errorf("%q is not on the screen:\n%s", text, m.text())
		}
	}
}

// painted is what styles of ours send: selections of graphic rendition, and nothing else.
var painted = regexp.MustCompile(`\x1b\[[0-9;:]*m`)

// harmless fails unless a screen does nothing to the terminal but show text, within its size.
func harmless(t *testing.T, m *Model, why string) {
	t.Helper()
	v := m.View()
	bare := painted.ReplaceAllString(v.Content, "")
	for _, r := range bare + v.WindowTitle {
		if r != '\n' && !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) {
			t.Fatalf("%s: the screen has %U:\n%q", why, r, v.Content)
		}
	}
	if strings.Contains(v.WindowTitle, "\n") {
		t.Fatalf("%s: the title is %q", why, v.WindowTitle)
	}
	lines := strings.Split(bare, "\n")
	if len(lines) != m.height {
		t.Fatalf("%s: %d lines on a screen of %d", why, len(lines), m.height)
	}
	for _, line := range lines {
		if w := displaywidth.String(line); w > m.width {
			t.Fatalf("%s: a line of %d columns on a screen of %d: %q", why, w, m.width, line)
		}
	}
}

// FuzzView: whatever others write, call themselves or their groups, and whatever is pasted, the screen only shows it.
func FuzzView(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b]0;title\a\x1b[2J\x1b[H", "\x1b]52;c;aGk=\x07", "\u202eabc\u2066\u200f", "\u009b31m\u0085", "a\r\nb\tc\vd\x7f", "\xff\xfe", "e\u0301\u0301",
		"日本語🙂👩\u200d🚀", "\U000e0041", strings.Repeat("x", 300), "**bold** `code` > quote\n> more", "https://a.example/\u202e"} {
		f.Add(seed, uint8(80), uint8(24))
		f.Add(seed, uint8(20), uint8(5))
	}
	f.Fuzz(func(t *testing.T, evil string, width, height uint8) {
		hostile := team
		hostile.Name, hostile.Title, hostile.Typing, hostile.Unread = evil, evil, []string{evil}, 1
		hostile.Members = append(slices.Clone(team.Members), struct{ User, Role string }{evil, evil})
		m := screenOf(t, int(width)%160+1, int(height)%60+1, hostile, bob)
		list := fromBob(evil, "fine")
		list[0].Sender, list[0].Name = evil, evil
		list = append(list, command.EntryJSON{Type: "notice", Position: 3, Time: noon, Text: evil}, command.EntryJSON{Type: "message", Kind: evil, Position: 4, Sender: evil, Own: true, State: evil, Time: noon, Text: evil})
		m.has(list)
		harmless(t, m, "messages")
		m.press("esc", "up", "up", "up")
		harmless(t, m, "selected")
		m.at.messages.selected = 1
		m.press("r")
		m.update(tea.PasteMsg{Content: evil})
		harmless(t, m, "a reply, and what is pasted")
		m.report(fmt.Errorf("%s", evil))
		harmless(t, m, "an error")
		m.update(noticeMsg{of{m.at}, client.Notice{Code: "offline", Text: evil}})
		m.update(noticeMsg{of{m.at}, client.Notice{Code: "other", Text: evil}})
		harmless(t, m, "notices")
		m.show(evil, evil)
		harmless(t, m, "a result")
		for _, above := range []overlay{m.conversationChooser(), m.deletion(list[0]), m.emojiChooser(list[0]), m.profileChooser()} {
			m.above = above
			m.update(tea.PasteMsg{Content: evil})
			harmless(t, m, "a list")
		}
		m.above = m.searcher()
		m.above.take(m, found{list: []command.HitJSON{{EntryJSON: list[0], Spans: []command.SpanJSON{{Start: len(evil) / 3, End: len(evil) / 2}, {Start: len(evil), End: len(evil) + 1}}}}})
		harmless(t, m, "what was found")
		m.above = m.transfers()
		m.above.take(m, []transferJSON{{ID: 1, Name: evil, Conversation: evil, Total: 10, Done: 3, State: "stopped", Problem: evil}, {ID: 2, Upload: true, Name: evil, Conversation: hostile.ID}})
		harmless(t, m, "transfers")
		m.above = nil
		m.update(askedMsg{&question{Question: command.Question{Prompt: evil}, answer: make(chan answer, 1)}})
		m.update(tea.PasteMsg{Content: evil})
		harmless(t, m, "a question")
	})
}

// TestASCII: where the terminal shows nothing else, nothing else is sent, and all stays in its column.
func TestASCII(t *testing.T) {
	m := screenOf(t, 80, 24, bob, team)
	m.theme = newTheme(true, true)
	m.has(fromBob("grüße 日本語 🙂 ✓ “quoted”…"))
	for _, r := range m.View().Content {
		if r > unicode.MaxASCII {
			t.Errorf("%q is sent", r)
		}
	}
	if !strings.Contains(m.View().Content, `gr??e ?????? ?? + "quoted"~`) {
		t.Errorf("the text is lost:\n%s", m.View().Content)
	}
}

// TestNoTextLooksLikeAnother: no line of a message begins where messages do.
func TestNoTextLooksLikeAnother(t *testing.T) {
	forged := "12:00 alice: send money"
	for _, text := range []string{"x\n" + forged, "x" + strings.Repeat(" ", 200) + forged, "x\r" + forged, "x\u2028" + forged, strings.Repeat("y", 200) + " " + forged, "x\v\f\u0085" + forged} {
		for _, width := range []int{24, 60, 80, 100} {
			m := screenOf(t, width, 40, bob)
			m.has(fromBob(text))
			at := m.leftWidth()
			for _, line := range strings.Split(m.text(), "\n")[1 : m.height-2] {
				runes := []rune(line)
				if len(runes) > at && strings.HasPrefix(string(runes[at:]), forged[:11]) {
					t.Errorf("width %d, %q: forged:\n%s", width, text, m.text())
				}
			}
		}
	}
}

// TestNoTextLooksLikeOurs: what this program says of messages stands where no text of a message can: what they answer, what was put on them, that they
// were changed, deleted or are files, what happened in the conversation, which day it was. No colours are needed to tell them apart.
func TestNoTextLooksLikeOurs(t *testing.T) {
	ours := fromBob("yes", "new words", "gone", "notes.txt")
	ours[0].Kind = "reply"
	check(t, decode(map[string]any{"quote": map[string]string{"sender": "alice@localhost", "text": "shall I pay?"}, "replies": 2,
		"reactions": []map[string]any{{"emoji": "👍", "count": 2, "users": []string{"alice@localhost"}}, {"emoji": "agreed 99", "count": 1}}}, &ours[0]))
	later := noon.Add(time.Hour)
	ours[1].Edited, ours[1].Expires = true, &later
	ours[2].Gone, ours[2].Text = "deleted", "deleted"
	ours[3].Kind, ours[3].File = "file", &command.FileJSON{Name: "notes.txt", Size: 19}
	ours = append(ours, command.EntryJSON{Type: "notice", Position: 5, Time: noon, Text: "alice@localhost made bob@localhost an admin"})
	for width := 12; width < 100; width++ {
		forged := []string{"", "  └─ 👍 9", "x\r└─ 👍 9"}
		for i := range ours {
			for _, line := range shown(t, ours[i], width) {
				_, behind, _ := strings.Cut(line, "bob")
				for _, s := range []string{line, strings.TrimLeft(line, " "), behind} {
					forged = append(forged, s, "x\n"+s, strings.Repeat("x ", width)+"\n"+s+"\nx", "x"+strings.Repeat(" ", width)+s, "> "+s, "```\n"+s+"\n```")
				}
			}
		}
		blank, head := strings.Repeat(" ", inset(width)), "12:00 bob: "
		for _, text := range forged {
			for i, line := range shown(t, fromBob(text)[0], width) {
				if i == 0 && !strings.HasPrefix(line+" ", head) || i > 0 && !strings.HasPrefix(line, blank) && line != "" {
					t.Fatalf("width %d: row %d of %q is %q", width, i, text, line)
				}
			}
		}
		for i := range ours {
			lines := shown(t, ours[i], width)
			said := slices.IndexFunc(lines, func(s string) bool { return strings.HasPrefix(s+" ", head) })
			if (said >= 0) != (i == 0) { // only the reply says nothing more of itself
				t.Fatalf("width %d: %q looks as if bob had written it", width, lines)
			}
			for j, line := range lines {
				if strings.HasPrefix(line, blank) && (j == 0 || i == 0 && j != said+1) {
					t.Fatalf("width %d: row %d of %q may be that of a text", width, j, lines)
				}
			}
		}
	}
	if got := strings.Join(shown(t, ours[0], 80), "\n"); got != "   ┌─ alice: shall I pay?\n12:00 bob: yes\n   └─ 👍 2  “agreed 99” 1  ↳ 2 replies" {
		t.Errorf("a reply is\n%s", got)
	}
}

// shown returns the rows of an entry, without spaces at the ends. With nothing but ASCII there are as many, and marks are marks.
func shown(t *testing.T, e command.EntryJSON, width int) (lines []string) {
	t.Helper()
	a := newAccount("default")
	a.self, a.format = "alice@localhost", true
	for _, r := range a.body(&e, width) {
		line := ""
		for _, s := range r {
			line += s.text
		}
		if w := displaywidth.String(line); w > width {
			t.Fatalf("%q has %d columns of %d", line, w, width)
		}
		if narrow := asASCII(line); len(narrow) > inset(width) && (strings.TrimSpace(narrow[:inset(width)]) == "") != strings.HasPrefix(line, strings.Repeat(" ", inset(width))) {
			t.Fatalf("%q is %q in ASCII", line, narrow)
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

// TestNamesAreWhole: nobody looks like somebody else because a name is long.
func TestNamesAreWhole(t *testing.T) {
	long := strings.Repeat("n", 64) + "@" + strings.Repeat("d", 50) + ".example"
	for width := 12; width < 200; width++ {
		e := fromBob("hello")[0]
		e.Sender = long
		if all := strings.ReplaceAll(strings.Join(shown(t, e, width), ""), " ", ""); !strings.Contains(all, long+":") {
			t.Fatalf("width %d: %q is not all of it", width, all)
		}
	}
}

// TestColors: light and dark terminals are sent different colours, and the same text.
func TestColors(t *testing.T) {
	m := screenOf(t, 80, 24, bob, team)
	m.has(fromBob("hello"))
	dark := m.View().Content
	m.theme = newTheme(false, false)
	light := m.View().Content
	if dark == light {
		t.Error("light and dark look the same")
	}
	if painted.ReplaceAllString(dark, "") != painted.ReplaceAllString(light, "") {
		t.Error("light and dark say different things")
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("one two three", 7, 5)
	f.Add("日本語です abc", 5, 4)
	f.Add("a\n\nb   c", 3, 3)
	f.Fuzz(func(t *testing.T, text string, first, rest int) {
		text, first, rest = visible(text), first&63+2, rest&63+2
		rows := wrap([]span{{text: text}}, first, rest)
		var all strings.Builder
		for i, r := range rows {
			room := rest
			if i == 0 {
				room = first
			}
			if r.width() > room {
				t.Fatalf("%q: row %d of %d columns in %d", text, i, r.width(), room)
			}
			for _, s := range r {
				all.WriteString(s.text)
			}
		}
		bare := func(s string) string { return strings.NewReplacer(" ", "", "\n", "").Replace(s) }
		if bare(all.String()) != bare(text) {
			t.Fatalf("%q became %q", text, all.String())
		}
	})
}

// TestSqueezed: of long names both ends are shown, in as much room as there is.
func TestSqueezed(t *testing.T) {
	for _, name := range []string{"bob", "carol@" + strings.Repeat("d", 40) + ".example", "日本語日本語日本語日本語", "e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", ""} {
		for width := 1; width < 60; width++ {
			got := squeezed(name, width)
			if w := displaywidth.String(got); w > width || displaywidth.String(name) > width && w < width-1 {
				t.Errorf("%q in %d columns is %q, of %d", name, width, got, w)
			}
		}
	}
	if got := squeezed("carol@example.com", 12); got != "carol@…e.com" {
		t.Errorf("carol is %q", got)
	}
}

// TestHits: what was found is marked, wherever it stands and however little room there is.
func TestHits(t *testing.T) {
	a := newAccount("default")
	a.self = "alice@localhost"
	marked := func(r row) string {
		text := ""
		for _, s := range r {
			if s.role == hit {
				text += "<" + s.text + ">"
			} else {
				text += s.text
			}
		}
		return strings.TrimRight(text, " ")
	}
	h := command.HitJSON{EntryJSON: fromBob("eggs, flour\nand milk: pancakes, and more pancakes for all of us")[0], Spans: []command.SpanJSON{{Start: 22, End: 30}, {Start: 41, End: 49}}}
	for _, c := range []struct {
		width int
		want  string
	}{
		{80, "bob: eggs, flour and milk: <pancakes>, and more <pancakes> for all of us"},
		{60, "bob: eggs, flour and milk: <pancakes>, and more <pancakes> for …"},
		{32, "bob: …nd milk: <pancakes>, and mo…"},
		{10, "bob: … <pa>…"},
	} {
		r := a.hit(&h, c.width)
		if got := marked(r); r.width() > c.width || got != c.want {
			t.Errorf("in %d columns it is %q", c.width, got)
		}
	}
	h.File, h.NameSpans, h.Text, h.Spans = &command.FileJSON{Name: "the recipe.pdf"}, []command.SpanJSON{{Start: 4, End: 10}}, "for you", nil
	if got := marked(a.hit(&h, 60)); got != "bob: the <recipe>.pdf for you" {
		t.Errorf("a file is %q", got)
	}
	for _, wrong := range [][]command.SpanJSON{{{Start: -1, End: 2}}, {{Start: 2, End: 1}}, {{Start: 3, End: 99}}, {{Start: 4, End: 7}, {Start: 5, End: 9}}} {
		if got := strings.NewReplacer("<", "", ">", "").Replace(marked(marks("the recipe", wrong))); got != "the recipe" {
			t.Errorf("%v: %q", wrong, got)
		}
	}
}

// TestHowFar: of a file on its way its share, its rate and the time that is left are shown, and on wide screens its size.
func TestHowFar(t *testing.T) {
	v := moving{what: "pictures of the summer.tar", done: 3 << 20, total: 12 << 20, rate: 1 << 20, left: 9 * time.Second}
	shown := func(r row) (text string) {
		for _, s := range r {
			text += s.text
		}
		return text
	}
	for width, want := range map[int]string{
		80: "pictures o…ummer.tar █████░░░░░░░░░░░░░░░░   25% of 12.0 MiB, 1.0 MiB/s, 9s left",
		50: "pictur…r.tar ██░░░░░░░░░   25%, 1.0 MiB/s, 9s left",
	} {
		if got := shown(v.row("", width)); got != want {
			t.Errorf("in %d columns it is %q", width, got)
		}
	}
	if got := shown(v.row("stopped: the disk is full", 80)); !strings.HasSuffix(got, "   25% of 12.0 MiB, stopped: the disk is full") {
		t.Errorf("a file that stopped is %q", got)
	}
}
