package client

import (
	"cmp"
	"context"
	"encoding/base32"
	"encoding/hex"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// MessageID names a message of a sender in a conversation.
type MessageID [16]byte

// String returns the id in hexadecimal.
func (id MessageID) String() string { return hex.EncodeToString(id[:]) }

var shortID = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// Short returns the first eight characters of the id in an alphabet without look-alikes, for people.
func (id MessageID) Short() string { return shortID.EncodeToString(id[:5]) }

// MessageState says what became of a message.
type MessageState = profile.EntryState

// The values of MessageState.
const (
	Received = profile.Received
	Queued   = profile.Queued   // waits on this device
	Accepted = profile.Accepted // durable at the hub
	Failed   = profile.Failed   // refused for good
)

// Kind says what a message is.
type Kind = profile.Kind

// The values of Kind. KindReaction, KindEdit and KindDelete change another message, and are no lines of a history.
const (
	KindText     = profile.KindText
	KindReply    = profile.KindReply
	KindFile     = profile.KindFile
	KindViewOnce = profile.KindViewOnce
	KindSystem   = profile.KindSystem
	KindUnknown  = profile.KindUnknown // of a kind that this release does not know
	KindReaction = profile.KindReaction
	KindEdit     = profile.KindEdit
	KindDelete   = profile.KindDelete
)

// Gone says why a message has no content any more.
type Gone = profile.Gone

// The values of Gone.
const (
	There   = profile.There
	Deleted = profile.Deleted // by its sender
	Expired = profile.Expired // its time was over
	Viewed  = profile.Viewed  // it was to be viewed once
)

// Message is a message of a conversation, as it stands now.
type Message struct {
	ID     MessageID
	Sender qpq.UserID
	Device qpq.DeviceID
	Own    bool // by the own account, on whatever device
	State  MessageState
	Kind   Kind
	Gone   Gone
	Body   wire.Message // as it was sent; zero where it is gone

	Text     string       // what it says now: of a text, a reply, a file's caption, an edit; the emoji of a reaction
	Mentions []qpq.UserID // whom it names, now
	Edited   bool         // Text is not what was sent at first
	Removed  bool         // of a reaction: it takes the emoji off

	Target    *Ref       // which message it answers, or changes; nil where that is not known here
	Root      *Ref       // with which message its thread began; nil for none
	Reactions []Reaction // the oldest first
	Replies   int        // in the thread that it began
	Receipts  []Receipt  // of an own message: who had it, by user

	Timer   time.Duration // from when it was read until it disappears; 0 for never
	Expires time.Time     // when it disappears; zero while that is not known
}

// Ref names a message.
type Ref struct {
	Position int64 // of its entry
	Sender   qpq.UserID
	ID       MessageID
}

// Ref names the message of an entry, which has one.
func (e *Entry) Ref() Ref { return Ref{e.Position, e.Message.Sender, e.Message.ID} }

// Reaction is an emoji on a message, and whose it is.
type Reaction struct {
	Emoji string
	Users []qpq.UserID
}

// Receipt says when an account had and read a message, by its own word; zero where that is not known.
type Receipt = profile.Receipt

// Delivered reports whether all of some accounts had a message, and whether all have read it.
func (m *Message) Delivered(accounts []qpq.UserID) (delivered, read bool) {
	delivered, read = len(accounts) > 0, len(accounts) > 0
	for _, u := range accounts {
		i := slices.IndexFunc(m.Receipts, func(r Receipt) bool { return r.User == u })
		delivered = delivered && i >= 0
		read = read && i >= 0 && !m.Receipts[i].Read.IsZero()
	}
	return delivered, read
}

// Entry is one thing that happened in a conversation: a message, or a notice. Those that are no lines of its history (Kind.Line) change others.
type Entry struct {
	Position int64 // grows in the order in which this device learnt of entries; never used twice
	Channel  qpq.ChannelID
	Time     time.Time // when the hub took it; of what is not there yet, when it was written
	Message  *Message
	Notice   *Notice
}

// History returns up to limit lines of a conversation before a position, the newest last. A position of 0 stands for the end.
func (c *Client) History(id qpq.ChannelID, before int64, limit int) ([]Entry, error) {
	if err := c.expire(); err != nil {
		return nil, err
	}
	return c.read(c.cfg.Profile.History(id, cmp.Or(before, 1<<62), limit))
}

// Later returns up to limit lines of a conversation after a position, the newest last.
func (c *Client) Later(id qpq.ChannelID, after int64, limit int) ([]Entry, error) {
	return c.read(c.cfg.Profile.Later(id, after, limit))
}

// At returns an entry as it stands now, nil where there is none.
func (c *Client) At(position int64) (*Entry, error) {
	if err := c.expire(); err != nil {
		return nil, err
	}
	found, err := c.at([]int64{position})
	if e, ok := found[position]; ok {
		return &e, nil
	}
	return nil, err
}

// at returns entries as they stand now, by their positions.
func (c *Client) at(positions []int64) (map[int64]Entry, error) {
	stored, err := c.cfg.Profile.At(positions)
	if err != nil {
		return nil, err
	}
	list, err := c.read(slices.Collect(maps.Values(stored)), nil)
	found := make(map[int64]Entry, len(list))
	for _, e := range list {
		found[e.Position] = e
	}
	return found, err
}

// Entries iterates over the entries of all conversations after a position, and then over new ones as they come, until ctx is done. Entries that
// change others are among them: those others are to be looked at again (At).
func (c *Client) Entries(ctx context.Context, after int64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for {
			news := c.news.next()
			if err := c.expire(); err != nil {
				yield(Entry{}, err)
				return
			}
			list, err := c.read(c.cfg.Profile.Entries(after, 256))
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range list {
				after = e.Position
				if !yield(e, nil) {
					return
				}
			}
			if len(list) > 0 {
				continue
			}
			select {
			case <-news:
			case <-ctx.Done():
				return
			}
		}
	}
}

