package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
)

// Commit is a commit that wants a slot of a channel.
type Commit struct {
	Channel   qpq.ChannelID
	Slot      int64
	Parent    int64 // the slot that it builds on
	Hash      []byte
	Commit    []byte
	Welcome   []byte // nil for none
	Group     GroupState
	Account   string // whose device hands it in
	Device    qpq.DeviceID
	Now       time.Time
	Retention time.Duration // how long it stays for those who do not fetch it
	Quota     int64         // bytes of an inbox
}

// Standing is what a commit is judged by: the state after its parent, less what commits on other branches took away since.
type Standing struct {
	Founding []byte
	Direct   bool
	Head     Slot // the newest
	Epoch    int64
	Access   int64 // the slot at which the access key of the parent was made
	Roster   Roster
	Policy   Policy // the one set last, on whatever branch
	Members  Roster // of all branches, without their roles
}

// Ruling is what becomes of a channel by a commit.
type Ruling struct {
	Slot    Slot   // signed
	Roster  Roster // what it lacks of the standing one is taken off all branches; what it has beyond it is on this branch alone
	Policy  Policy
	Cuts    bool // somebody must not get, or could not read, what is sent from now on in an earlier epoch: it is refused
	Welcome []Address
}

// Address is a device that a welcome is for.
type Address struct {
	Account string
	Device  qpq.DeviceID
}

// Committed is what became of a commit.
type Committed struct {
	Slot     Slot
	Sequence int64 // of the channel
	Notices  []Notice
}

var (
	tooMany       = qpq.E(qpq.RateLimited, "too-many-commits", "this account made the last 256 changes of the conversation: somebody else must make one before it goes on")
	staleSlot     = qpq.E(qpq.StaleEpoch, "stale-slot", "another commit came first: fetch it and make the change anew")
	chunksMissing = qpq.E(qpq.Conflict, "chunks-missing", "the server lacks chunks of the ratchet tree: send all of them")
)

// CommitChannel gives a commit its slot: compare-and-swap on the newest one. judge decides what it does, from the state after the
// slot that it builds on; it may be called several times and has no effects. A commit that has its slot already, from the same device,
// gets the first reply. It fails with what judge fails with; with StaleEpoch and code "stale-slot"; NotFound and "channel-unknown",
// "user-unknown" or "device-gone"; Conflict and "chunks-missing"; RateLimited and "too-many-commits" for more than Run in a row.
func (s *Store) CommitChannel(ctx context.Context, c Commit, judge func(Standing) (Ruling, error)) (done Committed, err error) {
	err = s.update(ctx, "commit to a channel", func(tx Tx) error {
		done = Committed{}
		row, err := readChannel(tx, c.Channel)
		if err != nil {
			return err
		}
		if c.Slot <= row.slot {
			return repeatedCommit(tx, c, &done)
		}
		if err := needMember(tx, c.Channel, c.Account); err != nil {
			return err
		}
		window, err := readWindow(tx, row)
		if err != nil {
			return err
		}
		done, _, err = place(tx, row, window, c, judge, true)
		return err
	})
	return done, err
}

// repeatedCommit answers a commit for a slot that is taken.
func repeatedCommit(tx Tx, c Commit, done *Committed) error {
	st, by, found, err := readSlot(tx, c.Channel, c.Slot)
	switch {
	case err != nil:
		return err
	case !found || !bytes.Equal(st.Hash, c.Hash) || by != (sender{c.Account, c.Device}):
		if err := needMember(tx, c.Channel, c.Account); err != nil {
			return err
		}
		return staleSlot
	}
	done.Slot = st
	_, err = one(tx, into{&done.Sequence}, selectSlotSequence, c.Channel[:], c.Slot)
	return err
}

