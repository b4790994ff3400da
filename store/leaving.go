package store

import (
	"context"
	"time"

	"github.com/quicproquo/qpq"
)

// leavingBatch is out of how many channels one transaction takes somebody. Anybody can put an account into channels, and whoever is in
// very many must not keep all others waiting.
const leavingBatch = 32

// leaver is a device that was revoked, or an account that was deleted, on its way out of its channels.
type leaver struct {
	sender
	after []byte // the last channel that it is out of
}

// beginLeaving takes a device, or an account, out of its first channels, in the transaction that ends it. Where there are more,
// keepLeaving goes on, at the latest when the store is swept.
func beginLeaving(tx Tx, who sender, now time.Time, retention time.Duration) ([]Notice, error) {
	if err := exec(tx, insertLeaving, who.account, who.device[:], []byte{}); err != nil {
		return nil, err
	}
	notices, _, err := goOnLeaving(tx, who, now, retention)
	return notices, err
}

// keepLeaving takes a device, or an account, out of the channels that are left, until none is or a transaction fails.
func (s *Store) keepLeaving(ctx context.Context, who sender, now time.Time, retention time.Duration) (notices []Notice, err error) {
	for more := true; more && err == nil; {
		var told []Notice
		err = s.update(ctx, "leave channels", func(tx Tx) (err error) {
			told, more, err = goOnLeaving(tx, who, now, retention)
			return err
		})
		if err == nil {
			notices = newest(append(notices, told...))
		}
	}
	return notices, err
}

// SweepLeaving ends what a transaction that failed, or a crash, left of revocations and deletions: devices and accounts that are
// still in channels. Members get rows as from DeleteAccount; the notices are theirs.
func (s *Store) SweepLeaving(ctx context.Context, now time.Time, retention time.Duration) (notices []Notice, err error) {
	var list []sender
	err = s.view(ctx, "look for who is leaving", func(tx Tx) error {
		list = nil
		return tx.Query(func(r Row) error {
			var who sender
			var device []byte
			err := r.Scan(&who.account, &device)
			copy(who.device[:], device)
			list = append(list, who)
			return err
		}, selectLeaving)
	})
	for _, who := range list {
		if err != nil {
			break
		}
		var told []Notice
		told, err = s.keepLeaving(ctx, who, now, retention)
		notices = newest(append(notices, told...))
	}
	return notices, err
}

func goOnLeaving(tx Tx, who sender, now time.Time, retention time.Duration) (notices []Notice, more bool, err error) {
	l := leaver{sender: who}
	if found, err := one(tx, into{&l.after}, selectLeaver, who.account, who.device[:]); err != nil || !found {
		return nil, false, err
	}
	channels, err := l.next(tx)
	if err != nil {
		return nil, false, err
	}
	for _, id := range channels {
		row, err := readChannel(tx, id)
		if err != nil {
			return nil, false, err
		}
		if who.device.IsZero() {
			var told []Notice
			told, err = leave(tx, row, who, nil, now, retention)
			notices = newest(append(notices, told...))
		} else {
			err = leaveDevice(tx, row, who)
		}
		if err != nil {
			return nil, false, err
		}
		l.after = id[:]
	}
	if len(channels) == leavingBatch {
		return notices, true, exec(tx, moveLeaver, who.account, who.device[:], l.after)
	}
	if !who.device.IsZero() {
		return notices, false, exec(tx, deleteLeaver, who.account, who.device[:])
	}
	more, err = eraseSome(tx, who.account)
	return notices, more, err
}

// next returns the channels to leave next.
func (l leaver) next(tx Tx) (list []qpq.ChannelID, err error) {
	return list, tx.Query(func(r Row) error {
		var b []byte
		err := r.Scan(&b)
		var id qpq.ChannelID
		copy(id[:], b)
		list = append(list, id)
		return err
	}, selectNextChannels, l.account, some(l.after), int64(leavingBatch))
}

// leaveDevice takes a device off all rosters of a channel. Its account stays a member.
func leaveDevice(tx Tx, row channelRow, who sender) error {
	var devices []byte
	if _, err := one(tx, into{&devices}, selectMember, row.id[:], who.account); err != nil {
		return err
	}
	r := Roster{{Account: who.account, Devices: decodeDevices(devices)}}
	if r.Leave(who.account, who.device) {
		if err := exec(tx, putMember, row.id[:], who.account, encodeDevices(r[0].Devices)); err != nil {
			return err
		}
	}
	return editRosters(tx, row, func(r *Roster) bool { return r.Leave(who.account, who.device) })
}

// eraseSome drops what an inbox holds, and at the end of it all that is left of an account. It reports whether there is more.
func eraseSome(tx Tx, account string) (more bool, err error) {
	if more, err = drop(tx, account, 1<<63-1); err != nil || more {
		return more, err
	}
	for _, statement := range eraseRest {
		if err := exec(tx, statement, account); err != nil {
			return false, err
		}
	}
	return false, nil
}

const (
	insertLeaving      = `INSERT INTO leaving (account, device, after) VALUES ($1, $2, $3)`
	selectLeaving      = `SELECT account, device FROM leaving ORDER BY account, device LIMIT 100`
	selectLeaver       = `SELECT after FROM leaving WHERE account = $1 AND device = $2`
	moveLeaver         = `UPDATE leaving SET after = $3 WHERE account = $1 AND device = $2`
	deleteLeaver       = `DELETE FROM leaving WHERE account = $1 AND device = $2`
	selectNextChannels = `SELECT channel FROM channel_members WHERE account = $1 AND channel > $2 ORDER BY channel LIMIT $3`
)
