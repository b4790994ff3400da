package node

import (
	"context"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

func (s *Server) passwordStart(_ context.Context, c *conn, q wire.PasswordStart) (wire.PasswordStartReply, error) {
	user, _ := c.who()
	response, err := s.cfg.Passwords.RegistrationResponse(q.Request, []byte(user.Name))
	if err != nil {
		return wire.PasswordStartReply{}, badOPAQUE(err)
	}
	c.begin(c.prepare(changingPassword, user))
	return wire.PasswordStartReply{Response: response}, nil
}

func (s *Server) passwordFinish(ctx context.Context, c *conn, q wire.PasswordFinish) (wire.PasswordFinishReply, error) {
	var none wire.PasswordFinishReply
	begun, err := c.end(changingPassword)
	if err != nil {
		return none, err
	}
	user, _ := c.who()
	if begun.user != user {
		return none, qpq.E(qpq.Invalid, wire.CodeNoStart, "the change was begun for another user: begin again")
	}
	if err := s.cfg.Passwords.CheckRecord(q.Record); err != nil {
		return none, badOPAQUE(err)
	}
	newest, err := s.newestState(ctx, user.Name)
	if err != nil {
		return none, err
	}
	vault, err := s.readVault(ctx, user.Name)
	if err != nil {
		return none, err
	}
	keys, err := vault.replaceKeys(q.Keys, newest)
	if err != nil {
		return none, err
	}
	change := store.AccountChange{Name: user.Name, Record: q.Record, Vault: []store.VaultItem{keys}, Now: time.Now()}
	if err := s.cfg.Store.ChangeAccount(ctx, change); err != nil {
		return none, contract(err)
	}
	s.endPasswords(user.Name)
	s.log.Info("password changed", "user", s.redact.user(user))
	return wire.PasswordFinishReply{}, nil
}

// newestState returns the newest state of an account.
func (s *Server) newestState(ctx context.Context, name string) (*identity.AccountState, error) {
	st, err := s.cfg.Store.LatestState(ctx, name)
	if err != nil {
		return nil, contract(err)
	}
	return identity.ParseAccountState(st.State)
}
