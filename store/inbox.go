package store

import (
	"context"
	"errors"
	"time"

	"github.com/quicproquo/qpq"
)

// InboxRow is one row of an inbox. Sequence numbers of an inbox grow in the order of commits.
type InboxRow struct {
	Seq      int64
	Kind     Kind
	Channel  qpq.ChannelID
	Sequence int64 // of the channel
	Time     time.Time
	Account  string       // who handed it in, empty where nobody did
	Device   qpq.DeviceID // whose device; zero where the hub itself speaks
	ID       []byte       // of a message
	Payload  []byte       // nil where there is none, or none any more, or where only its sender is left (Message.Application)
	Slot     *Slot        // of commits and welcomes
	For      qpq.DeviceID // of a welcome
}

// Fetch asks for rows of an inbox.
type Fetch struct {
	Account string
	Device  qpq.DeviceID
	After   int64
	Limit   int64 // rows
	Size    int   // bytes of all payloads; one row may be larger
	Now     time.Time
}

// Inbox is what a device finds in its account's inbox.
type Inbox struct {
	Rows         []InboxRow
	Head         int64     // last number given out
	Acknowledged int64     // by the device
	Lapsed       bool      // rows went before the device acknowledged them
	Seen         time.Time // when the device last acknowledged, or was noted to be there
}

// Inbox returns rows after a number, in order: those for the device or for all devices. Payloads past their time are left out,
// and those that nobody but their senders has still to acknowledge.
func (s *Store) Inbox(ctx context.Context, f Fetch) (in Inbox, err error) {
	err = s.view(ctx, "read an inbox", func(tx Tx) error {
		in = Inbox{}
		var dropped, moved int64
		found, err := one(tx, into{&in.Head, &dropped, &in.Acknowledged, &moved}, selectCursor, f.Account, f.Device[:])
		if err != nil || !found {
			return err
		}
		in.Lapsed, in.Seen = in.Acknowledged < dropped, instant(moved)
		left := f.Size
		err = tx.Query(func(r Row) error {
			row, err := scanInbox(r)
			if err != nil {
				return err
			}
			if left -= len(row.Payload); left < 0 && len(in.Rows) > 0 {
				return errEnough
			}
			in.Rows = append(in.Rows, row)
			return nil
		}, selectInbox, f.Account, f.After, f.Device[:], millis(f.Now), f.Limit)
		if err == errEnough {
			err = nil
		}
		return err
	})
	return in, err
}

// errEnough ends a query.
var errEnough = errors.New("enough")

func scanInbox(r Row) (row InboxRow, err error) {
	var kind, ms, slot, parent, slotTime int64
	var channel, message, device, by, previous, hash, signature []byte
	err = r.Scan(&row.Seq, &kind, &channel, &row.Sequence, &ms, &message, &device, &row.Account, &by, &row.Payload, &slot, &parent, &previous, &hash, &signature, &slotTime)
	row.Kind, row.Time = Kind(kind), instant(ms)
	copy(row.Channel[:], channel)
	copy(row.Device[:], by)
	copy(row.For[:], device)
	if row.Kind == KindMessage {
		row.ID = message
	}
	if signature != nil {
		row.Slot = &Slot{slot, parent, previous, hash, instant(slotTime), signature}
	}
	return row, err
}

// Acknowledgement says that a device is done with all rows of an inbox up to a number.
type Acknowledgement struct {
	Account string
	Device  qpq.DeviceID
	Seq     int64
	Now     time.Time
	Lapse   time.Duration // after which a device that was not there holds no rows back
}

