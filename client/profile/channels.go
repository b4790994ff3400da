package profile

import (
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
)

// What a device keeps of conversations: where it stands in each, its group's secrets, and what must not go backwards. All that
// one step of a conversation changes is changed in one transaction.

// Tx changes several things at once. It is valid in the function that Change calls.
type Tx struct{ p *Profile }

// Change runs f in a transaction: all that f changed is durable when Change returns, or, where f fails, nothing is changed.
func (p *Profile) Change(f func(*Tx) error) error {
	return p.change(func() error { return f(&Tx{p}) })
}

// Standing says how a device stands in a conversation.
type Standing int64

// The values of Standing.
const (
	Active  Standing = 1
	Joining Standing = 2 // not in the group yet
	Healing Standing = 3 // the group state is lost, damaged or old: it has to be joined anew before anything is sent
	Suspect Standing = 4 // the members are not those that they should be: the person has to decide
	Ended   Standing = 5 // no longer a member
	Barred  Standing = 6 // as Suspect, and not in the group: it is joined anew once the person decided
)

// Channel is where a device stands in a conversation.
type Channel struct {
	ID           qpq.ChannelID
	Founding     []byte // wire.Founding
	Conversation []byte // wire.Conversation: what members agreed on in the last slot
	Standing     Standing
	Slot         uint64 // last one accepted
	AccessSlot   uint64
	Access       []byte // secret: the access key; empty where it is not known
	Head         []byte // wire.SlotReceipt of the newest slot seen; empty where there is none
	Sequence     uint64 // of the channel: the last row seen; all ones where a restored hub counts from nobody knows where on
	Epoch        uint64
	Read         int64     // position of the last entry that was read
	Updated      time.Time // when this device gave itself fresh keys
	Joined       uint64    // slot by which this device joined last
	Welcomed     uint64    // highest slot whose welcome was used: none at or below it ever is again
	Settled      bool      // there was nothing to do when it was looked after last; whatever may leave something to do takes it back
	Gap          bool      // rows were dropped that may have told that somebody left
}

const channelColumns = `id, founding, conversation, standing, slot, access_slot, access, head, sequence, epoch, read, updated, welcomed, joined, settled, gap`

// Channels returns all conversations, by their ids.
func (p *Profile) Channels() ([]Channel, error) {
	return p.channels(`SELECT ` + channelColumns + ` FROM channels ORDER BY id`)
}

