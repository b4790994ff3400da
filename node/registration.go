package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

func (s *Server) registerStart(ctx context.Context, c *conn, q wire.RegisterStart) (wire.RegisterStartReply, error) {
	var none wire.RegisterStartReply
	if err := s.home(q.User); err != nil {
		return none, err
	}
	if err := c.mayServe(q.User); err != nil {
		return none, err
	}
	now := time.Now()
	token, err := s.mayRegister(ctx, q.Token, now)
	if err != nil {
		return none, err
	}
	attempt, err := s.countAttempt(ctx, c, q.User, now)
	if err != nil {
		return none, err
	}
	if err := s.free(ctx, q.User.Name); err != nil {
		return none, err
	}
	response, err := s.cfg.Passwords.RegistrationResponse(q.Request, []byte(q.User.Name))
	if err != nil {
		return none, badOPAQUE(err)
	}
	begun := c.prepare(registering, q.User)
	begun.token, begun.attempt = token, attempt
	c.begin(begun)
	return wire.RegisterStartReply{Response: response}, nil
}

// mayRegister fails where this server does not let somebody with this token sign up. It returns what the
// store knows the token by, nil where none is needed.
func (s *Server) mayRegister(ctx context.Context, token wire.Secret, now time.Time) ([]byte, error) {
	switch s.cfg.Registration {
	case wire.RegistrationOpen:
		return nil, nil
	case wire.RegistrationToken:
		if token.Reveal() == "" {
			return nil, qpq.E(qpq.Denied, wire.CodeTokenRequired, "signing up here takes a registration token: ask who runs this server for one")
		}
		hash := hashToken(token)
		return hash, contract(s.cfg.Store.CheckToken(ctx, hash, now))
	}
	return nil, qpq.E(qpq.Denied, wire.CodeRegistrationClosed, "nobody can sign up at this server: ask who runs it")
}

// free fails where a name is in use or was.
func (s *Server) free(ctx context.Context, name string) error {
	_, err := s.cfg.Store.Account(ctx, name)
	switch {
	case err == nil || qpq.CodeOf(err) == "account-erased":
		return qpq.E(qpq.Exists, wire.CodeNameTaken, fmt.Sprintf("the name %q is taken: choose another", name))
	case errors.Is(err, qpq.NotFound):
		return nil
	}
	return err
}

func (s *Server) registerFinish(ctx context.Context, c *conn, q wire.RegisterFinish) (wire.RegisterFinishReply, error) {
	var none wire.RegisterFinishReply
	begun, err := c.end(registering)
	if err != nil {
		return none, err
	}
	r, err := s.registration(begun, q)
	if err != nil {
		return none, err
	}
	account, err := s.cfg.Store.Register(ctx, r)
	if err != nil {
		return none, contract(err)
	}
	s.forgive(ctx, begun.attempt)
	s.metrics.registered.Inc()
	s.log.Info("registered", "user", s.redact.user(q.User), "admin", account.Admin)
	return wire.RegisterFinishReply{Admin: account.Admin}, nil
}

// registration checks what a new account is made of.
func (s *Server) registration(begun *start, q wire.RegisterFinish) (store.Registration, error) {
	var none store.Registration
	if begun.user != q.User || begun.token != nil && string(begun.token) != string(hashToken(q.Token)) {
		return none, qpq.E(qpq.Invalid, wire.CodeNoStart, "the registration was begun for another user or with another token: begin again")
	}
	if err := s.cfg.Passwords.CheckRecord(q.Record); err != nil {
		return none, badOPAQUE(err)
	}
	state, err := identity.ParseAccountState(q.State)
	if err != nil {
		return none, err
	}
	if state.Version != 1 || state.User != q.User || len(state.Devices) != 1 {
		return none, qpq.E(qpq.Invalid, wire.CodeBadState, "a new account begins with version 1 of its own state and one device")
	}
	if err := checkClock(state, time.Now()); err != nil {
		return none, err
	}
	if err := q.Keys.Check(state, 0); err != nil {
		return none, err
	}
	vault, err := newVault(q.Keys)
	if err != nil {
		return none, err
	}
	return store.Registration{
		Name: q.User.Name, Record: q.Record, State: stored(state), Device: enrolled(state.Devices[0]),
		Vault: vault, Token: begun.token, Now: time.Now(),
	}, nil
}

// home fails unless a user's home is this server.
func (s *Server) home(u qpq.UserID) error {
	if u.Domain != s.cfg.Domain {
		return qpq.E(qpq.NotFound, wire.CodeWrongDomain, fmt.Sprintf("%s is not at home here: this server serves %s", u, s.cfg.Domain))
	}
	return nil
}
