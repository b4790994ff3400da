package client

import (
	"crypto/sha256"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/wire"
)

// What the hub signs of the order of commits: a receipt for each slot. (What members say of messages that they had and read is in readreceipts.go.)

func encodeReceipt(r wire.SlotReceipt) []byte {
	b, err := wire.Marshal(r)
	if err != nil {
		panic("client: encode a receipt: " + err.Error()) // it has no bounds to break
	}
	return b
}

// head returns the newest receipt seen; ok is false where there is none.
func (ch *chat) head() (r wire.SlotReceipt, ok bool) {
	if len(ch.Head) == 0 {
		return r, false
	}
	r, err := wire.Unmarshal[wire.SlotReceipt](ch.Head)
	return r, err == nil
}

// void reports whether the newest slot is one that does not count.
func (ch *chat) void() bool {
	head, known := ch.head()
	return known && head.Slot > ch.Slot
}

var errBadReceipt = qpq.E(qpq.Damaged, "bad-receipt", "the server's receipt for a change of the conversation is not for it, or not signed by it")

// checkReceipt fails unless a receipt is the hub's for a commit of this device.
func checkReceipt(f wire.Founding, commit []byte, r wire.SlotReceipt) error {
	claim, err := conversation.ClaimOf(commit)
	if err != nil {
		return err
	}
	if r.Slot != claim.Slot || r.Parent != claim.Parent || r.Commit != sha256.Sum256(commit) || !wire.VerifySlot(f.HubKey, f.Channel, r) {
		return errBadReceipt
	}
	return nil
}

// checkHead fails unless what a hub says of its newest slot is signed. It may be older than what it said before: a hub that was restored from a
// copy is behind, and who knows more has offered it what it lost.
func (c *Client) checkHead(ch *chat, info wire.ChannelInfoReply) error {
	f, err := wire.Unmarshal[wire.Founding](info.Founding)
	if err != nil {
		return err
	}
	hub := f.HubKey
	if len(ch.Founding) > 0 {
		hub = ch.founding.HubKey
	}
	if !wire.VerifySlot(hub, ch.ID, info.Head) {
		return qpq.E(qpq.Damaged, "bad-receipt", "the server shows a conversation whose newest change it did not sign")
	}
	return nil
}

// ordered reports whether a commit is the next one by the hub's receipts, and notes it. Two receipts for one slot prove that the hub shows
// different orders to different members.
func (c *Client) ordered(st *step, ch *chat, r wire.InboxRow) bool {
	if r.Receipt.Commit != sha256.Sum256(r.Payload) || !wire.VerifySlot(ch.founding.HubKey, ch.ID, *r.Receipt) {
		st.notice(ch, r.Time, "bad-receipt", "the server handed on a change of the conversation without a valid receipt: it was left out")
		return false
	}
	head, known := ch.head()
	if known && r.Receipt.Slot <= head.Slot {
		if r.Receipt.Slot == head.Slot && r.Receipt.Commit != head.Commit {
			st.notice(ch, r.Time, "fork", "the server signed two different changes as number %d of this conversation: it was restored from a copy, or shows members different things; compare the members with the others by another way", head.Slot)
			c.elsewhere(st, ch)
		}
		return false
	}
	if known && r.Receipt.Slot == head.Slot+1 && r.Receipt.Previous != wire.SlotHash(ch.ID, head) {
		st.notice(ch, r.Time, "fork", "the server signed a change of this conversation that does not follow what it showed before: it was restored from a copy, or shows members different things")
		c.elsewhere(st, ch)
	}
	if known && r.Receipt.Slot > head.Slot+1 && r.Receipt.Parent > ch.Slot && ch.Standing == Active {
		ch.Standing = Healing // what lies between was missed
	}
	ch.Head = encodeReceipt(*r.Receipt)
	st.unsettle(ch)
	return true
}

// elsewhere notes that the hub went another way than this device knows: it joins anew, as far as it may.
func (c *Client) elsewhere(st *step, ch *chat) {
	if ch.Standing == Active {
		ch.Standing = Healing
		st.touch(ch)
	}
}
