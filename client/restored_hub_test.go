package client_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/wire"
)

// TestACommitWhileOneConnects: somebody changes the conversation between the moment at which bob read his inbox and that at which he
// compares how far the server is.
func TestACommitWhileOneConnects(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, _ := three(t, s)
	once := false
	bob.reopen(s.lying(lies{wire.ChannelsList{}.Method().Ordinal: func() (uint16, []byte) {
		if !once {
			once = true
			check(t, alice.UpdateKeys(context.Background(), id))
			check(t, tries(alice, id, "meanwhile"))
		}
		ch := must(alice.profile.Channel(id))
		return 0, must(wire.Marshal(wire.ChannelsListReply{Channels: []wire.ChannelHead{{Channel: id, Slot: ch.Slot, Sequence: ch.Sequence,
			Commit: must(wire.Unmarshal[wire.SlotReceipt](ch.Head)).Commit}}}))
	}}))
	settle(t, bob)
	if !slices.Contains(bob.texts(id), "alice: meanwhile") || slices.Contains(bob.codes(id), "healed") {
		t.Errorf("bob, who missed nothing, shows %q; notices %q", bob.texts(id), bob.codes(id))
	}
}

// TestARestoreWithAConflictStopsNothingElse: after the server was restored from a copy, carol, who was away, takes the slot of a commit
// that it lost.
func TestARestoreWithAConflictStopsNothingElse(t *testing.T) {
	s := newServer(t, nil)
	ctx := context.Background()
	id, alice, bob, carol := three(t, s)
	dm := must(bob.Direct(ctx, alice.user()))
	settle(t, alice)
	s.Stop()
	yesterday := filepath.Join(t.TempDir(), "qpq.db")
	check(t, sqlite.Copy(s.Path, yesterday))
	s.Start()
	check(t, alice.UpdateKeys(ctx, id))
	check(t, alice.UpdateKeys(ctx, id))
	settle(t, bob)
	s.Stop()
	s.Path = yesterday
	s.Start()
	check(t, carol.UpdateKeys(ctx, id))
	if err := tries(bob, dm, "to alice alone"); err != nil {
		t.Errorf("a conflict in one conversation stops bob in all others: %v", err)
	}
}

// TestAConversationThatTheServerLostIsGivenBack: the copy is older than the conversation.
func TestAConversationThatTheServerLostIsGivenBack(t *testing.T) {
	s := newServer(t, nil)
	ctx := context.Background()
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	first := must(alice.CreateGroup(ctx, "first", bob.user()))
	settle(t, bob)
	s.Stop()
	yesterday := filepath.Join(t.TempDir(), "qpq.db")
	check(t, sqlite.Copy(s.Path, yesterday))
	s.Start()
	id := must(alice.CreateGroup(ctx, "second", bob.user()))
	settle(t, bob)
	bob.says(id, "of today")
	bob.says(first, "of today")
	settle(t, alice)
	s.Stop()
	s.Path = yesterday
	s.Start()
	settle(t, alice, bob)
	if v := must(alice.Client.Conversation(id)); v.Standing != client.Active {
		t.Errorf("alice stands as %v in a conversation that she knows all of; notices %v, %q", v.Standing, alice.notices, alice.codes(id))
	}
	if err := tries(alice, id, "still there?"); err != nil {
		t.Errorf("alice cannot write: %v", err)
	}
}

// TestAServerFromYesterday: the device gives back what the server lost, so that it lets in the one that was added since, which
// can open the vault; with two versions missing people are told, and what the device knows stays.
func TestAServerFromYesterday(t *testing.T) {
	for _, added := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d versions are missing", added), func(t *testing.T) {
			s := newServer(t, nil)
			d := s.device(t)
			d.register("alice")
			check(t, d.VaultPut(t.Context(), "contacts", []byte("bob"), 0))
			s.Stop()
			yesterday := filepath.Join(t.TempDir(), "qpq.db")
			check(t, sqlite.Copy(s.Path, yesterday))
			s.Start()
			var second *device
			for range added {
				second = s.device(t)
				_, err := second.Login(t.Context(), "alice", with(secret), "second")
				check(t, err)
			}
			_, err := d.Devices(t.Context())
			check(t, err)
			s.Stop()
			s.Path = yesterday
			s.Start()
			w, err := d.Whoami(t.Context())
			if check(t, err); int(w.StateVersion) != 1+added {
				t.Errorf("the device knows version %d", w.StateVersion)
			}
			if d.noticed("rolled-back") != (added == 2) || d.noticed("given-back") != (added == 1) {
				t.Errorf("the server forgot a device, and the person was told %v", d.notices)
			}
			list, devicesErr := d.Devices(t.Context())
			_, secondErr := second.Whoami(t.Context())
			if added == 2 {
				wants(t, devicesErr, qpq.Damaged, "rolled-back")
				wants(t, secondErr, qpq.Denied, wire.CodeDeviceUnknown)
				return
			}
			check(t, errors.Join(devicesErr, secondErr))
			if len(list) != 2 {
				t.Errorf("devices: %+v", list)
			}
			content, _, err := second.VaultGet(t.Context(), "contacts")
			if check(t, err); string(content) != "bob" {
				t.Errorf("the vault says %q", content)
			}
			check(t, d.RevokeDevice(t.Context(), must(second.Whoami(t.Context())).Device, with(secret)))
		})
	}
}
