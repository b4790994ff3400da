package mls

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
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
		if list := g.DropProposals(nil); len(list) != 5 || len(g.Proposals()) != 0 {
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

func TestRestoreOfEveryStatus(t *testing.T) {
	t.Run("member, with late messages of past epochs", func(t *testing.T) {
		r := newRig(t, 4, Config{})
		late := good(r.members[2].Encrypt([]byte("late"), nil))(t).Message
		skipped := good(r.members[3].Encrypt([]byte("skipped"), nil))(t).Message
		r.says(r.members[3], r.members[1], "in time")
		r.commit(r.members[0], CommitOptions{Proposals: []Proposal{&message.Remove{Removed: 3}}})
		g := r.restored(r.members[1])
		r.hears(g, late, "late")
		r.hears(g, skipped, "skipped")
		g = r.restored(g)
		r.refuses(g, late, ErrConsumed)
		r.refuses(g, skipped, ErrConsumed)
	})
	t.Run("member with a commit that is pending", func(t *testing.T) {
		r := newRig(t, 4, Config{})
		b := r.bundle("new", KeyPackageOptions{})
		p := good(r.members[1].Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: b.KeyPackage}, &message.Remove{Removed: 2}}}))(t)
		g := r.restored(r.members[1])
		again := g.Pending()
		if again == nil || !bytes.Equal(again.Message, p.Message) || !bytes.Equal(again.Welcome, p.Welcome) || again.Epoch != p.Epoch ||
			len(again.Added) != 1 || len(again.Removed) != 1 || len(again.Proposals) != 2 || again.Committer != p.Committer || len(again.Updated) != len(p.Updated) {
			t.Fatalf("pending commit is %+v, it was %+v", again.Change, p.Change)
		}
		if e := good(g.Process(p.Message))(t).(*Echo); e.Commit != again {
			t.Error("the commit that comes back is not recognised")
		}
		r.members[1] = g
		r.merge(g, again)
		j := good(Join(r.config, again.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}}))(t)
		r.members = append(r.members, j.Group)
		r.agree()
	})
	t.Run("somebody who joins", func(t *testing.T) {
		r := newRig(t, 3, Config{})
		_, p := good2(JoinExternal(r.config, r.info(r.members[0]), r.identity("new"), ExternalOptions{}))(t)
		store := records{}
		store.apply(p.Records)
		g := good(Restore(r.config, store))(t)
		_, err := g.Encrypt(nil, nil)
		fails(t, err, ErrJoining)
		again := good(g.Process(p.Message))(t).(*Echo).Commit
		r.members = append(r.members, g)
		r.merge(g, again)
		r.says(g, r.members[0], "in")
		delete(store, recordPending)
		_, err = Restore(r.config, store)
		fails(t, err, ErrState)
	})
	t.Run("member of a group that ended", func(t *testing.T) {
		r := newRig(t, 2, Config{})
		r.commit(r.members[0], CommitOptions{Proposals: []Proposal{&message.ReInit{GroupID: []byte("next"), Version: message.MLS10, CipherSuite: 3}}})
		g := r.restored(r.members[1])
		next, ended := g.ReInitialised()
		if !ended || string(next.GroupID) != "next" || next.CipherSuite != 3 {
			t.Fatalf("the group ended for %+v", next)
		}
		_, err := g.Encrypt(nil, nil)
		fails(t, err, ErrReInit)
		other := newRigOf(t, 3, 1, r.config, nil)
		b := other.bundle("m0", KeyPackageOptions{})
		_, p := good2(g.ReInit(SuccessorOptions{Identity: other.identity("m1"), KeyPackages: []*KeyPackage{b.KeyPackage}}))(t)
		good(Join(r.config, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}, Parent: r.restored(r.members[0])}))(t)
	})
	t.Run("member with new keys that it proposed", func(t *testing.T) {
		r := newRig(t, 3, Config{})
		out, err := r.members[1].ProposeUpdate(nil)
		r.propose(r.members[1], out, err)
		r.members[1] = r.restored(r.members[1])
		if p := r.commit(r.members[0], CommitOptions{}); p.Updated[0].Index != 1 {
			t.Fatalf("%d leaves changed", len(p.Updated))
		}
	})
	t.Run("somebody who was removed has nothing left to restore", func(t *testing.T) {
		r := newRig(t, 3, Config{})
		g, store := r.members[2], records{}
		store.apply(g.Records())
		store.apply(good(r.members[2].ProposeUpdate(nil))(t).Records)
		store.apply(good(g.Commit(CommitOptions{WithoutReceived: true}))(t).Records)
		p := good(r.members[0].Commit(CommitOptions{Proposals: []Proposal{&message.Remove{Removed: 2}}}))(t)
		store.apply(good(r.stage(g, p.Message).Merge())(t))
		if len(store) != 0 {
			t.Errorf("%d records are left: %v", len(store), slices.Sorted(maps.Keys(store)))
		}
		_, err := Restore(r.config, store)
		fails(t, err, ErrState)
	})
}

// use has a group do what changes and reads most of its state. Errors are fine, panics are not.
func use(g *Group, messages ...[]byte) {
	if p := g.Pending(); p != nil {
		_, _ = p.GroupInfo(GroupInfoOptions{ExternalPub: true})
		_, _ = p.RatchetTree()
	}
	for _, data := range messages {
		_, _ = g.Process(data)
	}
	g.Records()
	_, _ = g.Encrypt([]byte("text"), nil)
	_, _ = g.GroupInfo(GroupInfoOptions{ExternalPub: true})
	_, _ = g.Export("label", nil, 16)
	if p := g.Pending(); p != nil {
		_, _ = p.Apply()
	}
	_, _ = g.ProposeUpdate(nil)
	if p, err := g.Commit(CommitOptions{}); err == nil {
		_, _ = p.Apply()
	}
	g.Wipe()
}

