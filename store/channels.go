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

// Window is how many slots of a channel are kept with roster and group state: a commit builds on one of them, or on one of the run.
const Window = 16

// Run is how many slots in a row one account takes while there are other members. All of a run, and the slot before it, are kept with
// their rosters, so that no account alone, by commits that nobody can read, pushes out the slot from which the others go on.
const Run = 256

// Slot is one place in the order of a channel's commits, with the hub's signature.
type Slot struct {
	Number    int64
	Parent    int64
	Previous  []byte // hash of what was signed for the slot before
	Hash      []byte // of the commit; in slot 0 of the founding
	Time      time.Time
	Signature []byte
}

// Policy is what the hub of a channel enforces. Zero values set no bounds.
type Policy struct {
	Timer   time.Duration // messages disappear so long after they were read: members see to it
	Payload int64         // bytes of a message
}

// GroupState is what a device needs to join by itself after a slot, sealed.
type GroupState struct {
	Info       []byte
	Manifest   [][32]byte          // hashes of all chunks, in order
	Chunks     map[[32]byte][]byte // of those, what may not be here yet
	AccessSlot int64               // at which the access key was made
	Keys       map[string][]byte   // the access key sealed to accounts
}

// Size returns how many bytes info and chunks have.
func (g GroupState) Size() int {
	n := len(g.Info)
	for _, c := range g.Chunks {
		n += len(c)
	}
	return n
}

// manifest returns the hashes behind one another.
func (g GroupState) manifest() []byte {
	b := make([]byte, 0, 32*len(g.Manifest))
	for _, h := range g.Manifest {
		b = append(b, h[:]...)
	}
	return b
}

// Channel is what the store knows of a channel.
type Channel struct {
	ID       qpq.ChannelID
	Founding []byte
	Direct   bool
	Head     Slot  // the newest
	Creation *Slot // slot 0, nil where it is not remembered any more
	Sequence int64
	Policy   Policy
	Roster   Roster // of all tips: those to whom messages go
}

// ChannelHead says how far a channel is.
type ChannelHead struct {
	ID       qpq.ChannelID
	Slot     int64
	Sequence int64
	Hash     []byte // of what took the slot
}

// Notice says that an inbox has grown up to a sequence number.
type Notice struct {
	Account string
	Seq     int64
	size    int64 // of all rows
}

// NewChannel is a channel to be made.
type NewChannel struct {
	ID       qpq.ChannelID
	Founding []byte
	Pair     [2]string // of a direct channel: its accounts, twice the same for one alone
	Roster   Roster    // of slot 0
	Account  string    // who makes it
	Device   qpq.DeviceID
	Slot     Slot // 0
	Group    GroupState
	Now      time.Time
}

// CreateChannel makes a channel. There is one direct channel of a pair: where it was made before, its id is returned and nothing is
// made. Repeating a creation returns its slot again. It fails with Exists and code "channel-exists" if the id is taken, and with
// NotFound and code "user-unknown" or "device-gone" for members that are not here.
func (s *Store) CreateChannel(ctx context.Context, c NewChannel) (id qpq.ChannelID, slot Slot, created bool, err error) {
	err = s.update(ctx, "create a channel", func(tx Tx) error {
		var err error
		if id, slot, created, err = existing(tx, c); err != nil || created || id != (qpq.ChannelID{}) {
			return err
		}
		id, slot, created = c.ID, c.Slot, true
		return insertNewChannel(tx, c, true)
	})
	return id, slot, created, err
}

// existing returns the channel that stands in the way of a new one, or that is it already.
func existing(tx Tx, c NewChannel) (id qpq.ChannelID, slot Slot, created bool, err error) {
	first, by, found, err := readSlot(tx, c.ID, 0)
	switch {
	case err != nil:
		return id, slot, false, err
	case found && bytes.Equal(first.Hash, c.Slot.Hash) && by == (sender{c.Account, c.Device}):
		return c.ID, first, true, nil
	case found:
		return id, slot, false, qpq.E(qpq.Exists, "channel-exists", "another conversation has this id: make a new one")
	case c.Pair == [2]string{}:
		return id, slot, false, nil
	}
	var channel []byte
	if _, err := one(tx, into{&channel}, selectPair, pairName(c.Pair)); err != nil {
		return id, slot, false, err
	}
	copy(id[:], channel)
	return id, slot, false, nil
}

// pairName is how a pair is found. No account has a space in its name.
func pairName(pair [2]string) string {
	slices.Sort(pair[:])
	return pair[0] + " " + pair[1]
}

