package daemon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quicproquo/qpq/command/daemon"
	"github.com/quicproquo/qpq/wire"
)

func TestProgramsTalk(t *testing.T) {
	s := newServer(t)
	_, alice := s.registered("alice")
	bobs, bob := s.registered("bob")
	bob.subscribe(nil)
	alice.ask("dm", map[string]any{"user": "bob", "text": "one"})
	first := bob.until(says("one"))
	if first.Params.Entry.Sender != "alice@example.org" || first.Params.Subscription != 1 {
		t.Errorf("it came as %+v", first.Params)
	}
	alice.ask("send", map[string]any{"conversation": "bob", "text": "two"})
	bob.until(says("two"))
	check(t, bob.conn.Close())

	// A program that comes again goes on where it was, in one conversation too.
	bob = bobs.call()
	bob.subscribe(map[string]any{"after": first.Params.Entry.Position, "conversation": "alice"})
	if m := bob.until(func(m message) bool { return m.Method == "entry" }); m.Params.Entry.Text != "two" {
		t.Errorf("after one came %+v", m.Params.Entry)
	}
	if got := bob.ask("recv", nil); got.Count < 2 || len(got.Parts) != got.Count || got.Parts[got.Count-1].Text != "two" {
		t.Errorf("received %+v", got)
	}
	history := bob.begin("history", map[string]any{"conversation": "alice", "limit": 1})
	if m := bob.until(func(m message) bool { return m.Method == "part" && m.Params.ID == float64(history) }); m.Params.Value.Text != "two" {
		t.Errorf("a part of the history is %+v", m.Params)
	}
	bob.answer(history)
}

func TestASubscriptionEnds(t *testing.T) {
	s := newServer(t)
	_, alice := s.registered("alice")
	alice.ask("dm", map[string]any{"user": "alice"})
	one, two := alice.subscribe(nil), alice.subscribe(nil)
	if one == two {
		t.Fatal("two subscriptions have one number")
	}
	alice.answer(alice.begin("unsubscribe", map[string]any{"subscription": one}))
	if m := alice.until(end); m.Params.Subscription != one || m.Params.Error.Data.Code != "cancelled" {
		t.Errorf("it ended with %+v", m.Params)
	}
	alice.ask("send", map[string]any{"conversation": "alice", "text": "note"})
	if m := alice.until(says("note")); m.Params.Subscription != two {
		t.Errorf("the note came to subscription %d", m.Params.Subscription)
	}
	if f := alice.fails("unsubscribe", map[string]any{"subscription": one}); f.Data.Code != "no-subscription" {
		t.Errorf("once more: %+v", f)
	}
	if f := alice.fails("subscribe", map[string]any{"conversation": "nobody"}); f.Data.Kind != "not found" {
		t.Errorf("to a conversation that does not exist: %+v", f)
	}
	if f := alice.fails("subscribe", map[string]any{"after": -1}); f.Code != -32602 {
		t.Errorf("from before the first entry: %+v", f)
	}
}

