package mls

import (
	"fmt"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/message"
)

// TestEverySuite plays the life of a group: people join by a welcome and by a commit of their own, restart, write and leave.
func TestEverySuite(t *testing.T) {
	for _, id := range suite.All(0) {
		t.Run(fmt.Sprintf("%#04x", id), func(t *testing.T) {
			r := newRigOf(t, CipherSuite(id), 1, Config{}, nil)
			alice := r.members[0]
			for i := range 5 {
				r.add(alice, fmt.Sprint("bob", i))
			}
			for i, g := range r.members[1:] {
				r.members[i+1] = r.restored(g)
				out := good(r.members[i+1].Encrypt([]byte("hello"), nil))(t)
				r.hears(alice, out.Message, "hello")
				_, err := alice.Process(out.Message)
				fails(t, err, ErrConsumed)
			}
			eve := r.joinExternally(alice, "eve", ExternalOptions{})
			r.says(eve, alice, "hello")
			k := good(ParseKeyPackage(r.config, r.bundle("carol", KeyPackageOptions{}).Message()))(t)
			r.commit(eve, CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: k}, &message.Remove{Removed: alice.OwnIndex()}}})
			if !alice.Removed() || eve.Size() != 7 {
				t.Errorf("%d members, and the founder is still one: %t", eve.Size(), !alice.Removed())
			}
		})
	}
}
