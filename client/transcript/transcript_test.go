package transcript

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
)

var update = flag.Bool("update", false, "write the golden archive anew")

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// maker exports, always with the same keys.
type maker struct {
	rand   *rand.ChaCha8
	device *identity.DeviceKey
	state  *identity.AccountState
}

func newMaker(t testing.TB) *maker {
	m := &maker{rand: rand.NewChaCha8([32]byte{1})}
	account, err := identity.NewAccountKey(m.rand)
	check(t, err)
	m.device, err = identity.NewDeviceKey(m.rand)
	check(t, err)
	vault, err := identity.NewVaultKey(m.rand)
	check(t, err)
	request, err := m.device.Request(qpq.UserID{Name: "alice", Domain: "example.org"}, []uint16{1})
	check(t, err)
	m.state, err = identity.NewAccount(account, request, vault, noon)
	check(t, err)
	return m
}

func entries() []Entry {
	return []Entry{
		{Type: "notice", Time: noon, Code: "added", Text: "you were added by bob@example.org"},
		{Type: "message", Time: noon.Add(time.Second), ID: "01", Sender: "bob@example.org", Device: "aa", Kind: "text", Text: "Grüße <b>\u202e😀\x1b[31m\x7f", Message: []byte{0, 1, 255}},
		{Type: "message", Time: noon.Add(2 * time.Second), ID: "02", Sender: "alice@example.org", Kind: "reply", Target: &Ref{"bob@example.org", "01"}, Text: "yes", Message: []byte("reply")},
		{Type: "message", Time: noon.Add(3 * time.Second), ID: "03", Sender: "bob@example.org", Kind: "file", File: &File{"a.pdf", "application/pdf", 7, []byte{9}}},
	}
}

// archive exports entries, of which some are redacted.
func (m *maker) archive(t testing.TB, list []Entry, redact ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	h := Header{Conversation: "c0ffee", Name: "Ausflug ☂", Members: []string{"alice@example.org", "bob@example.org"}, States: [][]byte{m.state.Bytes()}}
	w, err := NewWriter(&b, m.rand, h, m.state.User, m.device.ID())
	check(t, err)
	for _, e := range list {
		hide := false
		for _, id := range redact {
			hide = hide || e.ID == id
		}
		check(t, w.Add(e, hide))
	}
	check(t, w.Seal(noon.Add(time.Hour), m.device.SignTranscript))
	return b.Bytes()
}

// read verifies an archive and returns what it says.
func read(b []byte) (list []Entry, result *Result, err error) {
	result, err = Verify(bytes.NewReader(b), func(l *Line) error {
		list = append(list, l.Entry)
		return nil
	})
	return list, result, err
}

func TestWholeArchive(t *testing.T) {
	m := newMaker(t)
	list, result, err := read(m.archive(t, entries()))
	check(t, err)
	if d := cmp.Diff(entries(), list); d != "" {
		t.Error(d)
	}
	if result.User != m.state.User || result.Device.ID() != m.device.ID() || result.Entries != 4 || result.Redacted != 0 || !result.Time.Equal(noon.Add(time.Hour)) ||
		result.Header.Name != "Ausflug ☂" || len(result.States) != 1 {
		t.Errorf("it is read as %+v", result)
	}
	list, result, err = read(m.archive(t, nil))
	if err != nil || len(list) != 0 || result.Entries != 0 {
		t.Errorf("an empty one: %v, %v, %v", list, result, err)
	}
}

// TestGolden: what a release wrote is read by all later ones, and with the same keys and salts they write the same.
func TestGolden(t *testing.T) {
	const name = "testdata/format-1.transcript"
	made := newMaker(t).archive(t, entries(), "02")
	if *update {
		check(t, os.WriteFile(name, made, 0o644))
	}
	golden, err := os.ReadFile(name)
	check(t, err)
	if !bytes.Equal(golden, made) {
		t.Errorf("what is written has changed to\n%s", made)
	}
	list, result, err := read(golden)
	check(t, err)
	want := entries()
	want[2] = Entry{}
	if d := cmp.Diff(want, list); d != "" || result.Redacted != 1 {
		t.Error(d, result.Redacted)
	}
}

