package daemon_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quicproquo/qpq/command/daemon"
)

// request makes a request with the token. change may spoil it; the answer is closed with the test.
func (r *running) request(method, path, body string, change func(*http.Request)) *http.Response {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.web+path, strings.NewReader(body))
	check(r.t, err)
	q.Header.Set("Authorization", "Bearer "+r.token)
	q.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(q)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	a, err := transport.RoundTrip(q)
	check(r.t, err)
	r.t.Cleanup(func() { _ = a.Body.Close() })
	return a
}

// post makes a call by HTTP, and returns what is answered.
func (r *running) post(body string) (int, string) {
	r.t.Helper()
	a := r.request("POST", "/rpc", body, nil)
	text, err := io.ReadAll(a.Body)
	check(r.t, err)
	return a.StatusCode, string(text)
}

// event is a server-sent one.
type event struct{ name, id, data string }

// events reads a stream of them.
type events struct {
	t  *testing.T
	in *bufio.Reader
}

func (r *running) events(query, last string) *events {
	r.t.Helper()
	a := r.request("GET", "/events"+query, "", func(q *http.Request) {
		if last != "" {
			q.Header.Set("Last-Event-ID", last)
		}
	})
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
		text, _ := io.ReadAll(a.Body)
		r.t.Fatalf("events: %s %s", a.Status, text)
	}
	return &events{r.t, bufio.NewReader(a.Body)}
}

func (e *events) next() event {
	e.t.Helper()
	got, err := e.read()
	check(e.t, err)
	return got
}

// read is next, and fails where the stream ends.
func (e *events) read() (got event, err error) {
	for {
		line, err := e.in.ReadString('\n')
		if err != nil {
			return got, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "event":
			got.name = value
		case "id":
			got.id = value
		case "data":
			got.data = value
		}
		if line == "\n" && got.name != "" {
			return got, nil
		}
	}
}

// until waits for an event whose data has a text.
func (e *events) until(name, text string) event {
	e.t.Helper()
	for {
		if got := e.next(); got.name == name && strings.Contains(got.data, text) {
			return got
		}
	}
}

