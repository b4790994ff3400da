package node

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// Run serves the listeners until ctx is done, then drains: clients are told, calls under way may finish
// within Limits.Drain, and what is left is cut. It returns when nothing of the server runs any more, with
// the error of a listener that ended early, if one did. It closes the listeners.
func (s *Server) Run(ctx context.Context, listeners ...transport.Listener) error {
	serving, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	accepting, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	lagging, err := wire.Marshal(wire.Push{Event: wire.InboxPush{}})
	if err != nil {
		return err
	}
	carrier := transport.NewServer(transport.ServerConfig{Handler: edge{s}, Admit: s.room, PushQueue: pushQueue, Lagging: lagging})
	var work sync.WaitGroup
	for _, l := range listeners {
		work.Go(func() {
			err := carrier.Serve(serving, l)
			refuse(fmt.Errorf("listen on %s: %w", l.Addr(), err)) // without effect once ctx is done
		})
	}
	work.Go(func() { s.sweep(accepting) })
	<-accepting.Done()
	s.shutDown(carrier, listeners)
	cut()
	work.Wait()
	if ctx.Err() == nil {
		return context.Cause(accepting)
	}
	return nil
}

// shutDown ends every connection, at the latest after Limits.Drain.
func (s *Server) shutDown(carrier *transport.Server, listeners []transport.Listener) {
	s.log.Info("draining", "connections", s.sessions.count(), "within", s.limits.Drain)
	s.drain.Do(func() { close(s.drained) })
	s.announceDrain()
	for _, l := range listeners {
		if err := l.Close(); err != nil {
			s.log.Warn("a listener could not be closed", "cause", err.Error())
		}
	}
	grace, cancel := context.WithTimeout(context.Background(), s.limits.Drain)
	defer cancel()
	if err := carrier.Shutdown(grace); err != nil {
		s.log.Warn("calls were cut off: they took longer than the server may drain")
	}
}

// edge is what all transports hand their calls to.
type edge struct{ s *Server }

// Open implements transport.Handler.
func (e edge) Open(c *transport.ServerConn) (any, error) {
	return e.s.connect(carried{c}, c.Peer().Address)
}

// Call implements transport.Handler.
func (e edge) Call(ctx context.Context, c *transport.ServerConn, method uint16, request []byte) (uint16, []byte) {
	return e.s.dispatch(ctx, c.Value.(*conn), method, request)
}

// Closed implements transport.Handler.
func (e edge) Closed(c *transport.ServerConn) { e.s.disconnect(c.Value.(*conn)) }

// carried is a connection's session over a transport.
type carried struct{ *transport.ServerConn }

// Exporter implements session.
func (c carried) Exporter(label string, length int) ([]byte, error) {
	return c.Peer().Exporter(label, length)
}

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
