package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// room is a conversation of two with the MLS states of both, which are kept in memory alone.
type room struct {
	channel qpq.ChannelID
	sides   [2]side
}

type side struct {
	mu    sync.Mutex
	group *conversation.Group
}

// seal encrypts what one of the two says.
func (r *room) seal(who int, text []byte) ([]byte, error) {
	s := &r.sides[who]
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := s.group.Encrypt(text)
	if err != nil {
		return nil, err
	}
	return out.Message, nil
}

// open decrypts what came to one of the two, nil if that came before.
func (r *room) open(who int, message []byte) ([]byte, error) {
	s := &r.sides[who]
	s.mu.Lock()
	defer s.mu.Unlock()
	m, _, err := s.group.Receive(message)
	if errors.Is(err, conversation.ErrKnown) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	return m.Content, nil
}

// foundAll has the first of each pair found a conversation, at a running server, and add the other.
func (q *quicproquo) foundAll(ctx context.Context, hub ed25519.PrivateKey) error {
	p, err := q.start(ctx)
	if err != nil {
		return err
	}
	defer p.stop()
	states := map[qpq.UserID]*identity.AccountState{}
	for _, p := range q.people {
		states[p.user] = p.state
	}
	config := conversation.Config{Account: func(u qpq.UserID) (*identity.AccountState, error) { return states[u], nil }}
	q.rooms = make([]*room, q.pairs)
	founder := &qpqClient{server: q, person: q.people[0], received: func(stamp) {}}
	if err := until(ctx, p, func() error { return founder.connect(ctx) }); err != nil {
		return err
	}
	if err := founder.close(); err != nil {
		return err
	}
	return together(q.pairs, 4, func(i int) error {
		r := &room{channel: newChannelID()}
		q.rooms[i] = r
		return q.found(ctx, config, [32]byte(hub.Public().(ed25519.PublicKey)), r, q.people[2*i], q.people[2*i+1])
	})
}

func (q *quicproquo) found(ctx context.Context, config conversation.Config, hub [32]byte, r *room, first, second *person) (err error) {
	c := &qpqClient{server: q, person: first, received: func(stamp) {}, room: r}
	if err := c.connect(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	self, other := conversation.Self{Device: first.device, Account: first.state}, conversation.Self{Device: second.device, Account: second.state}
	founding := wire.Founding{Channel: r.channel, Domain: qpqDomain, HubKey: hub, Suite: uint16(conversation.Suite),
		Creator: wire.MemberDevice{User: first.user, Device: first.device.ID()}, Direct: true, Peer: second.user}
	g, create, err := conversation.Found(config, self, founding, "")
	if err != nil {
		return err
	}
	if _, err := wire.Call(ctx, c.session, *create); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	who, err := other.Identity(config)
	if err != nil {
		return err
	}
	bundle, err := mls.NewKeyPackage(config.MLS(), conversation.Suite, who, mls.KeyPackageOptions{Leaf: other.Leaf()})
	if err != nil {
		return err
	}
	pending, commit, err := g.Commit(1, conversation.Change{Add: []*mls.KeyPackage{bundle.KeyPackage}})
	if err != nil {
		return err
	}
	if _, err := wire.Call(ctx, c.session, *commit); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if _, err := g.Apply(pending); err != nil {
		return err
	}
	r.sides[0].group = g
	r.sides[1].group, _, err = conversation.Join(config, 1, commit.Welcome, []*mls.KeyPackageBundle{bundle})
	return err
}
