package transition

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// Item is a proposal in a commit, with who made it and how it came.
type Item struct {
	Proposal    message.Proposal
	Sender      message.Sender
	ByReference bool
}

// Result is what a list of proposals makes of a group.
type Result struct {
	Diff         *tree.Diff
	Extensions   message.Extensions
	Added        []tree.Leaf           // in the order of the proposals
	KeyPackages  []*message.KeyPackage // of Added
	Removed      []tree.Leaf
	Updated      []tree.Leaf
	PSKs         []message.PreSharedKeyID
	ExternalInit []byte // the KEM output; nil if the commit is not external
	ReInit       *message.ReInit
	PathRequired bool
	Committer    tree.Leaf   // where the committer is in the new tree; Stage sets it, or whoever makes the commit
	Steps        []tree.Step // of Stage: those of the commit's path
}

// Context returns the group context that a commit leads to, but for its transcript hash. The tree must be what it will be.
func (r *Result) Context(before *message.GroupContext) message.GroupContext {
	next := *before
	next.Epoch++
	next.Extensions = r.Extensions
	next.TreeHash = bytes.Clone(r.Diff.Hash())
	return next
}

// Leaves returns whose leaves are new and whose are replaced once the committer's path, if it has one, is applied; its own comes last.
func (r *Result) Leaves(committer message.Sender, path bool) (added, updated []tree.Leaf) {
	added, updated = slices.Clone(r.Added), slices.Clone(r.Updated)
	switch {
	case committer.Type == message.SenderNewMemberCommit:
		added = append(added, r.Committer)
	case path:
		updated = append(updated, r.Committer)
	}
	return added, updated
}

// state is a Result in the making.
type state struct {
	*Result
	rules     *Rules
	committer message.Sender
	items     []Item
	touched   map[tree.Leaf]bool // leaves updated or removed
}

// Apply validates the proposals of a commit and applies them to the group that t and context are. The
// path of the commit comes later. The committer of an external commit is message.SenderNewMemberCommit.
func (r *Rules) Apply(t *tree.Tree, context *message.GroupContext, committer message.Sender, items []Item) (*Result, error) {
	d := t.Diff()
	for i, item := range items {
		err := CheckSender(item.Proposal, item.Sender)
		if err == nil {
			err = r.Check(item.Proposal, d, context, item.Sender)
		}
		if err != nil {
			return nil, fmt.Errorf("proposal %d of %d: %w", i+1, len(items), err)
		}
	}
	return r.Combine(t, context, committer, items)
}

// Combine is Apply of proposals each of which was verified by itself.
func (r *Rules) Combine(t *tree.Tree, context *message.GroupContext, committer message.Sender, items []Item) (*Result, error) {
	s := &state{rules: r, committer: committer, items: items, touched: map[tree.Leaf]bool{},
		Result: &Result{Diff: t.Diff(), Extensions: context.Extensions}}
	s.PathRequired = len(items) == 0
	for i, item := range items {
		if err := s.checkItem(item); err != nil {
			return nil, fmt.Errorf("proposal %d of %d: %w", i+1, len(items), err)
		}
	}
	for _, step := range []func() error{s.checkList, s.applyExtensions, s.applyUpdates, s.applyRemoves,
		s.checkTypes, s.applyAdds, s.applyAppData, s.collect} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s.Result, nil
}

// each calls f with every proposal of type P.
func each[P message.Proposal](items []Item, f func(P, Item) error) error {
	for _, item := range items {
		if p, ok := item.Proposal.(P); ok {
			if err := f(p, item); err != nil {
				return fmt.Errorf("%w: %w", ErrProposal, err)
			}
		}
	}
	return nil
}

func count[P message.Proposal](items []Item) (n int) {
	_ = each(items, func(P, Item) error { n++; return nil })
	return n
}

// checkItem verifies that the committer may have a proposal in its commit.
func (s *state) checkItem(item Item) error {
	if external := s.committer.Type == message.SenderNewMemberCommit; external && item.ByReference &&
		item.Proposal.Type() != message.ProposalSelfRemove {
		return fmt.Errorf("%w: an external commit refers to one of type %d", ErrProposal, item.Proposal.Type())
	}
	switch item.Proposal.(type) {
	case *message.Update:
		if item.Sender == s.committer {
			return fmt.Errorf("%w: an update by the committer", ErrProposal)
		}
		return s.touch(tree.Leaf(item.Sender.Index))
	case *message.SelfRemove:
		if !item.ByReference || item.Sender == s.committer {
			return fmt.Errorf("%w: a self-remove by value or by the committer", ErrProposal)
		}
		return s.touch(tree.Leaf(item.Sender.Index))
	case *message.Remove:
		l := item.Proposal.(*message.Remove).Removed
		if s.committer == message.MemberSender(l) {
			return fmt.Errorf("%w: the committer removes itself", ErrProposal)
		}
		return s.touch(l)
	}
	return nil
}

// touch notes that l is updated or removed, which may happen once.
func (s *state) touch(l tree.Leaf) error {
	if s.touched[l] {
		return fmt.Errorf("%w: leaf %d is updated or removed twice", ErrProposal, l)
	}
	s.touched[l] = true
	return nil
}

