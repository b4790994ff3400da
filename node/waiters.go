package node

import (
	"sync"

	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// waiters are the long polls at inboxes, one of a connection: a newer one ends the one before it.
type waiters struct {
	mu sync.Mutex
	of map[string]map[*conn]*waiter // by account
}

// waiter is one long poll.
type waiter struct {
	woken chan struct{} // holds one, once there may be something
	ended chan struct{} // closed when a newer poll of the connection takes its place
}

func (w *waiters) register(name string, c *conn) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[string]map[*conn]*waiter{}
	}
	if w.of[name] == nil {
		w.of[name] = map[*conn]*waiter{}
	}
	if before := w.of[name][c]; before != nil {
		close(before.ended)
	}
	k := &waiter{make(chan struct{}, 1), make(chan struct{})}
	w.of[name][c] = k
	return k
}

func (w *waiters) forget(name string, c *conn, k *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of[name][c] != k {
		return
	}
	if delete(w.of[name], c); len(w.of[name]) == 0 {
		delete(w.of, name)
	}
}

// wake wakes the long polls of accounts.
func (w *waiters) wake(notices []store.Notice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range notices {
		for _, k := range w.of[n.Account] {
			select {
			case k.woken <- struct{}{}:
			default: // will look anyway
			}
		}
	}
}

// announce tells the devices of accounts that there is something in their inbox: by push, but for the connection that caused
// it, and by ending their long polls. It never blocks.
func (s *Server) announce(notices []store.Notice, cause *conn) {
	s.waiters.wake(notices)
	for _, l := range s.sessions.listening(notices) {
		if l.c != cause {
			s.push(l.c, wire.InboxPush{Sequence: uint64(l.seq)})
		}
	}
}

// hand is announce for a message, which is in the same row of all inboxes but for its number. A small one goes with the push, so that who is there need
// not fetch it, unless much waits for who is there already.
func (s *Server) hand(notices []store.Notice, cause *conn, row wire.InboxRow) {
	if len(row.Payload) > wire.MaxPushed {
		s.announce(notices, cause)
		return
	}
	s.waiters.wake(notices)
	for _, l := range s.sessions.listening(notices) {
		if l.c == cause {
			continue
		}
		p := wire.InboxPush{Sequence: uint64(l.seq)}
		if !l.c.lags() {
			row.Sequence, p.Row = p.Sequence, &row
		}
		s.push(l.c, p)
	}
}

// listener is a connection to tell of an inbox.
type listener struct {
	c   *conn
	seq int64
}

// listening returns the connections of authenticated devices of accounts.
func (s *sessions) listening(notices []store.Notice) (list []listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range notices {
		for c, device := range s.accounts[n.Account] {
			if !device.IsZero() {
				list = append(list, listener{c, n.Seq})
			}
		}
	}
	return list
}
