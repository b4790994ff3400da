package command_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/transport"
)

// person answers questions from a list and keeps what was shown.
type person struct {
	answers map[string]string
	shown   []string
	asked   []string
	results []command.Output
}

func (p *person) Show(o command.Output) { p.shown = append(p.shown, o.Text) }

func (p *person) Result(o command.Output) error {
	p.results = append(p.results, o)
	return nil
}

func (p *person) Ask(ctx context.Context, q command.Question) ([]byte, error) {
	p.asked = append(p.asked, q.Name)
	a, ok := p.answers[q.Name]
	if !ok {
		return nil, qpq.E(qpq.Invalid, "no-answer", "nobody answers")
	}
	return []byte(a), nil
}

var errOffline = qpq.E(qpq.Unavailable, "cannot-connect", "cannot connect to nowhere")

// offline is a client that reaches no server.
func offline(t *testing.T) *client.Client {
	t.Helper()
	p, err := profile.Open(profile.Config{Path: filepath.Join(t.TempDir(), "profile.db"), Key: make([]byte, profile.KeySize)})
	check(t, err)
	c := client.New(client.Config{Profile: p, Server: "example.org", Dial: func(context.Context, string, func(tls.ConnectionState) error) (transport.Conn, error) {
		return nil, errOffline
	}})
	t.Cleanup(func() { check(t, errors.Join(c.Close(), p.Close())) })
	return c
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, name string) *command.Command {
	t.Helper()
	c, err := command.Find(name)
	check(t, err)
	return c
}

func TestArgumentsAreChecked(t *testing.T) {
	e := &command.Env{Client: offline(t), UI: &person{}}
	for name, args := range map[string]string{
		"register":       `{}`,
		"login":          `{"user": ""}`,
		"whoami":         `{"user": "alice"}`,
		"devices rename": `{"device": "a", "name": 7}`,
		"revoke":         `["a"]`,
		"group create":   `{"name": "x", "user": "bob"}`,
		"group invite":   `{"group": "x", "user": []}`,
		"group remove":   `{"group": "x", "user": ["bob", ""]}`,
		"group role":     `{"group": "x", "user": "bob"}`,
		"history":        `{"conversation": "x", "limit": "many"}`,
		"watch":          `{"after": 1.5}`,
		"dm":             `{"user": "bob", "text": ["a", "b"]}`,
		"passwd":         `{"recovery-code": true, "no-recovery-code": true}`,
	} {
		_, err := find(t, name).Run(t.Context(), e, json.RawMessage(args))
		if !errors.Is(err, qpq.Invalid) || qpq.CodeOf(err) != "usage" || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s %s: %v", name, args, err)
		}
	}
	if _, err := command.Find("registre"); !errors.Is(err, qpq.NotFound) {
		t.Errorf("an unknown command: %v", err)
	}
}

func TestUsage(t *testing.T) {
	for name, want := range map[string]string{
		"whoami": "whoami", "dm": "dm USER [TEXT]", "group create": "group create NAME [USER...]", "group invite": "group invite GROUP USER...",
		"history": "history CONVERSATION", "recv": "recv [CONVERSATION]",
	} {
		if got := find(t, name).Usage(); got != want {
			t.Errorf("%s is written %q", name, got)
		}
	}
	text := find(t, "send").Params[1]
	if !text.Rest || !text.Input || !text.Optional || text.List || text.Number {
		t.Errorf("what is sent is %+v", text)
	}
	if of := find(t, "group invite").Params; of[0].Of != command.OfConversations || of[1].Of != command.OfUsers || !of[1].List {
		t.Errorf("who is invited to what is %+v", of)
	}
}

func TestEveryCommandIsDocumented(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range command.All() {
		if seen[c.Name] || c.Summary == "" || strings.HasSuffix(c.Summary, ".") || strings.ToLower(c.Summary[:1]) != c.Summary[:1] {
			t.Errorf("%s: %q", c.Name, c.Summary)
		}
		seen[c.Name] = true
		if parent, _, ok := strings.Cut(c.Name, " "); ok && !seen[parent] && command.Topics[parent] == "" {
			t.Errorf("%s comes before %s", c.Name, parent)
		}
	}
}

