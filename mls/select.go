package mls

import (
	"slices"

	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/message"
)

// selectProposals returns those of the received proposals that can go into a commit together with the caller's, as far as the list
// says (RFC 9420, section 12.2), in the order that they came.
func (g *Group) selectProposals(o CommitOptions) (chosen []*cachedProposal) {
	if o.WithoutReceived {
		return nil
	}
	s := &selection{group: g, about: map[LeafIndex]int{}, keys: map[string]bool{}}
	for _, p := range o.Proposals {
		s.note(transition.Item{Proposal: p, Sender: message.MemberSender(g.own)}, -1)
	}
	waiting := g.waiting()
	s.received(waiting)
	for i, c := range waiting {
		if s.chosen[i] {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// items returns what a commit of the chosen proposals and the caller's consists of.
func (g *Group) items(o CommitOptions, chosen []*cachedProposal) (list []transition.Item) {
	for _, c := range chosen {
		list = append(list, c.item)
	}
	for _, p := range o.Proposals {
		list = append(list, transition.Item{Proposal: p, Sender: message.MemberSender(g.own)})
	}
	return list
}

// skipped returns the received proposals that a commit of the chosen ones leaves out.
func (g *Group) skipped(o CommitOptions, chosen []*cachedProposal) (list []Proposal) {
	for _, c := range g.waiting() {
		switch {
		case o.WithoutReceived:
		case len(chosen) > 0 && chosen[0] == c:
			chosen = chosen[1:]
		default:
			list = append(list, c.item.Proposal)
		}
	}
	return list
}

// fitting returns those of the chosen proposals that a commit can have after all, where it cannot have all of them: whoever sent the
// others must not keep everybody from committing. A list that does not fit is halved until the culprits are found. Removals and updates come
// first, because what comes after may depend on them. When many culprits make the search long, what was not tried yet is left out.
func (g *Group) fitting(o CommitOptions, chosen []*cachedProposal) []*cachedProposal {
	var order []*cachedProposal
	rest := make([]*cachedProposal, 0, len(chosen))
	for _, c := range chosen {
		switch c.item.Proposal.(type) {
		case *message.Remove, *message.SelfRemove, *message.Update:
			order = append(order, c)
		default:
			rest = append(rest, c)
		}
	}
	order = slices.DeleteFunc(append(order, rest...), func(c *cachedProposal) bool {
		return g.rules.Check(c.item.Proposal, g.tree.Diff(), &g.epoch.context, c.item.Sender) != nil // the application may have changed its mind
	})
	budget := 128 * (64 + len(chosen) + len(o.Proposals))
	var fit []*cachedProposal
	var include func(list []*cachedProposal)
	include = func(list []*cachedProposal) {
		with := append(fit[:len(fit):len(fit)], list...)
		if budget -= 64 + len(with) + len(o.Proposals); len(list) == 0 || budget < 0 {
			return
		}
		if g.together(g.items(o, with)) == nil {
			fit = with
		} else if half := len(list) / 2; half > 0 {
			include(list[:half])
			include(list[half:])
		}
	}
	include(order)
	slices.SortFunc(fit, func(a, b *cachedProposal) int { return a.number - b.number })
	return fit
}

// together returns why proposals, each of which is valid by itself, cannot be committed together.
func (g *Group) together(items []transition.Item) error {
	result, err := g.rules.Combine(g.tree, &g.epoch.context, message.MemberSender(g.own), items)
	if err != nil {
		return err
	}
	if _, err := g.config.psks(result.PSKs, g); err != nil {
		return err
	}
	return g.rules.Finish(result)
}

// withoutAdds leaves out what makes a welcome large.
func withoutAdds(_ CommitOptions, chosen []*cachedProposal) []*cachedProposal {
	return slices.DeleteFunc(slices.Clone(chosen), func(c *cachedProposal) bool { return c.item.Proposal.Type() == message.ProposalAdd })
}

// none leaves out everything that was received.
func none(CommitOptions, []*cachedProposal) []*cachedProposal { return nil }

// selection chooses among received proposals.
type selection struct {
	group  *Group
	chosen map[int]bool
	about  map[LeafIndex]int // which proposal updates or removes a leaf; -1 for one of the caller's
	keys   map[string]bool   // signature keys of those who are added, and other things that go in once
	reinit bool
}

// received chooses: removals before updates, the newest update of a leaf, the first of everything else.
func (s *selection) received(list []*cachedProposal) {
	s.chosen = map[int]bool{}
	for i, c := range list {
		switch c.item.Proposal.(type) {
		case *message.Remove, *message.SelfRemove:
			s.try(c.item, i)
		}
	}
	for i, c := range slices.Backward(list) {
		if _, ok := c.item.Proposal.(*message.Update); ok {
			s.try(c.item, i)
		}
	}
	for i, c := range list {
		switch c.item.Proposal.(type) {
		case *message.Remove, *message.SelfRemove, *message.Update, *message.ReInit:
		default:
			s.try(c.item, i)
		}
	}
	if len(s.chosen) == 0 && len(s.keys) == 0 && len(s.about) == 0 {
		for i, c := range list {
			if _, ok := c.item.Proposal.(*message.ReInit); ok && !s.reinit {
				s.try(c.item, i)
			}
		}
	}
}

func (s *selection) try(item transition.Item, i int) {
	if !s.reinit && s.note(item, i) {
		s.chosen[i] = true
	}
}

// note reports whether a proposal fits those noted before, and notes it if so.
func (s *selection) note(item transition.Item, i int) bool {
	about := func(l LeafIndex) bool {
		if _, taken := s.about[l]; taken || l == s.group.own {
			return false
		}
		s.about[l] = i
		return true
	}
	once := func(key string) bool {
		taken := s.keys[key]
		s.keys[key] = true
		return !taken
	}
	switch p := item.Proposal.(type) {
	case *message.Update, *message.SelfRemove:
		return about(LeafIndex(item.Sender.Index))
	case *message.Remove:
		return about(p.Removed)
	case *message.Add:
		return once("add" + string(p.KeyPackage.LeafNode.SignatureKey))
	case *message.PreSharedKey:
		return once("psk" + string(p.PSK.Append(nil)))
	case *message.GroupContextExtensions:
		return once("extensions")
	case *message.ReInit:
		s.reinit = s.group.checkReInit(p) == nil
		return s.reinit
	case *message.ExternalInit:
		return false
	default:
		return once("other" + string(message.AppendProposal(nil, p)))
	}
}