// MarkRead notes that a conversation was read up to an entry. Senders are told where that is so wished (SetReceipts).
func (c *Client) MarkRead(id qpq.ChannelID, position int64) error {
	owe, err := c.Receipts(id)
	if err != nil {
		return err
	}
	if err := c.cfg.Profile.SetRead(id, position, owe, c.cfg.Clock()); err != nil {
		return err
	}
	if err := c.expire(); err != nil {
		return err
	}
	if owe {
		c.owing.CompareAndSwap(0, c.cfg.Clock().UnixMilli())
		c.kick()
	}
	return nil
}

// read returns stored entries as they stand now.
func (c *Client) read(stored []profile.Entry, err error) ([]Entry, error) {
	if err != nil || len(stored) == 0 {
		return nil, err
	}
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return nil, err
	}
	var others []int64
	for _, e := range stored {
		others = append(others, e.Target, e.Root, e.Edit)
	}
	at, err := c.cfg.Profile.At(others)
	if err != nil {
		return nil, err
	}
	list := make([]Entry, len(stored))
	for i, e := range stored {
		list[i] = Entry{Position: e.Position, Channel: e.Channel, Time: e.Time}
		if e.State == profile.Noticed {
			list[i].Notice = &Notice{e.Code, string(e.Content)}
			continue
		}
		if list[i].Message, err = message(own.User, &e, at); err != nil {
			return nil, err
		}
	}
	return list, c.around(list)
}