func TestPasswordsAreAsked(t *testing.T) {
	p := &person{answers: map[string]string{"password": "correct horse battery", "link-code": "wrong"}}
	e := &command.Env{Client: offline(t), UI: p}
	_, err := find(t, "register").Run(t.Context(), e, json.RawMessage(`{"user": "alice", "recovery-code": true}`))
	if !errors.Is(err, errOffline) || len(p.asked)+len(p.shown) > 0 {
		t.Errorf("register: %v, asked %v, shown %v before it is known whether anybody can sign up", err, p.asked, p.shown)
	}
	_, err = find(t, "login").Run(t.Context(), e, json.RawMessage(`{"user": "alice"}`))
	if !errors.Is(err, errOffline) || !slices.Equal(p.asked, []string{"password"}) {
		t.Errorf("login: %v, asked %v", err, p.asked)
	}
	_, err = find(t, "login").Run(t.Context(), e, json.RawMessage(`{"user": "alice", "link": true}`))
	if !errors.Is(err, qpq.Invalid) {
		t.Errorf("a wrong link code: %v", err)
	}
}

// held serves commands by a socket, as the process does that holds a profile.
func held(t *testing.T, release string) (dial func() net.Conn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	check(t, err)
	h := &command.Holder{Release: release, Client: offline(t), Server: "example.org"}
	var served sync.WaitGroup
	served.Go(func() {
		if err := h.Serve(context.Background(), l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		check(t, l.Close())
		served.Wait()
	})
	return func() net.Conn {
		conn, err := net.Dial("unix", path)
		check(t, err)
		return conn
	}
}

func TestHandover(t *testing.T) {
	dial := held(t, "1")
	p := &person{answers: map[string]string{"password": "correct horse battery"}}
	_, err := command.Handover(t.Context(), dial(), command.Request{Release: "1", Command: "login", Args: json.RawMessage(`{"user": "alice"}`)}, p)
	if qpq.KindOf(err) != qpq.Unavailable || qpq.CodeOf(err) != "cannot-connect" || err.Error() != errOffline.Text {
		t.Errorf("the error came over as %v", err)
	}
	if !slices.Equal(p.asked, []string{"password"}) {
		t.Errorf("asked %v", p.asked)
	}
	_, err = command.Handover(t.Context(), dial(), command.Request{Release: "1", Command: "login", Args: json.RawMessage(`{"user": "alice"}`)}, &person{})
	if qpq.CodeOf(err) != "no-answer" {
		t.Errorf("where nobody answers: %v", err)
	}
	_, err = command.Handover(t.Context(), dial(), command.Request{Release: "2", Command: "whoami", Args: nil}, p)
	if qpq.CodeOf(err) != "other-release" {
		t.Errorf("another release: %v", err)
	}
	for _, q := range []command.Request{{Server: "other.org"}, {Fingerprint: "SHA256:x"}} {
		q.Release, q.Command = "1", "whoami"
		if _, err = command.Handover(t.Context(), dial(), q, p); qpq.CodeOf(err) != "profile-in-use" {
			t.Errorf("%+v: %v", q, err)
		}
	}
	_, err = command.Handover(t.Context(), dial(), command.Request{Release: "1", Server: "example.org", Command: "dance", Args: nil}, p)
	if qpq.CodeOf(err) != "no-command" {
		t.Errorf("an unknown command: %v", err)
	}
}

func TestAHolderThatLeavesHasBegunNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	check(t, err)
	conn, err := net.Dial("unix", path)
	check(t, err)
	check(t, l.Close()) // it waited to be accepted
	_, err = command.Handover(t.Context(), conn, command.Request{Release: "1", Command: "whoami"}, &person{})
	if qpq.CodeOf(err) != command.CodeHolderLeft {
		t.Errorf("got %v", err)
	}
}

// silent is a person who does not answer until given up.
type silent struct {
	person
	asked chan struct{}
}

func (s *silent) Ask(ctx context.Context, _ command.Question) ([]byte, error) {
	close(s.asked)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestACallerWhoLeavesEndsItsCommand(t *testing.T) {
	dial := held(t, "1")
	ctx, cancel := context.WithCancel(t.Context())
	s := &silent{asked: make(chan struct{})}
	go func() {
		<-s.asked
		cancel()
	}()
	_, err := command.Handover(ctx, dial(), command.Request{Release: "1", Command: "login", Args: json.RawMessage(`{"user": "alice"}`)}, s)
	if qpq.KindOf(err) != qpq.Unavailable || qpq.CodeOf(err) != "cancelled" {
		t.Errorf("got %v", err)
	} // that the command has ended shows when the holder stops serving
}

func TestRubbishOnTheSocketHurtsNobody(t *testing.T) {
	dial := held(t, "1")
	for _, text := range []string{"", "{", "null\n", `{"command": 7}`, strings.Repeat("[", 100_000), "\x00\xff"} {
		conn := dial()
		_, err := conn.Write([]byte(text))
		check(t, err)
		check(t, conn.Close())
	}
	if _, err := command.Handover(t.Context(), dial(), command.Request{Release: "1", Command: "whoami", Args: nil}, &person{}); qpq.CodeOf(err) != "cannot-connect" {
		t.Errorf("an honest caller: %v", err)
	}
}
