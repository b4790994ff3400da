package client

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// protocol is the version of the protocol that this package speaks.
const protocol = 1

// maxAdvance bounds by how much a server may be ahead of the counter of sessions.
const maxAdvance = 1 << 48

// clockTolerance is how far the clocks of client and server may differ before people are told.
const clockTolerance = 5 * time.Minute

// session is a connection to the home server.
type session struct {
	*transport.Session
	conn     transport.Conn
	address  string
	info     wire.ServerInfoReply
	reply    wire.AuthenticateReply
	account  atomic.Pointer[profile.Account] // as whose device the connection is authenticated; nil for a guest
	hints    hints
	arrived  arrived      // what was pushed of the inbox
	kick     func()       // has Run go another round
	lapsed   bool         // the person was told that the device was away for too long; held by chatting
	over     atomic.Bool  // another program took over as this device
	again    atomic.Int64 // nanoseconds until another round is due, 0 where none is
	compared atomic.Bool  // the hub's channels were compared with those known here
}

// errSuperseded says that this device is in use elsewhere.
var errSuperseded = qpq.E(qpq.Conflict, "superseded", "another program took over as this device: only one may run, unless a copy of the profile is in use elsewhere")

// A call that has no answer for slow makes the session ask whether anybody is there at all, who has grace to say so: a server that was
// killed says nothing, and the carrier itself notices only after a minute or more.
const (
	slow  = 5 * time.Second
	grace = 10 * time.Second
)

// Call is that of transport.Session. Where the server answers nothing at all any more, the connection is ended.
func (s *session) Call(ctx context.Context, method uint16, request []byte) (status uint16, reply []byte, err error) {
	waiting, answered := context.WithCancel(context.Background())
	defer answered()
	timer := time.AfterFunc(slow, func() { s.probe(waiting) })
	defer timer.Stop()
	status, reply, err = s.Session.Call(ctx, method, request)
	if err == nil && status != 0 && s.account.Load() != nil && qpq.CodeOf(wire.DecodeError(status, reply)) == wire.CodeDeviceNeeded {
		err = s.dismissed(ctx)
	}
	return status, reply, err
}

// dismissed waits for the end of a connection on which the server does not know this device any more, which is about to come, and returns why it ended. Where it
// does not come in time, this end ends it.
func (s *session) dismissed(ctx context.Context) error {
	select {
	case <-s.Done():
	case <-ctx.Done():
		return nil
	case <-time.After(grace):
		_ = s.conn.Close(transport.CodeDone, "")
	}
	if s.superseded() {
		return &transport.CallError{Err: transport.Closed{Code: transport.CodeSuperseded}}
	}
	return &transport.CallError{Err: s.end()}
}

// probe asks now and then whether the server is there, until the call that waits has its answer.
func (s *session) probe(waiting context.Context) {
	for waiting.Err() == nil {
		ctx, cancel := context.WithTimeout(waiting, grace)
		_, err := wire.Call(ctx, s.Session, wire.Ping{Data: make([]byte, 64)}) // not so small that a server which knows no connection would keep silent
		late := errors.Is(ctx.Err(), context.DeadlineExceeded)
		cancel()
		if err != nil {
			if late {
				_ = s.conn.Close(transport.CodeDone, "")
			}
			return
		}
		select {
		case <-waiting.Done():
		case <-time.After(slow):
		}
	}
}

// exporter returns what binds proofs to this connection.
func (s *session) exporter() ([]byte, error) {
	b, err := s.Peer().Exporter(identity.ExporterLabel, 32)
	if err != nil {
		return nil, fmt.Errorf("bind a proof to its connection: %w", err)
	}
	return b, nil
}

func (s *session) alive() bool {
	select {
	case <-s.Done():
		return false
	default:
		return !s.over.Load()
	}
}

// superseded reports whether a session, which is over, is so because another program took over as this device. The server says so by itself, which may get lost,
// and in ending the connection, which not all carriers pass on.
func (s *session) superseded() bool {
	_ = s.Close() // what the server said before is heard by then
	if s.over.Load() {
		return true
	}
	code, ok := transport.Refused(s.end())
	return ok && code == transport.CodeSuperseded
}

