//go:build !js

package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"syscall"

	"github.com/coder/websocket"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/mux"
)

// maxHeader bounds what a client may say before it has a connection, in bytes.
const maxHeader = 8 << 10

// Listener accepts connections on a TCP port, by HTTPS.
type Listener struct {
	tcp     net.Listener
	http    *http.Server
	origins []string
	accept  chan transport.Conn
	done    chan struct{}
	once    sync.Once
	group   sync.WaitGroup
	shakes  mux.Handshakes
}

// Listen opens a TCP port: "host:port", "[v6]:port" or ":port", which is both IPv4 and IPv6. origins are the hosts whose pages may
// connect besides those of the server's own host, such as "app.example.org" or "*.example.org"; who says no origin is no page, and may. A
// port that is taken gives an error of kind qpq.Exists.
func Listen(address string, c *tls.Config, origins ...string) (*Listener, error) {
	tcp, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, transport.ErrPortTaken("TCP", address, err)
	}
	if err != nil {
		return nil, qpq.Wrap(qpq.Unavailable, "cannot-listen", fmt.Sprintf("cannot listen on TCP %s: %v", address, err), err)
	}
	l := &Listener{tcp: tcp, origins: origins, accept: make(chan transport.Conn), done: make(chan struct{})}
	pages := http.NewServeMux()
	pages.HandleFunc("GET "+Path, l.upgrade)
	l.http = &http.Server{
		Handler: pages, ReadTimeout: handshakeTime, WriteTimeout: handshakeTime, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(io.Discard, "", 0), ConnState: l.state,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	l.http.SetKeepAlivesEnabled(false)
	l.group.Go(func() { _ = l.http.Serve(tls.NewListener(tcp, webTLS(c))) })
	return l, nil
}

// connKey is what a request's connection is found under.
type connKey struct{}

// webTLS returns a copy of c that speaks HTTP/1.1, which has WebSocket.
func webTLS(c *tls.Config) *tls.Config {
	c = transport.ServerTLS(c)
	c.NextProtos = []string{"http/1.1"}
	return c
}

// state counts who has no connection yet.
func (l *Listener) state(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		l.shakes.Begin(c)
	case http.StateHijacked, http.StateClosed:
		l.shakes.End(c)
	}
}

// upgrade makes a connection of a request, and hands it on.
func (l *Listener) upgrade(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Sec-WebSocket-Protocol") != protocol {
		http.Error(w, "this is for clients of quicproquo: their WebSocket has the subprotocol "+protocol, http.StatusBadRequest)
		return
	}
	from := r.Context().Value(connKey{}).(net.Conn).RemoteAddr()
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocol}, OriginPatterns: l.origins})
	if err != nil {
		return // who asked was told
	}
	conn, err := mux.Server(newMessages(c), func() transport.Peer { return transport.Peer{Carrier: carrier, Address: from} })
	if err != nil {
		_ = c.CloseNow()
		return
	}
	select {
	case l.accept <- conn:
	case <-l.done:
		_ = conn.Close(transport.CodeDone, "")
	}
}

// Accept implements transport.Listener.
func (l *Listener) Accept(ctx context.Context) (transport.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Addr implements transport.Listener.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// Close implements transport.Listener. It ends handshakes that go on.
func (l *Listener) Close() (err error) {
	l.once.Do(func() {
		close(l.done)
		l.shakes.Close()
		err = l.http.Close()
		l.group.Wait()
	})
	return err
}
