package profile

import (
	"errors"
	"strconv"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
)

// EntryState says what became of an entry.
type EntryState int64

// The values of EntryState.
const (
	Received EntryState = 1
	Queued   EntryState = 2 // written here, and not known to be accepted by the hub
	Accepted EntryState = 3 // written here, and durable at the hub
	Failed   EntryState = 4 // written here, and refused for good
	Noticed  EntryState = 5 // no message: something that happened
)

// Kind says what an entry is.
type Kind int64

// The values of Kind. Those up to Unknown are lines of a history.
const (
	KindNotice   Kind = 0
	KindText     Kind = 1
	KindReply    Kind = 2
	KindFile     Kind = 3
	KindViewOnce Kind = 4
	KindSystem   Kind = 5
	KindUnknown  Kind = 15

	// These change another entry, and are no lines of their own.
	KindReaction Kind = 16
	KindEdit     Kind = 17
	KindDelete   Kind = 18

	// This one nobody sees: a receipt that this device sent.
	KindReceipt Kind = 32
	KindCover   Kind = 33 // and what says nothing, sent or received
)

// Line reports whether entries of the kind are lines of a history.
func (k Kind) Line() bool { return k <= KindUnknown }

// Seen reports whether anybody sees entries of the kind.
func (k Kind) Seen() bool { return k < KindReceipt }

// In queries: what Line and Seen report.
const (
	areLines = `kind <= 15`
	areSeen  = `kind < 32`
)

// Gone says why an entry has no content any more.
type Gone int64

// The values of Gone.
const (
	There   Gone = 0 // it has
	Deleted Gone = 1 // by its sender
	Expired Gone = 2 // its time was over: it is no line any more
	Viewed  Gone = 3 // it was to be viewed once
)

// Entry is one thing that happened in a conversation, as a rule a line of its history.
type Entry struct {
	Position int64 // grows as entries come; never used twice
	Channel  qpq.ChannelID
	Time     time.Time // to the millisecond
	State    EntryState
	Kind     Kind
	Sender   qpq.UserID   // of a message
	Device   qpq.DeviceID // likewise
	ID       [16]byte     // likewise: unique for its sender in the conversation
	Content  []byte       // wire.Message; of a notice its text; empty where it is gone
	Code     string       // of a notice: stable, for programs
	Target   int64        // position of the entry that it is about, 0 for none
	Root     int64        // position of the entry that its thread began with, 0 for none
	Edit     int64        // position of the edit in force, 0 for none
	Gone     Gone
	Timer    time.Duration // from when it is read until it is forgotten, to the second; 0 for never
	Expires  time.Time     // when it is forgotten; zero while that is not known
}

const entryColumns = `position, channel, time, state, sender, device, id, content, code, kind, target, root, edit, gone, timer, expires`

// AddEntry adds an entry, and returns its position. A message that is there already is not added again: then the position is 0.
func (t *Tx) AddEntry(e Entry) (position int64, err error) {
	sender := ""
	if !e.Sender.IsZero() {
		sender = e.Sender.String()
	}
	err = t.p.query(`INSERT INTO entries (channel, time, state, sender, device, id, content, code, kind, target, root, edit, gone, timer, expires)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING position`, func(s *sqlite3.Stmt) error {
		position = s.ColumnInt64(0)
		return nil
	}, e.Channel[:], e.Time.UnixMilli(), int64(e.State), sender, e.Device[:], e.ID[:], some(e.Content), e.Code,
		int64(e.Kind), e.Target, e.Root, e.Edit, int64(e.Gone), int64(e.Timer/time.Second), millis(e.Expires))
	if err != nil || position == 0 {
		return 0, err
	}
	if e.State == Received && e.Kind.Line() {
		if err := t.came(position); err != nil {
			return 0, err
		}
	}
	return position, t.added(position)
}

// SetEntry notes what became of a message written here, and when its hub took it, as that says. One that disappears does so from now on: a hub could
// have it stay for ever otherwise.
func (t *Tx) SetEntry(position int64, state EntryState, at, now time.Time) error {
	err := t.p.exec(`UPDATE entries SET state = ?2, time = ?3, expires = iif(timer > 0 AND gone = 0, ?4 + timer * 1000, 0) WHERE position = ?1`,
		position, int64(state), at.UnixMilli(), now.UnixMilli())
	if err != nil {
		return err
	}
	return t.retimed(position, at.UnixMilli())
}

// millis is a time as columns have it: 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is what millis made of a time.
func fromMillis(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n)
}

// Entries returns up to limit entries after a position, of all conversations, in order.
func (p *Profile) Entries(after int64, limit int) ([]Entry, error) {
	return p.entries(`SELECT `+entryColumns+` FROM entries WHERE position > ? AND gone <> ? AND `+areSeen+` ORDER BY position LIMIT ?`, after, int64(Expired), int64(limit))
}

