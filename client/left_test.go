package client_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/store/sqlite"
)

// forgetting runs f, and has the server forget what it did.
func (s *server) forgetting(t *testing.T, f func()) {
	t.Helper()
	s.Stop()
	yesterday := filepath.Join(t.TempDir(), "qpq.db")
	check(t, sqlite.Copy(s.Path, yesterday))
	s.Start()
	f()
	s.Stop()
	s.Path = yesterday
	s.Start()
}

// withPhone returns a group of alice, who is its owner, bob, who has two devices, and carol.
func withPhone(t *testing.T, s *server) (id qpq.ChannelID, alice, bob, phone, carol *device) {
	t.Helper()
	id, alice, bob, carol = three(t, s)
	phone = s.device(t)
	_, err := phone.Login(t.Context(), "bob", with(secret), "phone")
	check(t, err)
	settle(t, bob, phone, alice, carol)
	if v := must(phone.Conversation(id)); v.Standing != client.Active {
		t.Fatalf("the phone stands as %v", v.Standing)
	}
	return id, alice, bob, phone, carol
}

// TestWhoLeftStaysOutThoughTheServerForgetsIt: all devices of who left know it and tell the server again, whoever comes first, and whether the others
// had seen it or not.
func TestWhoLeftStaysOutThoughTheServerForgetsIt(t *testing.T) {
	for name, seen := range map[string]bool{"alice had seen it": true, "nobody else had seen it": false} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			id, alice, bob, phone, carol := withPhone(t, s)
			s.forgetting(t, func() {
				check(t, bob.Leave(t.Context(), id))
				check(t, phone.Sync(t.Context()))
				if seen {
					settle(t, alice)
				}
			})
			for _, d := range []*device{phone, bob, alice, carol, bob, phone} {
				check(t, d.Sync(t.Context()))
			}
			settle(t, alice, carol)
			for _, d := range []*device{bob, phone} {
				if v := must(d.Conversation(id)); v.Standing != client.Ended {
					t.Errorf("a device of bob, who left, stands as %v; notices %q", v.Standing, d.codes(id))
				}
			}
			for _, d := range []*device{alice, carol} {
				if got := d.members(id); !slices.Equal(got, []string{"alice", "carol"}) {
					t.Errorf("%s has %q as members; notices %q", d.user(), got, d.codes(id))
				}
				if gone := must(d.profile.Departures(id)); len(gone) > 0 {
					t.Errorf("%s waits for %v to be gone", d.user(), gone)
				}
			}
			talk(t, id, alice, carol)
		})
	}
}

// TestDevicesAgreeWhereALeaveWasForgottenAndOneWentOn: the phone was off when its account left, and changes the conversation at a server that forgot it.
func TestDevicesAgreeWhereALeaveWasForgottenAndOneWentOn(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, phone, carol := withPhone(t, s)
	s.forgetting(t, func() { check(t, bob.Leave(t.Context(), id)) })
	check(t, phone.UpdateKeys(t.Context(), id))
	settle(t, bob, phone, alice, carol)
	for _, d := range []*device{bob, phone} {
		if v := must(d.Conversation(id)); v.Standing != client.Active {
			t.Errorf("a device of bob stands as %v; notices %q", v.Standing, d.codes(id))
		}
	}
	talk(t, id, bob, phone, alice, carol)
}
