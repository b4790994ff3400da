package profile

import (
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

// What entries do to others: reactions, edits, and that something is gone. AddEntry adds them; the functions here have them take effect.

// maxReactions is how many emoji one account has on an entry.
const maxReactions = 16

// React puts the emoji of the reaction at a position on its target, or takes it off. Of those that are too many nothing is seen.
func (t *Tx) React(reaction Entry, emoji string, remove bool) error {
	sender := reaction.Sender.String()
	if remove {
		return t.p.exec(`DELETE FROM reactions WHERE target = ? AND sender = ? AND emoji = ?`, reaction.Target, sender, emoji)
	}
	return t.p.exec(`INSERT INTO reactions SELECT ?1, ?2, ?3, ?4 WHERE (SELECT count(*) FROM reactions WHERE target = ?1 AND sender = ?2) < ?5 ON CONFLICT DO NOTHING`,
		reaction.Target, sender, emoji, reaction.Position, int64(maxReactions))
}

// SetEdit has the edit at a position be what its target says.
func (t *Tx) SetEdit(target, position int64) error {
	return t.altering(target, func() error {
		return t.p.exec(`UPDATE entries SET edit = ?2 WHERE position = ?1`, target, position)
	})
}

// Place notes that the entry at a position, of this device, comes in its conversation after all entries there are. It reports false for one whose place
// is known already, and for one that is not to be sent.
func (t *Tx) Place(position int64) (placed bool, err error) {
	err = t.p.query(`UPDATE entries SET placed = (SELECT max(position) FROM entries) WHERE position = ? AND placed = 0 AND state <> ? RETURNING 1`, func(*sqlite3.Stmt) error {
		placed = true
		return nil
	}, position, int64(Failed))
	return placed, err
}

// inPlace sorts entries e about the same one by how they come in their conversation, as far as that is known.
const inPlace = ` ORDER BY max(e.position, e.placed), e.placed, e.position`

// Since returns what the device of an entry did later of the same kind to the same entry, but for what is not to be sent.
func (t *Tx) Since(e Entry) ([]Entry, error) {
	return t.p.list(`SELECT `+entryColumns+` FROM entries e WHERE target = ?1 AND target > 0 AND kind = ?2 AND position > ?3 AND sender = ?4 AND device = ?5 AND state <> ?6 AND gone = 0`+inPlace,
		e.Target, int64(e.Kind), e.Position, e.Sender.String(), e.Device[:], int64(Failed))
}

// Undo takes back what the entry at a position did to another one: it will never be sent. What was done before it is so again.
func (t *Tx) Undo(position int64) error {
	e, err := t.EntryAt(position)
	if err != nil || e == nil || e.Target == 0 {
		return err
	}
	switch e.Kind {
	case KindReaction:
		return t.unreact(e)
	case KindEdit:
		return t.altering(e.Target, func() error {
			return t.p.exec(`UPDATE entries SET edit = coalesce((SELECT e.position FROM entries e WHERE e.target = entries.position AND e.kind = ?2 AND e.position <> ?1
					AND e.state <> ?3 AND e.sender = entries.sender AND e.gone = 0 ORDER BY max(e.position, e.placed) DESC, e.placed DESC, e.position DESC LIMIT 1), 0)
				WHERE position = ?4 AND edit = ?1`, position, int64(KindEdit), int64(Failed), e.Target)
		})
	}
	return nil
}

// unreact has the emoji of a reaction be as its account has it without that one.
func (t *Tx) unreact(e *Entry) error {
	emoji, _ := reactionOf(e)
	if emoji == "" {
		return nil
	}
	others, err := t.p.list(`SELECT `+entryColumns+` FROM entries e WHERE target = ?1 AND target > 0 AND kind = ?2 AND sender = ?3 AND position <> ?4 AND state <> ?5 AND gone = 0`+inPlace,
		e.Target, int64(KindReaction), e.Sender.String(), e.Position, int64(Failed))
	if err != nil {
		return err
	}
	last, removed := *e, true
	for _, o := range others {
		if other, remove := reactionOf(&o); other == emoji {
			last, removed = o, remove
		}
	}
	if err := t.p.exec(`DELETE FROM reactions WHERE position = ?`, e.Position); err != nil {
		return err
	}
	return t.React(last, emoji, removed)
}

// reactionOf returns the emoji of a reaction, and whether it takes that off; an empty one where its content is gone.
func reactionOf(e *Entry) (emoji string, remove bool) {
	m, err := wire.Unmarshal[wire.Message](e.Content)
	if err != nil {
		return "", false
	}
	b, _ := m.Body.(wire.ReactionBody)
	return b.Emoji, b.Remove
}

// Wipe removes the content of an entry, with its edits and what was put on it. That it was there stays. Once the change is durable, nothing of
// the content is in the file any more, nor in the index.
func (t *Tx) Wipe(position int64, why Gone) error {
	t.p.wiped = true
	return t.altering(position, func() error { return t.wipe(position, why) })
}

func (t *Tx) wipe(position int64, why Gone) error {
	const those = ` WHERE position = ?1 OR target = ?1 AND target > 0 AND kind IN (16, 17)`
	if err := t.passes(`position = ?1`, position); err != nil {
		return err
	}
	if err := t.p.exec(`DELETE FROM outbox WHERE position IN (SELECT position FROM entries`+those+`)`, position); err != nil {
		return err
	}
	if err := t.p.exec(`UPDATE entries SET content = x'', gone = ?2, edit = 0, expires = 0, state = iif(state = ?3, ?4, state)`+those, position, int64(why), int64(Queued), int64(Failed)); err != nil {
		return err
	}
	if err := t.p.exec(`DELETE FROM due WHERE position = ?`, position); err != nil {
		return err
	}
	return t.p.exec(`DELETE FROM reactions WHERE target = ?`, position)
}

// Waits reports whether the entry at a position waits to be sent.
func (t *Tx) Waits(position int64) (waits bool, err error) {
	err = t.p.query(`SELECT 1 FROM outbox WHERE position = ?`, func(*sqlite3.Stmt) error {
		waits = true
		return nil
	}, position)
	return waits, err
}

// Entry returns the entry of a message, nil if there is none.
func (t *Tx) Entry(id qpq.ChannelID, sender qpq.UserID, message [16]byte) (*Entry, error) {
	return first(t.p.list(entryOf, id[:], sender.String(), message[:]))
}

// EntryAt returns the entry at a position, nil if there is none.
func (t *Tx) EntryAt(position int64) (*Entry, error) {
	return first(t.p.list(`SELECT `+entryColumns+` FROM entries WHERE position = ?`, position))
}

// Noticed returns how many of the newest entries of a conversation, of so many, are notices with a code.
func (t *Tx) Noticed(id qpq.ChannelID, code string, among int) (n int, err error) {
	err = t.p.query(`SELECT count(*) FROM (SELECT code FROM entries WHERE channel = ? ORDER BY position DESC LIMIT ?) WHERE code = ?`, func(s *sqlite3.Stmt) error {
		n = s.ColumnInt(0)
		return nil
	}, id[:], int64(among), code)
	return n, err
}

// Reaction is an emoji that an account put on an entry.
type Reaction struct {
	Target int64
	Sender qpq.UserID
	Emoji  string
}

// Reactions returns what was put on entries, by their positions, the oldest first.
func (p *Profile) Reactions(targets []int64) (map[int64][]Reaction, error) {
	found := map[int64][]Reaction{}
	err := p.read(`SELECT target, sender, emoji FROM reactions WHERE target `+areListed+` ORDER BY position`, func(s *sqlite3.Stmt) error {
		target := s.ColumnInt64(0)
		u, err := identity.ParseUser(s.ColumnText(1))
		if err != nil {
			return damaged(err)
		}
		found[target] = append(found[target], Reaction{target, u, s.ColumnText(2)})
		return nil
	}, listed(targets))
	return found, err
}

// Edits returns the edits of the entry at a position, in the order in which they came in its conversation.
func (p *Profile) Edits(target int64) ([]Entry, error) {
	return p.entries(`SELECT `+entryColumns+` FROM entries e WHERE target = ? AND target > 0 AND kind = ? AND state <> ?`+inPlace, target, int64(KindEdit), int64(Failed))
}

// Receipt says when an account had and read a message; zero where that is not known.
type Receipt struct {
	User            qpq.UserID
	Delivered, Read time.Time
}

// Confirm notes that an account had or read a message of this one.
func (t *Tx) Confirm(target int64, r Receipt) error {
	return t.p.exec(`INSERT INTO receipts VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
		SET delivered = iif(delivered > 0, delivered, ?3), read = iif(read > 0, read, ?4)`, target, r.User.String(), millis(r.Delivered), millis(r.Read))
}

// Receipts returns what is known of who had and read messages, by their positions, in the order of users.
func (p *Profile) Receipts(targets []int64) (map[int64][]Receipt, error) {
	found := map[int64][]Receipt{}
	err := p.read(`SELECT target, user, delivered, read FROM receipts WHERE target `+areListed+` ORDER BY user`, func(s *sqlite3.Stmt) error {
		target := s.ColumnInt64(0)
		u, err := identity.ParseUser(s.ColumnText(1))
		if err != nil {
			return damaged(err)
		}
		found[target] = append(found[target], Receipt{u, fromMillis(s.ColumnInt64(2)), fromMillis(s.ColumnInt64(3))})
		return nil
	}, listed(targets))
	return found, err
}

// Owe notes that the sender of the message at a position has to be told that it is here, or that it was read.
func (t *Tx) Owe(position int64, read bool) error {
	return t.p.exec(`INSERT INTO due VALUES (?1, ?2) ON CONFLICT DO UPDATE SET read = max(read, ?2)`, position, read)
}

// Owed is a message whose sender has to be told.
type Owed struct {
	Position int64
	Channel  qpq.ChannelID
	Sender   qpq.UserID
	ID       [16]byte
	Read     bool
}

// Owed returns up to limit messages whose senders have to be told, in order.
func (p *Profile) Owed(limit int) (list []Owed, err error) {
	err = p.read(`SELECT position, channel, sender, id, due.read FROM due JOIN entries USING (position) ORDER BY position LIMIT ?`, func(s *sqlite3.Stmt) error {
		o := Owed{Position: s.ColumnInt64(0), Read: s.ColumnBool(4)}
		var err error
		if o.Sender, err = identity.ParseUser(s.ColumnText(2)); err != nil {
			return damaged(err)
		}
		copy(o.Channel[:], s.ColumnRawBlob(1))
		copy(o.ID[:], s.ColumnRawBlob(3))
		list = append(list, o)
		return nil
	}, int64(limit))
	return list, err
}

// Settle notes that the sender of the message at a position was told that it is here, or that it was read.
func (t *Tx) Settle(position int64, read bool) error {
	return t.p.exec(`DELETE FROM due WHERE position = ? AND read <= ?`, position, read)
}

// Empty removes the content of a message that nobody sees and that was sent.
func (t *Tx) Empty(position int64) error {
	return t.p.exec(`UPDATE entries SET content = x'' WHERE position = ? AND kind >= 32`, position)
}
