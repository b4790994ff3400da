package store

import (
	"context"
	"time"

	"github.com/quicproquo/qpq"
)

// Leave is the wish of an account to be a member no longer.
type Leave struct {
	Channel   qpq.ChannelID
	Account   string
	Device    qpq.DeviceID
	Goodbye   []byte // for the other members; may be empty
	Epoch     int64  // of Goodbye
	Now       time.Time
	Retention time.Duration
}

// LeaveChannel ends the membership of an account: it is on no roster any more. The other members get a row that says so, with the goodbye,
// and the account a last one. It fails with NotFound and code "channel-unknown", with StaleEpoch and "stale-epoch" for a
// goodbye of an epoch that is too old, and with Denied and "direct" for a direct channel, which keeps its accounts.
func (s *Store) LeaveChannel(ctx context.Context, l Leave) (notices []Notice, err error) {
	err = s.update(ctx, "leave a channel", func(tx Tx) error {
		if err := needMember(tx, l.Channel, l.Account); err != nil {
			return err
		}
		row, err := readChannel(tx, l.Channel)
		if err != nil {
			return err
		}
		if row.direct {
			return qpq.E(qpq.Denied, "direct", "a direct conversation keeps its two people: nobody leaves it")
		}
		if len(l.Goodbye) > 0 && !current(l.Epoch, row.floor, row.epochs) {
			return staleEpoch
		}
		notices, err = leave(tx, row, sender{l.Account, l.Device}, l.Goodbye, l.Now, l.Retention)
		return err
	})
	return notices, err
}

func leave(tx Tx, row channelRow, who sender, goodbye []byte, now time.Time, retention time.Duration) ([]Notice, error) {
	if err := editRosters(tx, row, func(r *Roster) bool { return r.Remove(who.account) }); err != nil {
		return nil, err
	}
	if err := exec(tx, deleteMember, row.id[:], who.account); err != nil {
		return nil, err
	}
	name := append(key('l', row.sequence), make([]byte, 8)...) // longer than any id of a message
	e := event{channel: row.id, kind: KindLeft, message: append(name, who.account...), payload: goodbye, sequence: row.sequence, slot: noSlot, by: who, time: now, due: now.Add(retention)}
	notices, err := e.fanOut(tx)
	if err != nil {
		return nil, err
	}
	if len(notices) == 0 {
		if err := dropChannel(tx, row, now, retention); err != nil {
			return nil, err
		}
	}
	e.kind, e.message, e.payload = KindRemoved, nil, nil
	return e.deliver(tx, who.account, nil, notices)
}

// dropChannel forgets a channel that has no members. Its slots stay as long as rows of them may.
func dropChannel(tx Tx, row channelRow, now time.Time, retention time.Duration) error {
	if err := exec(tx, closeSlots, row.id[:], millis(now.Add(retention+forgetAfter))); err != nil {
		return err
	}
	for _, statement := range dropRest {
		if err := exec(tx, statement, row.id[:]); err != nil {
			return err
		}
	}
	return nil
}

// editRosters changes the rosters that a channel's commits may build on; edit reports whether it changed one.
func editRosters(tx Tx, row channelRow, edit func(*Roster) bool) error {
	changed := map[int64][]byte{}
	err := tx.Query(func(r Row) error {
		var slot int64
		var b []byte
		if err := r.Scan(&slot, &b); err != nil {
			return err
		}
		roster, err := decodeRoster(b)
		if err == nil && edit(&roster) {
			changed[slot] = roster.encode()
		}
		return err
	}, selectRosters, row.id[:], row.oldest())
	if err != nil {
		return err
	}
	for slot, b := range changed {
		if err := exec(tx, updateRoster, row.id[:], slot, b); err != nil {
			return err
		}
	}
	return nil
}

const (
	selectRosters = `SELECT slot, roster FROM channel_slots WHERE channel = $1 AND slot >= $2 ORDER BY slot`
	updateRoster  = `UPDATE channel_slots SET roster = $3 WHERE channel = $1 AND slot = $2`
	closeSlots    = `UPDATE channel_slots SET roster = NULL, group_info = NULL, manifest = NULL, forget = $2 WHERE channel = $1`
)

var dropRest = []string{
	`DELETE FROM channels WHERE channel = $1`,
	`DELETE FROM channel_chunks WHERE channel = $1`,
	`DELETE FROM channel_keys WHERE channel = $1`,
}
