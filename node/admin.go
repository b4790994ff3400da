package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// maxTokens is how many registration tokens there may be at once.
const maxTokens = 1024

var tokenAlphabet = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// NewToken makes a registration token: 125 random bits in letters that are not taken for one another. The
// returned store.Token holds its hash, for Store.AddToken.
func NewToken(uses int64, expires, now time.Time) (wire.Secret, store.Token) {
	var b [16]byte
	rand.Read(b[:])
	text := tokenAlphabet.EncodeToString(b[:])[:25]
	groups := make([]string, 0, 5)
	for ; text != ""; text = text[5:] {
		groups = append(groups, text[:5])
	}
	token := wire.NewSecret(strings.Join(groups, "-"))
	return token, store.Token{Hash: hashToken(token), Uses: uses, Created: now, Expires: expires}
}

// hashToken returns what the store knows a registration token by. Case, hyphens and spaces do not matter.
func hashToken(token wire.Secret) []byte {
	bare := strings.NewReplacer("-", "", " ", "").Replace(strings.ToLower(token.Reveal()))
	sum := sha256.Sum256([]byte("quicproquo registration token v1\x00" + bare))
	return sum[:]
}

func (s *Server) tokenCreate(ctx context.Context, _ *conn, q wire.TokenCreate) (wire.TokenCreateReply, error) {
	var none wire.TokenCreateReply
	now := time.Now()
	if !q.Expires.IsZero() && !q.Expires.After(now) {
		return none, qpq.E(qpq.Invalid, "bad-expiry", "the token would have expired already: choose a later time")
	}
	tokens, err := s.cfg.Store.Tokens(ctx)
	if err != nil {
		return none, err
	}
	if len(tokens) >= maxTokens {
		return none, qpq.E(qpq.Exhausted, "too-many-tokens", "there are as many registration tokens as there may be: let some expire, or give the next ones a time to expire")
	}
	secret, token := NewToken(int64(q.Uses), q.Expires, now)
	if err := s.cfg.Store.AddToken(ctx, token); err != nil {
		return none, err
	}
	return wire.TokenCreateReply{ID: tokenID(token), Token: secret}, nil
}

func (s *Server) tokensList(ctx context.Context, _ *conn, _ wire.TokensList) (wire.TokensListReply, error) {
	var r wire.TokensListReply
	tokens, err := s.cfg.Store.Tokens(ctx)
	for _, t := range tokens {
		if t.Revoked.IsZero() {
			entry := wire.TokenEntry{ID: tokenID(t), Left: uint32(t.Uses), Created: t.Created, Expires: t.Expires}
			r.Tokens = append([]wire.TokenEntry{entry}, r.Tokens...)
		}
	}
	return r, err
}

func (s *Server) tokenRevoke(ctx context.Context, _ *conn, q wire.TokenRevoke) (wire.TokenRevokeReply, error) {
	tokens, err := s.cfg.Store.Tokens(ctx)
	if err != nil {
		return wire.TokenRevokeReply{}, err
	}
	for _, t := range tokens {
		switch {
		case !bytes.HasPrefix(t.Hash, q.ID[:]):
		case !t.Revoked.IsZero():
			return wire.TokenRevokeReply{}, nil // a repetition
		default:
			return wire.TokenRevokeReply{}, s.cfg.Store.RevokeToken(ctx, t.Hash, time.Now())
		}
	}
	return wire.TokenRevokeReply{}, qpq.E(qpq.NotFound, "no-token", "there is no such registration token: list them to see which there are")
}

// tokenID is how people name a token without its secret.
func tokenID(t store.Token) [16]byte { return [16]byte(t.Hash[:16]) }
