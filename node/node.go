// Package node is the server: it answers the methods of package wire for clients that come in over any
// transport, keeps what package store keeps, and can decrypt nothing.
//
// One capability has one file, named as in wire and store. Every call takes the same way, whatever
// edge it came in by: dispatch.go finds the handler, checks size, rate and what the connection has
// proved, contains panics, waits for the time floor, counts and logs.
package node

import (
	"crypto/ed25519"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// Config says what a server is made of. It must not change once the server is made.
type Config struct {
	Domain       string                 // required: in normal form, and that of Store
	Store        *store.Store           // required; the caller closes its engine after Run has returned
	Passwords    *opaque.Server         // required; its context is replaced by wire.OPAQUEContext
	SigningKey   ed25519.PrivateKey     // required: signs receipts and channel orders
	Registration wire.Registration      // who may sign up; zero is anybody
	Software     string                 // name and version as clients see them
	Limits       Limits                 // zero fields mean their defaults
	FreeDisk     func() (uint64, error) // bytes left on the disk of files; nil asks nobody
	Log          *slog.Logger           // nil discards
	LogNames     bool                   // write names and addresses to the log as they are, not as hashes
}

// Server is one server. Make one with New and run it once.
type Server struct {
	cfg      Config
	limits   Limits
	log      *slog.Logger
	redact   redactor
	methods  wire.Table[*conn]
	sessions sessions
	links    links
	rates    rates
	memory   memory
	frozen   frozen
	waiters  waiters
	swept    string      // the account whose inbox the sweep looked at last
	orphans  atomic.Bool // an account was erased: its files have no rows any more
	metrics  *metrics
	drained  chan struct{} // closed once draining begins
	drain    sync.Once
}

// New returns a server that is ready to Run.
func New(cfg Config) (*Server, error) {
	switch {
	case cfg.Store == nil || cfg.Passwords == nil || len(cfg.SigningKey) != ed25519.PrivateKeySize:
		return nil, errors.New("node: a server needs a store, its passwords' keys and a signing key")
	case cfg.Domain == "" || cfg.Domain != cfg.Store.Domain():
		return nil, qpq.E(qpq.Invalid, "domain-changed", "the store belongs to another domain than the server was to have")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, limits: cfg.Limits.withDefaults(), log: cfg.Log, drained: make(chan struct{})}
	s.redact = newRedactor(cfg.SigningKey.Seed(), cfg.LogNames)
	s.sessions.init()
	s.links.init(s.limits.Links)
	s.rates.init(s.limits)
	s.memory.init(s.limits.Memory)
	s.metrics = newMetrics(s)
	s.methods = s.handlers()
	return s, s.checkRules()
}

// handlers is the list of all methods that this server answers.
func (s *Server) handlers() wire.Table[*conn] {
	t := wire.Table[*conn]{}
	t.Add(wire.Handle(s.ping), wire.Handle(s.serverInfo))
	t.Add(wire.Handle(s.registerStart), wire.Handle(s.registerFinish))
	t.Add(wire.Handle(s.loginStart), wire.Handle(s.loginFinish))
	t.Add(wire.Handle(s.passwordStart), wire.Handle(s.passwordFinish))
	t.Add(wire.Handle(s.authChallenge), wire.Handle(s.authenticate))
	t.Add(wire.Handle(s.accountLookup), wire.Handle(s.accountPublish), wire.Handle(s.accountDelete))
	t.Add(wire.Handle(s.devicesList), wire.Handle(s.deviceRename))
	t.Add(wire.Handle(s.keyPackagesUpload), wire.Handle(s.keyPackagesCount), wire.Handle(s.keyPackagesClaim))
	t.Add(wire.Handle(s.vaultKeysGet), wire.Handle(s.vaultGet), wire.Handle(s.vaultPut))
	t.Add(wire.Handle(s.linkCreate), wire.Handle(s.linkOffer), wire.Handle(s.linkTake))
	t.Add(wire.Handle(s.linkAnswer), wire.Handle(s.linkWait))
	t.Add(wire.Handle(s.tokenCreate), wire.Handle(s.tokensList), wire.Handle(s.tokenRevoke))
	t.Add(wire.Handle(s.channelCreate), wire.Handle(s.channelCommit), wire.Handle(s.channelOffer), wire.Handle(s.channelLeave))
	t.Add(wire.Handle(s.channelInfo), wire.Handle(s.channelsList), wire.Handle(s.channelGroup), wire.Handle(s.channelChunks))
	t.Add(wire.Handle(s.blobUsage), wire.Handle(s.blobCreate), wire.Handle(s.blobWrite), wire.Handle(s.blobRead), wire.Handle(s.blobDrop))
	t.Add(wire.Handle(s.send), wire.Handle(s.sendEphemeral), wire.Handle(s.inboxFetch), wire.Handle(s.inboxAck))
	return t
}

// draining reports whether the server is about to stop.
func (s *Server) draining() bool {
	select {
	case <-s.drained:
		return true
	default:
		return false
	}
}

// day is how finely it is kept when a device was last here.
const day = 24 * time.Hour