// TestDocumentedFormat checks the golden archive by what docs/transcripts.md says alone.
func TestDocumentedFormat(t *testing.T) {
	golden, err := os.ReadFile("testdata/format-1.transcript")
	check(t, err)
	hash := func(label string, parts ...[]byte) []byte {
		sum := sha256.Sum256(append(append([]byte(label), 0), bytes.Join(parts, nil)...))
		return sum[:]
	}
	lines := bytes.Split(bytes.TrimSuffix(golden, []byte("\n")), []byte("\n"))
	chain := hash("quicproquo transcript header v1", lines[0])
	for _, line := range lines[1 : len(lines)-1] {
		var l struct {
			Salt, Redacted []byte
			Entry          json.RawMessage
		}
		check(t, json.Unmarshal(line, &l))
		if l.Redacted == nil {
			l.Redacted = hash("quicproquo transcript entry v1", l.Salt, l.Entry)
		}
		chain = hash("quicproquo transcript link v1", chain, l.Redacted)
	}
	var s struct {
		Entries         uint64
		Time            time.Time
		Head, Signature []byte
	}
	check(t, json.Unmarshal(lines[len(lines)-1], &s))
	m := newMaker(t)
	device := m.device.ID()
	signed := slices.Concat([]byte("quicproquo transcript v1\x00\x05alice\x0bexample.org"), device[:], binary.BigEndian.AppendUint64(nil, s.Entries), chain,
		binary.BigEndian.AppendUint64(nil, uint64(s.Time.Unix())))
	key := m.device.Public()
	if !bytes.Equal(s.Head, chain) || int(s.Entries) != len(lines)-2 || !ed25519.Verify(key[:], signed, s.Signature) {
		t.Error("the golden archive is not what the format says")
	}
}

func TestRedaction(t *testing.T) {
	m := newMaker(t)
	whole := m.archive(t, entries())
	var b bytes.Buffer
	result, err := Redact(&b, bytes.NewReader(whole), func(l *Line) bool { return l.Entry.ID == "01" || l.Number == 4 })
	check(t, err)
	if result.Redacted != 2 {
		t.Errorf("%d entries are redacted", result.Redacted)
	}
	for _, gone := range []string{"bob@example.org\",\"device", "a.pdf", "AAH/"} {
		if !bytes.Contains(whole, []byte(gone)) || bytes.Contains(b.Bytes(), []byte(gone)) {
			t.Errorf("%q is in the redacted archive, or was in none", gone)
		}
	}
	list, result, err := read(b.Bytes())
	check(t, err)
	want := entries()
	want[1], want[3] = Entry{}, Entry{}
	if d := cmp.Diff(want, list); d != "" || result.Redacted != 2 {
		t.Error(d, result.Redacted)
	}
	// Nothing of it can be guessed: the salt is gone, and the same text has another commitment in each archive.
	if again := m.archive(t, entries(), "01"); bytes.Contains(again, bytes.Split(b.Bytes(), []byte("\n"))[2]) {
		t.Error("two archives have the same commitment")
	}
	if n, err := Redact(&bytes.Buffer{}, bytes.NewReader(whole[:len(whole)-3]), func(*Line) bool { return true }); err == nil {
		t.Errorf("an archive that was cut off is redacted: %+v", n)
	}
}

// TestEveryByteCounts: whichever byte is another one, and wherever an archive is cut off, it shows.
func TestEveryByteCounts(t *testing.T) {
	whole := newMaker(t).archive(t, entries(), "02")
	text := string(whole)
	for i := range whole {
		for _, flip := range []byte{1, 0x20, 0x80} {
			whole[i] ^= flip
			_, _, err := read(whole)
			whole[i] ^= flip
			if code := qpq.CodeOf(err); code != CodeDamaged && code != CodeAltered && code != "transcript-format" {
				t.Fatalf("byte %d, with %#x, in …%q…: %v", i, flip, text[max(0, i-20):min(len(text), i+20)], err)
			}
		}
		if _, _, err := read(whole[:i]); qpq.CodeOf(err) != CodeDamaged {
			t.Fatalf("cut off at %d: %v", i, err)
		}
	}
	_, _, err := read(whole)
	check(t, err)
}

