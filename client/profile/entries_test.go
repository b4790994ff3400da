//go:build !js

package profile_test

import (
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
)

// TestAHubDoesNotSayWhenMessagesDisappear: it says that it took a message a hundred years from now.
func TestAHubDoesNotSayWhenMessagesDisappear(t *testing.T) {
	h := must(profile.OpenHome(t.TempDir(), nil))
	defer h.Close()
	p := must(h.Open())
	defer p.Close()
	now := time.Now()
	var position int64
	check(t, p.Change(func(tx *profile.Tx) (err error) {
		e := profile.Entry{Channel: qpq.ChannelID{1}, Time: now, State: profile.Queued, Kind: profile.KindText, Sender: alice, ID: [16]byte{1}, Content: []byte("x"), Timer: time.Minute}
		if position, err = tx.AddEntry(e); err != nil {
			return err
		}
		return tx.SetEntry(position, profile.Accepted, now.AddDate(100, 0, 0), now)
	}))
	if next := must(p.Expire(now.Add(59 * time.Second))); next.IsZero() || next.After(now.Add(time.Minute)) {
		t.Errorf("it disappears at %s", next)
	}
	must(p.Expire(now.Add(time.Minute)))
	if e := must(p.At([]int64{position}))[position]; e.Gone != profile.Expired || len(e.Content) > 0 {
		t.Errorf("it is there: %+v", e)
	}
}