func insertNewChannel(tx Tx, c NewChannel, strict bool) error {
	if err := present(tx, nil, &c.Roster, strict); err != nil {
		return err
	}
	insert, args := insertChannel, []any{c.ID[:], c.Founding, epochsOf(0), c.Account}
	if c.Pair != [2]string{} {
		insert, args = insertDirect, append(args, pairName(c.Pair))
	}
	if err := exec(tx, insert, args...); err != nil {
		return err
	}
	for _, m := range c.Roster {
		if err := exec(tx, putMember, c.ID[:], m.Account, encodeDevices(m.Devices)); err != nil {
			return err
		}
	}
	st := slotState{Slot: c.Slot, AccessSlot: c.Group.AccessSlot, Roster: c.Roster}
	return putSlot(tx, c.ID, st, sender{c.Account, c.Device}, c.Group, c.Now)
}

// present checks that the devices that a roster has and another has not exist and may be used. Unless strict, it takes away those that
// may not.
func present(tx Tx, before Roster, after *Roster, strict bool) error {
	var gone []sender
	for _, m := range *after {
		if before.Find(m.Account) == nil {
			if _, err := account(tx, m.Account); qpq.KindOf(err) == qpq.NotFound {
				gone = append(gone, sender{account: m.Account})
				continue
			} else if err != nil {
				return err
			}
		}
		for _, id := range m.Devices {
			if before.Has(m.Account, id) {
				continue
			}
			if d, err := device(tx, m.Account, id); qpq.KindOf(err) == qpq.NotFound || err == nil && !d.Revoked.IsZero() {
				gone = append(gone, sender{m.Account, id})
			} else if err != nil {
				return err
			}
		}
	}
	for _, g := range gone {
		switch {
		case strict && g.device.IsZero():
			return qpq.E(qpq.NotFound, "user-unknown", fmt.Sprintf("there is no user %q here", g.account))
		case strict:
			return qpq.E(qpq.NotFound, "device-gone", fmt.Sprintf("%q has no device %s any more: look the user up again", g.account, g.device.Short()))
		case g.device.IsZero():
			after.Remove(g.account)
		default:
			after.Leave(g.account, g.device)
		}
	}
	return nil
}

// sender is who handed something in.
type sender struct {
	account string
	device  qpq.DeviceID
}

// slotState is a slot with what it leads to.
type slotState struct {
	Slot
	Epoch      int64 // that it starts
	Floor      int64 // no message of an earlier epoch is taken on this branch
	Policy     Policy
	AccessSlot int64
	Sequence   int64
	Roster     Roster
	Manifest   []byte
}

func putSlot(tx Tx, id qpq.ChannelID, st slotState, by sender, g GroupState, now time.Time) error {
	err := exec(tx, insertSlot, id[:], st.Number, st.Parent, some(st.Previous), some(st.Hash), some(st.Signature), millis(st.Time), by.account, by.device[:],
		st.Sequence, st.Epoch, st.Floor, int64(st.Policy.Timer/time.Millisecond), st.Policy.Payload, st.AccessSlot,
		st.Roster.encode(), g.Info, g.manifest())
	if err != nil {
		return err
	}
	for hash, chunk := range g.Chunks {
		if !slices.Contains(g.Manifest, hash) {
			continue
		}
		if err := exec(tx, insertChunk, id[:], hash[:], chunk); err != nil {
			return err
		}
	}
	for name, sealed := range g.Keys {
		if st.Roster.Find(name) == nil {
			continue
		}
		put := insertKey // the first counts, so that nobody spoils that of another
		if name == by.account {
			put = replaceKey
		}
		if err := exec(tx, put, name, id[:], g.AccessSlot, sealed); err != nil {
			return err
		}
	}
	return nil
}

// readSlot returns a slot and who took it.
func readSlot(tx Tx, id qpq.ChannelID, number int64) (s Slot, by sender, found bool, err error) {
	var ms int64
	var device []byte
	s.Number = number
	found, err = one(tx, into{&s.Parent, &s.Previous, &s.Hash, &s.Signature, &ms, &by.account, &device}, selectSlot, id[:], number)
	s.Time = instant(ms)
	copy(by.device[:], device)
	return s, by, found, err
}

// epochsOf writes epochs as channels keep them: 8 bytes each.
func epochsOf(epochs ...int64) (b []byte) {
	for _, e := range epochs {
		b = binary.BigEndian.AppendUint64(b, uint64(e))
	}
	return b
}

