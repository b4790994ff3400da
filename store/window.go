package store

import (
	"slices"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
)

// tips returns the slots of a window that no other one builds on.
func tips(window []slotState) (list []slotState) {
	for _, st := range window {
		if !slices.ContainsFunc(window, func(o slotState) bool { return o.Parent == st.Number && o.Number != st.Number }) {
			list = append(list, st)
		}
	}
	return list
}

// rosterOf returns the members of some slots together. It reads rosters that are not there.
func rosterOf(tx Tx, id qpq.ChannelID, slots []slotState) (Roster, error) {
	var rosters []Roster
	for _, st := range slots {
		if st.Roster == nil {
			var b []byte
			if _, err := one(tx, into{&b}, selectRoster, id[:], st.Number); err != nil {
				return nil, err
			}
			r, err := decodeRoster(b)
			if err != nil {
				return nil, err
			}
			st.Roster = r
		}
		rosters = append(rosters, st.Roster)
	}
	return union(rosters...), nil
}

// updateHead writes what sends are checked by. A floor is no higher than the newest epoch, so that whoever made the newest
// slot can always send.
func updateHead(tx Tx, id qpq.ChannelID, run int64, newest slotState, tips []slotState) error {
	floor := int64(0)
	var epochs []int64
	for _, st := range tips {
		floor = max(floor, st.Floor)
		if !slices.Contains(epochs, st.Epoch) {
			epochs = append(epochs, st.Epoch)
		}
	}
	return exec(tx, updateChannel, id[:], newest.Number, newest.Sequence, min(floor, newest.Epoch), epochsOf(epochs...),
		int64(newest.Policy.Timer/time.Millisecond), newest.Policy.Payload, run)
}

// moveWindow forgets group states that are not among the newest, rosters of what left the window, and the chunks and keys that only they
// needed.
func moveWindow(tx Tx, id qpq.ChannelID, before, after []slotState, now time.Time, retention time.Duration) error {
	oldest, whole := after[0].Number, after[max(0, len(after)-Window)].Number
	keep := map[[32]byte]bool{}
	access := map[int64]bool{}
	for _, st := range after {
		access[st.AccessSlot] = true
		if st.Number < whole {
			continue
		}
		for h := range slices.Chunk(st.Manifest, 32) {
			keep[[32]byte(h)] = true
		}
	}
	for _, st := range before {
		if st.Number < whole && st.Manifest != nil {
			if err := dropGroup(tx, id, st, keep); err != nil {
				return err
			}
		}
		if st.Number >= oldest {
			continue
		}
		if err := exec(tx, closeSlot, id[:], st.Number, millis(now.Add(retention+forgetAfter))); err != nil {
			return err
		}
		if !access[st.AccessSlot] {
			if err := exec(tx, deleteKeys, id[:], st.AccessSlot); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropGroup forgets the group state after a slot, but for the chunks to keep.
func dropGroup(tx Tx, id qpq.ChannelID, st slotState, keep map[[32]byte]bool) error {
	if err := exec(tx, closeGroup, id[:], st.Number); err != nil {
		return err
	}
	for h := range slices.Chunk(st.Manifest, 32) {
		if keep[[32]byte(h)] {
			continue
		}
		if err := exec(tx, deleteChunk, id[:], h); err != nil {
			return err
		}
	}
	return nil
}

// readWindow returns the slots that a commit may build on, oldest first, without their rosters.
func readWindow(tx Tx, row channelRow) (window []slotState, err error) {
	err = tx.Query(func(r Row) error {
		var st slotState
		var timer int64
		err := r.Scan(&st.Number, &st.Parent, &st.Epoch, &st.Floor, &timer, &st.Policy.Payload, &st.AccessSlot, &st.Manifest)
		st.Policy.Timer = time.Duration(timer) * time.Millisecond
		window = append(window, st)
		return err
	}, selectWindow, row.id[:], row.oldest())
	if err == nil && len(window) == 0 {
		err = errRoster
	}
	return window, err
}

// readMembers returns all that messages go to, without their roles.
func readMembers(tx Tx, id qpq.ChannelID) (r Roster, err error) {
	err = tx.Query(func(row Row) error {
		var m Member
		var devices []byte
		err := row.Scan(&m.Account, &devices)
		m.Devices = decodeDevices(devices)
		r = append(r, m)
		return err
	}, selectMembers, id[:])
	slices.SortFunc(r, func(a, b Member) int { return strings.Compare(a.Account, b.Account) }) // databases sort text in ways of their own
	return r, err
}

const (
	selectWindow = `SELECT slot, parent, epoch, floor, timer, payload, access_slot, manifest FROM channel_slots
		WHERE channel = $1 AND slot >= $2 ORDER BY slot`
	selectRoster  = `SELECT roster FROM channel_slots WHERE channel = $1 AND slot = $2`
	selectMembers = `SELECT account, devices FROM channel_members WHERE channel = $1`
	updateChannel = `UPDATE channels SET slot = $2, sequence = $3, floor = $4, epochs = $5, timer = $6, payload = $7, run = $8 WHERE channel = $1`
	closeGroup    = `UPDATE channel_slots SET group_info = NULL, manifest = NULL WHERE channel = $1 AND slot = $2`
	closeSlot     = `UPDATE channel_slots SET roster = NULL, group_info = NULL, manifest = NULL, forget = $3 WHERE channel = $1 AND slot = $2`
	deleteChunk   = `DELETE FROM channel_chunks WHERE channel = $1 AND hash = $2`
	deleteKeys    = `DELETE FROM channel_keys WHERE channel = $1 AND slot = $2`
)
