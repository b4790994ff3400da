//go:build !js

package websocket

import (
	"context"
	"io"

	"github.com/coder/websocket"

	"github.com/quicproquo/qpq/transport"
)

// messages are the bytes of a WebSocket's messages. Where a message ends means nothing.
type messages struct {
	ws      *websocket.Conn
	message io.Reader // the one under way
}

func newMessages(ws *websocket.Conn) *messages {
	ws.SetReadLimit(-1) // who reads takes no more than there is room for
	return &messages{ws: ws}
}

// Read implements io.Reader. Text is no part of the protocol.
func (m *messages) Read(p []byte) (n int, err error) {
	for n == 0 && err == nil {
		if m.message == nil {
			if err := m.next(); err != nil {
				return 0, err
			}
		}
		if n, err = m.message.Read(p); err == io.EOF {
			m.message, err = nil, nil
		}
	}
	return n, err
}

// next waits for a message.
func (m *messages) next() error {
	kind, message, err := m.ws.Reader(context.Background())
	switch {
	case websocket.CloseStatus(err) != -1: // the other end said goodbye
		return io.EOF
	case err != nil:
		return err
	case kind != websocket.MessageBinary:
		return transport.Closed{Code: transport.CodeMalformed}
	}
	m.message = message
	return nil
}

// Write implements io.Writer. Each Write is a message.
func (m *messages) Write(p []byte) (int, error) {
	if err := m.ws.Write(context.Background(), websocket.MessageBinary, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close implements io.Closer. It waits for nobody.
func (m *messages) Close() error { return m.ws.CloseNow() }
