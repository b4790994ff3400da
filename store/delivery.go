package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
)

// Message is what a member hands to a channel's hub: opaque bytes under an id that its sender chose.
type Message struct {
	Channel     qpq.ChannelID
	ID          [16]byte
	Account     string // whose device hands it in
	Device      qpq.DeviceID
	Epoch       int64
	Hash        []byte // of Payload; tells a repetition from another message under the same id
	Payload     []byte
	Now         time.Time
	Retention   time.Duration // how long it stays for those who do not fetch it
	Quota       int64         // bytes of an inbox
	Blobs       [][32]byte    // that it refers to: complete, and of the account
	BlobLook    time.Duration // when it is first looked whether they are needed
	BlobLeast   time.Duration // how long they stay at least, however short the message's time is, unless nobody needs them
	Receipt     Receipt       // nil where none is wanted
	Application bool          // an application message: its sender's device, if it is the only one of its account, needs no payload in the inbox
}

// Sent is what became of a message.
type Sent struct {
	Sequence int64 // of the channel
	Time     time.Time
	Notices  []Notice // none for a repetition
}

// behind is how many epochs before the newest messages are taken.
const behind = 4

// forgetAfter is how long a message is remembered once its payload was dropped.
const forgetAfter = 30 * 24 * time.Hour

// Send puts a message into the inboxes of all members, once: a repetition gets the first answer. It fails with NotFound and code
// "channel-unknown", unless the device is on the roster of a tip; with StaleEpoch and "stale-epoch" if the epoch is too old, or still to
// come; with TooLarge and "payload-too-large"; with Exists and "message-id-reused" if another message has the id; with NotFound and "blob-unknown"
// where a blob that it refers to is not there.
func (s *Store) Send(ctx context.Context, m Message) (sent Sent, err error) {
	err = s.update(ctx, "send a message", func(tx Tx) (err error) {
		sent, err = put(tx, m)
		if err == nil && m.Receipt != nil {
			m.Receipt.Accept(sent.Sequence, sent.Time)
			tx.Receipts().Add(m.Receipt)
		}
		return err
	})
	return sent, err
}

// put is Send in a transaction.
func put(tx Tx, m Message) (sent Sent, err error) {
	e := event{channel: m.Channel, kind: KindMessage, message: m.ID[:], hash: m.Hash, payload: m.Payload, slot: noSlot,
		by: sender{m.Account, m.Device}, time: m.Now}
	sequence, others, refused, err := admit(tx, m)
	if err != nil {
		return sent, err
	}
	if refused != nil {
		return firstAnswer(tx, m, refused)
	}
	e.sequence, e.echo = sequence, m.Application && others == 0
	if err := exec(tx, nextSequence, m.Channel[:], e.sequence); err != nil {
		return sent, err
	}
	e.due = m.Now.Add(m.Retention)
	sent = Sent{Sequence: e.sequence, Time: instant(millis(m.Now))}
	if err := refer(tx, m, e.due); err != nil {
		return sent, err
	}
	if sent.Notices, err = e.fanOut(tx); err != nil {
		return sent, err
	}
	return sent, enforce(tx, sent.Notices, m.Quota)
}

var errReused = qpq.E(qpq.Exists, "message-id-reused", "another message was sent under this id: send it under a new one")

// admit checks whether a message may be sent, or says why not, and gives it its number. It returns how many other devices of the account read its inbox.
func admit(tx Tx, m Message) (sequence, others int64, refused, err error) {
	var floor, most, repeated int64
	var epochs, roster []byte
	found, err := one(tx, into{&sequence, &floor, &epochs, &most, &roster, &repeated, &others}, selectSending, m.Channel[:], m.Account, m.ID[:], m.Device[:])
	switch {
	case err != nil:
		return 0, 0, nil, err
	case !found || !slices.Contains(decodeDevices(roster), m.Device):
		refused = noChannel
	case repeated > 0:
		refused = errReused
	case !current(m.Epoch, floor, epochs):
		refused = staleEpoch
	case most > 0 && int64(len(m.Payload)) > most:
		refused = qpq.E(qpq.TooLarge, "payload-too-large", fmt.Sprintf("the message has %d bytes, and this conversation takes at most %d", len(m.Payload), most))
	}
	return sequence + 1, others, refused, nil
}