// message returns the message of a stored entry; at has the entries that it refers to.
func message(own qpq.UserID, e *profile.Entry, at map[int64]profile.Entry) (*Message, error) {
	m := &Message{ID: e.ID, Sender: e.Sender, Device: e.Device, Own: e.Sender == own, State: e.State, Kind: e.Kind, Gone: e.Gone, Timer: e.Timer, Expires: e.Expires}
	for _, v := range []struct {
		position int64
		to       **Ref
	}{{e.Target, &m.Target}, {e.Root, &m.Root}} {
		if t, ok := at[v.position]; ok {
			*v.to = &Ref{t.Position, t.Sender, t.ID}
		}
	}
	if len(e.Content) > 0 {
		var err error
		if m.Body, err = wire.Unmarshal[wire.Message](e.Content); err != nil {
			return nil, err
		}
		m.Text, m.Mentions = said(m.Body.Body)
		if r, ok := m.Body.Body.(wire.ReactionBody); ok {
			m.Removed = r.Remove
		}
	}
	if edit, ok := at[e.Edit]; ok && len(edit.Content) > 0 {
		body, err := wire.Unmarshal[wire.Message](edit.Content)
		if err != nil {
			return nil, err
		}
		m.Text, m.Mentions = said(body.Body)
		m.Edited = true
		m.disappearsWith(&edit)
	}
	return m, nil
}

// disappearsWith notes that a message disappears with the edit in force, where that does earlier.
func (m *Message) disappearsWith(edit *profile.Entry) {
	if edit.Timer > 0 && (m.Timer == 0 || edit.Timer < m.Timer) {
		m.Timer = edit.Timer
	}
	if !edit.Expires.IsZero() && (m.Expires.IsZero() || edit.Expires.Before(m.Expires)) {
		m.Expires = edit.Expires
	}
}

// around reads what others did with messages.
func (c *Client) around(list []Entry) error {
	var lines, own, roots []int64
	for _, e := range list {
		if e.Message == nil || !e.Message.Kind.Line() {
			continue
		}
		lines = append(lines, e.Position)
		if e.Message.Own {
			own = append(own, e.Position)
		}
		if e.Message.Root == nil {
			roots = append(roots, e.Position)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	reactions, err := c.cfg.Profile.Reactions(lines)
	if err != nil {
		return err
	}
	receipts, err := c.cfg.Profile.Receipts(own)
	if err != nil {
		return err
	}
	answers, err := c.cfg.Profile.Answers(roots)
	if err != nil {
		return err
	}
	for _, e := range list {
		if m := e.Message; m != nil {
			m.Reactions, m.Receipts, m.Replies = byEmoji(reactions[e.Position]), receipts[e.Position], answers[e.Position]
		}
	}
	return nil
}

// byEmoji returns who put which emoji on a message, those first that were put there first.
func byEmoji(stored []profile.Reaction) (list []Reaction) {
	for _, r := range stored {
		i := slices.IndexFunc(list, func(v Reaction) bool { return v.Emoji == r.Emoji })
		if i < 0 {
			i = len(list)
			list = append(list, Reaction{Emoji: r.Emoji})
		}
		list[i].Users = append(list[i].Users, r.Sender)
	}
	return list
}

// said returns the text of a message, and whom it names.
func said(body wire.MessageBody) (string, []qpq.UserID) {
	switch b := body.(type) {
	case wire.TextBody:
		return b.Text, b.Mentions
	case wire.ReplyBody:
		return b.Text, b.Mentions
	case wire.EditBody:
		return b.Text, b.Mentions
	case wire.ReactionBody:
		return b.Emoji, nil
	case wire.FileBody:
		return b.Caption, nil
	case wire.SystemBody:
		return b.Text, b.Users
	}
	return "", nil
}

// kindOf returns what a message is.
func kindOf(body wire.MessageBody) Kind {
	switch body.(type) {
	case wire.TextBody:
		return KindText
	case wire.ReplyBody:
		return KindReply
	case wire.ReactionBody:
		return KindReaction
	case wire.EditBody:
		return KindEdit
	case wire.DeleteBody:
		return KindDelete
	case wire.FileBody:
		return KindFile
	case wire.ViewOnceBody:
		return KindViewOnce
	case wire.SystemBody:
		return KindSystem
	case wire.ReceiptBody:
		return profile.KindReceipt
	case wire.CoverBody:
		return profile.KindCover
	}
	return KindUnknown
}