// Channel returns a conversation, nil if there is none with the id.
func (p *Profile) Channel(id qpq.ChannelID) (*Channel, error) {
	list, err := p.channels(`SELECT `+channelColumns+` FROM channels WHERE id = ?`, id[:])
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

func (p *Profile) channels(query string, args ...any) (list []Channel, err error) {
	err = p.read(query, func(s *sqlite3.Stmt) error {
		c := Channel{Founding: s.ColumnBlob(1, nil), Conversation: s.ColumnBlob(2, nil), Standing: Standing(s.ColumnInt64(3)), Slot: uint64(s.ColumnInt64(4)),
			AccessSlot: uint64(s.ColumnInt64(5)), Head: s.ColumnBlob(7, nil), Sequence: uint64(s.ColumnInt64(8)), Epoch: uint64(s.ColumnInt64(9)),
			Read: s.ColumnInt64(10), Updated: time.UnixMilli(s.ColumnInt64(11)),
			Welcomed: uint64(s.ColumnInt64(12)), Joined: uint64(s.ColumnInt64(13)), Settled: s.ColumnBool(14), Gap: s.ColumnBool(15)}
		copy(c.ID[:], s.ColumnRawBlob(0))
		if sealed := s.ColumnRawBlob(6); len(sealed) > 0 {
			if c.Access, err = p.open("access key "+c.ID.String(), sealed); err != nil {
				return err
			}
		}
		list = append(list, c)
		return nil
	}, args...)
	return list, err
}

// SetChannel keeps where a device stands in a conversation, but for Read of one that is there.
func (t *Tx) SetChannel(c Channel) error {
	access := []byte{}
	if len(c.Access) > 0 {
		var err error
		if access, err = t.p.seal("access key "+c.ID.String(), c.Access); err != nil {
			return err
		}
	}
	return t.p.exec(`INSERT INTO channels (`+channelColumns+`) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) ON CONFLICT (id) DO UPDATE
		SET founding = ?2, conversation = ?3, standing = ?4, slot = ?5, access_slot = ?6, access = ?7, head = ?8, sequence = ?9, epoch = ?10, updated = ?12, welcomed = ?13, joined = ?14,
			settled = ?15, gap = ?16`,
		c.ID[:], some(c.Founding), some(c.Conversation), int64(c.Standing), int64(c.Slot), int64(c.AccessSlot), access, some(c.Head),
		int64(c.Sequence), int64(c.Epoch), c.Read, c.Updated.UnixMilli(), int64(c.Welcomed), int64(c.Joined), c.Settled, c.Gap)
}

// SetSettled notes that there is nothing to do in a conversation.
func (t *Tx) SetSettled(id qpq.ChannelID) error {
	return t.p.exec(`UPDATE channels SET settled = 1 WHERE id = ?`, id[:])
}

// ChangedAccounts returns the accounts, the own one among them, whose state changed since conversations were looked after.
func (p *Profile) ChangedAccounts() ([]qpq.UserID, error) {
	return p.users(`SELECT user FROM changed ORDER BY user`)
}

// ClearChanged notes that conversations are looked after by the newest state of an account.
func (t *Tx) ClearChanged(u qpq.UserID) error {
	return t.p.exec(`DELETE FROM changed WHERE user = ?`, u.String())
}

// some is b, empty where it is nil: columns have no NULLs.
func some(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Dropped returns how often the state of all groups was dropped since the profile was opened: what was read before that must not be used any more.
func (p *Profile) Dropped() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped
}

// Dropped is that of the Profile, within the transaction.
func (t *Tx) Dropped() int64 { return t.p.dropped }

// Record is one part of a group's state. Its value is secret.
type Record struct {
	Key   string
	Value []byte // nil deletes it
}

// Group returns the records of a conversation's group, by key. It fails with qpq.Damaged where one was altered.
func (p *Profile) Group(id qpq.ChannelID) (map[string][]byte, error) {
	records := map[string][]byte{}
	err := p.read(`SELECT key, value FROM group_records WHERE channel = ?`, func(s *sqlite3.Stmt) (err error) {
		key := s.ColumnText(0)
		records[key], err = p.open(recordName(id, key), s.ColumnRawBlob(1))
		return err
	}, id[:])
	return records, err
}

func recordName(id qpq.ChannelID, key string) string { return "group " + id.String() + " " + key }

// PutGroup stores records of a conversation's group over those before.
func (t *Tx) PutGroup(id qpq.ChannelID, records []Record) error {
	for _, r := range records {
		if r.Value == nil {
			if err := t.p.exec(`DELETE FROM group_records WHERE channel = ? AND key = ?`, id[:], r.Key); err != nil {
				return err
			}
			continue
		}
		sealed, err := t.p.seal(recordName(id, r.Key), r.Value)
		if err != nil {
			return err
		}
		if err := t.p.exec(`INSERT OR REPLACE INTO group_records VALUES (?, ?, ?)`, id[:], r.Key, sealed); err != nil {
			return err
		}
	}
	return nil
}

// ClearGroup deletes a group's state, and with it a commit that was not known to be accepted.
func (t *Tx) ClearGroup(id qpq.ChannelID) error {
	return errors.Join(t.p.exec(`DELETE FROM group_records WHERE channel = ?`, id[:]), t.UntryAmendments(id))
}

// Commit is a commit that a hub ordered: for one that loses it.
type Commit struct {
	Slot    uint64
	Commit  []byte
	Receipt []byte // wire.SlotReceipt
	User    qpq.UserID
	Device  qpq.DeviceID
}

// keptCommits is how many commits of a conversation are kept.
const keptCommits = 64

// AddCommit keeps a commit, and drops the oldest where there are too many. What stands at slot 0, the founding, stays.
func (t *Tx) AddCommit(id qpq.ChannelID, c Commit) error {
	err := t.p.exec(`INSERT OR REPLACE INTO commits VALUES (?, ?, ?, ?, ?, ?)`, id[:], int64(c.Slot), some(c.Commit), some(c.Receipt), c.User.String(), c.Device[:])
	if err != nil || c.Slot < keptCommits {
		return err
	}
	return t.p.exec(`DELETE FROM commits WHERE channel = ? AND slot > 0 AND slot <= ?`, id[:], int64(c.Slot-keptCommits))
}

// AddReceipt keeps the receipt of a slot whose commit this device never saw: it was welcomed by it.
func (t *Tx) AddReceipt(id qpq.ChannelID, slot uint64, receipt []byte, by qpq.UserID) error {
	return t.p.exec(`INSERT OR IGNORE INTO commits VALUES (?, ?, x'', ?, ?, zeroblob(16))`, id[:], int64(slot), receipt, by.String())
}

// Receipt returns the receipt that is kept of a slot (wire.SlotReceipt), nil where there is none.
func (p *Profile) Receipt(id qpq.ChannelID, slot uint64) ([]byte, error) {
	list, err := p.commits(`WHERE channel = ? AND slot = ?`, id[:], int64(slot))
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0].Receipt, nil
}

