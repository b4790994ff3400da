package command_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// TestPathsAreMadeWhole: those that people write from where they are, and where they are for those that they leave out.
func TestPathsAreMadeWhole(t *testing.T) {
	here := t.TempDir()
	for name, cases := range map[string]map[string]string{
		"send-file": {
			`{"conversation":"bob","path":"x/../y.txt"}`:         filepath.Join(here, "y.txt"),
			`{"conversation":"bob","path":"` + here + `/y.txt"}`: filepath.Join(here, "y.txt"),
		},
		"download": {
			`{"conversation":"bob","message":"m","to":"sub"}`: filepath.Join(here, "sub"),
			`{"conversation":"bob","message":"m"}`:            here,
		},
	} {
		for args, want := range cases {
			whole, err := find(t, name).Whole(json.RawMessage(args), func() (string, error) { return here, nil })
			check(t, err)
			var got struct{ Conversation, Path, To string }
			check(t, json.Unmarshal(whole, &got))
			if got.Path+got.To != want || got.Conversation != "bob" {
				t.Errorf("%s %s becomes %s", name, args, whole)
			}
		}
	}
	lost := errors.New("the folder is gone")
	_, err := find(t, "send-file").Whole(json.RawMessage(`{"conversation":"bob","path":"x"}`), func() (string, error) { return "", lost })
	if !errors.Is(err, lost) || qpq.CodeOf(err) != "no-folder" {
		t.Error(err)
	}
	for _, args := range []string{`{"text":"path"}`, `{`, ``, `{"path":7}`} { // what is wrong with these, Run says
		for _, name := range []string{"send", "send-file"} {
			if whole, err := find(t, name).Whole(json.RawMessage(args), func() (string, error) { return "", lost }); err != nil || string(whole) != args {
				t.Errorf("%s %s becomes %s, %v", name, args, whole, err)
			}
		}
	}
}

// TestAReplyToAFileQuotesItsName, whether it has a caption or not.
func TestAReplyToAFileQuotesItsName(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob", "text", "hello")
	bob.run("recv")
	path := filepath.Join(t.TempDir(), "notes.txt")
	check(t, os.WriteFile(path, []byte("a file"), 0o600))
	for caption, want := range map[string]string{"": "notes.txt", "read this": "notes.txt read this"} {
		sent := alice.run("send-file", "conversation", "bob", "path", path, "caption", caption)
		alice.run("reply", "conversation", "bob", "message", sent["id"], "text", "have you?")
		bob.results = nil
		bob.run("recv")
		last := bob.results[len(bob.results)-1].Value.(command.EntryJSON)
		if last.Quote == nil || last.Quote.Text != want {
			t.Errorf("bob receives %+v, which quotes %+v", last, last.Quote)
		}
	}
}

func TestFileCommands(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob", "text", "hello")
	bob.run("recv")
	folder := t.TempDir()
	data := bytes.Repeat([]byte("a file of some length. "), 100_000)
	path := filepath.Join(folder, "notes.txt")
	check(t, os.WriteFile(path, data, 0o600))

	sent := alice.run("send-file", "conversation", "bob", "path", path, "caption", "read this")
	if sent["name"] != "notes.txt" || sent["upload"] != true || sent["short"] == nil {
		t.Errorf("sent: %v", sent)
	}
	if n := len(alice.shown); n < 2 || !strings.Contains(alice.shown[n-1], "notes.txt [####################] 100%  2.2 MiB of 2.2 MiB") {
		t.Errorf("it was shown: %q", alice.shown)
	}
	bob.results = nil
	bob.run("recv")
	e := bob.results[0].Value.(command.EntryJSON)
	if e.Kind != "file" || e.Text != "read this" || e.File == nil || e.File.Name != "notes.txt" || e.File.Size != int64(len(data)) || e.File.MediaType != "text/plain" {
		t.Errorf("bob receives %+v", e)
	}
	if want := "(notes.txt, 2.2 MiB, text/plain): read this"; !strings.HasSuffix(bob.results[0].Text, want) {
		t.Errorf("bob reads %q", bob.results[0].Text)
	}
	state := func() (state, path string) {
		t.Helper()
		out, err := bob.try(t.Context(), "files", "conversation", "alice")
		check(t, err)
		raw, err := json.Marshal(out.Value)
		check(t, err)
		var list []struct{ Short, State, Path, Caption string }
		check(t, json.Unmarshal(raw, &list))
		if len(list) != 1 || list[0].Short != e.Short || list[0].Caption != "read this" {
			t.Fatalf("%s", raw)
		}
		return list[0].State, list[0].Path
	}
	if st, _ := state(); st != "there" {
		t.Errorf("before it was fetched it is %s", st)
	}
	to := t.TempDir()
	got := bob.run("download", "conversation", "alice", "message", e.Short, "to", to)
	saved := filepath.Join(to, "notes.txt")
	if content, err := os.ReadFile(saved); got["path"] != saved || err != nil || !bytes.Equal(content, data) {
		t.Errorf("saved: %v, %v", got, err)
	}
	if st, path := state(); st != "saved" || path != saved {
		t.Errorf("it is %s at %s", st, path)
	}
	for name, code := range map[string]string{"download": "usage", "view": "not-once"} {
		if _, err := bob.try(t.Context(), name, "conversation", "alice", "message", e.Short); qpq.CodeOf(err) != code {
			t.Errorf("%s: %v (%s)", name, err, qpq.CodeOf(err))
		}
	}
	if _, err := bob.try(t.Context(), "download", "conversation", "alice", "message", e.Short, "to", "relative"); qpq.CodeOf(err) != "relative-path" {
		t.Error(err)
	}
}

// TestTransfersThatWait: where there is no server they stay, and are named by their numbers.
func TestTransfersThatWait(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob", "text", "hello")
	bob.run("recv")
	path := filepath.Join(t.TempDir(), "x")
	check(t, os.WriteFile(path, []byte("content"), 0o600))
	s.Stop()
	_, err := alice.try(t.Context(), "send-file", "conversation", "bob", "path", path)
	if qpq.CodeOf(err) != "transfer-waits" || !errors.Is(err, qpq.Unavailable) || !strings.Contains(err.Error(), "transfers cancel 1 gives it up") {
		t.Fatal(err)
	}
	listed := func() string {
		out, err := alice.try(t.Context(), "transfers")
		check(t, err)
		return out.Text
	}
	if got, want := listed(), "1  x, 7 bytes, to bob@"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, ": waiting") {
		t.Errorf("%q", got)
	}
	for _, id := range []string{"2", "one", "-1"} {
		if _, err := alice.try(t.Context(), "transfers resume", "id", id); err == nil {
			t.Errorf("transfer %s was resumed", id)
		}
	}
	s.Start()
	alice.run("transfers resume", "id", "1")
	if got := listed(); got != "nothing is on its way" {
		t.Errorf("%q", got)
	}
	bob.results = nil
	bob.run("recv")
	if e := bob.results[0].Value.(command.EntryJSON); e.File == nil || e.File.Name != "x" {
		t.Errorf("%+v", e)
	}
}
