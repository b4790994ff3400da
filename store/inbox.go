package store

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
)

// Message is what a channel's hub hands to inboxes: opaque bytes under an id that its sender chose.
type Message struct {
	Channel qpq.ChannelID
	ID      [16]byte
	Hash    []byte // of Payload; tells a repeated send from another message under the same id
	Payload []byte
	Expires time.Time // when the payload is dropped if nobody fetched it
	Forget  time.Time // until when a repeated send is recognised
}

// Delivery is one message in one inbox. Sequence numbers of an inbox grow in the order of commits and
// have no gaps when they are given out.
type Delivery struct {
	Seq     int64
	Channel qpq.ChannelID
	ID      [16]byte
	Payload []byte
}

// Enqueue puts a message into the inboxes of the accounts given, once: a repetition does nothing and
// reports so. Accounts that do not exist, or not any more, get nothing. It returns Exists with code "message-id-reused" if another message has this id.
func (s *Store) Enqueue(ctx context.Context, m Message, accounts []string) (repeated bool, err error) {
	recipients := slices.Compact(slices.Sorted(slices.Values(accounts))) // one order for all: no deadlocks
	err = s.update(ctx, "enqueue a message", func(tx Tx) error {
		n, err := tx.Exec(insertMessage, m.Channel[:], m.ID[:], some(m.Hash), some(m.Payload), millis(m.Expires), millis(m.Forget))
		if err != nil {
			return err
		}
		if repeated = n == 0; repeated {
			return sameMessage(tx, m)
		}
		for _, account := range recipients {
			if err := deliver(tx, account, m); err != nil {
				return err
			}
		}
		return nil
	})
	return repeated, err
}

func sameMessage(tx Tx, m Message) error {
	var hash []byte
	if _, err := one(tx, into{&hash}, selectMessageHash, m.Channel[:], m.ID[:]); err != nil {
		return err
	}
	if !bytes.Equal(hash, m.Hash) {
		return qpq.E(qpq.Exists, "message-id-reused", "another message was sent under this id: send it under a new one")
	}
	return nil
}

// deliver gives the message the inbox's next number. An account has a mailbox from its first message
// until its erasure; two plain statements cost half of one with RETURNING.
func deliver(tx Tx, account string, m Message) error {
	n, err := tx.Exec(nextSeq, account)
	if err == nil && n == 0 {
		n, err = tx.Exec(openMailbox, account)
	}
	if err != nil || n == 0 {
		return err
	}
	return exec(tx, insertInbox, account, m.Channel[:], m.ID[:])
}

// Inbox returns up to limit messages of an account after the sequence number given, in order.
func (s *Store) Inbox(ctx context.Context, account string, after, limit int64) (list []Delivery, err error) {
	err = s.view(ctx, "read an inbox", func(tx Tx) error {
		list = nil
		return tx.Query(func(r Row) error {
			var d Delivery
			var channel, id []byte
			err := r.Scan(&d.Seq, &channel, &id, &d.Payload)
			copy(d.Channel[:], channel)
			copy(d.ID[:], id)
			list = append(list, d)
			return err
		}, selectInbox, account, after, limit)
	})
	return list, err
}

// Acknowledge moves a device's cursor up to seq, which includes everything before it, and never back.
// For an account that does not exist it does nothing.
func (s *Store) Acknowledge(ctx context.Context, account string, id qpq.DeviceID, seq int64, now time.Time) error {
	return s.update(ctx, "acknowledge messages", func(tx Tx) error {
		return exec(tx, upsertCursor, account, id[:], seq, millis(now))
	})
}

// Cursor returns the last sequence number that a device acknowledged, 0 if none.
func (s *Store) Cursor(ctx context.Context, account string, id qpq.DeviceID) (seq int64, err error) {
	err = s.view(ctx, "read a cursor", func(tx Tx) error {
		seq = 0
		_, err := one(tx, into{&seq}, selectCursor, account, id[:])
		return err
	})
	return seq, err
}

const (
	insertMessage = `INSERT INTO messages (channel, message, hash, payload, expires, forget)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (channel, message) DO NOTHING`
	selectMessageHash = `SELECT hash FROM messages WHERE channel = $1 AND message = $2`
	nextSeq           = `UPDATE mailboxes SET last = last + 1 WHERE account = $1`
	openMailbox       = `INSERT INTO mailboxes (account, last) SELECT name, 1 FROM accounts WHERE name = $1 AND erased = 0
		ON CONFLICT (account) DO UPDATE SET last = mailboxes.last + 1`
	insertInbox = `INSERT INTO inbox (account, seq, channel, message) SELECT account, last, $2, $3 FROM mailboxes WHERE account = $1`
	selectInbox = `SELECT i.seq, i.channel, i.message, m.payload FROM inbox AS i
		JOIN messages AS m ON m.channel = i.channel AND m.message = i.message
		WHERE i.account = $1 AND i.seq > $2 ORDER BY i.seq LIMIT $3`
	upsertCursor = `INSERT INTO cursors (account, device, seq, moved)
		SELECT name, $2, $3, $4 FROM accounts WHERE name = $1 AND erased = 0
		ON CONFLICT (account, device) DO UPDATE SET moved = excluded.moved,
		seq = CASE WHEN excluded.seq > cursors.seq THEN excluded.seq ELSE cursors.seq END`
	selectCursor = `SELECT seq FROM cursors WHERE account = $1 AND device = $2`
	deleteCursor = `DELETE FROM cursors WHERE account = $1 AND device = $2`
)