func TestAlteredArchives(t *testing.T) {
	m := newMaker(t)
	whole := string(m.archive(t, entries()))
	other := string(m.archive(t, entries()))
	lines := strings.SplitAfter(whole, "\n")
	others := strings.SplitAfter(other, "\n")
	thief := newMaker(t)
	thief.device, _ = identity.NewDeviceKey(rand.NewChaCha8([32]byte{2}))
	join := func(l ...string) string { return strings.Join(l, "") }
	for name, v := range map[string]struct{ text, code string }{
		"an entry left out":        {join(lines[0], lines[1], lines[2], lines[3], lines[5]), CodeAltered},
		"one left out, renumbered": {join(lines[0], lines[1], lines[2], strings.Replace(lines[4], `"n":4`, `"n":3`, 1), lines[5]), CodeAltered},
		"two exchanged":            {join(lines[0], lines[2], lines[1], lines[3], lines[4], lines[5]), CodeAltered},
		"one of another archive":   {join(lines[0], lines[1], others[2], lines[3], lines[4], lines[5]), CodeAltered},
		"the seal of another one":  {join(lines[0], lines[1], lines[2], lines[3], lines[4], others[5]), CodeAltered},
		"another header":           {join(strings.Replace(lines[0], "c0ffee", "c0ffef", 1), lines[1], lines[2], lines[3], lines[4], lines[5]), CodeAltered},
		"another user":             {strings.Replace(whole, `"user":"alice`, `"user":"carol`, 1), CodeAltered},
		"another time":             {strings.Replace(whole, "13:00:00Z", "13:00:01Z", 1), CodeAltered},
		"a fraction of a second":   {strings.Replace(whole, "13:00:00Z", "13:00:00.5Z", 1), CodeDamaged},
		"another time zone":        {strings.Replace(whole, "13:00:00Z", "14:00:00+01:00", 1), CodeDamaged},
		"a device of nobody":       {string(thief.archive(t, entries())), CodeAltered},
		"no seal":                  {join(lines[:5]...), CodeDamaged},
		"two seals":                {whole + lines[5], CodeDamaged},
		"an empty line":            {join(lines[0], "\n", whole[len(lines[0]):]), CodeDamaged},
		"a space":                  {strings.Replace(whole, `"salt":`, `"salt": `, 1), CodeDamaged},
		"a field more":             {strings.Replace(whole, `"n":1,`, `"n":1,"m":2,`, 1), CodeDamaged},
		"carriage returns":         {strings.ReplaceAll(whole, "\n", "\r\n"), CodeDamaged},
		"nothing":                  {"", CodeDamaged},
		"something else":           {"{}\n", CodeDamaged},
		"a later format":           {strings.Replace(whole, `"qpq-transcript":1`, `"qpq-transcript":2`, 1), "transcript-format"},
		"a line without end":       {lines[0] + `{"n":1,"salt":"` + strings.Repeat("A", maxLine+10), CodeDamaged},
		"no account":               {"{\"qpq-transcript\":1}\n", CodeDamaged},
	} {
		if v.text == whole {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, _, err := read([]byte(v.text)); qpq.CodeOf(err) != v.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := read([]byte(strings.Replace(whole, "13:00:00Z", "13:00:01Z", 1))); !errors.Is(err, qpq.Denied) {
		t.Errorf("altered is %v", qpq.KindOf(err))
	}
	if _, _, err := read(nil); !errors.Is(err, qpq.Damaged) {
		t.Errorf("damaged is %v", qpq.KindOf(err))
	}
}

// TestLongestEntries: what messages can be is read again.
func TestLongestEntries(t *testing.T) {
	m := newMaker(t)
	long := []Entry{{Type: "message", Text: strings.Repeat("\x01", 65536), Message: make([]byte, 200<<10)}, {Type: "message", Text: strings.Repeat("😀", 65536/4), Message: make([]byte, 200<<10)}}
	list, _, err := read(m.archive(t, long))
	check(t, err)
	if d := cmp.Diff(long, list); d != "" {
		t.Error("they are read as something else")
	}
	w, err := NewWriter(&bytes.Buffer{}, m.rand, Header{}, m.state.User, m.device.ID())
	check(t, err)
	if err := w.Add(Entry{Message: make([]byte, maxLine)}, false); !errors.Is(err, qpq.TooLarge) {
		t.Errorf("an entry that could not be read again: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	m := newMaker(f)
	f.Add(m.archive(f, entries(), "02"))
	f.Add(m.archive(f, nil))
	f.Add([]byte("{\"qpq-transcript\":1}\n{\"n\":1,\"redacted\":\"\"}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, result, err := read(b)
		var copied bytes.Buffer
		_, again := Redact(&copied, bytes.NewReader(b), func(*Line) bool { return false })
		switch {
		case (err == nil) != (again == nil):
			t.Fatalf("verified: %v, copied: %v", err, again)
		case err == nil && !bytes.Equal(copied.Bytes(), b):
			t.Fatal("a copy differs")
		case err == nil && result.Entries > 4:
			t.Fatal("more entries than anybody signed")
		case err != nil && qpq.CodeOf(err) == "":
			t.Fatalf("a failure without a code: %v", err)
		}
	})
}
