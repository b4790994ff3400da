package websocket

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall/js"

	"github.com/quicproquo/qpq/transport"
)

// maxWaiting is how many bytes may have come that nobody has read: a browser cannot be told to take no more. A server that keeps to the
// windows of its streams never gets there.
const maxWaiting = 64 << 20

// socket is the WebSocket of a browser (https://websockets.spec.whatwg.org), as the bytes of its messages.
type socket struct {
	ws        js.Value
	listeners map[string]js.Func // by the kind of event
	opened    chan struct{}
	ended     chan struct{} // the browser is done with it
	once      sync.Once

	mu      sync.Mutex
	news    sync.Cond // there is more in waiting, or there never will be
	waiting [][]byte
	held    int // bytes in waiting
	err     error
}

// open connects to a URL, and fails when ctx ends before.
func open(ctx context.Context, url string) (*socket, error) {
	class := js.Global().Get("WebSocket")
	if class.IsUndefined() {
		return nil, errors.New("this program has no WebSocket to use: neither a browser nor a runtime like one runs it")
	}
	s := &socket{listeners: map[string]js.Func{}, opened: make(chan struct{}), ended: make(chan struct{})}
	s.news.L = &s.mu
	if err := caught(func() { s.ws = class.New(url, protocol) }); err != nil {
		return nil, err
	}
	s.ws.Set("binaryType", "arraybuffer")
	s.listen("open", func(js.Value) { close(s.opened) })
	s.listen("message", func(e js.Value) { s.take(e.Get("data")) })
	s.listen("error", func(js.Value) { s.over() }) // not every runtime tells of the end besides
	s.listen("close", func(js.Value) { s.over() })
	select {
	case <-s.opened:
		return s, nil
	case <-s.ended:
		return nil, io.ErrUnexpectedEOF
	case <-ctx.Done():
		_ = s.Close()
		return nil, ctx.Err()
	}
}

// listen calls f, which must not block, for events of a kind.
func (s *socket) listen(kind string, f func(event js.Value)) {
	listener := js.FuncOf(func(_ js.Value, args []js.Value) any {
		f(args[0])
		return nil
	})
	s.listeners[kind] = listener
	s.ws.Call("addEventListener", kind, listener)
}

// take keeps a message for Read. Text is no part of the protocol.
func (s *socket) take(data js.Value) {
	if data.Type() == js.TypeString {
		s.fail(transport.Closed{Code: transport.CodeMalformed})
		return
	}
	view := js.Global().Get("Uint8Array").New(data)
	message := make([]byte, view.Length())
	js.CopyBytesToGo(message, view)
	s.mu.Lock()
	if s.err == nil && len(message) > 0 {
		s.waiting = append(s.waiting, message)
		s.held += len(message)
	}
	full := s.held > maxWaiting
	s.mu.Unlock()
	s.news.Signal()
	if full {
		s.fail(transport.Closed{Code: transport.CodeUnwelcome})
	}
}

// over lets go of a WebSocket that has ended. What has come can still be read.
func (s *socket) over() {
	s.once.Do(func() {
		s.stop(io.EOF, false)
		for kind, listener := range s.listeners {
			s.ws.Call("removeEventListener", kind, listener)
			listener.Release()
		}
		close(s.ended)
	})
}

// fail ends the connection. The browser says goodbye, and waits for the answer beside.
func (s *socket) fail(err error) {
	s.stop(err, true)
	_ = caught(func() { s.ws.Call("close") })
}

// stop has Read and Write fail, from now on or once what has come was read.
func (s *socket) stop(err error, now bool) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	if now {
		s.waiting, s.held = nil, 0
	}
	s.mu.Unlock()
	s.news.Broadcast()
}

// Read implements io.Reader.
func (s *socket) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.news.Wait()
	}
	n := copy(p, s.waiting[0])
	s.held -= n
	if s.waiting[0] = s.waiting[0][n:]; len(s.waiting[0]) == 0 {
		s.waiting = s.waiting[1:]
	}
	return n, nil
}

// Write implements io.Writer. Each Write is a message, which the browser keeps until it is sent.
func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	message := js.Global().Get("Uint8Array").New(len(p))
	js.CopyBytesToJS(message, p)
	if err := caught(func() { s.ws.Call("send", message) }); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close implements io.Closer. It waits for nobody.
func (s *socket) Close() error {
	s.fail(transport.Closed{Code: transport.CodeDone})
	return nil
}

// caught returns what f throws.
func caught(f func()) (err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			var ok bool
			if err, ok = thrown.(js.Error); !ok {
				panic(thrown)
			}
		}
	}()
	f()
	return nil
}
