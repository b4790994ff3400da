package profile

import (
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

// Entry is one line of the history of a conversation.
type Entry struct {
	Position int64 // grows as entries come; never used twice
	Channel  qpq.ChannelID
	Time     time.Time // to the millisecond
	State    EntryState
	Sender   qpq.UserID   // of a message
	Device   qpq.DeviceID // likewise
	ID       [16]byte     // likewise: unique for its sender in the conversation
	Content  []byte       // wire.Message; of a notice its text
	Code     string       // of a notice: stable, for programs
}

const entryColumns = `position, channel, time, state, sender, device, id, content, code`

// AddEntry adds an entry, and returns its position. A message that is there already is not added again: then the position is 0.
func (t *Tx) AddEntry(e Entry) (position int64, err error) {
	sender := ""
	if !e.Sender.IsZero() {
		sender = e.Sender.String()
	}
	err = t.p.query(`INSERT INTO entries (channel, time, state, sender, device, id, content, code) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING RETURNING position`, func(s *sqlite3.Stmt) error {
		position = s.ColumnInt64(0)
		return nil
	}, e.Channel[:], e.Time.UnixMilli(), int64(e.State), sender, e.Device[:], e.ID[:], some(e.Content), e.Code)
	return position, err
}

// SetEntry notes what became of a message written here, and when its hub took it.
func (t *Tx) SetEntry(position int64, state EntryState, at time.Time) error {
	return t.p.exec(`UPDATE entries SET state = ?2, time = ?3 WHERE position = ?1`, position, int64(state), at.UnixMilli())
}

// Entries returns up to limit entries after a position, of all conversations, in order.
func (p *Profile) Entries(after int64, limit int) ([]Entry, error) {
	return p.entries(`SELECT `+entryColumns+` FROM entries WHERE position > ? ORDER BY position LIMIT ?`, after, int64(limit))
}

// History returns up to limit entries of a conversation before a position, the newest of them last.
func (p *Profile) History(id qpq.ChannelID, before int64, limit int) ([]Entry, error) {
	return p.entries(`SELECT * FROM (SELECT `+entryColumns+` FROM entries WHERE channel = ? AND position < ? ORDER BY position DESC LIMIT ?) ORDER BY position`,
		id[:], before, int64(limit))
}

// Unread returns up to limit entries after the one that was read last, of one conversation or, where the id is zero, of all, in order.
func (p *Profile) Unread(id qpq.ChannelID, limit int) ([]Entry, error) {
	return p.entries(`SELECT `+entryColumns+` FROM entries WHERE position IN (
		SELECT e.position FROM channels c CROSS JOIN entries e ON e.channel = c.id AND e.position > c.read WHERE ?1 IN (zeroblob(16), c.id)
		ORDER BY e.position LIMIT ?2) ORDER BY position`, id[:], int64(limit))
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
	return p.entries(`SELECT `+entryColumns+` FROM entries WHERE channel = ?1 AND sender <> '' AND substr(id, 1, length(?2)) = ?2 ORDER BY position LIMIT ?3`,
		id[:], prefix, int64(limit))
}

// Message returns a message that was written by an account, nil if there is none.
func (p *Profile) Message(id qpq.ChannelID, sender qpq.UserID, message [16]byte) (*Entry, error) {
	list, err := p.entries(`SELECT `+entryColumns+` FROM entries WHERE channel = ? AND sender = ? AND id = ? AND sender <> ''`, id[:], sender.String(), message[:])
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

func (p *Profile) entries(query string, args ...any) (list []Entry, err error) {
	err = p.read(query, func(s *sqlite3.Stmt) error {
		e := Entry{Position: s.ColumnInt64(0), Time: time.UnixMilli(s.ColumnInt64(2)), State: EntryState(s.ColumnInt64(3)), Content: s.ColumnBlob(7, nil), Code: s.ColumnText(8)}
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

// Summary is what a list of conversations shows of the entries of one.
type Summary struct {
	Newest time.Time // zero where there is none
	Unread int       // messages of others after the one that was read last
}

// Summary sums up the entries of a conversation for the account own.
func (p *Profile) Summary(id qpq.ChannelID, own qpq.UserID) (sum Summary, err error) {
	err = p.read(`SELECT coalesce((SELECT time FROM entries WHERE channel = ?1 ORDER BY position DESC LIMIT 1), 0),
		(SELECT count(*) FROM entries WHERE channel = ?1 AND state = ?2 AND sender <> ?3 AND position > (SELECT read FROM channels WHERE id = ?1))`,
		func(s *sqlite3.Stmt) error {
			if at := s.ColumnInt64(0); at != 0 {
				sum.Newest = time.UnixMilli(at)
			}
			sum.Unread = s.ColumnInt(1)
			return nil
		}, id[:], int64(Received), own.String())
	return sum, err
}

// Outgoing is a message that waits to be accepted by its hub.
type Outgoing struct {
	Position   int64 // of its entry
	Channel    qpq.ChannelID
	ID         [16]byte
	Content    []byte // wire.Message
	Epoch      uint64 // of Ciphertext
	Ciphertext []byte // as it was or is to be sent; nil where it has to be encrypted first
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

// Outbox returns up to limit messages that wait, after a position, in order.
func (p *Profile) Outbox(after int64, limit int) (list []Outgoing, err error) {
	err = p.read(`SELECT position, channel, id, content, epoch, ciphertext FROM outbox JOIN entries USING (position) WHERE position > ? ORDER BY position LIMIT ?`, func(s *sqlite3.Stmt) error {
		o := Outgoing{Position: s.ColumnInt64(0), Content: s.ColumnBlob(3, nil), Epoch: uint64(s.ColumnInt64(4))}
		copy(o.Channel[:], s.ColumnRawBlob(1))
		copy(o.ID[:], s.ColumnRawBlob(2))
		if c := s.ColumnBlob(5, nil); len(c) > 0 {
			o.Ciphertext = c
		}
		list = append(list, o)
		return nil
	}, after, int64(limit))
	return list, err
}