func TestDamagedRecords(t *testing.T) {
	r, g, _ := rich(t, 1)
	joiner, p := good2(JoinExternal(r.config, r.info(r.members[0]), r.identity("new"), ExternalOptions{}))(t)
	for name, list := range map[string][]Record{"member": g.Records(), "joiner": joiner.Records()} {
		store := records{}
		store.apply(list)
		restore := func(t *testing.T, key string, value []byte) (*Group, error) {
			damaged := maps.Clone(store)
			if damaged[key] = value; value == nil {
				delete(damaged, key)
			}
			g, err := Restore(r.config, damaged)
			if err != nil && !errors.Is(err, ErrState) {
				t.Errorf("%s: error of another type: %v", key, err)
			}
			return g, err
		}
		t.Run(name+" with all records is fine", func(t *testing.T) {
			if _, err := restore(t, recordGroup, store[recordGroup]); err != nil {
				t.Fatal(err)
			}
		})
		t.Run(name+" with a record missing", func(t *testing.T) {
			last := fmt.Sprint(recordProposal, len(g.proposals)-1)
			for key := range store {
				_, err := restore(t, key, nil)
				if mayMiss := key == last || key == recordPending && name == "member"; (err == nil) != mayMiss {
					t.Errorf("%s: %v", key, err)
				}
			}
		})
		t.Run(name+" with a record cut short or too long", func(t *testing.T) {
			for key, value := range store {
				for n := 0; n < len(value); n += 1 + len(value)/100 {
					if _, err := restore(t, key, value[:n:n]); err == nil {
						t.Errorf("%s is taken when %d of %d bytes are there", key, n, len(value))
					}
				}
				if _, err := restore(t, key, append(bytes.Clone(value), 0)); err == nil {
					t.Errorf("%s is taken with a byte more", key)
				}
			}
		})
		t.Run(name+" with a byte changed neither panics nor hangs", func(t *testing.T) {
			taken := 0
			for key, value := range store {
				for n := 0; n < len(value); n += 1 + len(value)/60 {
					for _, by := range []byte{1, 0x80, 0xff} {
						changed := bytes.Clone(value)
						changed[n] ^= by
						if g, err := restore(t, key, changed); err == nil {
							taken++
							use(g, p.Message)
						}
					}
				}
			}
			t.Logf("%d were taken", taken)
		})
		t.Run(name+" with a record of another epoch", func(t *testing.T) {
			for key, value := range store {
				if strings.HasPrefix(key, recordPast) || strings.HasPrefix(key, recordSecrets) || strings.HasPrefix(key, recordRatchet) {
					kind, _, _ := strings.Cut(key, "/")
					if _, err := restore(t, kind+"/77/0", value); err == nil {
						t.Errorf("%s is taken for epoch 77", key)
					}
					if _, err := restore(t, kind+"/77", value); err == nil {
						t.Errorf("%s is taken for epoch 77", key)
					}
				}
			}
		})
	}
}

func TestRecordsOfWhatIsGoneAreDeleted(t *testing.T) {
	const past = 2
	r := newRig(t, 40, Config{PastEpochs: past})
	g, store := r.members[1], records{}
	store.apply(g.Records())
	trees := func() (n int) {
		for key := range store {
			if strings.HasPrefix(key, recordTree) {
				n++
			}
		}
		return n
	}
	before := trees()
	for len(r.members) > 2 {
		store.apply(good(g.Process(good(r.members[0].Encrypt([]byte("text"), nil))(t).Message))(t).(*ApplicationMessage).Records)
		out, err := r.members[0].ProposeRemove(r.members[len(r.members)-1].own)
		store.apply(good(g.Process(good(out, err)(t).Message))(t).(*ReceivedProposal).Records)
		for _, other := range r.members[2:] {
			good(other.Process(out.Message))(t)
		}
		var o CommitOptions
		for _, m := range r.members[max(2, len(r.members)-9) : len(r.members)-1] {
			o.Proposals = append(o.Proposals, &message.Remove{Removed: m.own})
		}
		p := good(r.members[0].Commit(o))(t)
		for _, other := range r.members[2:] {
			good(r.stage(other, p.Message).Merge())(t)
		}
		store.apply(good(r.stage(g, p.Message).Merge())(t))
		good(p.Apply())(t)
		r.members = slices.DeleteFunc(r.members, (*Group).Removed)
		full := records{}
		full.apply(g.Records())
		if !slices.Equal(slices.Sorted(maps.Keys(store)), slices.Sorted(maps.Keys(full))) {
			t.Errorf("there are the records %v, there should be %v", slices.Sorted(maps.Keys(store)), slices.Sorted(maps.Keys(full)))
		}
		for key := range store {
			var epoch uint64
			kind, rest, _ := strings.Cut(key, "/")
			if n, _ := fmt.Sscanf(rest, "%d", &epoch); n == 1 && (kind == "epoch" || kind == "ratchet" || kind == "secrets") && epoch+past < g.Epoch() {
				t.Errorf("in epoch %d there is still the record %s", g.Epoch(), key)
			}
		}
	}
	if after := trees(); before < 8 || after != 1 {
		t.Errorf("%d records of a tree of 40, %d of a tree of 2", before, after)
	}
	r.says(good(Restore(r.config, store))(t), r.members[0], "still here")
}
