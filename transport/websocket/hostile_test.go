//go:build !js

package websocket_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	ws "github.com/coder/websocket"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/testcert"
	"github.com/quicproquo/qpq/transport/websocket"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// web opens WebSockets as a browser does.
type web struct {
	url    string
	client *http.Client
}

func serve(t *testing.T, origins ...string) (*websocket.Listener, *web, *tls.Config) {
	t.Helper()
	server, client := testcert.Pair(t)
	l, err := websocket.Listen("127.0.0.1:0", server, origins...)
	check(t, err)
	t.Cleanup(func() { _ = l.Close() })
	through := &http.Transport{TLSClientConfig: client}
	t.Cleanup(through.CloseIdleConnections)
	return l, &web{"https://" + l.Addr().String(), &http.Client{Transport: through}}, client
}

func (w *web) open(ctx context.Context, path, protocol, origin string) (*ws.Conn, int) {
	header := http.Header{}
	if origin != "" {
		header.Set("Origin", origin)
	}
	c, r, err := ws.Dial(ctx, w.url+path, &ws.DialOptions{HTTPClient: w.client, HTTPHeader: header, Subprotocols: []string{protocol}})
	if err != nil && r == nil {
		return nil, 0
	}
	return c, r.StatusCode
}

func TestWhoMayComeIn(t *testing.T) {
	l, web, _ := serve(t, "app.example.org", "*.example.net")
	for _, test := range []struct {
		what, path, protocol, origin string
		status                       int
	}{
		{"a program", "/qpq", "qpq", "", http.StatusSwitchingProtocols},
		{"a page of the server's host", "/qpq", "qpq", web.url, http.StatusSwitchingProtocols},
		{"a page of a host that may", "/qpq", "qpq", "https://app.example.org", http.StatusSwitchingProtocols},
		{"a page of a host that may by a pattern", "/qpq", "qpq", "https://a.example.net", http.StatusSwitchingProtocols},
		{"a page of another host", "/qpq", "qpq", "https://example.org", http.StatusForbidden},
		{"a page of no host", "/qpq", "qpq", "null", http.StatusForbidden},
		{"another protocol", "/qpq", "chat", "", http.StatusBadRequest},
		{"another place", "/", "qpq", "", http.StatusNotFound},
	} {
		accepting, end := context.WithCancel(t.Context())
		accepted := make(chan transport.Conn, 1)
		go func() {
			conn, _ := l.Accept(accepting)
			accepted <- conn
		}()
		c, status := web.open(t.Context(), test.path, test.protocol, test.origin)
		if status != test.status {
			t.Errorf("%s: status %d, want %d", test.what, status, test.status)
		}
		if status != http.StatusSwitchingProtocols {
			end()
		}
		conn := <-accepted
		end()
		if (conn != nil) != (status == http.StatusSwitchingProtocols) {
			t.Errorf("%s: connection %v", test.what, conn)
		}
		if c != nil {
			check(t, c.CloseNow())
		}
		if conn != nil {
			<-conn.Done() // it learns that the other end has gone
		}
	}
	r, err := web.client.Get(web.url + websocket.Path)
	check(t, err)
	if _ = r.Body.Close(); r.StatusCode != http.StatusBadRequest {
		t.Errorf("a plain request: %s", r.Status)
	}
}

// TestWhatIsNoMessageOfOurs sends text, and bytes that are no frames. Both end the connection.
func TestWhatIsNoMessageOfOurs(t *testing.T) {
	l, web, _ := serve(t)
	for what, kind := range map[string]ws.MessageType{"text": ws.MessageText, "no frame": ws.MessageBinary} {
		go func() {
			c, status := web.open(t.Context(), websocket.Path, "qpq", "")
			if c == nil {
				t.Errorf("%s: status %d", what, status)
				return
			}
			defer func() { _ = c.CloseNow() }()
			if err := c.Write(t.Context(), kind, []byte("neither version nor type")); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			for {
				if _, _, err := c.Read(t.Context()); err != nil {
					return
				}
			}
		}()
		conn, err := l.Accept(t.Context())
		check(t, err)
		if s, err := conn.Accept(t.Context()); err == nil {
			t.Errorf("%s: it made a stream: %v", what, s)
		}
		<-conn.Done()
	}
}

// TestClientsThatSayNothing connects more of them than may be without a connection at a time. The oldest are put out, and an honest
// client comes in.
func TestClientsThatSayNothing(t *testing.T) {
	const silent, most = 300, 256
	l, _, client := serve(t)
	var conns []net.Conn
	for range silent {
		c, err := net.Dial("tcp", l.Addr().String())
		check(t, err)
		defer c.Close()
		conns = append(conns, c)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if c, err := l.Accept(t.Context()); err != nil {
			t.Error(err)
		} else {
			<-c.Done()
		}
	}()
	honest, err := websocket.Dial(t.Context(), l.Addr().String(), client)
	check(t, err)
	check(t, honest.Close(transport.CodeDone, ""))
	<-served // a listener that is closed accepts nothing, even what it has upgraded
	for i, c := range conns[:silent+1-most] {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("silent client %d was not put out: %v", i, err)
		}
	}
	for i, c := range conns[silent+1-most:] {
		check(t, c.SetReadDeadline(time.Now().Add(20*time.Millisecond))) // one that has passed would hide what the system knows
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("silent client %d of those that there is room for: %v", i, err)
		}
	}
	check(t, l.Close())
	for i, c := range conns[silent+1-most:] {
		check(t, c.SetReadDeadline(time.Time{}))
		if n, err := io.Copy(io.Discard, c); n > 0 {
			t.Errorf("silent client %d was told something: %v", i, err)
		}
	}
}

// TestWhatAnswersIsNoServer connects to a web server that knows nothing of this.
func TestWhatAnswersIsNoServer(t *testing.T) {
	here, there := testcert.Pair(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", here)
	check(t, err)
	other := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- other.Serve(l) }()
	if _, err := websocket.Dial(t.Context(), l.Addr().String(), there); qpq.CodeOf(err) != "not-qpq" {
		t.Errorf("dialled: %v", err)
	}
	check(t, other.Close())
	<-served
}
