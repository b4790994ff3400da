package node

import (
	"sync"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// sessions knows all connections of this server, those of an account and those of a device. A
// connection is listed for an account before anything is granted to it, so that whoever takes rights away
// finds all that have them or are about to get them.
type sessions struct {
	mu        sync.Mutex
	all       map[*conn]struct{}
	addresses map[string]int
	accounts  map[string]map[*conn]qpq.DeviceID // by name; the device is zero until one is authenticated
	names     map[*conn]string                  // where a connection is listed
}

func (s *sessions) init() {
	s.all, s.addresses = map[*conn]struct{}{}, map[string]int{}
	s.accounts, s.names = map[string]map[*conn]qpq.DeviceID{}, map[*conn]string{}
}

// open counts a new connection in. It reports whether there is room for it.
func (s *sessions) open(c *conn, l Limits) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= l.Connections || s.addresses[c.address] >= l.AddressConnections {
		return false
	}
	s.all[c] = struct{}{}
	s.addresses[c.address]++
	return true
}

// close counts a connection out.
func (s *sessions) close(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
	if s.addresses[c.address]--; s.addresses[c.address] <= 0 {
		delete(s.addresses, c.address)
	}
	s.unlist(c)
}

func (s *sessions) unlist(c *conn) {
	if name, ok := s.names[c]; ok {
		delete(s.names, c)
		delete(s.accounts[name], c)
		if len(s.accounts[name]) == 0 {
			delete(s.accounts, name)
		}
	}
}

// list lists a connection for an account, or for one of its devices. Nothing is listed that was counted
// out.
func (s *sessions) list(c *conn, name string, device qpq.DeviceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.all[c]; !ok {
		return
	}
	if s.names[c] != name {
		s.unlist(c)
	}
	if s.accounts[name] == nil {
		s.accounts[name] = map[*conn]qpq.DeviceID{}
	}
	if before := s.accounts[name][c]; device.IsZero() {
		device = before
	}
	s.accounts[name][c], s.names[c] = device, name
}

// count returns the number of connections.
func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// of returns the connections of an account, and the device that each is listed for.
func (s *sessions) of(name string) map[*conn]qpq.DeviceID {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[*conn]qpq.DeviceID, len(s.accounts[name]))
	for c, device := range s.accounts[name] {
		out[c] = device
	}
	return out
}

// everybody returns all connections.
func (s *sessions) everybody() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*conn, 0, len(s.all))
	for c := range s.all {
		out = append(out, c)
	}
	return out
}

// cutOff ends the connections of an account for which which holds. The one that asked for it loses its rights
// and stays open, for its reply. The others learn why when they come back.
func (s *Server) cutOff(name string, asking *conn, which func(qpq.DeviceID) bool) {
	for c, device := range s.sessions.of(name) {
		if !which(device) {
			continue
		}
		c.strip()
		if c != asking {
			c.session.Close(transport.CodeDone)
		}
	}
}

// endPasswords ends all proofs of an account's password.
func (s *Server) endPasswords(name string) {
	for c := range s.sessions.of(name) {
		c.endPassword()
	}
}

// supersede ends the older sessions of a device.
func (s *Server) supersede(name string, device qpq.DeviceID, by *conn) {
	for c, d := range s.sessions.of(name) {
		if c == by || d != device {
			continue
		}
		c.strip()
		s.push(c, wire.SupersededPush{})
		c.session.Close(transport.CodeSuperseded)
	}
}
