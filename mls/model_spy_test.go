package mls

import (
	"errors"

	"github.com/quicproquo/qpq/mls/message"
)

// modelSpy is the state that somebody who was removed had last.
type modelSpy struct {
	client *modelClient
	group  *Group
}

// spy verifies that those who were removed can open nothing that came later.
func (w *modelWorld) spy() {
	for _, s := range w.spies {
		at := s.group.Epoch()
		for _, m := range w.texts {
			if m.epoch <= at {
				continue
			}
			_, err := s.group.Process(m.data)
			fails(w.T, err, ErrWrongEpoch)
			if _, err = s.group.Process(w.relabelled(m.data, at)); !errors.Is(err, ErrDecrypt) {
				w.Errorf("somebody who was removed takes a text with %v", err)
			}
		}
		for _, c := range w.log[at+1:] {
			_, err := s.group.Process(c.message)
			fails(w.T, err, ErrWrongEpoch)
		}
		w.done["path secrets out of reach"] += w.spyOnPath(s)
	}
}

// spyOnPath tries all private keys of somebody who was removed on the path of the commit that removed it. It returns
// how many path secrets it tried.
func (w *modelWorld) spyOnPath(s *modelSpy) (tried int) {
	g, c := s.group, w.log[s.group.Epoch()]
	staged, ok := w.process(g, records{}, c).(*StagedCommit)
	m := good(message.Unmarshal(c.message))(w)
	var commit *message.Commit
	if m.Public != nil {
		commit = m.Public.Content.Commit
	} else {
		o := good(g.decrypt(g.epoch, m.Private))(w)
		commit = o.content.Content.Commit
	}
	if !ok || !staged.RemovesMe || commit.Path == nil {
		w.Fatal("the commit that removed somebody has no path, or removes somebody else")
	}
	context := staged.next.context.Append(nil)
	for _, node := range commit.Path.Nodes {
		for _, sealed := range node.Secrets {
			for x, k := range g.keys {
				tried++
				if _, err := g.suite.DecryptWithLabel(k, "UpdatePathNode", context, sealed.KEMOutput, sealed.Ciphertext); err == nil {
					w.Errorf("the private key of node %d opens the path of the commit that removed its owner", x)
				}
			}
		}
	}
	return tried
}
