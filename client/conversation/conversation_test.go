package conversation_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return string(h[:])
}

func TestGroup(t *testing.T) {
	r := newRig(t)
	a, b, c := r.device("alice"), r.device("bob"), r.device("carol")
	r.found(a, wire.Founding{})
	r.commit(a, conversation.Change{Add: []*mls.KeyPackage{r.invite(b)}, Members: []wire.MemberRole{{User: user("bob")}}}, nil, b)
	r.says(a, b)
	r.says(b, a)
	r.commit(b, conversation.Change{Add: []*mls.KeyPackage{r.invite(c)}, Members: []wire.MemberRole{{User: user("carol")}}}, []*member{a}, c)
	r.says(c, a, b)

	before := a.Access()
	r.commit(a, conversation.Change{Remove: []qpq.UserID{user("bob")}}, []*member{b, c})
	if !b.Removed() {
		t.Error("bob was removed and does not know it")
	}
	if bytes.Equal(before.Key, a.Access().Key) || !bytes.Equal(a.Access().Key, c.Access().Key) || a.Access().Slot != r.slot {
		t.Error("after a removal the access key is not a new one that all know")
	}
	r.says(a, c)

	b2 := r.device("carol") // a second device joins by itself
	r.rejoin(b2, a, c)
	r.says(b2, a, c)
	r.says(a, c, b2)
	c.Group = nil // carol's first device lost everything
	r.rejoin(c, a, b2)
	r.says(c, a, b2)
}

func TestDirect(t *testing.T) {
	r := newRig(t)
	a, b, c := r.device("alice"), r.device("bob"), r.device("carol")
	r.found(a, wire.Founding{Direct: true, Peer: user("bob")})
	r.rejoin(b, a) // before alice added anybody
	r.says(b, a)
	if _, _, err := a.Commit(9, conversation.Change{Add: []*mls.KeyPackage{r.invite(c)}, Members: []wire.MemberRole{{User: user("carol")}}}); !broke(err) {
		t.Errorf("a third account was added to a direct conversation: %v", err)
	}
}

// TestAnOwnCommitThatIsLost has a device lose what it kept of its commit, which took its slot: others may follow it, so it is not void.
func TestAnOwnCommitThatIsLost(t *testing.T) {
	r := newRig(t)
	a := r.device("alice")
	r.found(a, wire.Founding{})
	p, request, err := a.Commit(1, conversation.Change{})
	if err != nil {
		t.Fatal(err)
	}
	p.Discard()
	if _, err := a.Accept(1, request.Commit); !errors.Is(err, conversation.ErrUnreadable) {
		t.Errorf("the commit counts as: %v", err)
	}
}
