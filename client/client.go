// Package client is the SDK: everything that a person or a program does with an account, on one device. All front
// ends stand on it.
//
// A Client keeps its state in a profile (package profile) and talks to the home server of its account over a connection that it makes
// when it is needed. Nothing is sent before the state that makes it repeatable is durable; what was interrupted is found out and
// finished, or undone, at the next connection.
//
// # Begin
//
// Open a profile, make a Client with New, and sign up (Register), log in (Login) or link this device to one that is there (LinkJoin). The
// package's example does all of it. How servers are reached is up to the program: Config.Dial is the method Dial of a dial.Dialer (package
// transport/dial), which knows QUIC and TLS, or websocket.Dial (package transport/websocket) in a browser.
//
// # Talk
//
// Direct and CreateGroup make conversations, Invite, Remove, SetRole, SetTitle and Leave change them, and AmendLater has changes wait where the hub
// cannot be reached. SendText and Send queue a message:
// once they return it is safe on this device. Run stays connected, receives, and sends what is queued; Sync does so once. Entries iterates
// over what there is and then over what comes, History looks back. Wait returns when the server has a message for good.
//
// # Stay in order
//
// Everything may be called by several goroutines. Errors have a kind, for errors.Is, and a stable code (qpq.CodeOf); their text is for people.
// A conversation whose keys this device lost, or has in an old copy, heals by itself while the client is connected, and says in the history what
// could not be recovered.
//
// It builds and runs in browsers (js/wasm). docs/sdk.md has a whole program, and what differs there.
package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// Dialer connects to a server at host:port. It calls verify with what the TLS handshake came to, where the carrier shows it, and fails with
// the error that verify returns.
type Dialer func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error)

// Config is what a Client needs. It is not changed after New.
type Config struct {
	Profile *profile.Profile // required; the Client does not close it
	Dial    Dialer           // required

	// Server is the address of the server, host[:port]. Empty is that of the profile, else the domain of the user.
	Server string
	// Fingerprint, if not nil, is what the key of the server's certificate must be (SHA-256): it replaces what was pinned.
	Fingerprint []byte
	// Roots are the authorities that may vouch for servers. Nil is those of the system.
	Roots *x509.CertPool
	// Software is the name and version of the program, for the operator's statistics.
	Software string
	// Notice is told what people should know and did not ask for. Where it is nil, nobody is told: then a server that is met for the
	// first time is trusted only if an authority vouches for it, and news of the account waits for another time.
	Notice func(Notice)
	// KSF makes guessing passwords expensive. Nil is what the protocol says; anything else only suits tests.
	KSF opaque.KSF
	// Clock tells the time. Nil is time.Now.
	Clock func() time.Time
	// Backoff is how long Run waits at first before it connects again; it waits up to 120 times as long. Zero is a second.
	Backoff time.Duration
	// Files is how this program reaches files that people send and save. Nil is a program that has none.
	Files Files
	// KeyUpdate is how often this device gives itself fresh keys in each conversation. Zero is a week.
	KeyUpdate time.Duration
}

// Notice is something that people should know and did not ask for.
type Notice struct {
	Code string // stable, for programs
	Text string
}

// Client is one device of one account, or a guest before there is one. It is safe for use by several goroutines.
type Client struct {
	cfg Config

	connecting turn   // held while a connection is made, and by who uses the fields below
	server     string // address to reach it at; empty is that of the profile, else the domain of the user
	session    *session
	work       sync.WaitGroup // background work of connections

	account turn // held by what changes the account, one at a time

	chatting  turn                     // held by who uses the fields below
	chats     map[qpq.ChannelID]*chat  // nil until they were read
	dropped   int64                    // profile.Dropped when they were
	joins     map[qpq.ChannelID]*join  // commits by which this device joins, whose answer was lost
	probes    map[qpq.ChannelID][]byte // the ciphertext that was opened last, for VerifySecrecy
	covering  covering                 // of messages without content
	confirmed *session                 // on which receipts were sent that were due when it began

	running turn // held by the Run that does the work
	reading turn // held while unread entries are given

	live       atomic.Bool  // Run is connected, and sends what waits
	reload     atomic.Bool  // a new connection may have changed what is stored of conversations
	contacts   sync.Map     // newest account states known, by qpq.UserID; of others only
	gone       sync.Map     // accounts that the server says are no more, by qpq.UserID; for one connection
	receipting sync.Map     // whether receipts are sent, as it was chosen, by qpq.ChannelID
	owing      atomic.Int64 // since when receipts are due, in milliseconds; 0 where none are
	typists    typists
	fleeting   map[qpq.ChannelID]int // what this device sent since something that is kept; guarded by chatting
	alarm      alarm
	transfers  transfers
	wake       chan struct{} // has room for one: Run goes another round
	news       news

	closing sync.Once
	closed  chan struct{} // by Close
}

// New returns a client. It does not connect.
func New(c Config) *Client {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	c.Backoff, c.KeyUpdate = cmp.Or(c.Backoff, time.Second), cmp.Or(c.KeyUpdate, keyUpdate)
	return &Client{cfg: c, server: c.Server, connecting: newTurn(), account: newTurn(), chatting: newTurn(), running: newTurn(), reading: newTurn(),
		joins: map[qpq.ChannelID]*join{},
		wake:  make(chan struct{}, 1), closed: make(chan struct{})}
}

// Close ends the connection. Calls that are under way fail, and what connects gives up.
func (c *Client) Close() error {
	c.closing.Do(func() { close(c.closed) })
	c.alarm.set(0, true, nil)
	if err := c.connecting.take(context.Background()); err != nil {
		return err
	}
	s := c.session
	c.session = nil
	c.connecting.give()
	var err error
	if s != nil {
		err = s.Close()
	}
	c.work.Wait()
	return err
}

func (c *Client) notice(code, text string) {
	if c.cfg.Notice != nil {
		c.cfg.Notice(Notice{code, qpq.Printable(text)})
	}
}

// opaque returns what an OPAQUE exchange on a connection goes by; exporter is nil for registrations.
func (c *Client) opaque(exporter []byte) opaque.Configuration {
	return opaque.Configuration{Context: wire.OPAQUEContext(exporter), KSF: c.cfg.KSF}
}

func identities(u qpq.UserID) opaque.Identities {
	client, server := wire.OPAQUEIdentities(u)
	return opaque.Identities{Client: client, Server: server}
}

// random is where the client's own randomness is drawn.
var random = rand.Reader
