package profile

import (
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
)

// How far conversations and threads were read.

// SetRead notes up to which entry a conversation was read, and, where owe is true, that the senders of what was not read before have to be told. What
// disappears so long after it was read does so from now on.
func (p *Profile) SetRead(id qpq.ChannelID, position int64, owe bool, now time.Time) error {
	return p.Change(func(t *Tx) error { return t.SetRead(id, position, owe, now) })
}

// SetRead is the method of Profile, as one change of several.
func (t *Tx) SetRead(id qpq.ChannelID, position int64, owe bool, now time.Time) error {
	if err := t.SetSeen(id, position, owe, now); err != nil {
		return err
	}
	return t.p.exec(`UPDATE channels SET read = ?2 WHERE id = ?1 AND read < ?2`, id[:], position)
}

// SetSeen notes up to which entry a conversation was read on some device of the account. What this one was not asked to show stays unread here, and
// does not count as new.
func (t *Tx) SetSeen(id qpq.ChannelID, position int64, owe bool, now time.Time) error {
	const those = `channel = ?1 AND position > (SELECT c.seen FROM channels c WHERE c.id = ?1) AND position <= ?2`
	if err := t.seen(those, owe, now, id[:], position); err != nil {
		return err
	}
	if err := t.passes(those, id[:], position); err != nil {
		return err
	}
	return t.p.exec(`UPDATE channels SET seen = ?2 WHERE id = ?1 AND seen < ?2`, id[:], position)
}

// SetThreadRead notes up to which reply a thread was read, as SetRead does of a conversation.
func (t *Tx) SetThreadRead(root, position int64, owe bool, now time.Time) error {
	const those = `root = ?1 AND position > coalesce((SELECT read FROM thread_reads WHERE root = ?1), 0) AND position <= ?2
		AND position > (SELECT c.seen FROM channels c WHERE c.id = entries.channel)`
	if err := t.seen(those, owe, now, root, position); err != nil {
		return err
	}
	if err := t.passes(those, root, position); err != nil {
		return err
	}
	return t.p.exec(`INSERT INTO thread_reads VALUES (?1, ?2) ON CONFLICT DO UPDATE SET read = max(read, ?2)`, root, position)
}

// seen notes of messages of others that they were read just now. The two arguments are those of the condition.
func (t *Tx) seen(those string, owe bool, now time.Time, args ...any) error {
	args = append(args, int64(Received), now.UnixMilli())
	err := t.p.exec(`UPDATE entries SET expires = ?4 + timer * 1000 WHERE `+those+` AND state = ?3 AND timer > 0 AND expires = 0 AND gone = 0`, args...)
	if err != nil || !owe {
		return err
	}
	return t.p.exec(`INSERT INTO due SELECT position, 1 FROM entries WHERE `+those+` AND state = ?3 AND `+areLines+` AND ?4 > 0 AND gone <> 2
			AND sender <> '' AND sender <> (SELECT user FROM owner)
		ON CONFLICT DO UPDATE SET read = 1`, args...)
}

// Thread sums up what answers an entry, and what answers that.
type Thread struct {
	Root    int64 // position of the entry that it began with
	Replies int
	Unread  int       // replies of others that were not read
	Newest  time.Time // of the newest reply
	Last    int64     // its position
}

// Threads returns up to limit threads of a conversation, those with the newest replies first.
func (p *Profile) Threads(id qpq.ChannelID, limit int) ([]Thread, error) {
	return p.threads(`channel = ?1 AND root > 0 AND gone <> 2 GROUP BY root ORDER BY max(position) DESC LIMIT ?2`, id[:], int64(limit))
}

// Answers returns how many replies the threads have that begin with entries, by the positions of those; what has none is not among them.
func (p *Profile) Answers(roots []int64) (map[int64]int, error) {
	found := map[int64]int{}
	err := p.read(`SELECT root, count(*) FROM entries WHERE root > 0 AND gone <> 2 AND root `+areListed+` GROUP BY root`, func(s *sqlite3.Stmt) error {
		found[s.ColumnInt64(0)] = s.ColumnInt(1)
		return nil
	}, listed(roots))
	return found, err
}

func (p *Profile) threads(those string, args ...any) (list []Thread, err error) {
	err = p.read(`SELECT root, count(*), max(time), max(position), sum(state = 1 AND gone = 0 AND sender <> (SELECT user FROM owner)
			AND position > (SELECT c.seen FROM channels c WHERE c.id = e.channel) AND position > coalesce((SELECT read FROM thread_reads t WHERE t.root = e.root), 0))
		FROM entries e WHERE `+those, func(s *sqlite3.Stmt) error {
		list = append(list, Thread{Root: s.ColumnInt64(0), Replies: s.ColumnInt(1), Newest: time.UnixMilli(s.ColumnInt64(2)), Last: s.ColumnInt64(3), Unread: s.ColumnInt(4)})
		return nil
	}, args...)
	return list, err
}

// Replies returns up to limit replies of a thread before a position, the newest of them last.
func (p *Profile) Replies(root, before int64, limit int) ([]Entry, error) {
	return p.entries(`SELECT * FROM (SELECT `+entryColumns+` FROM entries WHERE root = ? AND root > 0 AND position < ? AND gone <> ? ORDER BY position DESC LIMIT ?) ORDER BY position`,
		root, before, int64(Expired), int64(limit))
}

// Expire forgets what has had its time, and returns when the next one has, the zero time where there is none. An edit that is in force takes what it
// edits with it, which would say again what it said before.
func (p *Profile) Expire(now time.Time) (next time.Time, err error) {
	for {
		next = time.Time{}
		var over []int64
		err := p.read(`SELECT coalesce((SELECT t.position FROM entries t WHERE t.position = e.target AND t.edit = e.position), position), expires
			FROM entries e WHERE expires > 0 ORDER BY expires LIMIT 256`, func(s *sqlite3.Stmt) error {
			switch at := s.ColumnInt64(1); {
			case at <= now.UnixMilli():
				over = append(over, s.ColumnInt64(0))
			case next.IsZero():
				next = time.UnixMilli(at)
			}
			return nil
		})
		if err != nil || len(over) == 0 {
			return next, err
		}
		err = p.Change(func(t *Tx) error {
			for _, position := range over {
				if err := t.Wipe(position, Expired); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return next, err
		}
	}
}