// Acknowledge moves a device's cursor up, never back nor past the end, and drops the rows that all devices are done with. For a
// device that is not in use it does nothing.
func (s *Store) Acknowledge(ctx context.Context, a Acknowledgement) error {
	for more := true; more; {
		err := s.later(ctx, "acknowledge messages", func(tx Tx) (err error) {
			more, err = acknowledge(tx, a)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func acknowledge(tx Tx, a Acknowledgement) (more bool, err error) {
	var last, dropped, own int64 = 0, 0, -1
	lowest := int64(1<<63 - 1) // of the other devices that count
	err = tx.Query(func(r Row) error {
		var device []byte
		var seq, moved int64
		err := r.Scan(&device, &seq, &moved, &last, &dropped)
		switch {
		case qpq.DeviceID(device) == a.Device:
			own = seq
		case moved > millis(a.Now.Add(-a.Lapse)):
			lowest = min(lowest, seq)
		}
		return err
	}, selectCursors, a.Account)
	if err != nil || own < 0 {
		return false, err
	}
	own = max(own, min(a.Seq, last))
	if err := exec(tx, moveCursor, a.Account, a.Device[:], own, millis(a.Now)); err != nil {
		return false, err
	}
	if lowest = min(lowest, own); lowest <= dropped {
		return false, nil
	}
	return drop(tx, a.Account, lowest)
}

// NoteDevice notes that a device is there, so that it holds rows back, though it had nothing to acknowledge.
func (s *Store) NoteDevice(ctx context.Context, account string, device qpq.DeviceID, now time.Time) error {
	return s.update(ctx, "note a device", func(tx Tx) error { return exec(tx, noteCursor, account, device[:], millis(now)) })
}

// dropBatch is how many rows of an inbox one transaction drops.
const dropBatch = 500

// drop removes the rows of an inbox up to a number, at most dropBatch of them, and the payloads that no other row needs. It reports
// whether some are left.
func drop(tx Tx, account string, upTo int64) (more bool, err error) {
	rows, size, last := 0, int64(0), int64(0)
	needed, large := false, false // whether a row needs a payload, and whether one lies in payloads
	var welcomes []lostRow
	err = tx.Query(func(r Row) error {
		var w lostRow
		var kind int64
		err := r.Scan(&last, &kind, &w.size, &w.channel, &w.message)
		if Kind(kind) == KindWelcome { // several rows of an inbox may need it
			welcomes = append(welcomes, w)
		}
		rows++
		size += w.size
		needed, large = needed || w.needs(), large || w.large()
		return err
	}, selectOldest, account, upTo, int64(dropBatch))
	if err != nil {
		return false, err
	}
	more = rows == dropBatch
	if !more {
		last = upTo
	}
	if rows > 0 {
		for _, w := range welcomes {
			if err := w.release(tx); err != nil {
				return false, err
			}
		}
		if needed {
			if err := exec(tx, releaseMessages, account, last); err != nil {
				return false, err
			}
		}
		if large {
			if err := exec(tx, deletePayloads, account, last); err != nil {
				return false, err
			}
		}
		if err := exec(tx, deleteInbox, account, last); err != nil {
			return false, err
		}
	}
	return more, exec(tx, shrinkMailbox, account, last, size)
}

// lostRow is a row of an inbox that goes.
type lostRow struct {
	channel, message []byte
	seq, sequence    int64
	time, size       int64
}

// needs reports whether messages.waiting counts the row: not the echo of a message to its sender, nor a row without payload.
func (l lostRow) needs() bool { return l.message != nil && l.size > rowSize }

// large reports whether what the row carries lies apart from its message.
func (l lostRow) large() bool { return l.size > rowSize+inline }

// release counts down who needs what the row carries, and drops it if nobody does.
func (l lostRow) release(tx Tx) error {
	if !l.needs() {
		return nil
	}
	if err := exec(tx, releaseMessage, l.channel, l.message); err != nil || !l.large() {
		return err
	}
	return exec(tx, deletePayload, l.channel, l.message)
}

// SweepInboxes drops rows that came before a time from up to limit inboxes, those of the first accounts after the one given. It returns
// the account to go on after, empty at the end, and how many rows went.
func (s *Store) SweepInboxes(ctx context.Context, after string, before time.Time, limit int64) (next string, removed int64, err error) {
	var names []string
	err = s.view(ctx, "look for old rows", func(tx Tx) error {
		names, next = nil, ""
		n := int64(0)
		return tx.Query(func(r Row) error {
			var name string
			var oldest int64
			err := r.Scan(&name, &oldest)
			if oldest > 0 && oldest <= millis(before) {
				names = append(names, name)
			}
			if n++; n == limit {
				next = name
			}
			return err
		}, selectMailboxes, after, limit)
	})
	for _, name := range names {
		for more := true; more && err == nil; {
			err = s.later(ctx, "drop old rows", func(tx Tx) (err error) {
				var n int64
				n, more, err = dropBefore(tx, name, before)
				removed += n
				return err
			})
		}
	}
	return next, removed, err
}

// dropBefore drops the rows at the beginning of an inbox that came before a time.
func dropBefore(tx Tx, account string, before time.Time) (n int64, more bool, err error) {
	upTo := int64(0)
	err = tx.Query(func(r Row) error {
		var seq, ms int64
		if err := r.Scan(&seq, &ms); err != nil {
			return err
		}
		if ms > millis(before) {
			return errEnough
		}
		upTo = seq
		n++
		return nil
	}, selectTimes, account, int64(dropBatch))
	if err != nil && err != errEnough || n == 0 {
		if err == errEnough {
			err = nil
		}
		return n, false, err
	}
	_, err = drop(tx, account, upTo)
	return n, n == dropBatch, err
}

const (
	selectCursor = `SELECT b.last, b.dropped, c.seq, c.moved FROM cursors AS c JOIN mailboxes AS b ON b.account = c.account
		WHERE c.account = $1 AND c.device = $2`
	selectInbox = `SELECT i.seq, i.kind, i.channel, i.sequence, i.time, i.message, i.device, coalesce(m.sender, ''), m.device,
		CASE WHEN m.due <= $4 OR m.waiting < 0 THEN NULL WHEN m.payload IS NOT NULL THEN m.payload
		ELSE (SELECT p.payload FROM payloads AS p WHERE p.channel = m.channel AND p.message = m.message) END,
		coalesce(s.slot, 0), coalesce(s.parent, 0), s.previous, s.hash, s.signature, coalesce(s.time, 0)
		FROM inbox AS i LEFT JOIN messages AS m ON m.channel = i.channel AND m.message = i.message
		LEFT JOIN channel_slots AS s ON s.channel = m.channel AND s.slot = m.slot
		WHERE i.account = $1 AND i.seq > $2 AND (i.device IS NULL OR i.device = $3) ORDER BY i.seq LIMIT $5`
	selectCursors = `SELECT c.device, c.seq, c.moved, b.last, b.dropped FROM cursors AS c JOIN mailboxes AS b ON b.account = c.account
		WHERE c.account = $1`
	insertCursor = `INSERT INTO cursors (account, device, seq, moved) SELECT account, $2, last, $3 FROM mailboxes WHERE account = $1`
	moveCursor   = `UPDATE cursors SET seq = $3, moved = $4 WHERE account = $1 AND device = $2`
	noteCursor   = `UPDATE cursors SET moved = $3 WHERE account = $1 AND device = $2`
	deleteCursor = `DELETE FROM cursors WHERE account = $1 AND device = $2`
	openMailbox  = `INSERT INTO mailboxes (account, last, dropped, size) VALUES ($1, 0, 0, 0)`
	selectOldest = `SELECT seq, kind, size, channel, message FROM inbox WHERE account = $1 AND seq <= $2 ORDER BY seq LIMIT $3`

	releaseMessages = `UPDATE messages SET waiting = waiting - 1, payload = CASE WHEN waiting <= 1 THEN NULL ELSE payload END
		WHERE (channel, message) IN (SELECT channel, message FROM inbox WHERE account = $1 AND seq <= $2 AND kind <> 2 AND message IS NOT NULL AND size > 1024)
		AND waiting > 0`
	deletePayloads = `DELETE FROM payloads WHERE (channel, message) IN (SELECT m.channel, m.message FROM inbox AS i
		JOIN messages AS m ON m.channel = i.channel AND m.message = i.message WHERE i.account = $1 AND i.seq <= $2 AND m.waiting <= 0)`
	deleteInbox    = `DELETE FROM inbox WHERE account = $1 AND seq <= $2`
	shrinkMailbox  = `UPDATE mailboxes SET size = size - $3, dropped = CASE WHEN dropped < $2 THEN $2 ELSE dropped END WHERE account = $1`
	releaseMessage = `UPDATE messages SET waiting = waiting - 1, payload = CASE WHEN waiting <= 1 THEN NULL ELSE payload END
		WHERE channel = $1 AND message = $2 AND waiting > 0`
	deletePayload = `DELETE FROM payloads WHERE channel = $1 AND message = $2
		AND EXISTS (SELECT 1 FROM messages WHERE channel = $1 AND message = $2 AND waiting <= 0)`

	selectMailboxes = `SELECT b.account, coalesce((SELECT i.time FROM inbox AS i WHERE i.account = b.account ORDER BY i.seq LIMIT 1), 0)
		FROM mailboxes AS b WHERE b.account > $1 ORDER BY b.account LIMIT $2`
	selectTimes = `SELECT seq, time FROM inbox WHERE account = $1 ORDER BY seq LIMIT $2`
)
