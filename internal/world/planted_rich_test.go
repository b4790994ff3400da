package world

import (
	"sync"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/store"
)

// misapply has each edit be what the message before the one that it is for says.
func misapply(p *profile.Profile) error {
	entries, err := p.Entries(0, 10_000)
	if err != nil {
		return err
	}
	before := map[qpq.ChannelID]int64{}
	return p.Change(func(tx *profile.Tx) error {
		for _, e := range entries {
			if e.Kind != profile.KindText || e.State == profile.Noticed {
				continue
			}
			if e.Edit != 0 && before[e.Channel] != 0 {
				if err := tx.SetEdit(before[e.Channel], e.Edit); err != nil {
					return err
				}
			}
			before[e.Channel] = e.Position
		}
		return nil
	})
}

// unmoved takes off all that others put on messages.
func unmoved(p *profile.Profile) error {
	entries, err := p.Entries(0, 10_000)
	if err != nil {
		return err
	}
	var all []profile.Reaction
	for _, e := range entries {
		reactions, err := p.Reactions([]int64{e.Position})
		if err != nil {
			return err
		}
		all = append(all, reactions[e.Position]...)
	}
	return p.Change(func(tx *profile.Tx) error {
		for _, r := range all {
			if err := tx.React(profile.Entry{Target: r.Target, Sender: r.Sender}, r.Emoji, true); err != nil {
				return err
			}
		}
		return nil
	})
}

// impatient keeps a file until somebody has read of it.
type impatient struct {
	store.Contents
	mu sync.Mutex
}

func (c *impatient) ReadAt(b store.BlobID, p []byte, offset int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.Contents.ReadAt(b, p, offset)
	if err == nil && len(p) > 1 { // not who looks whether it is there
		err = c.Contents.Remove(b)
	}
	return n, err
}
