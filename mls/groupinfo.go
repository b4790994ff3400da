package mls

import (
	"slices"

	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/message"
)

// GroupInfoOptions is what a group info tells besides the group itself.
type GroupInfoOptions struct {
	WithoutTree bool // leaves out the ratchet tree, which is large; it must reach the reader otherwise
	ExternalPub bool // allows the reader to join by an external commit
	Extensions  Extensions
}

// GroupInfo returns a signed description of the group in its current epoch, as an MLS message (RFC
// 9420, section 12.4.3).
func (g *Group) GroupInfo(o GroupInfoOptions) ([]byte, error) {
	if err := g.usable(); err != nil {
		return nil, err
	}
	info, err := g.groupInfo(o, &next{context: g.epoch.context, secrets: g.secrets, tag: g.tag, own: g.own, key: g.key}, g.tree.Marshal)
	if err != nil {
		return nil, err
	}
	return (&message.Message{GroupInfo: info}).Marshal(), nil
}

// groupInfo describes an epoch: the current one, or the next.
func (g *Group) groupInfo(o GroupInfoOptions, n *next, marshalTree func() []byte) (*message.GroupInfo, error) {
	info := &message.GroupInfo{Context: n.context, ConfirmationTag: n.tag, Signer: n.own, Extensions: slices.Clone(o.Extensions)}
	if o.ExternalPub {
		pair, err := n.secrets.ExternalKeyPair()
		if err != nil {
			return nil, err
		}
		info.Extensions = info.Extensions.With(message.ExtensionExternalPub, message.MarshalExternalPub(pair.Public()))
	}
	if !o.WithoutTree {
		info.Extensions = info.Extensions.With(message.ExtensionRatchetTree, marshalTree())
	}
	if t, ok := grease(g.ownExtensionTypes()); ok && !g.config.NoGREASE {
		if _, taken := info.Extensions.Find(t); !taken {
			info.Extensions = info.Extensions.With(t, []byte{})
		}
	}
	var err error
	info.Signature, err = g.suite.SignWithLabel(n.key, g.config.Rand, "GroupInfoTBS", info.AppendTBS(nil))
	return info, err
}

func (g *Group) ownExtensionTypes() []message.ExtensionType {
	if n := g.tree.Leaf(g.own); n != nil {
		return n.Capabilities.Extensions
	}
	return nil
}

// fromGroupInfo verifies a group info and its tree, and returns a group without any secrets.
func fromGroupInfo(c *Config, s *suite.Suite, info *message.GroupInfo, ratchetTree []byte) (g *Group, err error) {
	if err := c.checkSize(ratchetTree); err != nil {
		return nil, err
	}
	g = emptyGroup(c, s)
	g.tree, err = g.rules.OpenGroupInfo(info, ratchetTree)
	return g, err
}
