package main

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// talker is a member of a conversation with its MLS state, which is kept in memory alone.
type talker struct {
	*inbox
	mu     sync.Mutex // held by who uses group
	group  *conversation.Group
	read   int // messages of others
	failed error
}

// circle is people who found conversations together.
type circle struct {
	*crowd
	config conversation.Config
	hub    [32]byte
}

func (c *crowd) circle() (*circle, error) {
	states := map[qpq.UserID]*identity.AccountState{}
	for _, p := range c.people {
		states[p.user] = p.state
	}
	signing, err := key(c.dir)
	if err != nil {
		return nil, err
	}
	k := &circle{crowd: c, hub: [32]byte(signing.Public().(ed25519.PublicKey))}
	k.config.Account = func(u qpq.UserID) (*identity.AccountState, error) { return states[u], nil }
	return k, nil
}

func (p *person) self() conversation.Self {
	return conversation.Self{Device: p.device, Account: p.state}
}

// invited returns a person's key package.
func (c *circle) invited(p *person) (*mls.KeyPackageBundle, error) {
	who, err := p.self().Identity(c.config)
	if err != nil {
		return nil, err
	}
	return mls.NewKeyPackage(c.config.MLS(), conversation.Suite, who, mls.KeyPackageOptions{Leaf: p.self().Leaf()})
}

// atOnce is how many devices one commit adds: what all of them hand in has to fit a commit.
const atOnce = 256

// found has the first of some people found a conversation and add the others, of whom some who were added last join until there are so
// many. Those who do not are members like them, who have not come yet.
func (c *circle) found(ctx context.Context, members []int, joining int) ([]*talker, qpq.ChannelID, error) {
	first := c.people[members[0]]
	f := wire.Founding{Channel: channelID(), Domain: domain, HubKey: c.hub, Suite: uint16(conversation.Suite),
		Creator: wire.MemberDevice{User: first.user, Device: first.device.ID()}}
	if len(members) == 2 {
		f.Direct, f.Peer = true, c.people[members[1]].user
	}
	g, request, err := conversation.Found(c.config, first.self(), f, "")
	if err != nil {
		return nil, f.Channel, err
	}
	if _, err := wire.Call(ctx, first, *request); err != nil {
		return nil, f.Channel, fmt.Errorf("create: %w", err)
	}
	talkers := []*talker{{inbox: c.inboxes[members[0]], group: g}}
	slot, left := uint64(0), members[1:]
	for len(left) > 0 {
		slot++
		some := left[:min(len(left), atOnce, max(len(left)-joining+1, joining-1))]
		left = left[len(some):]
		welcome, bundles, err := c.add(ctx, first, g, slot, some)
		if err != nil {
			return nil, f.Channel, fmt.Errorf("add: %w", err)
		}
		for i := 0; len(left) == 0 && i < joining-1; i++ {
			k := &talker{inbox: c.inboxes[some[i]]}
			if k.group, _, err = conversation.Join(c.config, slot, welcome, bundles[i:i+1]); err != nil {
				return nil, f.Channel, fmt.Errorf("join: %w", err)
			}
			talkers = append(talkers, k)
		}
	}
	return talkers, f.Channel, nil
}

// add has a member add people by a commit of a slot.
func (c *circle) add(ctx context.Context, by *person, g *conversation.Group, slot uint64, people []int) ([]byte, []*mls.KeyPackageBundle, error) {
	var bundles []*mls.KeyPackageBundle
	var change conversation.Change
	for _, m := range people {
		b, err := c.invited(c.people[m])
		if err != nil {
			return nil, nil, err
		}
		bundles = append(bundles, b)
		change.Add = append(change.Add, b.KeyPackage)
		if !g.Founding().Direct {
			change.Members = append(change.Members, wire.MemberRole{User: c.people[m].user})
		}
	}
	p, request, err := g.Commit(slot, change)
	if err != nil {
		return nil, nil, err
	}
	if _, err := wire.Call(ctx, by, *request); err != nil {
		return nil, nil, err
	}
	_, err = g.Apply(p)
	return request.Welcome, bundles, err
}

