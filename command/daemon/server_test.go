package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/disk"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/daemon"
	"github.com/quicproquo/qpq/internal/testserver"
	"github.com/quicproquo/qpq/opaque"
)

const password = "correct horse battery"

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// server is what the daemons of a test talk with.
type server struct {
	*testserver.Server
	t *testing.T
}

func newServer(t *testing.T) *server {
	t.Helper()
	return &server{testserver.New(t, nil), t}
}

// journal is what a daemon logs.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Write(b)
	select {
	case j.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// running is a daemon with its client.
type running struct {
	t      *testing.T
	client *client.Client
	log    *journal
	path   string // of the socket
	web    string // host:port
	token  string
	end    func() error // has it end, and returns what Run did
}

// daemon runs one for a device that nobody has signed in on.
func (s *server) daemon(cfg daemon.Config) *running {
	t := s.t
	dir := t.TempDir()
	p, err := profile.Open(profile.Config{Path: filepath.Join(dir, "profile.db"), Key: make([]byte, profile.KeySize)})
	check(t, err)
	r := &running{t: t, log: &journal{more: make(chan struct{}, 1)}, path: daemon.Socket(dir)}
	cfg.Log, cfg.Release, cfg.DeviceName = slog.New(slog.NewTextHandler(r.log, nil)), "1", "desk"
	d := daemon.New(cfg)
	r.client = client.New(client.Config{Profile: p, Server: testserver.Domain, KSF: opaque.Identity, Files: disk.Files{}, Backoff: time.Millisecond, Dial: s.Dial, Notice: d.Notice})
	var doors daemon.Doors
	doors.Socket, err = daemon.Listen(r.path)
	check(t, err)
	doors.Web, err = daemon.ListenWeb("127.0.0.1:0")
	check(t, err)
	doors.Token, err = daemon.Token(dir)
	check(t, err)
	r.web, r.token = doors.Web.Addr().String(), doors.Token
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, r.client, doors) }()
	r.end = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { check(t, errors.Join(r.end(), r.client.Close(), p.Close())) })
	return r
}

// registered is the daemon of a new account, with a connection to it.
func (s *server) registered(name string) (*running, *caller) {
	r := s.daemon(daemon.Config{})
	c := r.call()
	c.ask("register", map[string]any{"user": name, "answers": map[string]any{"password": password}})
	return r, c
}

// message is what a daemon says.
type message struct {
	ID     any
	Method string
	Params struct {
		ID           any
		Value, Entry command.EntryJSON
		Subscription int
		Code, Text   string
		Error        *failure
	}
	Result json.RawMessage
	Error  *failure
}

type failure struct {
	Code    int
	Message string
	Data    struct{ Kind, Code string }
}

// caller is a program that is connected.
type caller struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	last int
	kept []message // notifications that came before an answer
}

func (r *running) call() *caller {
	r.t.Helper()
	conn, err := net.Dial("unix", r.path)
	check(r.t, err)
	r.t.Cleanup(func() { _ = conn.Close() })
	check(r.t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return &caller{t: r.t, conn: conn, in: bufio.NewReader(conn)}
}

func (c *caller) write(text string) {
	c.t.Helper()
	_, err := io.WriteString(c.conn, text)
	check(c.t, err)
}

// line returns the next line.
func (c *caller) line() string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	check(c.t, err)
	return line
}

func (c *caller) message() (m message) {
	c.t.Helper()
	check(c.t, json.Unmarshal([]byte(c.line()), &m))
	return m
}

// begin sends a request, and returns its id.
func (c *caller) begin(method string, params map[string]any) int {
	c.t.Helper()
	c.last++
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": c.last, "method": method, "params": params})
	check(c.t, err)
	c.write(string(b) + "\n")
	return c.last
}

// answer waits for the answer to a request. What else comes is kept.
func (c *caller) answer(id int) message {
	c.t.Helper()
	for {
		if m := c.message(); m.Method == "" && m.ID == float64(id) {
			return m
		} else if m.Method != "" {
			c.kept = append(c.kept, m)
		} else {
			c.t.Fatalf("an answer to %v: %+v", m.ID, m)
		}
	}
}

// ask makes a call that succeeds, and returns its result.
func (c *caller) ask(method string, params map[string]any) (result struct {
	Value json.RawMessage
	Text  string
	Count int
	Parts []command.EntryJSON
}) {
	c.t.Helper()
	m := c.answer(c.begin(method, params))
	if m.Error != nil {
		c.t.Fatalf("%s: %+v", method, m.Error)
	}
	check(c.t, json.Unmarshal(m.Result, &result))
	return result
}

// fails makes a call that fails.
func (c *caller) fails(method string, params map[string]any) *failure {
	c.t.Helper()
	m := c.answer(c.begin(method, params))
	if m.Error == nil {
		c.t.Fatalf("%s succeeded: %s", method, m.Result)
	}
	return m.Error
}

// subscribe returns the number of a new subscription.
func (c *caller) subscribe(params map[string]any) int {
	c.t.Helper()
	m := c.answer(c.begin("subscribe", params))
	var v struct{ Subscription int }
	if m.Error != nil || json.Unmarshal(m.Result, &v) != nil || v.Subscription == 0 {
		c.t.Fatalf("subscribe: %+v", m)
	}
	return v.Subscription
}

// until waits for a notification.
func (c *caller) until(wanted func(message) bool) message {
	c.t.Helper()
	for len(c.kept) > 0 {
		m := c.kept[0]
		if c.kept = c.kept[1:]; wanted(m) {
			return m
		}
	}
	for {
		if m := c.message(); wanted(m) {
			return m
		}
	}
}

func says(text string) func(message) bool {
	return func(m message) bool { return m.Method == "entry" && m.Params.Entry.Text == text }
}

func notice(code string) func(message) bool {
	return func(m message) bool { return m.Method == "notice" && m.Params.Code == code }
}

func end(m message) bool { return m.Method == "end" }
