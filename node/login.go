package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// errLogin is the one answer to wrong passwords and unknown users.
var errLogin = qpq.E(qpq.Denied, wire.CodeLoginFailed, "the login failed: the name or the password is wrong")

func (s *Server) loginStart(ctx context.Context, c *conn, q wire.LoginStart) (wire.LoginStartReply, error) {
	var none wire.LoginStartReply
	if err := s.home(q.User); err != nil {
		return none, err
	}
	if err := c.mayServe(q.User); err != nil {
		return none, err
	}
	attempt, err := s.countAttempt(ctx, c, q.User, time.Now())
	if err != nil {
		return none, err
	}
	s.sessions.list(c, q.User.Name, qpq.DeviceID{})
	begun := c.prepare(loggingIn, q.User) // before the record is read: a change of the password ends this login
	begun.attempt = attempt
	account, err := s.cfg.Store.Account(ctx, q.User.Name)
	if err != nil && !errors.Is(err, qpq.NotFound) {
		return none, err
	}
	begun.known = err == nil
	exporter, err := c.exporter()
	if err != nil {
		return none, err
	}
	client, server := wire.OPAQUEIdentities(q.User)
	login, ke2, err := s.cfg.Passwords.WithContext(wire.OPAQUEContext(exporter)).StartLogin(account.Record, q.KE1, []byte(q.User.Name), opaque.Identities{Client: client, Server: server})
	if err != nil {
		return none, badOPAQUE(err)
	}
	begun.login = login
	c.begin(begun)
	return wire.LoginStartReply{KE2: ke2}, nil
}

func (s *Server) loginFinish(ctx context.Context, c *conn, q wire.LoginFinish) (wire.LoginFinishReply, error) {
	var none wire.LoginFinishReply
	begun, err := c.end(loggingIn)
	if err != nil {
		return none, err
	}
	key, err := begun.login.Finish(q.KE3)
	clear(key)
	until := time.Now().Add(s.limits.PasswordRight)
	if err != nil || !begun.known || !c.grantPassword(begun, until) {
		s.metrics.logins.WithLabelValues("failed").Inc()
		return none, errLogin
	}
	s.metrics.logins.WithLabelValues("succeeded").Inc()
	s.forgive(ctx, begun.attempt)
	return wire.LoginFinishReply{Until: until}, nil
}

// countAttempt takes one attempt from the budget of a name; it is given back once the exchange has ended
// well. A device of the account has a budget of its own on its authenticated connection, so that
// strangers who use up that of the name cannot keep it from revoking a stolen device.
func (s *Server) countAttempt(ctx context.Context, c *conn, u qpq.UserID, now time.Time) (store.Attempt, error) {
	subject := sha256.New()
	subject.Write([]byte("attempts of a name\x00" + u.Name))
	if user, device := c.who(); user == u && !device.IsZero() {
		subject.Write(device[:])
	}
	budget := store.Budget{Limit: int64(s.limits.Attempts), Window: s.limits.AttemptWindow}
	a, err := s.cfg.Store.CountAttempt(ctx, subject.Sum(nil), budget, now)
	if errors.Is(err, qpq.RateLimited) {
		s.metrics.logins.WithLabelValues("refused").Inc()
	}
	return a, err
}

// forgive gives an attempt back.
func (s *Server) forgive(ctx context.Context, a store.Attempt) {
	if err := s.cfg.Store.ForgiveAttempt(ctx, a); err != nil {
		s.log.Warn("an attempt could not be forgiven", "cause", err.Error())
	}
}

// badOPAQUE is the answer to an OPAQUE message that cannot be one.
func badOPAQUE(err error) error {
	if errors.Is(err, opaque.ErrMessage) {
		return qpq.Wrap(qpq.Invalid, "bad-opaque", "a message about the password is malformed: the client is broken or of another version", err)
	}
	return err
}
