package node

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

// errDevice is the one answer to devices that cannot be authenticated, for whatever reason.
var errDevice = qpq.E(qpq.Denied, wire.CodeDeviceUnknown, "the device could not be authenticated: it is unknown here or was revoked")

// maxAdvance bounds by how much a session advances the counter: whoever holds a copy of a device's state must not be able to use
// up all counters that the device could still come to.
const maxAdvance = 1 << 32

func (s *Server) authChallenge(_ context.Context, c *conn, _ wire.AuthChallenge) (wire.AuthChallengeReply, error) {
	var r wire.AuthChallengeReply
	rand.Read(r.Nonce[:])
	c.challenge(r.Nonce)
	return r, nil
}

func (s *Server) authenticate(ctx context.Context, c *conn, q wire.Authenticate) (wire.AuthenticateReply, error) {
	var none wire.AuthenticateReply
	nonce, ok := c.takeChallenge()
	if !ok {
		return none, qpq.E(qpq.Invalid, wire.CodeNoChallenge, "there is no challenge to answer on this connection: ask for one first")
	}
	if err := c.mayServe(q.User); err != nil {
		return none, err
	}
	if err := s.verifyDevice(ctx, c, q, nonce); err != nil {
		return none, err
	}
	// Listed before anything is granted: whoever revokes the device from here on finds this connection.
	s.sessions.list(c, q.User.Name, q.Device)
	reply, err := s.startSession(ctx, q)
	if err != nil {
		return none, err
	}
	if !c.grantDevice(q.User, q.Device, reply.Admin) {
		return none, errDevice
	}
	s.supersede(q.User.Name, q.Device, c)
	s.metrics.authenticated.Inc()
	return reply, nil
}

// verifyDevice checks the signature over this connection.
func (s *Server) verifyDevice(ctx context.Context, c *conn, q wire.Authenticate, nonce [32]byte) error {
	d, err := s.cfg.Store.Device(ctx, q.User.Name, q.Device)
	if errors.Is(err, qpq.NotFound) || err == nil && !d.Revoked.IsZero() || q.User.Domain != s.cfg.Domain {
		return errDevice
	}
	if err != nil {
		return err
	}
	user, key, err := identity.CertifiedDevice(d.Certificate) // verified when it was stored
	if err != nil {
		return qpq.Wrap(qpq.Damaged, "store-damaged", "the server's record of this device is damaged", err)
	}
	exporter, err := c.exporter()
	if err != nil {
		return err
	}
	if q.Counter > uint64(d.Session)+maxAdvance {
		return qpq.E(qpq.Invalid, "bad-counter", "no device has started so many sessions: its state is damaged")
	}
	statement := identity.Session{Domain: s.cfg.Domain, User: q.User, Device: q.Device, Counter: q.Counter, Nonce: nonce, Exporter: exporter}
	if err := identity.VerifySession(user, key, statement, q.Signature); err != nil {
		return errDevice
	}
	return nil
}

// startSession advances the session counter and gathers what a device must know.
func (s *Server) startSession(ctx context.Context, q wire.Authenticate) (wire.AuthenticateReply, error) {
	var r wire.AuthenticateReply
	counter, stale, err := s.advance(ctx, q)
	if err != nil {
		return r, contract(err)
	}
	account, err := s.cfg.Store.Account(ctx, q.User.Name)
	if err != nil {
		return r, contract(err)
	}
	state, err := s.cfg.Store.LatestState(ctx, q.User.Name)
	if err != nil {
		return r, contract(err)
	}
	vault, err := s.readVault(ctx, q.User.Name)
	if err != nil {
		return r, err
	}
	return wire.AuthenticateReply{
		Counter: uint64(counter), Stale: stale, StateVersion: uint64(state.Version), KeysVersion: vault.keys.Version, Admin: account.Admin,
	}, nil
}

// advance takes over a counter that is above the one kept here. One that is not comes from an old copy
// of the device's state: then the counter kept here is advanced by one instead.
func (s *Server) advance(ctx context.Context, q wire.Authenticate) (counter int64, stale bool, err error) {
	today := time.Now().Truncate(day)
	counter = int64(q.Counter)
	for {
		kept, err := s.cfg.Store.StartSession(ctx, q.User.Name, q.Device, counter, today)
		if qpq.CodeOf(err) != "session-behind" {
			return kept, stale, err
		}
		counter, stale = kept+1, true
	}
}