// take decrypts what comes.
func (k *talker) take(r wire.InboxRow) {
	if r.Kind != wire.InboxKindMessage || len(r.Payload) == 0 { // its own messages, once the others have them
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch _, _, err := k.group.Receive(r.Payload); {
	case err == nil:
		k.read++
	case !errors.Is(err, conversation.ErrKnown):
		k.failed = err
	}
}

// say encrypts a text of a sentence or two and sends it.
func (k *talker) say(ctx context.Context, channel qpq.ChannelID, n int) error {
	k.mu.Lock()
	out, err := k.group.Encrypt(make([]byte, 100))
	k.mu.Unlock()
	if err != nil {
		return err
	}
	id := [16]byte(k.person.device.ID())
	binary.BigEndian.PutUint32(id[12:], uint32(n))
	reply, err := wire.Call(ctx, patient{k.person}, wire.Send{Channel: channel, ID: id, Payload: out.Message})
	k.Sent(reply)
	return err
}

// mostJoin is how many of a conversation join and send: to join one of a thousand takes a device a while.
const mostJoin = 32

// encrypted prints what messages cost that real MLS groups encrypt, and that one member of each decrypts.
func encrypted(ctx context.Context, w io.Writer, dir string, o options) (err error) {
	people := 256
	for _, n := range o.mls {
		people = max(people, n)
	}
	c, err := gather(ctx, dir, "", people, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	k, err := c.circle()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "MLS groups encrypt 100 bytes, under %#x; all members are connected. Of each conversation at most %d join and send, and the one\n", uint16(conversation.Suite), mostJoin)
	fmt.Fprintln(w, "who founded it fetches, decrypts and acknowledges everything.")
	fmt.Fprintln(w, costHead("devices", "conversations", "senders", "decrypted"))
	for _, n := range o.mls {
		if err := k.talk(ctx, w, n, o); err != nil {
			return fmt.Errorf("%d devices: %w", n, err)
		}
	}
	return nil
}

// talk prints the line of one size of conversations.
func (c *circle) talk(ctx context.Context, w io.Writer, n int, o options) error {
	groups := max(1, 256/max(n, mostJoin))
	if n < mostJoin {
		groups = 256 / n
	}
	rooms, ids := make([][]*talker, groups), make([]qpq.ChannelID, groups)
	err := together(groups, 4, func(i int) (err error) {
		members := make([]int, n)
		for m := range members {
			members[m] = i*n + m
		}
		rooms[i], ids[i], err = c.found(ctx, members, min(n, mostJoin))
		return err
	})
	if err != nil {
		return err
	}
	var all []*talker
	var where []qpq.ChannelID
	var readers []int
	for i, room := range rooms {
		readers = append(readers, i*n)
		room[0].took = room[0].take
		for _, k := range room {
			all, where = append(all, k), append(where, ids[i])
		}
	}
	more := during(o.time)
	counts := make([]int64, len(all))
	k, err := c.measured(func() (sent int64, err error) {
		err = c.followed(ctx, readers, func() error {
			return together(len(all), len(all), func(i int) error {
				for ; more(0); counts[i]++ {
					if err := all[i].say(ctx, where[i], int(counts[i])); err != nil {
						return err
					}
				}
				return nil
			})
		})
		for _, n := range counts {
			sent += n
		}
		return sent, err
	})
	if err != nil {
		return err
	}
	read, due, of := 0, int(k.messages), 0
	for _, room := range rooms {
		read, due, of = read+room[0].read, due-int(counts[of]), of+len(room)
		err = errors.Join(err, room[0].failed)
		room[0].took = nil
	}
	if read != due {
		return fmt.Errorf("%d messages of others were decrypted, and %d were accepted: %w", read, due, err)
	}
	fmt.Fprintf(w, "%d | %d | %d | %d | %v\n", n, groups, len(all), read, k)
	return errors.Join(err, c.empty(ctx))
}
