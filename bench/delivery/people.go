package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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
	vault   *identity.VaultKey
	counter uint64
	*transport.Session
}

// newPerson makes somebody's keys, and what a server keeps of them after a registration.
func newPerson(name string) (*person, store.Registration, error) {
	var none store.Registration
	p := &person{user: qpq.UserID{Name: name, Domain: domain}}
	account, err := identity.NewAccountKey(rand.Reader)
	if err != nil {
		return nil, none, err
	}
	if p.vault, err = identity.NewVaultKey(rand.Reader); err != nil {
		return nil, none, err
	}
	if p.device, err = identity.NewDeviceKey(rand.Reader); err != nil {
		return nil, none, err
	}
	asks, err := p.device.Request(p.user, []uint16{0xF001})
	if err != nil {
		return nil, none, err
	}
	if p.state, err = identity.NewAccount(account, asks, p.vault, time.Now()); err != nil {
		return nil, none, err
	}
	password, err := identity.NewPasswordKey(p.user, make([]byte, 64), nil)
	if err != nil {
		return nil, none, err
	}
	keys, err := wire.SealKeys(rand.Reader, p.state, 1, wire.Secrets{Password: password, Account: account, Vault: p.vault})
	if err != nil {
		return nil, none, err
	}
	sealed, err := wire.Marshal(keys)
	if err != nil {
		return nil, none, err
	}
	hash, certificate := p.state.Hash(), p.state.Devices[0]
	return p, store.Registration{Name: name, Record: make([]byte, 192), Now: time.Now(),
		State:  store.AccountState{Version: 1, Hash: hash[:], State: p.state.Bytes()},
		Device: store.Device{ID: p.device.ID(), PublicKey: certificate.Key[:], Certificate: certificate.Bytes()},
		Vault:  []store.VaultItem{{Name: "/keys", Value: sealed}, {Name: "/set", Value: []byte{1}}},
	}, nil
}

// together calls f for the numbers below n, so many at a time, and returns the first error.
func together(n, atOnce int, f func(i int) error) error {
	return clients.Together(context.Background(), n, atOnce, f)
}

// enrol registers so many people in a store, without the exchange that makes up a registration.
func enrol(ctx context.Context, s *store.Store, prefix string, n int) ([]*person, error) {
	people := make([]*person, n)
	return people, together(n, 64, func(i int) error {
		p, r, err := newPerson(fmt.Sprintf("%s%d", prefix, i))
		if err != nil {
			return err
		}
		people[i] = p
		_, err = s.Register(ctx, r)
		return err
	})
}

// connect opens a person's connection and proves the device on it.
func (p *person) connect(ctx context.Context, at *process, push func([]byte)) (err error) {
	if p.Session, err = at.connect(ctx, push); err != nil {
		return err
	}
	challenge, err := wire.Call(ctx, p, wire.AuthChallenge{})
	if err != nil {
		return err
	}
	exporter, err := p.Peer().Exporter(identity.ExporterLabel, 32)
	if err != nil {
		return err
	}
	p.counter++
	statement := identity.Session{Domain: domain, User: p.user, Device: p.device.ID(), Counter: p.counter, Nonce: challenge.Nonce, Exporter: exporter}
	signature, err := p.device.SignSession(statement)
	if err != nil {
		return err
	}
	_, err = wire.Call(ctx, p, wire.Authenticate{User: p.user, Device: p.device.ID(), Counter: p.counter, Signature: signature})
	return err
}

// patient repeats calls where no reply came, as clients do with what may be repeated: on a machine that is too busy calls are given up.
type patient struct{ wire.Caller }

// Call implements wire.Caller.
func (p patient) Call(ctx context.Context, method uint16, request []byte) (status uint16, reply []byte, err error) {
	for range 10 {
		var lost *transport.CallError
		if status, reply, err = p.Caller.Call(ctx, method, request); !errors.As(err, &lost) {
			break
		}
	}
	return status, reply, err
}