// Creation returns what is kept of slot 0: the founding and its receipt; nil where there is nothing.
func (p *Profile) Creation(id qpq.ChannelID) (*Commit, error) {
	list, err := p.commits(`WHERE channel = ? AND slot = 0`, id[:])
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// Commits returns the commits kept that took a slot after one, in order.
func (p *Profile) Commits(id qpq.ChannelID, after uint64) ([]Commit, error) {
	return p.commits(`WHERE channel = ? AND slot > ? AND length("commit") > 0 ORDER BY slot`, id[:], int64(after))
}

func (p *Profile) commits(where string, args ...any) (list []Commit, err error) {
	err = p.read(`SELECT slot, "commit", receipt, user, device FROM commits `+where, func(s *sqlite3.Stmt) error {
		c := Commit{Slot: uint64(s.ColumnInt64(0)), Commit: s.ColumnBlob(1, nil), Receipt: s.ColumnBlob(2, nil)}
		copy(c.Device[:], s.ColumnRawBlob(4))
		user, err := identity.ParseUser(s.ColumnText(3))
		c.User = user
		list = append(list, c)
		return damaged(err)
	}, args...)
	return list, err
}

// Removals returns the accounts that are known to be removed from a conversation.
func (p *Profile) Removals(id qpq.ChannelID) ([]qpq.UserID, error) {
	return p.users(`SELECT user FROM removals WHERE channel = ? ORDER BY user`, id[:])
}

// Departures returns the accounts that ended their membership of a conversation and are in its group still.
func (p *Profile) Departures(id qpq.ChannelID) ([]qpq.UserID, error) {
	return p.users(`SELECT user FROM departures WHERE channel = ? ORDER BY user`, id[:])
}

func (p *Profile) users(query string, args ...any) (list []qpq.UserID, err error) {
	err = p.read(query, func(s *sqlite3.Stmt) error {
		u, err := identity.ParseUser(s.ColumnText(0))
		list = append(list, u)
		return damaged(err)
	}, args...)
	return list, err
}

// SetRemoved notes that an account was removed from a conversation, or that it was added again.
func (t *Tx) SetRemoved(id qpq.ChannelID, u qpq.UserID, removed bool) error {
	if removed {
		return t.p.exec(`INSERT OR IGNORE INTO removals VALUES (?, ?)`, id[:], u.String())
	}
	return t.p.exec(`DELETE FROM removals WHERE channel = ? AND user = ?`, id[:], u.String())
}

// SetDeparted notes that an account ended its membership of a conversation, or that its group knows.
func (t *Tx) SetDeparted(id qpq.ChannelID, u qpq.UserID, departed bool) error {
	if departed {
		return t.p.exec(`INSERT OR IGNORE INTO departures VALUES (?, ?)`, id[:], u.String())
	}
	return t.p.exec(`DELETE FROM departures WHERE channel = ? AND user = ?`, id[:], u.String())
}

// Inbox says how far a device read its account's inbox.
type Inbox struct {
	Processed    uint64   // all rows up to it are done
	Acknowledged uint64   // and the server said that it knows
	Last         [16]byte // the message of row Processed, zero where it has none: a server that was restored counts others from there
}

// Inbox returns how far this device read its inbox, nil where it never looked.
func (p *Profile) Inbox() (*Inbox, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, err := p.inbox()
	return i, kinded(err)
}

// inbox is Inbox for those that hold mu.
func (p *Profile) inbox() (i *Inbox, err error) {
	err = p.query(`SELECT processed, acknowledged, last FROM inbox`, func(s *sqlite3.Stmt) error {
		i = &Inbox{Processed: uint64(s.ColumnInt64(0)), Acknowledged: uint64(s.ColumnInt64(1))}
		copy(i.Last[:], s.ColumnRawBlob(2))
		return nil
	})
	return i, err
}

// Inbox is that of the Profile, within the transaction.
func (t *Tx) Inbox() (*Inbox, error) { return t.p.inbox() }

// SetSequence notes the last row seen of a conversation that is there.
func (t *Tx) SetSequence(id qpq.ChannelID, sequence uint64) error {
	return t.p.exec(`UPDATE channels SET sequence = ?2 WHERE id = ?1`, id[:], int64(sequence))
}

// SetInbox notes how far this device read its inbox.
func (t *Tx) SetInbox(i Inbox) error {
	return t.p.exec(`INSERT OR REPLACE INTO inbox VALUES (1, ?, ?, ?)`, int64(i.Processed), int64(i.Acknowledged), i.Last[:])
}

// UseKeyPackage drops a key package that was joined with, unless it is of last resort: then the server has to get others.
func (t *Tx) UseKeyPackage(ref []byte) error {
	return errors.Join(
		t.p.exec(`UPDATE account SET replace = 1 WHERE EXISTS (SELECT 1 FROM key_packages WHERE ref = ? AND last_resort = 1)`, ref),
		t.p.exec(`DELETE FROM key_packages WHERE ref = ? AND last_resort = 0`, ref))
}

// own notes whose conversations the profile holds. Those of another account before are dropped.
func (p *Profile) own(u qpq.UserID) error {
	other := false
	err := p.query(`SELECT 1 FROM owner WHERE user <> ?`, func(*sqlite3.Stmt) error {
		other = true
		return nil
	}, u.String())
	if err == nil && other {
		err = p.forgetChannels()
	}
	if err != nil {
		return err
	}
	return p.exec(`INSERT OR REPLACE INTO owner VALUES (1, ?)`, u.String())
}

// disownGroups drops the state of all groups, which must not be used any more, with the messages that were encrypted in them and not
// accepted yet. Conversations that go on stand as s, but for those that this device was not in yet: of them it has nothing that it could have lost.
func (p *Profile) disownGroups(s Standing) error {
	p.dropped++
	return errors.Join(
		p.exec(`DELETE FROM group_records`),
		p.exec(`UPDATE outbox SET epoch = 0, ciphertext = x''`),
		p.exec(`UPDATE amendments SET slot = 0`),
		p.exec(`UPDATE channels SET standing = ?, settled = 0 WHERE standing NOT IN (?, ?)`, int64(s), int64(Joining), int64(Ended)))
}

// forgetChannels drops all conversations.
func (p *Profile) forgetChannels() error {
	for _, table := range []string{"amendments", "outbox", "reactions", "receipts", "due", "thread_reads", "unread", "transfers", "entries", "inbox", "removals", "departures", "commits", "group_records", "channels", "changed", "owner"} {
		if err := p.exec(`DELETE FROM ` + table); err != nil {
			return fmt.Errorf("forget %s: %w", table, err)
		}
	}
	p.wiped = true
	return errors.Join(p.clearIndex(), p.exec(`DELETE FROM settings WHERE length(channel) > 0`))
}
