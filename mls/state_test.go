package mls

import (
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/quicproquo/qpq/mls/message"
)

// removals returns whom the proposals that wait for a commit remove.
func removals(g *Group) (list []LeafIndex) {
	for _, p := range g.Proposals() {
		list = append(list, p.Proposal.(*message.Remove).Removed)
	}
	return list
}

func TestProposalsThatWait(t *testing.T) {
	const n = 7
	waiting := func(t *testing.T) (*rig, []LeafIndex) {
		r := newRig(t, n, Config{})
		var order []LeafIndex
		for _, l := range []LeafIndex{5, 1, 4, 2, 6} {
			out, err := r.members[0].ProposeRemove(l)
			r.propose(r.members[0], out, err)
			order = append(order, l)
		}
		return r, order
	}
	t.Run("keep their order over a restart", func(t *testing.T) {
		r, order := waiting(t)
		if got := removals(r.restored(r.members[3])); !slices.Equal(got, order) {
			t.Errorf("order %d, they came as %d", got, order)
		}
	})
	t.Run("are set aside, and others may still commit them", func(t *testing.T) {
		r, _ := waiting(t)
		g := r.members[3]
		if list := g.DropProposals(); len(list) != 5 || len(g.Proposals()) != 0 {
			t.Fatalf("%d records, %d proposals still wait", len(list), len(g.Proposals()))
		}
		g = r.restored(g)
		r.members[3] = g
		r.says(g, r.members[0], "nothing is in the way of a text")
		if p := good(g.Commit(CommitOptions{}))(t); len(p.Proposals)+len(p.Skipped) != 0 {
			t.Errorf("%d proposals that were set aside are in a commit, %d are skipped", len(p.Proposals), len(p.Skipped))
		}
		if r.commit(r.members[0], CommitOptions{}); len(r.members) != 2 {
			t.Errorf("%d members are left of two", len(r.members))
		}
	})
	t.Run("that could not be sent do not wait", func(t *testing.T) {
		broken := &breakable{}
		r := newRig(t, 3, Config{Rand: broken})
		broken.err = errors.New("out of randomness")
		_, err := r.members[0].ProposeRemove(1)
		fails(t, err, broken.err)
		if list := r.members[0].Proposals(); len(list) != 0 {
			t.Errorf("%d proposals wait that nobody knows", len(list))
		}
	})
}

// breakable is randomness that fails once err is set.
type breakable struct{ err error }

func (b *breakable) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	return io.ReadFull(rand.Reader, p)
}