// place gives a commit the slot after the newest, and returns how many its account has in a row. Unless strict, members that are not here are
// left out, and the run has no end.
func place(tx Tx, row channelRow, window []slotState, c Commit, judge func(Standing) (Ruling, error), strict bool) (done Committed, run int64, err error) {
	i := slices.IndexFunc(window, func(st slotState) bool { return st.Number == c.Parent })
	if c.Slot != row.slot+1 || i < 0 {
		return done, run, staleSlot
	}
	parent := window[i]
	members, err := readMembers(tx, row.id)
	if err != nil {
		return done, run, err
	}
	if parent.Roster, err = rosterOf(tx, row.id, []slotState{parent}); err != nil {
		return done, run, err
	}
	if err := present(tx, members, &parent.Roster, false); err != nil { // that of another branch may have whoever is gone since
		return done, run, err
	}
	head, by, _, err := readSlot(tx, row.id, row.slot)
	if err != nil {
		return done, run, err
	}
	run = runOf(c.Account, members, by.account, row.run)
	if strict && run > Run {
		return done, run, tooMany
	}
	st := Standing{Founding: row.founding, Direct: row.direct, Head: head, Epoch: parent.Epoch, Access: parent.AccessSlot, Roster: parent.Roster.Clone(),
		Policy: window[len(window)-1].Policy, Members: members.Clone()}
	ruling, err := judge(st)
	if err != nil {
		return done, run, err
	}
	if c.Group.Info != nil && !complete(window, c.Group) {
		return done, run, chunksMissing
	}
	for _, m := range parent.Roster {
		members.Put(m.Account, 0)
		for _, d := range m.Devices {
			members.Join(m.Account, d)
		}
	}
	if err := present(tx, members, &ruling.Roster, strict); err != nil {
		return done, run, err
	}
	done, err = settle(tx, row, run, window, parent, c, ruling)
	return done, run, err
}

// settle makes what was ruled on a commit so: it takes from all branches what the commit takes away, and has the commit handed out.
func settle(tx Tx, row channelRow, run int64, window []slotState, parent slotState, c Commit, ruling Ruling) (done Committed, err error) {
	next := slotState{Slot: ruling.Slot, Epoch: parent.Epoch + 1, Floor: parent.Floor, Policy: ruling.Policy, AccessSlot: c.Group.AccessSlot,
		Sequence: row.sequence + 1, Roster: ruling.Roster, Manifest: c.Group.manifest()}
	if ruling.Cuts {
		next.Floor = next.Epoch
	}
	if lost := parent.Roster.lost(ruling.Roster); len(lost) > 0 {
		if err := editRosters(tx, row, lost.takeFrom); err != nil {
			return done, err
		}
	}
	if err := putSlot(tx, row.id, next, sender{c.Account, c.Device}, c.Group, c.Now); err != nil {
		return done, err
	}
	done = Committed{Slot: next.Slot, Sequence: next.Sequence}
	done.Notices, err = advance(tx, c, run, window, parent, next, ruling.Welcome)
	return done, err
}

// runOf returns how many slots in a row an account has with the next one, while there are other members.
func runOf(account string, members Roster, last string, run int64) int64 {
	switch {
	case !slices.ContainsFunc(members, func(m Member) bool { return m.Account != account }):
		return 0
	case account != last:
		return 1
	}
	return run + 1
}

// complete reports whether every chunk of a group state is there or comes along.
func complete(window []slotState, g GroupState) bool {
	have := map[[32]byte]bool{}
	for _, st := range window {
		for h := range slices.Chunk(st.Manifest, 32) {
			have[[32]byte(h)] = true
		}
	}
	for _, h := range g.Manifest {
		if _, comes := g.Chunks[h]; !comes && !have[h] {
			return false
		}
	}
	return true
}

// advance makes a slot the newest: it moves the window, hands the commit out, and settles who is a member from now on.
func advance(tx Tx, c Commit, run int64, window []slotState, parent, next slotState, welcome []Address) ([]Notice, error) {
	after := append(slices.Clone(window), next)
	if most := max(Window, int(run)+1); len(after) > most {
		after = after[len(after)-most:]
	}
	tipsAfter := tips(after)
	if err := updateHead(tx, c.Channel, run, next, tipsAfter); err != nil {
		return nil, err
	}
	roster, err := rosterOf(tx, c.Channel, tipsAfter)
	if err != nil {
		return nil, err
	}
	gone, err := settleMembers(tx, c.Channel, parent.Roster, roster)
	if err != nil {
		return nil, err
	}
	e := event{channel: c.Channel, kind: KindCommit, message: key('c', next.Number), hash: c.Hash, payload: c.Commit, sequence: next.Sequence,
		slot: next.Number, by: sender{c.Account, c.Device}, time: c.Now, due: c.Now.Add(c.Retention)}
	notices, err := e.fanOut(tx)
	if err != nil {
		return nil, err
	}
	e.kind, e.message, e.hash, e.payload = KindWelcome, key('w', next.Number), nil, c.Welcome
	if notices, err = e.deliverWelcome(tx, welcome, notices); err != nil {
		return nil, err
	}
	e.kind, e.message, e.payload = KindRemoved, nil, nil
	for _, name := range gone {
		if err := exec(tx, deleteMember, c.Channel[:], name); err != nil {
			return nil, err
		}
		if notices, err = e.deliver(tx, name, nil, notices); err != nil {
			return nil, err
		}
	}
	if err := moveWindow(tx, c.Channel, window, after, c.Now, c.Retention); err != nil {
		return nil, err
	}
	notices = newest(notices)
	return notices, enforce(tx, notices, c.Quota)
}