// History returns up to limit lines of a conversation before a position, the newest of them last.
func (p *Profile) History(id qpq.ChannelID, before int64, limit int) ([]Entry, error) {
	return p.entries(`SELECT * FROM (SELECT `+entryColumns+` FROM entries WHERE channel = ? AND position < ? AND gone <> ? AND `+areLines+`
		ORDER BY position DESC LIMIT ?) ORDER BY position`, id[:], before, int64(Expired), int64(limit))
}

// Part is some of the entries of a conversation; zeros are no bounds.
type Part struct {
	After, Before int64 // positions
	From, Until   time.Time
}

// inPart are the entries of a Part that the hub accepted and that are there still: where ?6 is 0 those that stay, where it is 1 those that are to
// disappear, or to be viewed once.
const inPart = ` FROM entries WHERE channel = ?1 AND position > ?2 AND (?3 = 0 OR position < ?3) AND time >= ?4 AND (?5 = 0 OR time < ?5)
	AND state IN (1, 3, 5) AND gone <> 2 AND ` + areSeen + ` AND (timer > 0 OR kind = 4) = ?6`

// InPart returns up to limit entries of a part of a conversation, in order, without those that are to disappear.
func (p *Profile) InPart(id qpq.ChannelID, part Part, limit int) ([]Entry, error) {
	return p.entries(`SELECT `+entryColumns+inPart+` ORDER BY position LIMIT ?7`,
		id[:], part.After, part.Before, millis(part.From), millis(part.Until), int64(0), int64(limit))
}

// CountPart counts the entries that InPart returns of a part, and those that it leaves out because they are to disappear.
func (p *Profile) CountPart(id qpq.ChannelID, part Part) (stay, fleeting int, err error) {
	for i, n := range []*int{&stay, &fleeting} {
		err = errors.Join(err, p.read(`SELECT count(*)`+inPart, func(s *sqlite3.Stmt) error {
			*n = s.ColumnInt(0)
			return nil
		}, id[:], part.After, part.Before, millis(part.From), millis(part.Until), int64(i)))
	}
	return stay, fleeting, err
}

// Later returns up to limit lines of a conversation after a position, in order.
func (p *Profile) Later(id qpq.ChannelID, after int64, limit int) ([]Entry, error) {
	return p.entries(`SELECT `+entryColumns+` FROM entries WHERE channel = ? AND position > ? AND gone <> ? AND `+areLines+` ORDER BY position LIMIT ?`,
		id[:], after, int64(Expired), int64(limit))
}

// At returns those of some entries that are there, by their positions.
func (p *Profile) At(positions []int64) (map[int64]Entry, error) {
	found := map[int64]Entry{}
	list, err := p.entries(`SELECT `+entryColumns+` FROM entries WHERE position `+areListed, listed(positions))
	for _, e := range list {
		found[e.Position] = e
	}
	return found, err
}

// areListed is a condition for the positions of an argument that listed made.
const areListed = `IN (SELECT value FROM json_each(?))`

// listed is a list of positions as one argument.
func listed(positions []int64) string {
	b := []byte{'['}
	for i, position := range positions {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, position, 10)
	}
	return string(append(b, ']'))
}

// Unread returns up to limit entries after the one that was read last, of one conversation or, where the id is zero, of all, in order.
func (p *Profile) Unread(id qpq.ChannelID, limit int) ([]Entry, error) {
	return p.entries(`SELECT `+entryColumns+` FROM entries WHERE position IN (
		SELECT e.position FROM channels c CROSS JOIN entries e ON e.channel = c.id AND e.position > c.read AND e.gone <> ?3 AND e.`+areSeen+`
			AND (e.root = 0 OR e.position > coalesce((SELECT read FROM thread_reads t WHERE t.root = e.root), 0))
		WHERE ?1 IN (zeroblob(16), c.id)
		ORDER BY e.position LIMIT ?2) ORDER BY position`, id[:], int64(limit), int64(Expired))
}

// Newest returns the position of the newest entry, 0 where there is none.
func (p *Profile) Newest() (position int64, err error) {
	err = p.read(`SELECT coalesce(max(position), 0) FROM entries`, func(s *sqlite3.Stmt) error {
		position = s.ColumnInt64(0)
		return nil
	})
	return position, err
}

// Messages returns up to limit messages of a conversation whose ids begin with some bytes, in order.
func (p *Profile) Messages(id qpq.ChannelID, prefix []byte, limit int) ([]Entry, error) {
	return p.entries(`SELECT `+entryColumns+` FROM entries WHERE channel = ?1 AND sender <> '' AND substr(id, 1, length(?2)) = ?2 AND `+areSeen+` ORDER BY position LIMIT ?3`,
		id[:], prefix, int64(limit))
}

// Message returns a message that was written by an account, nil if there is none.
func (p *Profile) Message(id qpq.ChannelID, sender qpq.UserID, message [16]byte) (*Entry, error) {
	return first(p.entries(entryOf, id[:], sender.String(), message[:]))
}

const entryOf = `SELECT ` + entryColumns + ` FROM entries WHERE channel = ? AND sender = ? AND id = ? AND sender <> ''`