var noChannel = qpq.E(qpq.NotFound, "channel-unknown", "there is no such conversation here, or the account is no member of it")

// channelRow is a channel's own row.
type channelRow struct {
	id       qpq.ChannelID
	founding []byte
	direct   bool
	slot     int64
	run      int64 // slots in a row, up to the newest, of one account among others
	sequence int64
	floor    int64  // below it no epoch is taken
	epochs   []byte // of tips
}

// oldest returns the oldest slot that a commit may build on.
func (c channelRow) oldest() int64 { return c.slot + 1 - max(Window, c.run+1) }

func readChannel(tx Tx, id qpq.ChannelID) (c channelRow, err error) {
	var direct int64
	c.id = id
	found, err := one(tx, into{&c.founding, &direct, &c.slot, &c.run, &c.sequence, &c.floor, &c.epochs}, selectChannel, id[:])
	c.direct = direct != 0
	if err == nil && !found {
		err = noChannel
	}
	return c, err
}

// needMember fails with NotFound unless messages of the channel go to the account.
func needMember(tx Tx, id qpq.ChannelID, account string) error {
	var devices []byte
	found, err := one(tx, into{&devices}, selectMember, id[:], account)
	if err == nil && !found {
		err = noChannel
	}
	return err
}

// Channel returns a channel as one of its members may know it. It fails with NotFound and code "channel-unknown".
func (s *Store) Channel(ctx context.Context, id qpq.ChannelID, account string) (c Channel, err error) {
	err = s.view(ctx, "look up a channel", func(tx Tx) error {
		if err := needMember(tx, id, account); err != nil {
			return err
		}
		row, err := readChannel(tx, id)
		if err != nil {
			return err
		}
		window, err := readWindow(tx, row)
		if err != nil {
			return err
		}
		c = Channel{ID: id, Founding: row.founding, Direct: row.direct, Sequence: row.sequence, Policy: window[len(window)-1].Policy}
		if c.Head, _, _, err = readSlot(tx, id, row.slot); err != nil {
			return err
		}
		creation, _, found, err := readSlot(tx, id, 0)
		if err != nil {
			return err
		}
		if found {
			c.Creation = &creation
		}
		c.Roster, err = rosterOf(tx, id, tips(window))
		return err
	})
	return c, err
}

// Channels returns the channels of an account, at most limit.
func (s *Store) Channels(ctx context.Context, account string, limit int64) (list []ChannelHead, err error) {
	err = s.view(ctx, "list channels", func(tx Tx) error {
		list = nil
		return tx.Query(func(r Row) error {
			var id []byte
			var h ChannelHead
			err := r.Scan(&id, &h.Slot, &h.Sequence, &h.Hash)
			copy(h.ID[:], id)
			list = append(list, h)
			return err
		}, selectChannels, account, limit)
	})
	return list, err
}

// ChannelMembers returns the accounts that messages of a channel go to, if the device may send there: else NotFound.
func (s *Store) ChannelMembers(ctx context.Context, id qpq.ChannelID, account string, device qpq.DeviceID) (list []string, err error) {
	err = s.view(ctx, "list members", func(tx Tx) error {
		list = nil
		var devices []byte
		if _, err := one(tx, into{&devices}, selectMember, id[:], account); err != nil {
			return err
		}
		if !slices.Contains(decodeDevices(devices), device) {
			return noChannel
		}
		members, err := readMembers(tx, id)
		for _, m := range members {
			list = append(list, m.Account)
		}
		return err
	})
	return list, err
}

// GroupAfter is a channel's group state after a slot, without the chunks.
type GroupAfter struct {
	Slot       int64
	Info       []byte
	Manifest   [][]byte
	AccessSlot int64
	Key        []byte // the access key sealed to the account, nil where nobody sealed it
	Roster     Roster
	Policy     Policy
}

var groupGone = qpq.E(qpq.NotFound, "group-gone", "the server keeps no group state after this slot, or none that is for this account: ask for the newest")