func TestWhatIsRefused(t *testing.T) {
	s := newServer(t)
	c := s.daemon(daemon.Config{}).call()
	for line, want := range map[string]int{
		"{":                                   -32700,
		"\xff":                                -32700,
		`{} {}`:                               -32700,
		"[]":                                  -32600,
		"7":                                   -32600,
		"null":                                -32600,
		`{"method":"ping","id":1}`:            -32600,
		`{"jsonrpc":"2.0","id":1}`:            -32600,
		`{"jsonrpc":"2.0","id":1,"method":7}`: -32600,
		`{"jsonrpc":"2.0","id":{},"method":"ping"}`:                                                -32600,
		`{"jsonrpc":"2.0","id":true,"method":"ping"}`:                                              -32600,
		`{"jsonrpc":"2.0","id":1,"Method":"ping"}`:                                                 -32600,
		`{"jsonrpc":"2.0","id":1,"method":"dance"}`:                                                -32601,
		`{"jsonrpc":"2.0","id":1,"method":"rpc.dance"}`:                                            -32601,
		`{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}`:                                    -32602,
		`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":1}}`:                                -32602,
		`{"jsonrpc":"2.0","id":1,"method":"cancel"}`:                                               -32602,
		`{"jsonrpc":"2.0","id":1,"method":"unsubscribe","params":{"subscription":"x"}}`:            -32602,
		`{"jsonrpc":"2.0","id":1,"method":"send","params":{"text":"x"}}`:                           -32602,
		`{"jsonrpc":"2.0","id":1,"method":"whoami","params":{"answers":{"password":"x"}}}`:         -32602,
		`{"jsonrpc":"2.0","id":1,"method":"login","params":{"user":"a","answers":["x"]}}`:          -32602,
		`{"jsonrpc":"2.0","id":1,"method":"login","params":{"user":"a","answers":{"password":1}}}`: -32602,
		`{"jsonrpc":"2.0","id":1,"method":"login","params":{"user":"a"}}`:                          -32002, // nobody answers
		`{"jsonrpc":"2.0","id":1,"method":"list"}`:                                                 -32004, // nobody is signed in
		`{"jsonrpc":"2.0","id":1,"method":"subscribe"}`:                                            -32004,
	} {
		c.write(line + "\n")
		m := c.message()
		if m.Error == nil || m.Error.Code != want || m.Error.Message == "" || m.Error.Data.Kind == "" {
			t.Errorf("%s: %+v", line, m.Error)
		}
		if known := strings.Contains(line, `"id":1`); known != (m.ID == float64(1)) {
			t.Errorf("%s is answered with the id %v", line, m.ID)
		}
	}
}

func TestALongLineCostsItself(t *testing.T) {
	c := newServer(t).daemon(daemon.Config{}).call()
	c.write(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", 1<<20) + "\"}}\n")
	c.write("\n\r\n" + `{"jsonrpc":"2.0","id":"two","method":"ping"}` + "\r\n")
	if m := c.message(); m.ID != nil || m.Error == nil || m.Error.Code != -32600 {
		t.Errorf("a long line: %+v", m)
	}
	if m := c.message(); m.ID != "two" || string(m.Result) != `"pong"` {
		t.Errorf("the next one: %+v", m)
	}
}

func TestBatches(t *testing.T) {
	s := newServer(t)
	_, alice := s.registered("alice")
	alice.write(`[{"jsonrpc":"2.0","id":"a","method":"whoami"},{"jsonrpc":"2.0","method":"dm","params":{"user":"alice","text":"quiet"}},` +
		`7,{"jsonrpc":"2.0","id":"b","method":"dance"},{"jsonrpc":"2.0","id":"c","method":"ping"}]` + "\n")
	var answers []message
	check(t, json.Unmarshal([]byte(alice.line()), &answers))
	got := map[string]string{}
	for _, m := range answers {
		text := string(m.Result)
		if m.Error != nil {
			text = fmt.Sprint(m.Error.Code)
		}
		got[fmt.Sprint(m.ID)] = text
	}
	if len(answers) != 4 || !strings.Contains(got["a"], "alice@example.org") || got["<nil>"] != "-32600" || got["b"] != "-32601" || got["c"] != `"pong"` {
		t.Errorf("answered %v", got)
	}
	alice.write(`[{"jsonrpc":"2.0","method":"ping"},{"jsonrpc":"2.0","method":"dance"}]` + "\n") // is answered with nothing
	if parts := alice.ask("history", map[string]any{"conversation": "alice"}).Parts; len(parts) == 0 || parts[len(parts)-1].Text != "quiet" {
		t.Errorf("what a notification said is not there: %+v", parts)
	}
	alice.write("[" + strings.Repeat("1,", 100) + "1]\n")
	if m := alice.message(); m.Error == nil || m.Error.Code != -32600 {
		t.Errorf("101 requests: %+v", m)
	}
}

func TestANotificationTakesNothing(t *testing.T) {
	s := newServer(t)
	_, alice := s.registered("alice")
	_, bob := s.registered("bob")
	alice.ask("dm", map[string]any{"user": "bob", "text": "hello"})
	bob.ask("sync", nil)
	bob.write(`[{"jsonrpc":"2.0","method":"recv"},{"jsonrpc":"2.0","id":"done","method":"ping"}]` + "\n")
	if line := bob.line(); !strings.Contains(line, "pong") || strings.Contains(line, "hello") {
		t.Errorf("answered %s", line)
	}
	if got := bob.ask("recv", nil); got.Count == 0 || got.Parts[got.Count-1].Text != "hello" {
		t.Errorf("then received %+v", got)
	}
}

