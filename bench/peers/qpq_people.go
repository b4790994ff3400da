package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/internal/clients"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// person is an account with one device, that of its registration.
type person struct {
	user    qpq.UserID
	device  *identity.DeviceKey
	state   *identity.AccountState
	counter uint64           // of sessions
	inbox   clients.Position // when the latest connection ended
}

// newPerson makes somebody's keys, and what a server keeps of them after a registration.
func newPerson(name string) (*person, store.Registration, error) {
	var none store.Registration
	p := &person{user: qpq.UserID{Name: name, Domain: qpqDomain}}
	account, errAccount := identity.NewAccountKey(rand.Reader)
	vault, errVault := identity.NewVaultKey(rand.Reader)
	device, errDevice := identity.NewDeviceKey(rand.Reader)
	password, errPassword := identity.NewPasswordKey(p.user, make([]byte, 64), nil)
	if err := errors.Join(errAccount, errVault, errDevice, errPassword); err != nil {
		return nil, none, err
	}
	asks, err := device.Request(p.user, []uint16{0xF001})
	if err != nil {
		return nil, none, err
	}
	if p.state, err = identity.NewAccount(account, asks, vault, time.Now()); err != nil {
		return nil, none, err
	}
	keys, err := wire.SealKeys(rand.Reader, p.state, 1, wire.Secrets{Password: password, Account: account, Vault: vault})
	if err != nil {
		return nil, none, err
	}
	sealed, err := wire.Marshal(keys)
	if err != nil {
		return nil, none, err
	}
	p.device = device
	hash, certificate := p.state.Hash(), p.state.Devices[0]
	return p, store.Registration{Name: name, Record: make([]byte, 192), Now: time.Now(),
		State:  store.AccountState{Version: 1, Hash: hash[:], State: p.state.Bytes()},
		Device: store.Device{ID: device.ID(), PublicKey: certificate.Key[:], Certificate: certificate.Bytes()},
		Vault:  []store.VaultItem{{Name: "/keys", Value: sealed}, {Name: "/set", Value: []byte{1}}},
	}, nil
}

// newChannelID returns an id that tells nothing.
func newChannelID() (id qpq.ChannelID) {
	rand.Read(id[:])
	return id
}

// foundOpaque makes a conversation of two in a store, as large as a real one.
func foundOpaque(ctx context.Context, s *store.Store, members ...*person) (qpq.ChannelID, error) {
	first := members[0]
	n := store.NewChannel{ID: newChannelID(), Founding: make([]byte, 200), Account: first.user.Name, Device: first.device.ID(), Now: time.Now(),
		Slot:  store.Slot{Previous: make([]byte, 32), Hash: make([]byte, 32), Signature: make([]byte, 64), Time: time.Now()},
		Group: store.GroupState{Info: make([]byte, 600), Keys: map[string][]byte{}}}
	for _, p := range members {
		n.Roster.Put(p.user.Name, 0)
		n.Roster.Join(p.user.Name, p.device.ID())
		n.Group.Keys[p.user.Name] = make([]byte, 1300)
	}
	id, _, _, err := s.CreateChannel(ctx, n)
	return id, err
}

// envelope is what a server sees of an application message of epoch 0, and accepts: a header, and bytes, which begin with a payload as far as there is room.
func envelope(channel qpq.ChannelID, payload []byte) []byte {
	b := append([]byte{0, 1, 0, 2, 20}, channel[:]...)
	b = append(b, 0, 0, 0, 0)                  // the group's generation
	b = binary.BigEndian.AppendUint64(b, 0)    // epoch
	b = append(b, 1, 0, 4, 's', 'e', 'n', 'd') // an application message, no authenticated data, who sends it
	rest := payloadSize - len(b) - 2
	b = binary.BigEndian.AppendUint16(b, uint16(rest)|1<<14)
	return append(b, payload[:rest]...)
}

// envelopeHead is how many bytes an envelope has before its payload.
const envelopeHead = 5 + 16 + 4 + 8 + 7 + 2

