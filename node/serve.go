package node

import (
	"net"

	"github.com/quicproquo/qpq"
)

// connect counts a connection in. It fails with qpq.Unavailable where there is no room for it.
func (s *Server) connect(over session, from net.Addr) (*conn, error) {
	c := &conn{session: over, address: addressKey(from)}
	if s.draining() || !s.sessions.open(c, s.limits) {
		s.metrics.refused.Inc()
		return nil, qpq.E(qpq.Unavailable, "too-many-connections", "the server has as many connections as it can serve: try again later")
	}
	return c, nil
}

// disconnect counts a connection out, whose calls have all returned.
func (s *Server) disconnect(c *conn) {
	s.sessions.close(c)
	c.strip()
}
