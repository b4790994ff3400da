package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

// racers is how many callers a race has.
const racers = 16

// race runs fn for all racers at once and returns how often each code came back, "" for success.
func race(fn func(i int) error) map[string]int {
	outcome := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-start
			err := fn(i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				outcome[""]++
			} else {
				outcome[qpq.CodeOf(err)]++
			}
		})
	}
	close(start)
	wg.Wait()
	return outcome
}

// oneWins fails unless exactly one racer succeeded and all others got the code.
func oneWins(t *testing.T, what, code string, fn func(i int) error) {
	t.Helper()
	if got := race(fn); got[""] != 1 || got[code] != racers-1 {
		t.Errorf("%s: outcomes %v, want one success and %d %q", what, got, racers-1, code)
	}
}

func testRaces(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	oneWins(t, "one name", "name-taken", func(int) error {
		_, err := s.Register(ctx, registration("alice"))
		return err
	})
	oneWins(t, "next state", "state-moved", func(i int) error {
		return s.ChangeAccount(ctx, store.AccountChange{Name: "alice", State: &store.AccountState{Version: 2, State: []byte{byte(i)}}})
	})
	oneWins(t, "vault", "vault-moved", func(i int) error {
		return s.PutVault(ctx, "alice", []store.VaultItem{{Name: "vault", Version: 1, Value: []byte{byte(i)}}})
	})
	oneWins(t, "session", "session-behind", func(int) error {
		_, err := s.StartSession(ctx, "alice", qpq.DeviceID{1}, 5, Epoch)
		return err
	})
	ok(t, s.AddToken(ctx, store.Token{Hash: []byte("t"), Uses: 1}))
	oneWins(t, "token", "bad-token", func(i int) error {
		r := registration(fmt.Sprint("u", i))
		r.Token = []byte("t")
		_, err := s.Register(ctx, r)
		return err
	})
	if got := race(func(int) error {
		_, err := s.CountAttempt(ctx, []byte("x"), store.Budget{Limit: 5, Window: time.Hour}, Epoch)
		return err
	}); got[""] != 5 || got["too-many-attempts"] != racers-5 {
		t.Errorf("attempts: outcomes %v", got)
	}
	raceDevices(t, s)
	raceKeyPackages(t, s)
	raceInbox(t, s)
}

func raceDevices(t *testing.T, s *store.Store) {
	got := race(func(i int) error {
		d := device(byte(100 + i))
		return s.ChangeAccount(t.Context(), store.AccountChange{Name: "alice", Enrol: &d, MaxDevices: 5, Now: Epoch})
	})
	if got[""] != 4 || got["too-many-devices"] != racers-4 {
		t.Errorf("devices: outcomes %v", got)
	}
}

// raceKeyPackages lets more callers claim than there are packages: each one-time package goes once.
func raceKeyPackages(t *testing.T, s *store.Store) {
	var packages []store.KeyPackage
	for i := range byte(racers / 2) {
		packages = append(packages, store.KeyPackage{Suite: 1, Ref: []byte{i}, Expires: Epoch.Add(time.Hour)})
	}
	ok(t, s.AddKeyPackages(t.Context(), "alice", qpq.DeviceID{1}, packages, many))
	var mu sync.Mutex
	claimed := map[string]int{}
	got := race(func(int) error {
		k, err := s.ClaimKeyPackage(t.Context(), "alice", qpq.DeviceID{1}, 1, Epoch)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			claimed[string(k.Ref)]++
		}
		return err
	})
	if got[""] != racers/2 || got["no-key-package"] != racers/2 || len(claimed) != racers/2 {
		t.Errorf("key packages: outcomes %v, claimed %v", got, claimed)
	}
}

// raceInbox sends to overlapping sets of inboxes: no number is given out twice or left out.
func raceInbox(t *testing.T, s *store.Store) {
	accounts := []string{"x", "y", "z"}
	for _, name := range append(accounts, "all") {
		register(t, s, name)
	}
	var channels []*channel
	for i := range accounts {
		channels = append(channels, newChannel(t, s, byte(7+i), accounts[i], accounts[(i+1)%3], "all"))
	}
	got := race(func(i int) error {
		ch := channels[i%3]
		_, err := s.Send(t.Context(), ch.message(byte(i), accounts[i%3], "text"))
		return err
	})
	if got[""] != racers {
		t.Errorf("inbox: outcomes %v", got)
	}
	seen, numbers := map[string]bool{}, map[qpq.ChannelID]int64{}
	for i, row := range fetch(t, s, "all", 1, 0).Rows {
		if seen[string(row.ID)] = true; row.Seq != int64(i+1) {
			t.Errorf("number %d at place %d", row.Seq, i)
		}
		if numbers[row.Channel]++; row.Sequence != numbers[row.Channel] {
			t.Errorf("number %d of the channel comes after %d", row.Sequence, numbers[row.Channel]-1)
		}
	}
	if len(seen) != racers {
		t.Errorf("%d messages in the inbox, want %d", len(seen), racers)
	}
}