// qpqClient is a connected person.
type qpqClient struct {
	server   *quicproquo
	person   *person
	n        int
	room     *room // nil where payloads are opaque
	received func(stamp)
	session  *transport.Session
	inbox    *clients.Inbox
	done     chan struct{} // closed when nobody reads the inbox any more
	failed   atomic.Pointer[error]
}

// connect opens the connection and proves the device on it.
func (c *qpqClient) connect(ctx context.Context) error {
	conn, err := c.server.dial(ctx) // QUIC bounds how long it takes once it is its turn
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c.inbox = clients.NewInbox(c, c.person.inbox, c.take)
	c.session = transport.NewSession(conn, transport.SessionConfig{Push: c.inbox.Pushed})
	if err := c.authenticate(ctx); err != nil {
		return errors.Join(err, c.session.Close())
	}
	c.done = make(chan struct{})
	go c.follow()
	return nil
}

func (q *quicproquo) dial(ctx context.Context) (transport.Conn, error) {
	return q.from.Dial(ctx, q.address(), &tls.Config{InsecureSkipVerify: true})
}

func (c *qpqClient) authenticate(ctx context.Context) error {
	p := c.person
	challenge, err := wire.Call(ctx, c.session, wire.AuthChallenge{})
	if err != nil {
		return err
	}
	exporter, err := c.session.Peer().Exporter(identity.ExporterLabel, 32)
	if err != nil {
		return err
	}
	p.counter++
	statement := identity.Session{Domain: qpqDomain, User: p.user, Device: p.device.ID(), Counter: p.counter, Nonce: challenge.Nonce, Exporter: exporter}
	signature, err := p.device.SignSession(statement)
	if err != nil {
		return err
	}
	_, err = wire.Call(ctx, c.session, wire.Authenticate{User: p.user, Device: p.device.ID(), Counter: p.counter, Signature: signature})
	return err
}

// Call implements wire.Caller.
func (c *qpqClient) Call(ctx context.Context, method uint16, request []byte) (uint16, []byte, error) {
	return c.session.Call(ctx, method, request)
}

// fetch has follow fetch what is in the inbox.
func (c *qpqClient) fetch(context.Context) error {
	c.inbox.Missed()
	return nil
}

// follow takes what comes, until the connection ends: what was not acknowledged then comes again.
func (c *qpqClient) follow() {
	defer close(c.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { <-c.session.Done(); cancel() }()
	err := c.inbox.Follow(ctx)
	c.person.inbox = c.inbox.Position()
	select {
	case <-c.session.Done():
	default:
		c.failed.Store(&err)
	}
}

func (c *qpqClient) take(row wire.InboxRow) error {
	if row.Kind != wire.InboxKindMessage || row.From == nil || row.From.User == c.person.user {
		return nil
	}
	payload := row.Payload
	if c.room != nil {
		var err error
		if payload, err = c.room.open(c.n%2, payload); err != nil || payload == nil {
			return err
		}
	} else {
		payload = payload[min(envelopeHead, len(payload)):]
	}
	s, err := stampOf(payload)
	if err == nil {
		c.received(s)
	}
	return err
}

// send waits for the server's signed receipt, which it gives when the message is durable.
func (c *qpqClient) send(ctx context.Context, to int, s stamp) error {
	if failed := c.failed.Load(); failed != nil {
		return *failed
	}
	channel, payload := qpq.ChannelID{}, s.payload()
	var err error
	if c.room != nil {
		channel = c.room.channel
		if payload, err = c.room.seal(c.n%2, payload); err != nil {
			return err
		}
	} else {
		channel = c.server.channels[to/2]
		payload = envelope(channel, payload)
	}
	reply, err := wire.Call(ctx, c, wire.Send{Channel: channel, ID: messageID(s), Payload: payload})
	c.inbox.Sent(reply)
	return err
}

var messages atomic.Uint64

// messageID is when a message was due, and a number.
func messageID(s stamp) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], uint64(s))
	binary.BigEndian.PutUint64(id[8:], messages.Add(1))
	return id
}

func (c *qpqClient) close() error {
	err := c.session.Close()
	<-c.done
	return err
}

// together calls f for the numbers below n, so many at a time, and returns the first error.
func together(n, atOnce int, f func(i int) error) error {
	return clients.Together(context.Background(), n, atOnce, f)
}