var staleEpoch = qpq.E(qpq.StaleEpoch, "stale-epoch", "the conversation moved on since the message was encrypted: fetch what is new and encrypt it again")

// current reports whether messages of an epoch are taken: that of a tip and few before it.
func current(epoch, floor int64, epochs []byte) bool {
	for b := range slices.Chunk(epochs, 8) {
		if e := int64(binary.BigEndian.Uint64(b)); epoch <= e && epoch >= e-behind && epoch >= floor {
			return true
		}
	}
	return false
}

// firstAnswer answers a message whose id is there as it was answered first, whatever has become of the channel since. What is no
// repetition fails with why.
func firstAnswer(tx Tx, m Message, why error) (sent Sent, err error) {
	var hash []byte
	var by string
	var ms int64
	found, err := one(tx, into{&hash, &by, &sent.Sequence, &ms}, selectSent, m.Channel[:], m.ID[:])
	switch {
	case err != nil:
		return Sent{}, err
	case !found, by != m.Account:
		return Sent{}, why
	case !bytes.Equal(hash, m.Hash):
		return Sent{}, errReused
	}
	sent.Time = instant(ms)
	return sent, nil
}

// Kind says what an inbox row carries.
type Kind int64

// The kinds. They are those of package wire.
const (
	KindMessage Kind = iota
	KindCommit
	KindWelcome // for one device
	KindGap     // messages were dropped for lack of space, up to this sequence number of the channel
	KindRemoved // the account is no longer a member
	KindLeft    // a member ended its membership
)

// event is something that goes into inboxes.
type event struct {
	channel  qpq.ChannelID
	kind     Kind
	message  []byte // its key among messages, nil where there is no more to it than the row
	hash     []byte
	payload  []byte
	sequence int64 // of the channel
	slot     int64 // of commits and welcomes, else noSlot
	by       sender
	time     time.Time
	due      time.Time // when the payload is dropped
	echo     bool      // the sender's row needs no payload; in few inboxes only
}

const noSlot = -1

// few is up to how many rows of inboxes are inserted one by one.
const few = 4

const (
	rowSize = 1 << 10 // bytes that a row counts for beside its payload
	inline  = 4 << 10 // bytes up to which a payload lies beside what is known of its message
)

func (e event) size() int64 { return rowSize + int64(len(e.payload)) }

// fanOut puts an event into the inboxes of all that messages of the channel go to.
func (e event) fanOut(tx Tx) (notices []Notice, err error) {
	if notices, err = noticesOf(tx, selectFew, e.channel[:], int64(few+1)); err != nil {
		return nil, err
	}
	rows := int64(0)
	if len(notices) <= few { // a third less work than the statements for any number, which keep what they return and could undo
		rows, err = e.putFew(tx, notices)
	} else {
		notices, err = e.putAll(tx)
		rows = int64(len(notices))
	}
	if err != nil {
		return nil, err
	}
	return notices, e.keep(tx, rows)
}

// putFew puts an event into inboxes as they are, one by one. It returns how many of the rows need the payload.
func (e event) putFew(tx Tx, notices []Notice) (rows int64, err error) {
	row := []any{nil, nil, int64(e.kind), e.channel[:], e.sequence, millis(e.time), nil, e.message, []byte(nil)}
	for i := range notices {
		n := &notices[i]
		size := e.size()
		if e.echo && n.Account == e.by.account {
			size = rowSize
		} else {
			rows++
		}
		n.Seq, n.size = n.Seq+1, n.size+size
		row[0], row[1], row[6] = n.Account, n.Seq, size
		if err := exec(tx, setMailbox, row[0], row[1], n.size); err != nil {
			return 0, err
		}
		if err := exec(tx, insertInbox, row...); err != nil {
			return 0, err
		}
	}
	return rows, nil
}

// putAll puts an event into any number of inboxes.
func (e event) putAll(tx Tx) ([]Notice, error) {
	notices, err := noticesOf(tx, growMailboxes, e.channel[:], e.size())
	if err != nil {
		return nil, err
	}
	return notices, exec(tx, insertInboxes, e.channel[:], int64(e.kind), e.sequence, millis(e.time), e.size(), e.message)
}