// ChannelGroup returns the group state after a slot to a member of then; a slot still to come stands for the newest. It fails with
// NotFound and code "channel-unknown" or "group-gone".
func (s *Store) ChannelGroup(ctx context.Context, id qpq.ChannelID, account string, slot int64) (g GroupAfter, err error) {
	err = s.view(ctx, "read a group state", func(tx Tx) error {
		if err := needMember(tx, id, account); err != nil {
			return err
		}
		row, err := readChannel(tx, id)
		if err != nil {
			return err
		}
		g = GroupAfter{Slot: min(slot, row.slot)}
		var roster, manifest []byte
		var timer int64
		if _, err := one(tx, into{&roster, &g.Info, &manifest, &g.AccessSlot, &timer, &g.Policy.Payload}, selectGroup, id[:], g.Slot); err != nil {
			return err
		}
		g.Policy.Timer = time.Duration(timer) * time.Millisecond
		if roster == nil || g.Info == nil {
			return groupGone
		}
		if g.Roster, err = decodeRoster(roster); err != nil {
			return err
		} else if g.Roster.Find(account) == nil {
			return groupGone
		}
		for h := range slices.Chunk(manifest, 32) {
			g.Manifest = append(g.Manifest, h)
		}
		_, err = one(tx, into{&g.Key}, selectKey, id[:], g.AccessSlot, account)
		return err
	})
	return g, err
}

// ChannelChunks returns the first chunks asked for, at least one and as many as are within size. It fails with NotFound and code
// "channel-unknown", or "group-gone" if one is not there.
func (s *Store) ChannelChunks(ctx context.Context, id qpq.ChannelID, account string, hashes [][]byte, size int) (chunks [][]byte, err error) {
	err = s.view(ctx, "read chunks", func(tx Tx) error {
		chunks = nil
		if err := needMember(tx, id, account); err != nil {
			return err
		}
		for _, h := range hashes {
			var chunk []byte
			if found, err := one(tx, into{&chunk}, selectChunk, id[:], h); err != nil {
				return err
			} else if !found {
				return groupGone
			}
			if size -= len(chunk); size < 0 && len(chunks) > 0 {
				return nil
			}
			chunks = append(chunks, chunk)
		}
		return nil
	})
	return chunks, err
}

const (
	selectPair    = `SELECT channel FROM channels WHERE pair = $1`
	insertChannel = `INSERT INTO channels (channel, founding, epochs, founder, pair, slot, run, sequence, floor, timer, payload)
		VALUES ($1, $2, $3, $4, NULL, 0, 0, 0, 0, 0, 0)`
	insertDirect = `INSERT INTO channels (channel, founding, epochs, founder, pair, slot, run, sequence, floor, timer, payload)
		VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0, 0, 0)`
	selectChannel  = `SELECT founding, CASE WHEN pair IS NULL THEN 0 ELSE 1 END, slot, run, sequence, floor, epochs FROM channels WHERE channel = $1`
	selectChannels = `SELECT c.channel, c.slot, c.sequence, s.hash FROM channel_members AS m JOIN channels AS c ON c.channel = m.channel
		JOIN channel_slots AS s ON s.channel = c.channel AND s.slot = c.slot
		WHERE m.account = $1 ORDER BY m.channel LIMIT $2`
	putMember = `INSERT INTO channel_members (channel, account, devices) VALUES ($1, $2, $3)
		ON CONFLICT (channel, account) DO UPDATE SET devices = excluded.devices`
	selectMember = `SELECT devices FROM channel_members WHERE channel = $1 AND account = $2`
	insertSlot   = `INSERT INTO channel_slots (channel, slot, parent, previous, hash, signature, time, sender, device, sequence, epoch, floor,
		timer, payload, access_slot, forget, roster, group_info, manifest)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 0, $16, $17, $18)`
	selectSlot  = `SELECT parent, previous, hash, signature, time, sender, device FROM channel_slots WHERE channel = $1 AND slot = $2`
	selectGroup = `SELECT roster, group_info, manifest, access_slot, timer, payload FROM channel_slots WHERE channel = $1 AND slot = $2`
	selectKey   = `SELECT sealed FROM channel_keys WHERE channel = $1 AND slot = $2 AND account = $3`
	insertKey   = `INSERT INTO channel_keys (account, channel, slot, sealed) VALUES ($1, $2, $3, $4) ON CONFLICT (channel, slot, account) DO NOTHING`
	replaceKey  = `INSERT INTO channel_keys (account, channel, slot, sealed) VALUES ($1, $2, $3, $4)
		ON CONFLICT (channel, slot, account) DO UPDATE SET sealed = excluded.sealed`
	insertChunk = `INSERT INTO channel_chunks (channel, hash, chunk) VALUES ($1, $2, $3) ON CONFLICT (channel, hash) DO NOTHING`
	selectChunk = `SELECT chunk FROM channel_chunks WHERE channel = $1 AND hash = $2`
)
