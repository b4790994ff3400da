package editor

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// keyboard is an editor at a screen, and what its person did.
type keyboard struct {
	*screen
	*Editor
	in *io.PipeWriter
}

func open(t *testing.T, width, height int, change func(*Config)) *keyboard {
	s := newScreen(t, width, height)
	r, w := io.Pipe()
	c := Config{In: r, Out: s, Size: s.size}
	if change != nil {
		change(&c)
	}
	k := &keyboard{s, New(c, Prompt{Text: "> ", Style: "1"}), w}
	t.Cleanup(func() {
		k.Close()
		_ = w.Close()
	})
	return k
}

// types types, and returns when the keys were read: they are about to be handled.
func (k *keyboard) types(text string) {
	k.t.Helper()
	if _, err := io.WriteString(k.in, text); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keyboard) event(want Event) {
	k.t.Helper()
	if got := <-k.Events(); got != want {
		k.t.Errorf("the person did %+v and not %+v", got, want)
	}
}

const (
	up, down, left, right = "\x1b[A", "\x1b[B", "\x1b[D", "\x1b[C"
	home, end, del        = "\x1b[H", "\x1b[F", "\x1b[3~"
	enter, backspace      = "\r", "\x7f"
)

func TestTyping(t *testing.T) {
	for _, c := range []struct{ keys, shows string }{
		{"hello", "> hello|"},
		{"hello" + left + left + "X", "> helX|lo"},
		{"hello" + home + del + "J" + end + "!", "> Jello!|"},
		{"日本語" + left + left + backspace, "> |本語"},
		{"日本語" + left, "> 日本|語"},
		{"e\u0301a" + left + backspace + "o", "> o|a"},
		{"👩‍👩‍👧x" + left + backspace, "> |x"},
		{"one two three\x17\x17", "> one |"},
		{"one two\x15\x19\x19", "> one twoone two|"},
		{"one two\x1bb\x0b", "> one |"},
		{"one two\x01\x1bd", "> | two"},
		{"one two\x1b[1;5D\x1b[1;5Dx", "> x|one two"},
		{"ab\x02\x02\x06\x04", "> a|"},
		{"a\x1b\rb", "> a\nb|"},
		{"a\x1b[99;99xb\x1bOQ", "> ab|"},
		{"\xe4x", "> äx|"},
		{"\x1b[200~one\r\ntwo\tthree\x03\x1b[201~", "> one\ntwo    three|"},
		{"one\x00\x07\x1b", "> one|"},
	} {
		k := open(t, 40, 10, nil)
		k.types(c.keys)
		k.shows(c.shows)
	}
}

func TestSequencesComeInParts(t *testing.T) {
	k := open(t, 40, 10, nil)
	for _, b := range []byte("ab" + left + "é" + "\x1b[200~日\x1b[201~" + right + "c") {
		k.types(string([]byte{b}))
	}
	k.shows("> aé日bc|")
}

func TestLongLines(t *testing.T) {
	k := open(t, 10, 4, nil)
	k.types("0123456789abcdefg")
	k.shows("> 0123456\n789abcdef\ng|")
	k.types(home)
	k.shows("> |0123456\n789abcdef\ng")
	k.types(end + "hijklmnopqrstuvwxyz")
	k.shows("789abcdef\nghijklmno\npqrstuvwx\nyz|"[len("789abcdef\n"):])
	k.types("\x15日日日日")
	k.shows("> 日日日\n日|")
	k.types("\x150123456")
	k.shows("> 0123456\n|")
	k.types("\r")
	k.event(Event{Kind: Line, Text: "0123456"})
	k.shows("> |")
}

func TestPrintingKeepsTheLine(t *testing.T) {
	k := open(t, 12, 10, nil)
	k.types("0123456789abc" + left)
	k.Print("bob: hi")
	k.shows("bob: hi\n> 012345678\n9ab|c")
	k.Print("bob: longer than a row\n\x1b[31mcarol\x1b[m")
	k.shows("bob: hi\nbob: longer\nthan a row\ncarol\n> 012345678\n9ab|c")
	k.SetPrompt(Prompt{Text: "bob> "})
	k.shows("bob: hi\nbob: longer\nthan a row\ncarol\nbob> 012345\n6789ab|c")
	k.types("!" + enter)
	k.event(Event{Kind: Line, Text: "0123456789ab!c"})
	k.shows("bob: hi\nbob: longer\nthan a row\ncarol\nbob> |")
	k.Close()
	k.Print("bye")
	k.shows("bob: hi\nbob: longer\nthan a row\ncarol\nbye\n|")
}

func TestNarrowerTerminal(t *testing.T) {
	k := open(t, 20, 10, nil)
	k.Print("above")
	k.types("0123456789abcdefghi")
	k.shows("above\n> 0123456789abcdefg\nhi|")
	k.narrow(12)
	k.types("j")
	k.shows("above\n> 012345678\n9abcdefghij\n|")
}

func TestOneWriteForEachChange(t *testing.T) {
	k := open(t, 20, 10, nil)
	k.types("hello")
	k.shows("> hello|")
	before := k.writes
	k.Print("one")
	k.SetPrompt(Prompt{Text: "bob> "})
	k.SetPrompt(Prompt{Text: "bob> "})
	k.types(" world")
	k.shows("one\nbob> hello world|")
	if n := k.writes - before; n != 3 {
		t.Errorf("%d writes", n)
	}
}

