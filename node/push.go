package node

import (
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// pushQueue is how many bytes may wait to be pushed to a connection. Whoever shares a conversation with somebody decides how much of it is rows and
// ephemeral messages, so that a quarter is all that those may fill: the rest is for what tells that something is there, as a newer state of the account.
const pushQueue = 64 << 10

// lags reports whether so much waits to be pushed to a connection that nothing more may which can be left out.
func (c *conn) lags() bool { return c.session.Waiting() > pushQueue/4 }

// push sends a hint to a connection. It never blocks: who reads too slowly misses it.
func (s *Server) push(c *conn, event wire.PushEvent) {
	b, err := wire.Marshal(wire.Push{Event: event})
	if err != nil {
		s.log.Error("a push could not be encoded", "cause", err.Error())
		return
	}
	if _, fleeting := event.(wire.EphemeralPush); fleeting && c.lags() || !c.session.Push(b) {
		s.metrics.pushesLost.Inc()
		return
	}
	s.metrics.pushes.Inc()
}

// pushAccount sends a hint to the authenticated devices of an account but for the connection that caused it.
func (s *Server) pushAccount(name string, cause *conn, event wire.PushEvent) {
	for c, device := range s.sessions.of(name) {
		if c != cause && !device.IsZero() {
			s.push(c, event)
		}
	}
}

// pushDevice sends a hint to one device.
func (s *Server) pushDevice(name string, device qpq.DeviceID, event wire.PushEvent) {
	for c, d := range s.sessions.of(name) {
		if d == device {
			s.push(c, event)
		}
	}
}

// announceDrain tells everybody that the server is about to stop.
func (s *Server) announceDrain() {
	event := wire.DrainingPush{Seconds: uint16((s.limits.Drain + time.Second - 1) / time.Second)}
	for _, c := range s.sessions.everybody() {
		if _, device := c.who(); !device.IsZero() {
			s.push(c, event)
		}
	}
}