// checkList verifies the list as a whole (RFC 9420, section 12.2).
func (s *state) checkList() error {
	external := s.committer.Type == message.SenderNewMemberCommit
	inits, removes := count[*message.ExternalInit](s.items), count[*message.Remove](s.items)
	switch {
	case external && (inits != 1 || removes > 1):
		return fmt.Errorf("%w: an external commit with %d external inits and %d removals", ErrProposal, inits, removes)
	case !external && inits > 0:
		return fmt.Errorf("%w: external init by a member", ErrProposal)
	case count[*message.GroupContextExtensions](s.items) > 1:
		return fmt.Errorf("%w: extensions are replaced twice", ErrProposal)
	case count[*message.ReInit](s.items) > 0 && len(s.items) > 1:
		return fmt.Errorf("%w: re-initialisation together with others", ErrProposal)
	}
	seen := map[string]bool{}
	return each(s.items, func(p *message.PreSharedKey, _ Item) error {
		id := string(p.PSK.Append(nil))
		if seen[id] {
			return fmt.Errorf("the same pre-shared key twice")
		}
		seen[id] = true
		return nil
	})
}

func (s *state) applyExtensions() error {
	return each(s.items, func(p *message.GroupContextExtensions, _ Item) error {
		s.Extensions = p.Extensions
		s.PathRequired = true
		return nil
	})
}

func (s *state) applyUpdates() error {
	return each(s.items, func(p *message.Update, item Item) error {
		l := tree.Leaf(item.Sender.Index)
		s.Diff.Update(l, p.LeafNode.Detach())
		s.Updated = append(s.Updated, l)
		s.PathRequired = true
		return nil
	})
}

func (s *state) applyRemoves() error {
	remove := func(l tree.Leaf) {
		s.Diff.Remove(l)
		s.Removed = append(s.Removed, l)
		s.PathRequired = true
	}
	_ = each(s.items, func(_ *message.SelfRemove, item Item) error { remove(tree.Leaf(item.Sender.Index)); return nil })
	return each(s.items, func(p *message.Remove, _ Item) error { remove(p.Removed); return nil })
}

// checkTypes verifies that the members who will process the commit know all types of proposals in it.
func (s *state) checkTypes() error {
	for _, item := range s.items {
		if t := item.Proposal.Type(); !s.Diff.AllKnowProposal(t) {
			return fmt.Errorf("%w: %w: a member does not know type %d", ErrProposal, ErrCapabilities, t)
		}
	}
	return nil
}

func (s *state) applyAdds() error {
	return each(s.items, func(p *message.Add, _ Item) error {
		l, err := s.Diff.Add(p.KeyPackage.LeafNode.Detach())
		if err != nil {
			return err
		}
		if s.rules.MaxMembers > 0 && s.Diff.Members() > s.rules.MaxMembers {
			return fmt.Errorf("%w: at most %d are allowed", ErrMembers, s.rules.MaxMembers)
		}
		s.Added = append(s.Added, l)
		s.KeyPackages = append(s.KeyPackages, p.KeyPackage)
		return nil
	})
}

// applyAppData applies the updates of each component together (draft-ietf-mls-extensions).
func (s *state) applyAppData() error {
	updates := map[message.ComponentID][][]byte{}
	removed := map[message.ComponentID]bool{}
	var order []message.ComponentID
	err := each(s.items, func(p *message.AppDataUpdate, _ Item) error {
		_, known := updates[p.Component]
		if removed[p.Component] || p.Remove && known {
			return fmt.Errorf("application data of component %d is removed and changed", p.Component)
		}
		if !known {
			order = append(order, p.Component)
		}
		removed[p.Component] = p.Remove
		updates[p.Component] = append(updates[p.Component], p.Update)
		return nil
	})
	if err != nil || len(order) == 0 {
		return err
	}
	data, _ := s.Extensions.Find(message.ExtensionAppDataDictionary)
	var dict message.AppDataDictionary
	if data != nil {
		if dict, err = message.UnmarshalAppDataDictionary(data); err != nil {
			return fmt.Errorf("%w: %w", ErrProposal, err)
		}
	}
	entries := map[message.ComponentID][]byte{}
	for _, e := range dict {
		entries[e.Component] = e.Data
	}
	for _, c := range order {
		if err := s.applyComponent(entries, c, removed[c], updates[c]); err != nil {
			return fmt.Errorf("%w: application data of component %d: %w", ErrProposal, c, err)
		}
	}
	dict = nil
	for _, c := range slices.Sorted(maps.Keys(entries)) {
		dict = append(dict, message.ComponentData{Component: c, Data: entries[c]})
	}
	s.Extensions = s.Extensions.With(message.ExtensionAppDataDictionary, dict.Marshal())
	return nil
}

// applyComponent changes the entry of one component.
func (s *state) applyComponent(entries map[message.ComponentID][]byte, c message.ComponentID, remove bool, updates [][]byte) error {
	current, present := entries[c]
	switch {
	case remove && !present:
		return fmt.Errorf("there is none to remove")
	case remove:
		delete(entries, c)
		return nil
	case s.rules.AppData == nil:
		return fmt.Errorf("nobody knows the component")
	}
	next, err := s.rules.AppData(c, current, updates)
	if err == nil {
		entries[c] = next
	}
	return err
}

// collect notes what takes effect later in a commit.
func (s *state) collect() error {
	for _, item := range s.items {
		switch p := item.Proposal.(type) {
		case *message.PreSharedKey:
			s.PSKs = append(s.PSKs, p.PSK)
		case *message.ExternalInit:
			s.ExternalInit, s.PathRequired = p.KEMOutput, true
		case *message.ReInit:
			s.ReInit = p
		case *message.Custom:
			s.PathRequired = true // nobody here knows whether its type needs one
		}
	}
	return nil
}
