package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// person is an account with one device, that of its registration.
type person struct {
	user    qpq.UserID
	device  *identity.DeviceKey
	state   *identity.AccountState
	counter uint64 // of sessions
	after   uint64 // what was read of the inbox
	acked   uint64 // what was acknowledged of it
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
	wake     chan struct{} // has room for one
	arrived  arrivals
	done     chan struct{} // closed when nobody reads the inbox any more
	failed   atomic.Pointer[error]
}

// connect opens the connection and proves the device on it.
func (c *qpqClient) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := c.server.dial(ctx)
	if err != nil {
		return err
	}
	c.wake = make(chan struct{}, 1)
	c.session = transport.NewSession(conn, transport.SessionConfig{Push: c.push})
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

// arrivals are rows that came with pushes and were not taken yet.
type arrivals struct {
	mu     sync.Mutex
	rows   []wire.InboxRow
	missed bool // something is there that was not pushed, or came out of order
}

// push is what the connection calls. A small message comes with the push that tells of it.
func (c *qpqClient) push(payload []byte) {
	p, err := wire.Unmarshal[wire.Push](payload)
	if err != nil {
		return
	}
	in, ok := p.Event.(wire.InboxPush)
	if !ok {
		return
	}
	c.arrived.mu.Lock()
	if in.Row != nil {
		c.arrived.rows = append(c.arrived.rows, *in.Row)
	} else {
		c.arrived.missed = true
	}
	c.arrived.mu.Unlock()
	c.look()
}

// look has follow look at what came.
func (c *qpqClient) look() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// fetch has follow fetch what is in the inbox.
func (c *qpqClient) fetch(context.Context) error {
	c.arrived.mu.Lock()
	c.arrived.missed = true
	c.arrived.mu.Unlock()
	c.look()
	return nil
}

// What is taken is acknowledged together, as clients do it: so many rows, or what came within a while.
const (
	ackEach   = 64
	ackWithin = time.Second
)

// follow takes what comes, until the connection ends.
func (c *qpqClient) follow() {
	defer close(c.done)
	var due <-chan time.Time
	for {
		var err error
		select {
		case <-c.wake:
			if err = c.catchUp(context.Background()); err == nil && c.person.after-c.person.acked >= ackEach {
				err = c.acknowledge()
			}
			if due == nil {
				due = time.After(ackWithin)
			}
		case <-due:
			due = nil
			err = c.acknowledge()
		case <-c.session.Done():
			return
		}
		if err != nil {
			c.failed.Store(&err)
			return
		}
	}
}

// catchUp takes rows that were pushed, as long as they follow one another, and fetches the others.
func (c *qpqClient) catchUp(ctx context.Context) error {
	c.arrived.mu.Lock()
	rows, missed := c.arrived.rows, c.arrived.missed
	c.arrived.rows, c.arrived.missed = nil, false
	c.arrived.mu.Unlock()
	for _, row := range rows {
		switch {
		case row.Sequence <= c.person.after:
		case row.Sequence > c.person.after+1 || missed:
			missed = true
		default:
			if err := c.took(row); err != nil {
				return err
			}
		}
	}
	if !missed {
		return nil
	}
	return c.drain(ctx)
}

func (c *qpqClient) took(row wire.InboxRow) error {
	c.person.after = row.Sequence
	return c.take(row)
}

func (c *qpqClient) acknowledge() error {
	if c.person.acked == c.person.after {
		return nil
	}
	c.person.acked = c.person.after
	_, err := wire.Call(context.Background(), c.session, wire.InboxAck{Sequence: c.person.acked})
	select {
	case <-c.session.Done(): // it is over, and what was not acknowledged comes again
		return nil
	default:
		return err
	}
}

// drain fetches and acknowledges what there is.
func (c *qpqClient) drain(ctx context.Context) error {
	for {
		reply, err := wire.Call(ctx, c.session, wire.InboxFetch{After: c.person.after, Acknowledged: c.person.acked})
		if err != nil || len(reply.Rows) == 0 {
			return err
		}
		for _, row := range reply.Rows {
			if err := c.took(row); err != nil {
				return err
			}
		}
		if err := c.acknowledge(); err != nil || c.person.after >= reply.Head {
			return err
		}
	}
}

func (c *qpqClient) take(row wire.InboxRow) error {
	if row.Kind != wire.InboxKindMessage {
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
	_, err = wire.Call(ctx, c.session, wire.Send{Channel: channel, ID: messageID(s), Payload: payload})
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
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range min(n, atOnce) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
