package client

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/client/transcript"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

// exportPage is how many entries Export reads together.
const exportPage = 128

// Export says what of a conversation goes into a transcript.
type Export struct {
	After, Before Bound
	Redact        []Ref                  // of these messages, and their edits, there is only that they were there
	Progress      func(entries, all int) // called after each entry; may be nil
}

// Bound is where a part of a conversation begins or ends: at an entry, at a time, or, where it is zero, nowhere. That entry does not belong to it.
type Bound struct {
	Name     string // as the person said it
	Position int64
	Time     time.Time
}

func (x *Export) part() profile.Part {
	return profile.Part{After: x.After.Position, Before: x.Before.Position, From: x.After.Time, Until: x.Before.Time}
}

// Exported is what became of an Export.
type Exported struct {
	Entries, Redacted, LeftOut int
	Key                        identity.PublicKey // of the account, by which others know it
}

// Export writes a conversation as a transcript, signed by this device. What was not sent, and what is to disappear or to be viewed once, is left out.
// Where it fails what was written is no transcript.
func (c *Client) Export(ctx context.Context, id qpq.ChannelID, x Export, w io.Writer) (*Exported, error) {
	account, err := c.cfg.Profile.Account()
	if err != nil {
		return nil, err
	}
	v, err := c.Conversation(id)
	if err != nil {
		return nil, err
	}
	h := transcript.Header{Conversation: id.String(), Name: v.Name(), After: x.After.Name, Before: x.Before.Name}
	for _, m := range v.Members {
		h.Members = append(h.Members, m.User.String())
	}
	part := x.part()
	if part.Before == 0 { // what comes meanwhile is no part of it
		newest, err := c.cfg.Profile.Newest()
		if err != nil {
			return nil, err
		}
		part.Before = newest + 1
	}
	all, fleeting, err := c.cfg.Profile.CountPart(id, part)
	if err != nil {
		return nil, err
	}
	h.LeftOut = fleeting
	if h.States, err = c.ownStates(ctx, account.State); err != nil {
		return nil, err
	}
	out, err := transcript.NewWriter(w, random, h, account.User, account.Device.ID())
	if err != nil {
		return nil, err
	}
	done := &Exported{LeftOut: h.LeftOut, Key: account.State.Key}
	if err := c.export(ctx, id, part, func(e *profile.Entry) error {
		hide := slices.ContainsFunc(x.Redact, func(r Ref) bool { return r.Position == e.Position || e.Kind == KindEdit && r.Position == e.Target })
		line, err := exported(e)
		if err != nil {
			return err
		}
		if done.Entries++; hide {
			done.Redacted++
		}
		if x.Progress != nil {
			x.Progress(done.Entries, all)
		}
		return out.Add(line, hide)
	}); err != nil {
		return nil, err
	}
	return done, out.Seal(c.cfg.Clock(), account.Device.SignTranscript)
}

// export gives the entries of a part of a conversation to f.
func (c *Client) export(ctx context.Context, id qpq.ChannelID, part profile.Part, f func(*profile.Entry) error) error {
	for {
		list, err := c.cfg.Profile.InPart(id, part, exportPage)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, e := range list {
			if err := f(&e); err != nil {
				return err
			}
			part.After = e.Position
		}
		if err := ctx.Err(); err != nil {
			return qpq.Wrap(qpq.Unavailable, "cancelled", "given up on request", err)
		}
	}
}

// exported returns an entry as transcripts have it.
func exported(e *profile.Entry) (transcript.Entry, error) {
	t := transcript.Entry{Type: "message", Time: e.Time.UTC()}
	if e.State == profile.Noticed {
		t.Type, t.Code, t.Text = "notice", e.Code, string(e.Content)
		return t, nil
	}
	t.ID, t.Sender, t.Device, t.Kind = MessageID(e.ID).String(), e.Sender.String(), e.Device.String(), kindNames[e.Kind]
	if len(e.Content) == 0 {
		t.Gone = goneNames[e.Gone]
		return t, nil
	}
	t.Message = e.Content
	m, err := wire.Unmarshal[wire.Message](e.Content)
	if err != nil {
		return t, err
	}
	t.Text, _ = said(m.Body)
	ref := func(r wire.MessageRef) {
		t.Target = &transcript.Ref{Sender: r.Sender.String(), ID: hex.EncodeToString(r.ID[:])}
	}
	switch b := m.Body.(type) {
	case wire.ReplyBody:
		ref(b.Target)
	case wire.ReactionBody:
		ref(b.Target)
		t.Removed = b.Remove
	case wire.EditBody:
		ref(b.Target)
	case wire.DeleteBody:
		ref(b.Target)
	case wire.FileBody:
		t.File = &transcript.File{Name: b.Name, MediaType: b.MediaType, Size: b.Size, SHA256: b.Digest[:]}
	}
	return t, nil
}

var kindNames = map[Kind]string{
	KindText: "text", KindReply: "reply", KindFile: "file", KindViewOnce: "view-once", KindSystem: "system", KindUnknown: "unknown",
	KindReaction: "reaction", KindEdit: "edit", KindDelete: "delete",
}

var goneNames = map[Gone]string{Deleted: "deleted", Expired: "expired", Viewed: "viewed"}

// current returns the connection in use, nil where there is none.
func (c *Client) current(ctx context.Context) (*session, error) {
	if err := c.connecting.take(ctx); err != nil {
		return nil, err
	}
	defer c.connecting.give()
	if c.session == nil || !c.session.alive() {
		return nil, nil
	}
	return c.session, nil
}

// ownStates returns the states of the own account up to one, from the first on where the server can be asked, so that those can follow them who
// know an older one.
func (c *Client) ownStates(ctx context.Context, newest *identity.AccountState) ([][]byte, error) {
	alone := [][]byte{newest.Bytes()}
	s, err := c.current(ctx)
	if err != nil || s == nil || newest.Version == 1 {
		return alone, err
	}
	list, err := states(ctx, s, nil, newest)
	if err != nil && ctx.Err() == nil {
		return alone, nil // a server that is gone or lies about it takes nothing from what is known
	}
	return list, err
}

// states returns the account states from one that follows after, which may be nil, up to newest, as the server has them.
func states(ctx context.Context, s *session, after, newest *identity.AccountState) (list [][]byte, err error) {
	for after == nil || after.Version < newest.Version {
		var version uint64
		if after != nil {
			version = after.Version
		}
		reply, err := wire.Call(ctx, s, wire.AccountLookup{User: newest.User, After: version})
		if err != nil {
			return nil, unreachable(s.address, err)
		}
		more := reply.States[:min(uint64(len(reply.States)), newest.Version-version)]
		if len(more) == 0 {
			return nil, qpq.E(qpq.Damaged, "bad-chain", fmt.Sprintf("the server leaves out versions of the account %s", newest.User))
		}
		if after, err = identity.VerifyChain(after, more); err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	if after.Hash() != newest.Hash() {
		return nil, qpq.E(qpq.Damaged, "bad-chain", fmt.Sprintf("the server shows another account %s than this device knows", newest.User))
	}
	return list, nil
}
