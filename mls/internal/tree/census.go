package tree

import (
	"slices"

	"github.com/quicproquo/qpq/mls/message"
)

// census counts what members say of themselves. What must hold for all of them is known from it without
// asking each: their capabilities differ, if only by GREASE values (RFC 9420, section 13.5), so there may be
// as many as members.
type census struct {
	listed map[feature]int
	used   map[message.CredentialType]int
}

// feature is a type that a member lists among its capabilities.
type feature struct {
	kind  featureKind
	value uint16
}

type featureKind uint8

const (
	extensionFeature featureKind = iota
	proposalFeature
	credentialFeature
)

func newCensus() census {
	return census{map[feature]int{}, map[message.CredentialType]int{}}
}

// count adds a member's leaf by times.
func (c census) count(n *message.LeafNode, by int) {
	add(c.used, n.Credential.Type, by)
	countListed(c, extensionFeature, n.Capabilities.Extensions, by)
	countListed(c, proposalFeature, n.Capabilities.Proposals, by)
	countListed(c, credentialFeature, n.Capabilities.Credentials, by)
}

// replace counts one leaf less and another more, where not nil.
func (c census) replace(before, after *message.LeafNode) {
	if before != nil && after != nil && before.Capabilities == after.Capabilities && before.Credential.Type == after.Credential.Type {
		return
	}
	if before != nil {
		c.count(before, -1)
	}
	if after != nil {
		c.count(after, 1)
	}
}

// countListed counts each type of a list once, also where a member lists it twice.
func countListed[T ~uint16](c census, kind featureKind, list []T, by int) {
	if len(list) > 16 { // to look for each of its types among those before would cost its square
		list = slices.Clone(list)
		slices.Sort(list)
		list = slices.Compact(list)
		for _, v := range list {
			add(c.listed, feature{kind, uint16(v)}, by)
		}
		return
	}
	for i, v := range list {
		if !slices.Contains(list[:i], v) {
			add(c.listed, feature{kind, uint16(v)}, by)
		}
	}
}

func add[K comparable](m map[K]int, k K, by int) {
	if m[k] += by; m[k] == 0 {
		delete(m, k)
	}
}

// merge adds what another census counts.
func (c census) merge(other census) {
	for k, by := range other.listed {
		add(c.listed, k, by)
	}
	for k, by := range other.used {
		add(c.used, k, by)
	}
}

func (d *Diff) all(kind featureKind, value uint16) bool {
	f := feature{kind, value}
	return d.base.census.listed[f]+d.census.listed[f] == d.members
}

// AllKnowExtension reports whether every member knows an extension type: a default type, or one that it lists.
func (d *Diff) AllKnowExtension(t message.ExtensionType) bool {
	return t.Default() || d.all(extensionFeature, uint16(t))
}

// AllKnowProposal reports whether every member knows a proposal type: a default type, or one that it lists.
func (d *Diff) AllKnowProposal(t message.ProposalType) bool {
	return t.Default() || d.all(proposalFeature, uint16(t))
}

// AllKnowCredential reports whether every member lists a credential type.
func (d *Diff) AllKnowCredential(t message.CredentialType) bool {
	return d.all(credentialFeature, uint16(t))
}

// CredentialTypes returns the types of the members' credentials, in no order.
func (d *Diff) CredentialTypes() []message.CredentialType {
	var list []message.CredentialType
	for t, n := range d.base.census.used {
		if n+d.census.used[t] > 0 {
			list = append(list, t)
		}
	}
	for t := range d.census.used {
		if _, known := d.base.census.used[t]; !known {
			list = append(list, t)
		}
	}
	return list
}