// end returns why a connection has ended.
func (s *session) end() error {
	for {
		if _, err := s.conn.Accept(context.Background()); err != nil { // at once, though what the connection brought before may be handed out first
			return err
		}
	}
}

// guest returns a connection, authenticated if there is an account and not if there is none.
func (c *Client) guest(ctx context.Context) (*session, error) { return c.connection(ctx, qpq.UserID{}) }

// member returns an authenticated connection. It fails with profile.ErrNoAccount.
func (c *Client) member(ctx context.Context) (*session, error) {
	s, err := c.guest(ctx)
	if err == nil && s.account.Load() == nil {
		err = profile.ErrNoAccount
	}
	return s, err
}

// connection returns the connection in use, or makes one. user says whose server to reach where no address does.
func (c *Client) connection(ctx context.Context, user qpq.UserID) (*session, error) {
	if err := c.connecting.take(ctx); err != nil {
		return nil, err
	}
	defer c.connecting.give()
	select {
	case <-c.closed:
		return nil, errClientClosed
	default:
	}
	if c.session != nil && c.session.alive() {
		return c.session, nil
	}
	if c.session != nil {
		if c.session.superseded() {
			return nil, errSuperseded
		}
		_ = c.session.Close()
		c.session = nil
	}
	ctx, cancel := c.untilClosed(ctx)
	defer cancel()
	account, err := c.cfg.Profile.Account()
	if err != nil && !errors.Is(err, profile.ErrNoAccount) {
		return nil, err
	}
	address, err := c.address(account, user)
	if err != nil {
		return nil, err
	}
	s, err := c.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	if err := c.begin(ctx, s, account); err != nil {
		_ = s.Close()
		return nil, unreachable(address, err)
	}
	c.session = s
	c.reload.Store(true)
	c.work.Go(func() { c.listen(s) })
	c.kick() // Run may be waiting to connect
	return s, nil
}

var errClientClosed = qpq.E(qpq.Unavailable, "closed", "the client was closed")

// untilClosed returns a context that also ends when the client is closed.
func (c *Client) untilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-c.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// dial makes a connection and learns whom it leads to.
func (c *Client) dial(ctx context.Context, address string) (*session, error) {
	conn, err := c.cfg.Dial(ctx, address, c.trust(address))
	if err != nil {
		return nil, err
	}
	if err := c.meet(address, conn.Peer()); err != nil {
		_ = conn.Close(transport.CodeDone, "")
		return nil, err
	}
	s := &session{conn: conn, address: address, hints: newHints(), kick: c.kick, arrived: arrived{acknowledging: newTurn()}}
	s.Session = transport.NewSession(conn, transport.SessionConfig{Push: s.pushed})
	sent := c.cfg.Clock()
	if s.info, err = wire.Call(ctx, s, wire.ServerInfo{Client: c.cfg.Software}); err != nil {
		_ = s.Close()
		return nil, unreachable(address, err)
	}
	s.info.Software = qpq.Printable(s.info.Software)
	if s.info.ProtocolMin > protocol || s.info.Protocol < protocol {
		_ = s.Close()
		return nil, qpq.E(qpq.Unsupported, "protocol", fmt.Sprintf("the server at %s (%s) speaks version %d to %d of the protocol, and this program version %d: update the older of the two",
			address, s.info.Software, s.info.ProtocolMin, s.info.Protocol, protocol))
	}
	c.compareClocks(s.info.Time, sent, c.cfg.Clock())
	return s, nil
}

// compareClocks tells if the clocks differ. The server's time was read between sent and received.
func (c *Client) compareClocks(server, sent, received time.Time) {
	var off time.Duration
	way := "behind"
	if server.After(received) {
		off = server.Sub(received)
	} else if server.Before(sent) {
		off, way = sent.Sub(server), "ahead of"
	}
	if off > clockTolerance {
		c.notice("clock", fmt.Sprintf("the clock of this machine is %s %s that of the server: one of them is wrong, and certificates and messages may be refused", off.Round(time.Second), way))
	}
}

