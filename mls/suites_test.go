package mls

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/quicproquo/qpq/mls/message"
)

func TestEverySuite(t *testing.T) {
	for _, id := range []CipherSuite{1, 2, 3, 4, 5, 6, 7, 0xF001} {
		t.Run(fmt.Sprint(id), func(t *testing.T) {
			c := Config{Credentials: anyone{}}
			ident := func(name string) Identity {
				k, err := NewSignatureKey(c, id)
				if err != nil {
					t.Fatal(err)
				}
				return Identity{BasicCredential([]byte(name)), k}
			}
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			alice, err := NewGroup(c, id, ident("alice"), GroupOptions{})
			must(err)
			var groups []*Group
			add := func(name string) {
				b, err := NewKeyPackage(c, id, ident(name), KeyPackageOptions{})
				must(err)
				kp, err := ParseKeyPackage(c, b.Message())
				must(err)
				p, err := alice.Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: kp}}})
				must(err)
				for _, g := range groups {
					r, err := g.Process(p.Message)
					must(err)
					_, err = r.(*StagedCommit).Merge()
					must(err)
				}
				_, err = p.Apply()
				must(err)
				j, err := Join(c, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}})
				must(err)
				groups = append(groups, j.Group)
			}
			for i := range 5 {
				add(fmt.Sprint("bob", i))
			}
			for i, g := range groups {
				if !bytes.Equal(g.EpochAuthenticator(), alice.EpochAuthenticator()) {
					t.Fatal("authenticator", i)
				}
				recs := map[string][]byte{}
				for _, r := range g.Records() {
					recs[r.Key] = r.Value
				}
				g2, err := Restore(c, recs)
				must(err)
				groups[i] = g2
				out, err := g2.Encrypt([]byte("hello"), nil)
				must(err)
				r, err := alice.Process(out.Message)
				must(err)
				if string(r.(*ApplicationMessage).Plaintext) != "hello" {
					t.Fatal("plaintext")
				}
				if _, err := alice.Process(out.Message); err == nil {
					t.Fatal("twice")
				}
			}
			gi, err := alice.GroupInfo(GroupInfoOptions{ExternalPub: true})
			must(err)
			eve, p, err := JoinExternal(c, gi, ident("eve"), ExternalOptions{})
			must(err)
			_, err = p.Apply()
			must(err)
			for _, g := range append(groups, alice) {
				r, err := g.Process(p.Message)
				must(err)
				_, err = r.(*StagedCommit).Merge()
				must(err)
				if !bytes.Equal(g.EpochAuthenticator(), eve.EpochAuthenticator()) {
					t.Fatal("authenticator")
				}
			}
		})
	}
}
