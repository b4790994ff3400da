package mux

import (
	"net"
	"slices"
	"sync"
)

// maxHandshakes bounds how many clients may be shaking hands at a time. One more ends the handshake that began first, so
// that clients who never say anything keep nobody out.
const maxHandshakes = 256

// Handshakes are the connections of a listener that are not through their handshakes. The zero value is ready to use.
type Handshakes struct {
	mu     sync.Mutex
	under  []net.Conn // the oldest first
	closed bool
}

// Begin enters a handshake, and ends the oldest if there are too many. Once all were closed it closes the connection and returns false.
func (h *Handshakes) Begin(c net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		_ = c.Close()
		return false
	}
	if len(h.under) >= maxHandshakes {
		_ = h.under[0].Close()
		h.under = slices.Delete(h.under, 0, 1)
	}
	h.under = append(h.under, c)
	return true
}

// End takes a handshake off the list.
func (h *Handshakes) End(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.under, c); i >= 0 {
		h.under = slices.Delete(h.under, i, i+1)
	}
}

// Close ends the handshakes that go on, and those that begin.
func (h *Handshakes) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, c := range h.under {
		_ = c.Close()
	}
	h.under = nil
}