// begin authenticates a new connection, if there is an account, and settles what was interrupted.
func (c *Client) begin(ctx context.Context, s *session, account *profile.Account) error {
	if account == nil {
		return nil
	}
	if s.info.Domain != account.User.Domain {
		return qpq.E(qpq.NotFound, wire.CodeWrongDomain, fmt.Sprintf("the server at %s serves %s and not %s, where %s is at home: check --server", s.address, s.info.Domain, account.User.Domain, account.User))
	}
	if account.Status == profile.Linking {
		return c.settleLink(ctx, s, account)
	}
	if err := c.authenticate(ctx, s, account); err != nil {
		if account.Status != profile.Enrolled && qpq.CodeOf(err) == wire.CodeDeviceUnknown {
			return c.abandon(account)
		}
		return err
	}
	if account.Status != profile.Enrolled {
		if err := c.confirm(account.State); err != nil {
			return err
		}
	}
	return c.settle(ctx, s)
}

// abandon drops an enrolment that the server never took, or an account that it has deleted.
func (c *Client) abandon(account *profile.Account) error {
	drop := c.cfg.Profile.Leave
	if account.Status == profile.Deleting {
		drop = c.cfg.Profile.Forget
	}
	if err := drop(); err != nil {
		return err
	}
	text := "signing in as %s had been interrupted before the server took it: nothing is left of it"
	if account.Status == profile.Deleting {
		text = "deleting %s had been interrupted after the server did it: now nothing is left of it here either"
	}
	c.notice("interrupted", fmt.Sprintf(text, account.User))
	return nil
}

// authenticate proves the device to the server. The session counter is durable before it is used.
func (c *Client) authenticate(ctx context.Context, s *session, account *profile.Account) error {
	challenge, err := wire.Call(ctx, s, wire.AuthChallenge{})
	if err != nil {
		return err
	}
	exporter, err := s.exporter()
	if err != nil {
		return err
	}
	counter, err := c.cfg.Profile.Advance()
	if err != nil {
		return err
	}
	statement := identity.Session{Domain: s.info.Domain, User: account.User, Device: account.Device.ID(), Counter: counter, Nonce: challenge.Nonce, Exporter: exporter}
	signature, err := account.Device.SignSession(statement)
	if err != nil {
		return err
	}
	s.reply, err = wire.Call(ctx, s, wire.Authenticate{User: account.User, Device: account.Device.ID(), Counter: counter, Signature: signature})
	if err != nil {
		return explainDevice(account, err)
	}
	if s.reply.Counter < counter || s.reply.Counter-counter > maxAdvance {
		return qpq.E(qpq.Invalid, "bad-counter", fmt.Sprintf("the server at %s counts sessions as no server does: ask who runs it", s.address))
	}
	if s.reply.Stale {
		c.notice("old-copy", textOldCopy)
		if err := c.cfg.Profile.Rewind(s.reply.Counter); err != nil {
			return err
		}
	}
	s.account.Store(account)
	return nil
}

const textOldCopy = "this profile is an older copy of itself, from a backup perhaps: keys that its newer state may have used are replaced"

// explainDevice says what it means that the server does not know this device.
func explainDevice(account *profile.Account, err error) error {
	if qpq.CodeOf(err) != wire.CodeDeviceUnknown || account.Status != profile.Enrolled {
		return err
	}
	return qpq.Wrap(qpq.Denied, wire.CodeDeviceUnknown, fmt.Sprintf(
		"the server no longer lets this device in as %s: it was revoked, the account was deleted, or the server was restored from a copy that is older than the device; log in again to make it a new device", account.User), err)
}

// settle does what is due at the start of every session.
func (c *Client) settle(ctx context.Context, s *session) error {
	if s.account.Load().Server != s.address {
		if err := c.cfg.Profile.SetServer(s.address); err != nil {
			return err
		}
	}
	if err := c.catchUp(ctx, s); err != nil {
		return err
	}
	return c.replenish(ctx, s, s.reply.Stale || s.account.Load().Replace)
}