// first returns the first of a list, nil where it is empty.
func first(list []Entry, err error) (*Entry, error) {
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

func (p *Profile) entries(query string, args ...any) ([]Entry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list, err := p.list(query, args...)
	return list, kinded(err)
}

// list is entries for those that hold mu.
func (p *Profile) list(query string, args ...any) (list []Entry, err error) {
	err = p.query(query, func(s *sqlite3.Stmt) error {
		e := Entry{Position: s.ColumnInt64(0), Time: time.UnixMilli(s.ColumnInt64(2)), State: EntryState(s.ColumnInt64(3)), Content: s.ColumnBlob(7, nil), Code: s.ColumnText(8),
			Kind: Kind(s.ColumnInt64(9)), Target: s.ColumnInt64(10), Root: s.ColumnInt64(11), Edit: s.ColumnInt64(12), Gone: Gone(s.ColumnInt64(13)),
			Timer: time.Duration(s.ColumnInt64(14)) * time.Second, Expires: fromMillis(s.ColumnInt64(15))}
		copy(e.Channel[:], s.ColumnRawBlob(1))
		copy(e.Device[:], s.ColumnRawBlob(5))
		copy(e.ID[:], s.ColumnRawBlob(6))
		if sender := s.ColumnText(4); sender != "" {
			var err error
			if e.Sender, err = identity.ParseUser(sender); err != nil {
				return damaged(err)
			}
		}
		list = append(list, e)
		return nil
	}, args...)
	return list, err
}

// Outgoing is a message that waits to be accepted by its hub.
type Outgoing struct {
	Position   int64 // of its entry
	Channel    qpq.ChannelID
	Kind       Kind
	ID         [16]byte
	Content    []byte        // wire.Message
	Timer      time.Duration // as of its entry
	Epoch      uint64        // of Ciphertext
	Ciphertext []byte        // as it was or is to be sent; nil where it has to be encrypted first
}

// SetTimer gives a message that waits another content, and another time until it disappears.
func (t *Tx) SetTimer(position int64, content []byte, timer time.Duration) error {
	return t.p.exec(`UPDATE entries SET content = ?2, timer = ?3 WHERE position = ?1`, position, content, int64(timer/time.Second))
}

// Enqueue notes that a message of this device waits.
func (t *Tx) Enqueue(position int64) error {
	return t.p.exec(`INSERT INTO outbox VALUES (?, 0, x'')`, position)
}

// SetCiphertext keeps the encrypted form of a message that waits; nil drops it.
func (t *Tx) SetCiphertext(position int64, epoch uint64, ciphertext []byte) error {
	return t.p.exec(`UPDATE outbox SET epoch = ?2, ciphertext = ?3 WHERE position = ?1`, position, int64(epoch), some(ciphertext))
}

// Dequeue notes that a message waits no longer.
func (t *Tx) Dequeue(position int64) error {
	return t.p.exec(`DELETE FROM outbox WHERE position = ?`, position)
}

// Outbox returns up to limit messages that wait, after a position, in order: those that people see, or, where hidden is true, the others, which are
// less urgent.
func (p *Profile) Outbox(hidden bool, after int64, limit int) (list []Outgoing, err error) {
	err = p.read(`SELECT position, channel, id, content, epoch, ciphertext, kind, timer FROM outbox JOIN entries USING (position) WHERE position > ? AND (kind >= 32) = ? ORDER BY position LIMIT ?`, func(s *sqlite3.Stmt) error {
		o := Outgoing{Position: s.ColumnInt64(0), Content: s.ColumnBlob(3, nil), Epoch: uint64(s.ColumnInt64(4)), Kind: Kind(s.ColumnInt64(6)), Timer: time.Duration(s.ColumnInt64(7)) * time.Second}
		copy(o.Channel[:], s.ColumnRawBlob(1))
		copy(o.ID[:], s.ColumnRawBlob(2))
		if c := s.ColumnBlob(5, nil); len(c) > 0 {
			o.Ciphertext = c
		}
		list = append(list, o)
		return nil
	}, after, hidden, int64(limit))
	return list, err
}

// Waiting returns up to limit entries of messages that wait and that people see, in order.
func (p *Profile) Waiting(limit int) ([]Entry, error) {
	return p.entries(`SELECT `+entryColumns+` FROM entries WHERE position IN (SELECT position FROM outbox) AND `+areSeen+` ORDER BY position LIMIT ?`, int64(limit))
}

// hiddenLife is how much longer what nobody sees is known as sent: as long as a server may hand it out, and no longer.
const hiddenLife = 60 * 24 * time.Hour

// DropStale drops hidden messages that wait since before a time: nobody needs them any more.
func (t *Tx) DropStale(before time.Time) error {
	err := t.p.exec(`DELETE FROM entries WHERE kind >= 32 AND time < ? AND position NOT IN (SELECT position FROM outbox) AND position NOT IN (SELECT position FROM due)`,
		before.Add(-hiddenLife).UnixMilli())
	if err != nil {
		return err
	}
	return t.p.exec(`DELETE FROM outbox WHERE position IN (SELECT position FROM outbox JOIN entries USING (position) WHERE kind >= 32 AND time < ?)`, before.UnixMilli())
}