// noticesOf returns what a statement tells of inboxes.
func noticesOf(tx Tx, query string, args ...any) (notices []Notice, err error) {
	err = tx.Query(func(r Row) error {
		var n Notice
		err := r.Scan(&n.Account, &n.Seq, &n.size)
		notices = append(notices, n)
		return err
	}, query, args...)
	return notices, err
}

// deliverWelcome puts the welcome of a commit into the inboxes of those whom it is for.
func (e event) deliverWelcome(tx Tx, to []Address, notices []Notice) ([]Notice, error) {
	if len(to) == 0 || e.payload == nil {
		return notices, nil
	}
	before := len(notices)
	var err error
	for _, a := range to {
		if notices, err = e.deliver(tx, a.Account, a.Device[:], notices); err != nil {
			return nil, err
		}
	}
	return notices, e.keep(tx, int64(len(notices)-before))
}

// deliver puts an event into one inbox, for all its devices or for one. It adds to the notices if there is such an inbox.
func (e event) deliver(tx Tx, account string, device []byte, notices []Notice) ([]Notice, error) {
	n := Notice{Account: account}
	found, err := one(tx, into{&n.Seq, &n.size}, growMailbox, account, e.size())
	if err != nil || !found {
		return notices, err
	}
	err = exec(tx, insertInbox, account, n.Seq, int64(e.kind), e.channel[:], e.sequence, millis(e.time), e.size(), e.message, device)
	return append(notices, n), err
}

// keep stores what an event carries, for so many rows that need it.
func (e event) keep(tx Tx, rows int64) error {
	payload := some(e.payload)
	if rows == 0 {
		payload = nil
	}
	large := len(payload) > inline
	if large {
		if err := exec(tx, insertPayload, e.channel[:], e.message, payload); err != nil {
			return err
		}
		payload = nil
	}
	args := []any{e.channel[:], e.message, some(e.hash), e.sequence, millis(e.time), e.by.account, e.by.device[:], rows, millis(e.due), payload}
	if e.slot == noSlot {
		return exec(tx, insertMessage, args...)
	}
	return exec(tx, insertHandshake, append(args, e.slot)...)
}

const (
	selectSending = `SELECT c.sequence, c.floor, c.epochs, c.payload, m.devices,
		(SELECT count(*) FROM messages WHERE channel = $1 AND message = $3), (SELECT count(*) FROM cursors WHERE account = $2 AND device <> $4)
		FROM channels AS c JOIN channel_members AS m ON m.channel = c.channel WHERE c.channel = $1 AND m.account = $2`
	selectSent    = `SELECT hash, sender, sequence, time FROM messages WHERE channel = $1 AND message = $2`
	nextSequence  = `UPDATE channels SET sequence = $2 WHERE channel = $1`
	growMailboxes = `UPDATE mailboxes SET last = last + 1, size = size + $2
		WHERE account IN (SELECT account FROM channel_members WHERE channel = $1) RETURNING account, last, size`
	selectFew     = `SELECT b.account, b.last, b.size FROM channel_members AS m JOIN mailboxes AS b ON b.account = m.account WHERE m.channel = $1 LIMIT $2`
	setMailbox    = `UPDATE mailboxes SET last = $2, size = $3 WHERE account = $1`
	insertInboxes = `INSERT INTO inbox (account, seq, kind, channel, sequence, time, size, message, device)
		SELECT b.account, b.last, $2, m.channel, $3, $4, $5, $6, NULL
		FROM channel_members AS m JOIN mailboxes AS b ON b.account = m.account WHERE m.channel = $1`
	growMailbox = `UPDATE mailboxes SET last = last + 1, size = size + $2 WHERE account = $1 RETURNING last, size`
	insertInbox = `INSERT INTO inbox (account, seq, kind, channel, sequence, time, size, message, device)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	insertMessage = `INSERT INTO messages (channel, message, hash, sequence, time, sender, device, waiting, due, payload, slot)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL)`
	insertHandshake = `INSERT INTO messages (channel, message, hash, sequence, time, sender, device, waiting, due, payload, slot)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	insertPayload = `INSERT INTO payloads (channel, message, payload) VALUES ($1, $2, $3)`
)
