package mls

import (
	"bytes"
	"errors"

	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// GroupOptions is what a new group can be given.
type GroupOptions struct {
	ID         []byte // nil draws one
	Extensions Extensions
	Leaf       LeafOptions
}

// NewGroup makes a group whose only member is this client (RFC 9420, section 11). Store its Records.
func NewGroup(config Config, id CipherSuite, identity Identity, o GroupOptions) (*Group, error) {
	c, err := config.filled()
	if err != nil {
		return nil, err
	}
	s, err := c.suite(id)
	if err != nil {
		return nil, err
	}
	b, err := NewKeyPackage(config, id, identity, KeyPackageOptions{Leaf: o.Leaf})
	if err != nil {
		return nil, err
	}
	b.init.Wipe()
	if o.ID == nil {
		if o.ID, err = c.randomBytes(s.HashSize()); err != nil {
			return nil, err
		}
	}
	g := emptyGroup(c, s)
	d := g.tree.Diff()
	if g.own, err = d.Add(b.KeyPackage.LeafNode); err != nil {
		return nil, err
	}
	if err := errors.Join(g.rules.CheckExternalSenders(o.Extensions), g.rules.CheckCompatible(d, o.Extensions)); err != nil {
		return nil, err
	}
	d.Merge()
	g.key = identity.Key.signer
	g.keys[g.own.Node()] = b.encryption
	context := message.GroupContext{Version: message.MLS10, CipherSuite: id, GroupID: bytes.Clone(o.ID),
		TreeHash: bytes.Clone(g.tree.Hash()), Extensions: o.Extensions}
	secret, err := c.randomBytes(s.HashSize())
	if err != nil {
		return nil, err
	}
	g.secrets = schedule.FromEpochSecret(s, secret)
	g.tag = g.secrets.ConfirmationTag(nil)
	g.interim = schedule.InterimTranscriptHash(s, nil, g.tag)
	g.epoch = newEpoch(context, s, g.tree.Size(), g.secrets)
	return g, nil
}

func emptyGroup(c *Config, s *suite.Suite) *Group {
	return &Group{config: c, suite: s, rules: c.rules(s), tree: tree.New(s), keys: map[tree.Node]*suite.KeyPair{},
		updates: map[string]*suite.KeyPair{}}
}
