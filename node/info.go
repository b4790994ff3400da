package node

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/quicproquo/qpq/wire"
)

// protocol is the range of protocol versions that this server speaks.
const (
	protocol    = 1
	protocolMin = 1
)

func (s *Server) ping(_ context.Context, _ *conn, q wire.Ping) (wire.PingReply, error) {
	return wire.PingReply{Data: q.Data, Time: time.Now()}, nil
}

func (s *Server) serverInfo(context.Context, *conn, wire.ServerInfo) (wire.ServerInfoReply, error) {
	return wire.ServerInfoReply{
		Domain: s.cfg.Domain, Software: s.cfg.Software, Protocol: protocol, ProtocolMin: protocolMin,
		Registration: s.cfg.Registration, Time: time.Now(),
		SigningKey: [32]byte(s.cfg.SigningKey.Public().(ed25519.PublicKey)), Limits: s.limits.announced(),
	}, nil
}
