package profile

import (
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
)

// AmendmentKind says what is to change in a conversation.
type AmendmentKind int64

// The values of AmendmentKind.
const (
	AmendInvite AmendmentKind = 1 // User becomes a member
	AmendRemove AmendmentKind = 2 // User is one no longer
	AmendRole   AmendmentKind = 3 // User has Role
	AmendTitle  AmendmentKind = 4 // it is called Title
	AmendTimer  AmendmentKind = 5 // what is said disappears after Timer
	AmendKeys   AmendmentKind = 6 // this device has fresh keys
	AmendLeave  AmendmentKind = 7 // the own account leaves
)

// Amendment is a change of a conversation that was asked for and is not known to be made.
type Amendment struct {
	ID      int64 // grows as they are asked for; never used twice
	Channel qpq.ChannelID
	Kind    AmendmentKind
	User    qpq.UserID
	Role    int64
	Title   string
	Timer   time.Duration // to the second
	Asked   time.Time     // to the millisecond
	After   int64         // position of the newest entry of all when it was asked for
	Slot    uint64        // of the commit that makes it, if that has been handed in; 0 otherwise
	Problem string        // why it waits, as far as that is known
}

// AddAmendment notes that a change was asked for, after all entries there are.
func (t *Tx) AddAmendment(a Amendment) error {
	user := ""
	if !a.User.IsZero() {
		user = a.User.String()
	}
	return t.p.exec(`INSERT INTO amendments (channel, kind, user, role, title, timer, asked, after, slot, problem)
		VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(position), 0) FROM entries), ?, ?)`,
		a.Channel[:], int64(a.Kind), user, a.Role, a.Title, int64(a.Timer/time.Second), a.Asked.UnixMilli(), int64(a.Slot), a.Problem)
}

// Amendments returns the changes that wait, in the order in which they were asked for.
func (p *Profile) Amendments() (list []Amendment, err error) {
	err = p.read(`SELECT id, channel, kind, user, role, title, timer, asked, after, slot, problem FROM amendments ORDER BY id`, func(s *sqlite3.Stmt) error {
		a := Amendment{ID: s.ColumnInt64(0), Kind: AmendmentKind(s.ColumnInt64(2)), Role: s.ColumnInt64(4), Title: s.ColumnText(5), Timer: time.Duration(s.ColumnInt64(6)) * time.Second,
			Asked: time.UnixMilli(s.ColumnInt64(7)), After: s.ColumnInt64(8), Slot: uint64(s.ColumnInt64(9)), Problem: s.ColumnText(10)}
		copy(a.Channel[:], s.ColumnRawBlob(1))
		if user := s.ColumnText(3); user != "" {
			var err error
			if a.User, err = identity.ParseUser(user); err != nil {
				return damaged(err)
			}
		}
		list = append(list, a)
		return nil
	})
	return list, err
}

// SaidBefore reports whether a message of a conversation waits, of those that people see, that was there before a change was asked for.
func (p *Profile) SaidBefore(a Amendment) (said bool, err error) {
	err = p.read(`SELECT 1 FROM outbox JOIN entries USING (position) WHERE channel = ? AND position <= ? AND `+areSeen+` LIMIT 1`, func(*sqlite3.Stmt) error {
		said = true
		return nil
	}, a.Channel[:], a.After)
	return said, err
}

// TryAmendment notes that the commit for a slot makes a change.
func (t *Tx) TryAmendment(id int64, slot uint64) error {
	return t.p.exec(`UPDATE amendments SET slot = ? WHERE id = ?`, int64(slot), id)
}

// UntryAmendments notes that the commit of this device that a conversation waited for will never be made.
func (t *Tx) UntryAmendments(id qpq.ChannelID) error {
	return t.p.exec(`UPDATE amendments SET slot = 0 WHERE channel = ? AND slot <> 0`, id[:])
}

// MadeAmendment notes that this device's commit has its slot: the change that it makes waits no longer.
func (t *Tx) MadeAmendment(id qpq.ChannelID, slot uint64) error {
	return t.p.exec(`DELETE FROM amendments WHERE channel = ? AND slot = ? AND slot <> 0`, id[:], int64(slot))
}

// SetAmendmentProblem notes why a change waits.
func (t *Tx) SetAmendmentProblem(id int64, why string) error {
	return t.p.exec(`UPDATE amendments SET problem = ? WHERE id = ?`, why, id)
}

// DropAmendment notes that a change waits no longer.
func (t *Tx) DropAmendment(id int64) error {
	return t.p.exec(`DELETE FROM amendments WHERE id = ?`, id)
}
