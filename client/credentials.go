package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/wire"
)

// minPassword is how many characters a new password has at least.
const minPassword = 8

// Password is what a person types. It cannot be printed.
type Password struct{ text []byte }

// NewPassword returns typed text as a password, in the one form that all keyboards agree on (PRECIS
// OpaqueString, RFC 8265, section 4.2). It wipes typed and fails with qpq.Invalid.
func NewPassword(typed []byte) (Password, error) {
	defer clear(typed)
	text, err := precis.OpaqueString.Bytes(typed)
	if err != nil {
		return Password{}, qpq.E(qpq.Invalid, "bad-password", "the password is empty or has characters that no password can have, such as line breaks")
	}
	return Password{text}, nil
}

// strong fails with qpq.Invalid where the password should not be chosen.
func (p Password) strong() error {
	if utf8.RuneCount(p.text) < minPassword {
		return qpq.E(qpq.Invalid, "weak-password", fmt.Sprintf("the password is too short: it needs %d characters, and several words are better", minPassword))
	}
	return nil
}

// Wipe overwrites the password, which cannot be used afterwards.
func (p Password) Wipe() { clear(p.text) }

// Format implements fmt.Formatter without the text.
func (Password) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[password]") }

// LogValue implements slog.LogValuer without the text.
func (Password) LogValue() slog.Value { return slog.StringValue("[password]") }

// MarshalText implements encoding.TextMarshaler: it always fails.
func (Password) MarshalText() ([]byte, error) {
	return nil, errors.New("a password cannot be written as text")
}

// Credentials are what a person proves an account with.
type Credentials struct {
	Password Password
	Recovery *identity.RecoveryCode // where the account has one
}

// CodeRecoveryNeeded is the code of the error that says that an account has a recovery code and none was given.
const CodeRecoveryNeeded = "recovery-needed"

// unlocked is what the password opens, for a moment.
type unlocked struct {
	state    *identity.AccountState
	keys     wire.VaultKeys
	password *identity.PasswordKey
	recovery bool
	account  *identity.AccountKey
	vault    *identity.VaultKey
}

// proof is a password that was proved on a connection, and the key that came of it.
type proof struct {
	user qpq.UserID
	key  *identity.PasswordKey
	rec  bool
}

// prove proves a password on a connection, which may then do what takes one.
func (c *Client) prove(ctx context.Context, s *session, user qpq.UserID, with Credentials) (*proof, error) {
	exporter, err := s.exporter()
	if err != nil {
		return nil, err
	}
	started, ke1, err := opaque.StartLogin(c.opaque(exporter), with.Password.text)
	if err != nil {
		return nil, err
	}
	reply, err := wire.Call(ctx, s, wire.LoginStart{User: user, KE1: ke1})
	if err != nil {
		return nil, err
	}
	done, err := started.Finish(reply.KE2, identities(user))
	if err != nil {
		return nil, qpq.Wrap(qpq.Denied, wire.CodeLoginFailed, "the login failed: the name or the password is wrong", err)
	}
	defer clear(done.ExportKey)
	defer clear(done.SessionKey)
	if _, err := wire.Call(ctx, s, wire.LoginFinish{KE3: done.KE3}); err != nil {
		return nil, err
	}
	key, err := identity.NewPasswordKey(user, done.ExportKey, with.Recovery)
	return &proof{user, key, with.Recovery != nil}, err
}

// unlock opens the account with a proved password. The caller wipes what it gets.
func (c *Client) unlock(ctx context.Context, s *session, p *proof) (*unlocked, error) {
	state, err := c.ownState(ctx, s, p.user)
	if err != nil {
		return nil, err
	}
	reply, err := wire.Call(ctx, s, wire.VaultKeysGet{})
	if err != nil {
		return nil, err
	}
	u := &unlocked{state: state, keys: reply.Keys, password: p.key, recovery: p.rec}
	if reply.Keys.Recovery && !p.rec {
		return nil, qpq.E(qpq.Invalid, CodeRecoveryNeeded, "this account has a recovery code, which is needed beside the password")
	}
	if u.account, err = p.key.OpenAccount(state, reply.Keys.AccountKey); err != nil {
		if p.rec {
			err = qpq.Wrap(qpq.Denied, "wrong-recovery", "the recovery code does not open this account: check it", err)
		}
		return nil, err
	}
	if u.vault, err = p.key.OpenVault(state, reply.Keys.PasswordWrap); err != nil {
		u.account.Wipe()
		return nil, err
	}
	return u, nil
}

// seal makes the vault's keys anew for a state, from what was unlocked.
func (u *unlocked) seal(state *identity.AccountState) (wire.VaultKeys, error) {
	return wire.SealKeys(random, state, u.keys.Version+1,
		wire.Secrets{Password: u.password, Account: u.account, Vault: u.vault, Recovery: u.recovery})
}

// tries is how often a change that another device got in the way of is begun anew.
const tries = 4

// change proves the password and runs f on what it opens, again where another device changed the account meanwhile.
func (c *Client) change(ctx context.Context, with Credentials, f func(*session, *unlocked) error) error {
	if err := c.account.take(ctx); err != nil {
		return err
	}
	defer c.account.give()
	s, err := c.member(ctx)
	if err != nil {
		return err
	}
	p, err := c.prove(ctx, s, s.account.Load().User, with)
	if err != nil {
		return unreachable(s.address, err)
	}
	defer p.key.Wipe()
	for range tries {
		if err = c.changeOnce(ctx, s, p, f); !errors.Is(err, qpq.Conflict) {
			break
		}
	}
	if lost(err) {
		_ = s.Close() // or who finds out what came of it may get it again, before it is known to have ended
	}
	return unreachable(s.address, err)
}

func (c *Client) changeOnce(ctx context.Context, s *session, p *proof, f func(*session, *unlocked) error) error {
	u, err := c.unlock(ctx, s, p)
	if err != nil {
		return err
	}
	defer u.account.Wipe()
	defer u.vault.Wipe()
	return f(s, u)
}