func TestRequestsAreGivenUp(t *testing.T) {
	s := newServer(t)
	_, alice := s.registered("alice")
	waits := alice.begin("recv", map[string]any{"wait": "1h"})
	alice.write(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"whoami"}`, waits) + "\n")
	if m := alice.message(); m.Error == nil || m.Error.Code != -32600 {
		t.Errorf("a second request of the same id: %+v", m)
	}
	cancelled := alice.begin("cancel", map[string]any{"id": waits})
	for range 2 {
		m := alice.message()
		switch m.ID {
		case float64(waits):
			if m.Error == nil || m.Error.Data.Code != "cancelled" {
				t.Errorf("it ended with %+v", m)
			}
		case float64(cancelled):
			if string(m.Result) != `{"cancelled":true}` {
				t.Errorf("to give it up: %s", m.Result)
			}
		}
	}
	if m := alice.answer(alice.begin("cancel", map[string]any{"id": waits})); string(m.Result) != `{"cancelled":false}` {
		t.Errorf("once more: %+v", m)
	}
	alice.begin("watch", map[string]any{"after": 0}) // a program that hangs up ends what it asked for: else the daemon would not end
	check(t, alice.conn.Close())
}

func TestSecretsStaySecret(t *testing.T) {
	s := newServer(t)
	r, alice := s.registered("alice")
	f := alice.fails("devices.renew", map[string]any{"answers": map[string]any{"password": "wrong zebra"}})
	if f.Data.Kind != "denied" {
		t.Errorf("a wrong password: %+v", f)
	}
	alice.ask("devices renew", map[string]any{"answers": map[string]any{"password": password}})
	alice.fails("send", map[string]any{"conversation": "the zebra", "text": "horse"})
	if log := r.log.String(); strings.Contains(log, "horse") || strings.Contains(log, "zebra") || !strings.Contains(log, `command="devices renew"`) {
		t.Errorf("the log says:\n%s", log)
	}
}

// TestPaths: a program on a socket is in no folder that the daemon knows.
func TestPaths(t *testing.T) {
	s := newServer(t)
	_, alice := s.registered("alice")
	alice.ask("dm", map[string]any{"user": "alice"})
	path := filepath.Join(t.TempDir(), "notes.txt")
	check(t, os.WriteFile(path, []byte("buy milk"), 0o600))
	if f := alice.fails("send-file", map[string]any{"conversation": "alice", "path": "notes.txt"}); f.Code != -32602 || !strings.Contains(f.Message, "whole paths") {
		t.Errorf("a path that begins somewhere: %+v", f)
	}
	alice.ask("send-file", map[string]any{"conversation": "alice", "path": path})
}

func TestTheEndIsTold(t *testing.T) {
	s := newServer(t)
	r, alice := s.registered("alice")
	number := alice.subscribe(nil)
	waits := alice.begin("recv", map[string]any{"wait": "1h"})
	alice.answer(alice.begin("ping", nil)) // so that the other has begun
	ended := make(chan error, 1)
	go func() { ended <- r.end() }()
	seen := map[string]bool{}
	for len(seen) < 2 {
		switch m := alice.message(); {
		case m.Method == "end" && m.Params.Subscription == number:
			seen[m.Params.Error.Data.Code+" of the subscription"] = true
		case m.ID == float64(waits):
			seen[m.Error.Data.Code+" of recv"] = true
		}
	}
	if !seen["shutting-down of the subscription"] || !seen["shutting-down of recv"] {
		t.Errorf("told %v", seen)
	}
	check(t, <-ended)
	if _, err := alice.in.ReadByte(); err != io.EOF {
		t.Errorf("then %v", err)
	}
}

// TestWhatWasBegunIsFinished: each request is answered, and what was answered well took place, and nothing else.
func TestWhatWasBegunIsFinished(t *testing.T) {
	s := newServer(t)
	r, alice := s.registered("alice")
	alice.ask("dm", map[string]any{"user": "alice"})
	ended := make(chan error, 1)
	want := map[any]string{}
	for i := range 40 {
		text := fmt.Sprint("note ", i)
		want[float64(alice.begin("send", map[string]any{"conversation": "alice", "text": text}))] = text
	}
	go func() { ended <- r.end() }()
	var done []string
	for {
		line, err := alice.in.ReadString('\n')
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) { // that is what a system says where something was not read any more
			break
		}
		check(t, err)
		var m message
		check(t, json.Unmarshal([]byte(line), &m))
		switch text := want[m.ID]; {
		case text == "":
			t.Errorf("unasked: %s", line)
		case m.Error == nil:
			done = append(done, text)
		case m.Error.Data.Code != "shutting-down":
			t.Errorf("%s failed with %+v", text, m.Error)
		}
		delete(want, m.ID)
	}
	check(t, <-ended)
	v, err := r.client.FindConversation("alice")
	check(t, err)
	entries, err := r.client.History(v.ID, 0, 100)
	check(t, err)
	var said []string
	for _, e := range entries {
		if e.Message != nil {
			said = append(said, e.Message.Body.Body.(wire.TextBody).Text)
		}
	}
	slices.Sort(done)
	slices.Sort(said)
	if !slices.Equal(done, said) {
		t.Errorf("told to be sent %q, and there are %q", done, said)
	}
}

func TestPatienceEnds(t *testing.T) {
	s := newServer(t)
	r := s.daemon(daemon.Config{Patience: time.Millisecond})
	alice := r.call()
	alice.ask("register", map[string]any{"user": "alice", "answers": map[string]any{"password": password}})
	link := alice.begin("link", map[string]any{"answers": map[string]any{"password": password}})
	shown := alice.until(func(m message) bool { return m.Method == "show" })
	if shown.Params.ID != float64(link) || !strings.Contains(shown.Params.Text, "login --link") {
		t.Errorf("shown %+v", shown.Params)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.end() }()
	if m := alice.answer(link); m.Error == nil || m.Error.Data.Code != "shutting-down" {
		t.Errorf("a link that nobody answers ends with %+v", m)
	}
	check(t, <-ended)
}

func TestNobodyIsSignedInYet(t *testing.T) {
	s := newServer(t)
	r := s.daemon(daemon.Config{})
	alice := r.call()
	if f := alice.fails("send", map[string]any{"conversation": "x", "text": "y"}); f.Data.Code != "not-signed-in" {
		t.Errorf("before: %+v", f)
	}
	alice.ask("register", map[string]any{"user": "alice", "answers": map[string]any{"password": password}})
	var devices []struct{ Name string }
	check(t, json.Unmarshal(alice.ask("devices", nil).Value, &devices))
	if len(devices) != 1 || devices[0].Name != "desk" {
		t.Errorf("the devices are %+v", devices)
	}
	alice.subscribe(nil) // it is connected from now on
	_, bob := s.registered("bob")
	bob.ask("dm", map[string]any{"user": "alice", "text": "welcome"})
	alice.until(says("welcome"))
}

func TestARevokedDevice(t *testing.T) {
	s := newServer(t)
	_, alice := s.registered("alice")
	other := s.daemon(daemon.Config{}).call()
	secret := map[string]any{"password": password}
	other.ask("login", map[string]any{"user": "alice", "answers": secret})
	other.subscribe(nil)
	var devices []struct {
		ID   string
		This bool
	}
	check(t, json.Unmarshal(alice.ask("devices", nil).Value, &devices))
	for _, d := range devices {
		if !d.This {
			alice.ask("revoke", map[string]any{"device": d.ID, "answers": secret})
		}
	}
	if m := other.until(end); m.Params.Error.Data.Code != "device-unknown" {
		t.Errorf("the subscription ended with %+v", m.Params.Error)
	}
	if f := other.fails("sync", nil); f.Data.Code != "device-unknown" {
		t.Errorf("what it asks for: %+v", f)
	}
	other.ask("list", nil) // what it knows it shows still
}

func TestTheServerIsAway(t *testing.T) {
	s := newServer(t)
	_, alice := s.registered("alice")
	_, bob := s.registered("bob")
	alice.subscribe(nil)
	bob.subscribe(nil)
	alice.ask("dm", map[string]any{"user": "bob"})
	s.Stop()
	alice.until(notice("offline"))
	if f := alice.fails("send", map[string]any{"conversation": "bob", "text": "later"}); f.Data.Code != "queued" || f.Data.Kind != "unavailable" {
		t.Errorf("meanwhile: %+v", f)
	}
	s.Start()
	alice.until(notice("online"))
	bob.until(says("later"))
}