func TestInterruptAndEnd(t *testing.T) {
	k := open(t, 40, 10, nil)
	k.types("hello\x03")
	k.event(Event{Kind: Interrupt})
	k.shows("> |")
	k.types("\x03")
	k.event(Event{Kind: Interrupt, Empty: true, Again: true})
	k.types("a" + backspace + "\x03")
	k.event(Event{Kind: Interrupt, Empty: true})
	k.types("a\x04")
	k.types("\x15\x04")
	k.event(Event{Kind: End})
}

func TestEndOfInput(t *testing.T) {
	k := open(t, 40, 10, nil)
	k.types("half")
	if err := k.in.Close(); err != nil {
		t.Fatal(err)
	}
	k.event(Event{Kind: End})
}

func TestHistory(t *testing.T) {
	k := open(t, 40, 10, nil)
	for _, line := range []string{"one", "two", "two", " ", "three"} {
		k.types(line + enter)
		k.event(Event{Kind: Line, Text: line})
	}
	for _, c := range []struct{ keys, shows string }{
		{"draft" + up, "> three|"}, {up, "> two|"}, {up, "> one|"}, {up, "> one|"}, {down, "> two|"}, {down + down, "> draft|"}, {down, "> draft|"},
		{up + "!", "> three!|"},
	} {
		k.types(c.keys)
		k.shows(c.shows)
	}
	k.types(enter)
	k.event(Event{Kind: Line, Text: "three!"})
}

func TestCompletion(t *testing.T) {
	words := []string{"/help", "/history", "/hint", "/quit"}
	k := open(t, 30, 10, func(c *Config) {
		c.Complete = func(before string) (int, []string) {
			from := strings.LastIndex(before, " ") + 1
			return from, slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !strings.HasPrefix(w, before[from:]) })
		}
	})
	k.types("/q\t")
	k.shows("> /quit |")
	k.types("\x15x /hi" + left + "\t")
	k.shows("/help     /history  /hint\n> x /h|i")
	k.types(right + "\t\x15x y\t")
	k.shows("/help     /history  /hint\n/history  /hint\n> x y|")
}

func TestQuestions(t *testing.T) {
	k := open(t, 40, 10, nil)
	k.types("half a li")
	k.shows("> half a li|")
	answers := make(chan string)
	go func() {
		b, err := k.Ask(context.Background(), Prompt{Text: "Password: "}, true)
		if err != nil {
			t.Error(err)
		}
		answers <- string(b)
		_, err = k.Ask(context.Background(), Prompt{Text: "Name: "}, false)
		if !errors.Is(err, ErrInterrupted) {
			t.Errorf("interrupted: %v", err)
		}
		b, err = k.Ask(context.Background(), Prompt{Text: "Name: "}, false)
		if err != nil {
			t.Error(err)
		}
		answers <- string(b)
	}()
	k.shows("Password: |")
	k.types("secrét" + up + "\t")
	k.Print("bob: hi")
	k.shows("bob: hi\nPassword: |")
	k.types(enter)
	if got := <-answers; got != "secrét" {
		t.Errorf("the password is %q", got)
	}
	k.shows("bob: hi\nPassword:\nName: |")
	k.types("ali\x03")
	k.shows("bob: hi\nPassword:\nName: |")
	k.types("alice" + enter)
	if got := <-answers; got != "alice" {
		t.Errorf("the name is %q", got)
	}
	k.shows("bob: hi\nPassword:\nName: alice\n> half a li|")
	k.types("ne" + up)
	k.shows("bob: hi\nPassword:\nName: alice\n> half a line|")
}

func TestWithdrawnQuestion(t *testing.T) {
	k := open(t, 40, 10, nil)
	k.types("abc")
	k.shows("> abc|")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		_, err := k.Ask(ctx, Prompt{Text: "Name: "}, false)
		ended <- err
	}()
	k.shows("Name: |")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	k.shows("> abc|")
}

func TestASCII(t *testing.T) {
	k := open(t, 40, 10, func(c *Config) { c.ASCII = true })
	k.types("ä日👩‍👩‍👧x" + left)
	k.shows("> ???|x")
	k.types(enter)
	k.event(Event{Kind: Line, Text: "ä日👩‍👩‍👧x"})
}

func TestSuspend(t *testing.T) {
	var k *keyboard
	suspended := make(chan string, 1)
	k = open(t, 40, 10, func(c *Config) { c.Suspend = func() { suspended <- k.String() } })
	k.types("abc\x1a")
	if got := <-suspended; got != "|" {
		t.Errorf("while others have it, the terminal shows %q", got)
	}
	k.types("d")
	k.shows("> abcd|")
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("hello\x1b[D\x1b[200~a\rb\x1b[201~\x03\t日"), 3)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = min(max(cut, 0), len(b))
		var d decoder
		parts := append(d.decode(b[:cut]), d.decode(b[cut:])...)
		var w decoder
		whole := w.decode(b)
		if a, b := flat(parts), flat(whole); a != b {
			t.Errorf("in parts %q, and at once %q", a, b)
		}
		if len(d.pending) > maxPending+len(pasteEnd) {
			t.Errorf("%d bytes wait", len(d.pending))
		}
	})
}

// flat returns keys as text that does not depend on how characters were taken together.
func flat(keys []key) string {
	var b strings.Builder
	for _, k := range keys {
		if k.code != keyText {
			b.WriteString("\x00" + string(rune('A'+k.code)))
		}
		b.WriteString(k.text)
	}
	return b.String()
}