func TestCallsByHTTP(t *testing.T) {
	s := newServer(t)
	r := s.daemon(daemon.Config{})
	status, text := r.post(`{"jsonrpc":"2.0","id":1,"method":"register","params":{"user":"alice","recovery-code":true,"answers":{"password":"` + password + `"}}}`)
	if status != 200 || !strings.Contains(text, "alice@example.org") || !strings.Contains(text, `"shown":[{"recovery_code":`) {
		t.Errorf("register: %d %s", status, text)
	}
	if status, text = r.post(`{"jsonrpc":"2.0","method":"dm","params":{"user":"alice","text":"by hand"}}`); status != 204 || text != "" {
		t.Errorf("a notification: %d %s", status, text)
	}
	if _, text = r.post(`{"jsonrpc":"2.0","id":1,"method":"history","params":{"conversation":"alice"}}`); !strings.Contains(text, `"text":"by hand"`) {
		t.Errorf("the history: %s", text)
	}
	if _, text = r.post(`[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"dance"}]`); !strings.HasPrefix(text, "[{") || !strings.Contains(text, "-32601") {
		t.Errorf("a batch: %s", text)
	}
	for body, want := range map[string]string{
		"{": "-32700",
		`{"jsonrpc":"2.0","id":1,"method":"watch"}`:     "endless",
		`{"jsonrpc":"2.0","id":1,"method":"subscribe"}`: "no-subscription",
	} {
		if status, text = r.post(body); status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if status, _ = r.post(`"` + strings.Repeat("x", 1<<20) + `"`); status != 413 {
		t.Errorf("a large body: %d", status)
	}

	// Whoever takes lines gets what a connection would.
	a := r.request("POST", "/rpc", `{"jsonrpc":"2.0","id":1,"method":"watch","params":{"after":0}}`, func(q *http.Request) { q.Header.Set("Accept", "application/x-ndjson") })
	lines := bufio.NewReader(a.Body)
	for {
		line, err := lines.ReadString('\n')
		check(t, err)
		if strings.Contains(line, `"method":"part"`) && strings.Contains(line, "by hand") {
			break
		}
	}
}

func TestWhoIsNotServed(t *testing.T) {
	r := newServer(t).daemon(daemon.Config{})
	const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	for name, c := range map[string]struct {
		method, path string
		change       func(*http.Request)
		want         int
	}{
		"all is well":     {"POST", "/rpc", nil, 200},
		"by a name":       {"POST", "/rpc", func(q *http.Request) { q.Host = "LOCALHOST:1" }, 200},
		"in small":        {"POST", "/rpc", func(q *http.Request) { q.Header.Set("Authorization", "bearer "+r.token) }, 200},
		"by IPv6":         {"POST", "/rpc", func(q *http.Request) { q.Host = "[::1]:80" }, 200},
		"no token":        {"POST", "/rpc", func(q *http.Request) { q.Header.Del("Authorization") }, 401},
		"a wrong token":   {"POST", "/rpc", func(q *http.Request) { q.Header.Set("Authorization", "Bearer "+string(r.token[0]^1)+r.token[1:]) }, 401},
		"a longer token":  {"POST", "/rpc", func(q *http.Request) { q.Header.Set("Authorization", "Bearer "+r.token+"x") }, 401},
		"an empty token":  {"POST", "/rpc", func(q *http.Request) { q.Header.Set("Authorization", "Bearer ") }, 401},
		"another scheme":  {"POST", "/rpc", func(q *http.Request) { q.Header.Set("Authorization", "Basic "+r.token) }, 401},
		"in the query":    {"GET", "/events?token=" + r.token, func(q *http.Request) { q.Header.Del("Authorization") }, 401},
		"rebound":         {"POST", "/rpc", func(q *http.Request) { q.Host = "evil.example" }, 403},
		"nearly this":     {"POST", "/rpc", func(q *http.Request) { q.Host = "localhost.evil.example:80" }, 403},
		"from a page":     {"POST", "/rpc", func(q *http.Request) { q.Header.Set("Origin", "http://localhost") }, 403},
		"from no page":    {"POST", "/rpc", func(q *http.Request) { q.Header.Set("Origin", "null") }, 403},
		"asking before":   {"OPTIONS", "/rpc", func(q *http.Request) { q.Header.Set("Origin", "http://localhost") }, 403},
		"a form":          {"POST", "/rpc", func(q *http.Request) { q.Header.Set("Content-Type", "text/plain") }, 415},
		"another method":  {"GET", "/rpc", nil, 405},
		"another path":    {"POST", "/", nil, 404},
		"nobody":          {"GET", "/events", nil, 404},
		"no position":     {"GET", "/events?after=x", nil, 400},
		"before all":      {"GET", "/events?after=-1", nil, 400},
		"unknown":         {"GET", "/events?before=1", nil, 400},
		"no last event":   {"GET", "/events", func(q *http.Request) { q.Header.Set("Last-Event-ID", "abc") }, 400},
		"to many origins": {"GET", "/events", func(q *http.Request) { q.Header["Origin"] = nil; q.Header["Origin"] = []string{""} }, 403},
	} {
		a := r.request(c.method, c.path, ping, c.change)
		if a.StatusCode != c.want {
			t.Errorf("%s: %s", name, a.Status)
		}
		for header := range a.Header {
			if strings.HasPrefix(header, "Access-Control") {
				t.Errorf("%s: pages are let in by %s", name, header)
			}
		}
	}
}

// TestStrangersHoldNoPlace: a connection of somebody without the token ends with the refusal, though the body that it promised never comes.
func TestStrangersHoldNoPlace(t *testing.T) {
	r := newServer(t).daemon(daemon.Config{})
	for _, head := range []string{"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n", "POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
		"POST /rpc HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{"} {
		conn, err := net.Dial("tcp", r.web)
		check(t, err)
		_, err = io.WriteString(conn, head)
		check(t, err)
		check(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 40") {
			t.Errorf("%q: %q, %v", head, answer, err)
		}
		check(t, conn.Close())
	}
}

func TestEventsGoOnWhereTheyWereCut(t *testing.T) {
	s := newServer(t)
	_, alice := s.registered("alice")
	r, bob := s.registered("bob")
	alice.ask("dm", map[string]any{"user": "bob"})
	bob.ask("sync", nil)
	stream := r.events("", "")
	begin := stream.next()
	if begin.name != "begin" || begin.id == "" {
		t.Fatalf("it begins with %+v", begin)
	}
	alice.ask("send", map[string]any{"conversation": "bob", "text": "one"})
	one := stream.until("entry", `"text":"one"`)
	var e struct{ Position int64 }
	check(t, json.Unmarshal([]byte(one.data), &e))
	if one.id != strconv.FormatInt(e.Position, 10) {
		t.Errorf("the id of %s is %s", one.data, one.id)
	}
	alice.ask("send", map[string]any{"conversation": "bob", "text": "two"})
	alice.ask("send", map[string]any{"conversation": "bob", "text": "three"})
	for query, last := range map[string]string{"?after=0&conversation=alice": one.id, "?after=" + one.id: "", "?conversation=alice": one.id} {
		again := r.events(query, last)
		again.until("begin", one.id)
		for _, want := range []string{"two", "three"} {
			if got := again.next(); got.name != "entry" || !strings.Contains(got.data, `"text":"`+want+`"`) {
				t.Errorf("%s after %s: %+v and not %s", query, last, got, want)
			}
		}
	}
	again := r.events("", begin.id) // a reader that was cut before it saw anything misses nothing
	again.until("entry", `"text":"one"`)
	s.Stop()
	stream.until("notice", "offline")
	ended := make(chan error, 1)
	go func() { ended <- r.end() }()
	stream.until("end", "shutting-down")
	check(t, <-ended)
}

func TestAStreamThatIsQuietLives(t *testing.T) {
	s := newServer(t)
	r := s.daemon(daemon.Config{Heartbeat: time.Millisecond})
	r.call().ask("register", map[string]any{"user": "alice", "answers": map[string]any{"password": password}})
	stream := r.events("", "")
	for range 3 {
		for line := ""; line != ": alive\n"; {
			var err error
			line, err = stream.in.ReadString('\n')
			check(t, err)
		}
	}
}

// TestASlowReaderIsDropped: one that takes nothing holds up nobody, is let go, and goes on where it was.
func TestASlowReaderIsDropped(t *testing.T) {
	s := newServer(t)
	r := s.daemon(daemon.Config{Stall: 50 * time.Millisecond})
	alice := r.call()
	alice.ask("register", map[string]any{"user": "alice", "answers": map[string]any{"password": password}})
	alice.ask("dm", map[string]any{"user": "alice"})
	conn, err := net.Dial("tcp", r.web)
	check(t, err)
	defer conn.Close()
	check(t, conn.(*net.TCPConn).SetReadBuffer(1))
	_, err = fmt.Fprintf(conn, "GET /events?after=0 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", r.token)
	check(t, err)
	text := strings.Repeat("x", 60_000)
	sent := 0
	for late := time.After(time.Minute); !strings.Contains(r.log.String(), "a stream of events ended"); sent++ {
		alice.ask("send", map[string]any{"conversation": "alice", "text": text, "no-wait": true})
		select {
		case <-late:
			t.Fatalf("after %d messages of which it took none it is served still", sent)
		default:
		}
	}
	seen, last := 0, "0"
	for seen < sent {
		stream := r.events("", last)
		for seen < sent {
			e, err := stream.read()
			if err != nil { // this one was slow too
				break
			}
			if strings.Contains(e.data, "xxx") {
				seen, last = seen+1, e.id
			}
		}
	}
}

func TestTooManyAreConnected(t *testing.T) {
	r := newServer(t).daemon(daemon.Config{})
	var connected []*caller
	for range 64 {
		c := r.call()
		c.answer(c.begin("ping", nil))
		connected = append(connected, c)
	}
	if m := r.call().message(); m.Error == nil || m.Error.Data.Code != "too-many-connections" {
		t.Errorf("one more: %+v", m)
	}
	if a := r.request("POST", "/rpc", "{}", nil); a.StatusCode != 503 {
		t.Errorf("by HTTP: %s", a.Status)
	}
	for _, c := range connected {
		check(t, c.conn.Close())
	}
}

// TestManyAtOnce: requests of many programs, each at its own pace, are all answered.
func TestManyAtOnce(t *testing.T) {
	s := newServer(t)
	r, alice := s.registered("alice")
	alice.ask("dm", map[string]any{"user": "alice"})
	var callers []*caller
	for n := range 8 {
		c := r.call()
		callers = append(callers, c)
		for i := range 50 {
			c.begin("send", map[string]any{"conversation": "alice", "text": fmt.Sprint(n, " ", i), "no-wait": true})
		}
	}
	for _, c := range callers {
		seen := map[any]bool{}
		for range 50 {
			m := c.message()
			if m.Error != nil || m.Method != "" {
				t.Fatalf("answered %+v", m)
			}
			seen[m.ID] = true
		}
		if len(seen) != 50 {
			t.Errorf("%d different answers", len(seen))
		}
	}
	var texts []string
	for _, e := range alice.ask("history", map[string]any{"conversation": "alice", "limit": 400}).Parts {
		texts = append(texts, e.Text)
	}
	slices.Sort(texts)
	if len(slices.Compact(texts)) != 400 {
		t.Errorf("there are %d different messages", len(texts))
	}
}
