package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

// notary signs receipts by numbering the commits that they came with.
type notary struct {
	t       *testing.T
	s       *store.Store
	mu      sync.Mutex
	commits int
}

// slip is a receipt of a message.
type slip struct {
	by       *notary
	wanted   bool // the message is in order
	sequence int64
	at       time.Time
	commit   int // 0: not signed
	place    int
}

// Accept implements store.Receipt.
func (p *slip) Accept(sequence int64, at time.Time) { p.sequence, p.at = sequence, at }

// Sign implements store.Receipt. What is signed for is there for everybody.
func (p *slip) Sign(all []store.Receipt) {
	p.by.mu.Lock()
	defer p.by.mu.Unlock()
	p.by.commits++
	head := int64(0)
	for _, row := range fetch(p.by.t, p.by.s, "bob", 1, 0).Rows {
		head = max(head, row.Sequence)
	}
	for i, one := range all {
		k := one.(*slip)
		if !k.wanted || k.commit != 0 || k.sequence > head {
			p.by.t.Errorf("number %d is signed for, where the newest is %d: in order %t, signed before in commit %d", k.sequence, head, k.wanted, k.commit)
		}
		k.commit, k.place = p.by.commits, i
	}
}

// testReceipts: those of a commit are signed together, once it is durable and before anybody is answered, and none of what failed, though it wrote and came
// with others.
func testReceipts(t *testing.T, e store.Engine) {
	s := Open(t, e)
	register(t, s, "alice")
	register(t, s, "bob")
	ch := newChannel(t, s, 1, "alice", "bob")
	by, before := &notary{t: t, s: s}, s.Stats()
	const senders = 96
	slips := make([]*slip, senders)
	send := func(i int) (store.Sent, error) {
		m := ch.message(byte(i), "alice", "text")
		slips[i] = &slip{by: by, wanted: i%4 != 3}
		if m.Receipt = slips[i]; !slips[i].wanted {
			m.Blobs = [][32]byte{{byte(i)}} // that it is not there is found after the first write
		}
		return s.Send(t.Context(), m)
	}
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			sent, err := send(i)
			if p := slips[i]; !p.wanted {
				wantKind(t, err, qpq.NotFound, "blob-unknown")
				return
			} else if err != nil || p.commit == 0 || p.sequence != sent.Sequence || !p.at.Equal(sent.Time) {
				t.Errorf("message %d was answered with %+v, %v, and its receipt is %+v", i, sent, err, *p)
			}
		})
	}
	wg.Wait()
	var places [][2]int
	for _, p := range slips {
		if p.wanted {
			places = append(places, [2]int{p.commit, p.place})
		} else if p.commit != 0 {
			t.Error("a message that was refused has a receipt")
		}
	}
	slices.SortFunc(places, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	if len(slices.Compact(places)) != senders*3/4 {
		t.Error("two receipts have one place")
	}
	if commits := int(s.Stats().Commits - before.Commits); by.commits > commits {
		t.Errorf("%d commits were signed for %d times", commits, by.commits)
	}
	first := slips[0].sequence
	if sent, err := send(0); err != nil || sent.Sequence != first || slips[0].sequence != first || slips[0].commit == 0 {
		t.Errorf("a repetition is answered with %+v, %v, and its receipt is %+v", sent, err, *slips[0])
	}
}