// settleMembers makes the accounts of the parent and of the tips members, for the commit to reach them, and returns those that
// are members no longer once it has.
func settleMembers(tx Tx, id qpq.ChannelID, parent, after Roster) (gone []string, err error) {
	before, err := readMembers(tx, id)
	if err != nil {
		return nil, err
	}
	for _, m := range after {
		if had := before.Find(m.Account); had != nil && slices.Equal(had.Devices, m.Devices) {
			continue
		}
		if err := exec(tx, putMember, id[:], m.Account, encodeDevices(m.Devices)); err != nil {
			return nil, err
		}
	}
	for _, m := range before {
		if after.Find(m.Account) == nil {
			gone = append(gone, m.Account)
		}
	}
	for _, m := range parent {
		if before.Find(m.Account) != nil || after.Find(m.Account) != nil {
			continue
		}
		if err := exec(tx, putMember, id[:], m.Account, []byte{}); err != nil {
			return nil, err
		}
		gone = append(gone, m.Account)
	}
	return gone, nil
}

// key names what the hub makes among messages, whose ids are longer.
func key(what byte, number int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{what}, uint64(number))
}

// Offer gives a hub that was restored from a copy back what it lost of a channel.
type Offer struct {
	Channel  qpq.ChannelID
	Creation *NewChannel // where the channel may be lost as a whole
	Commits  []Commit    // in order; the last one with its group state
	Account  string      // who offers
	Now      time.Time
}

// OfferChannel takes the commits that follow the newest slot, if they are what the hub signed once: judge verifies that and says what
// they do. Those that are here already are passed over. It fails with what judge fails with, with StaleEpoch and code "stale-slot" if
// another commit has the slot or some are missing in between, and with NotFound and "channel-unknown".
func (s *Store) OfferChannel(ctx context.Context, o Offer, judge func(Commit, Standing) (Ruling, error)) (slot int64, notices []Notice, err error) {
	err = s.update(ctx, "take back a channel", func(tx Tx) error {
		slot, notices = 0, nil
		row, err := readChannel(tx, o.Channel)
		if err == error(noChannel) && o.Creation != nil {
			if id, _, created, err := existing(tx, *o.Creation); err != nil {
				return err
			} else if created || id != (qpq.ChannelID{}) {
				return staleSlot
			}
			if err := insertNewChannel(tx, *o.Creation, false); err != nil {
				return err
			}
			row, err = readChannel(tx, o.Channel)
		}
		if err != nil {
			return err
		}
		for _, c := range o.Commits {
			if c.Slot <= row.slot {
				if st, _, found, err := readSlot(tx, o.Channel, c.Slot); err != nil {
					return err
				} else if found && !bytes.Equal(st.Hash, c.Hash) {
					return staleSlot
				}
				continue
			}
			window, err := readWindow(tx, row)
			if err != nil {
				return err
			}
			done, run, err := place(tx, row, window, c, func(st Standing) (Ruling, error) { return judge(c, st) }, false)
			if err != nil {
				return err
			}
			row.slot, row.run, row.sequence = c.Slot, run, done.Sequence
			notices = newest(append(notices, done.Notices...))
		}
		slot = row.slot
		return needMember(tx, o.Channel, o.Account)
	})
	return slot, notices, err
}

// newest merges notices: of an inbox counts the last.
func newest(notices []Notice) []Notice {
	at := map[string]int{}
	out := notices[:0]
	for _, n := range notices {
		if i, ok := at[n.Account]; ok {
			out[i] = n
			continue
		}
		at[n.Account] = len(out)
		out = append(out, n)
	}
	return out
}

const (
	selectSlotSequence = `SELECT sequence FROM channel_slots WHERE channel = $1 AND slot = $2`
	deleteMember       = `DELETE FROM channel_members WHERE channel = $1 AND account = $2`
)
