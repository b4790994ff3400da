package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/mls/frame"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// maxInboxRows is how many rows a reply carries.
const maxInboxRows = 1024

// maxInboxWait bounds a long poll at an inbox.
const maxInboxWait = 60 * time.Second

func seconds[T uint16 | uint32](n T) time.Duration { return time.Duration(n) * time.Second }

// hubKey is the key that receipts are verified with.
func (s *Server) hubKey() [32]byte { return [32]byte(s.cfg.SigningKey.Public().(ed25519.PublicKey)) }

// readMessage returns the header of what members send one another: an application message or a proposal, encrypted; or a member's proposal in
// the clear, as leaving is (draft-ietf-mls-extensions).
func readMessage(channel qpq.ChannelID, payload []byte) (frame.Header, error) {
	h, err := frame.Parse(payload)
	switch {
	case err != nil:
		return h, badMessage("it is malformed")
	case h.WireFormat == frame.PublicMessage && (h.ContentType != frame.Proposal || h.Sender != frame.Member),
		h.WireFormat != frame.PublicMessage && h.WireFormat != frame.PrivateMessage, h.ContentType == frame.Commit:
		return h, badMessage("it is neither an encrypted message nor a proposal of a member")
	case !bytes.Equal(h.GroupID, groupID(channel)):
		return h, badMessage("it is of another group")
	}
	return h, nil
}

func (s *Server) send(ctx context.Context, c *conn, q wire.Send) (wire.SendReply, error) {
	var none wire.SendReply
	user, device := c.who()
	header, err := readMessage(q.Channel, q.Payload)
	if err != nil {
		return none, err
	}
	if len(q.Payload) > s.limits.Payload {
		return none, qpq.E(qpq.TooLarge, wire.CodePayloadTooLarge, fmt.Sprintf("the message has %d bytes, and this server takes at most %d", len(q.Payload), s.limits.Payload))
	}
	blobs, err := blobsOf(q)
	if err != nil {
		return none, err
	}
	hash := sha256.Sum256(q.Payload)
	m := store.Message{Channel: q.Channel, ID: q.ID, Account: user.Name, Device: device, Epoch: int64(min(header.Epoch, maxSlot)), Hash: hash[:], Payload: q.Payload, Application: header.ContentType == frame.Application,
		Now: now(), Retention: s.limits.Retention, Quota: int64(s.limits.Inbox), Blobs: blobs, BlobLook: blobLook, BlobLeast: blobUnused}
	r := &receipt{hub: s.cfg.SigningKey, request: &q, payload: hash}
	m.Receipt = r
	if q.TTLSeconds > 0 {
		m.Retention = min(m.Retention, seconds(q.TTLSeconds))
	}
	sent, err := s.cfg.Store.Send(ctx, m)
	if err != nil {
		return none, contract(err)
	}
	s.rates.charge(c, len(sent.Notices), m.Now)
	s.hand(sent.Notices, c, wire.InboxRow{Kind: wire.InboxKindMessage, Channel: q.Channel, ChannelSequence: uint64(sent.Sequence), Time: sent.Time,
		From: &wire.MemberDevice{User: user, Device: device}, ID: q.ID, Payload: q.Payload})
	for _, n := range sent.Notices {
		if n.Account == user.Name {
			r.reply.Inbox = uint64(n.Seq)
		}
	}
	return r.reply, nil
}

// receipt is that of a message on its way through the store.
type receipt struct {
	hub     ed25519.PrivateKey
	request *wire.Send
	payload [32]byte // SHA-256
	reply   wire.SendReply
}

// Accept implements store.Receipt.
func (r *receipt) Accept(sequence int64, at time.Time) {
	r.reply.Sequence, r.reply.Time = uint64(sequence), at
}

// Sign implements store.Receipt.
func (r *receipt) Sign(all []store.Receipt) {
	for batch := range slices.Chunk(all, wire.MaxBatch) {
		leaves, replies := make([][32]byte, len(batch)), make([]*wire.SendReply, len(batch))
		for i, one := range batch {
			k := one.(*receipt)
			leaves[i], replies[i] = wire.MessageLeaf(k.request, k.payload, &k.reply), &k.reply
		}
		wire.SignMessages(r.hub, leaves, replies)
	}
}

func (s *Server) sendEphemeral(ctx context.Context, c *conn, q wire.SendEphemeral) (wire.SendEphemeralReply, error) {
	var none wire.SendEphemeralReply
	user, device := c.who()
	if _, err := readMessage(q.Channel, q.Payload); err != nil {
		return none, err
	}
	members, err := s.cfg.Store.ChannelMembers(ctx, q.Channel, user.Name, device)
	if err != nil {
		return none, contract(err)
	}
	s.rates.charge(c, len(members), now())
	for _, name := range members {
		s.pushAccount(name, c, wire.EphemeralPush(q))
	}
	return none, nil
}

func (s *Server) inboxFetch(ctx context.Context, c *conn, q wire.InboxFetch) (wire.InboxFetchReply, error) {
	var none wire.InboxFetchReply
	user, device := c.who()
	w := s.waiters.register(user.Name, c) // before looking: what comes from here on is not missed
	defer s.waiters.forget(user.Name, c, w)
	timer := time.NewTimer(min(seconds(q.WaitSeconds), maxInboxWait))
	defer timer.Stop()
	for {
		in, err := s.readInbox(ctx, user.Name, device, q)
		if err != nil {
			return none, err
		}
		if len(in.Rows) > 0 || q.WaitSeconds == 0 || in.Lapsed || int64(min(q.Acknowledged, maxSlot)) > in.Acknowledged {
			return s.inboxReply(in), nil
		}
		select {
		case <-w.woken:
		case <-timer.C:
			q.WaitSeconds = 0
		case <-w.ended:
			return s.inboxReply(in), nil
		case <-s.drained:
			return s.inboxReply(in), nil
		case <-ctx.Done():
			return none, qpq.Wrap(qpq.Unavailable, "cancelled", "the request was given up", context.Cause(ctx))
		}
	}
}

// readInbox reads rows, and notes that the device is there, once a day.
func (s *Server) readInbox(ctx context.Context, name string, device qpq.DeviceID, q wire.InboxFetch) (store.Inbox, error) {
	at := now()
	f := store.Fetch{Account: name, Device: device, After: int64(min(q.After, maxSlot)), Limit: int64(q.Limit), Size: maxChunkBytes, Now: at}
	if f.Limit == 0 || f.Limit > maxInboxRows {
		f.Limit = maxInboxRows
	}
	in, err := s.cfg.Store.Inbox(ctx, f)
	if err == nil && at.Sub(in.Seen) > day {
		err = s.cfg.Store.NoteDevice(ctx, name, device, at)
	}
	return in, contract(err)
}

func (s *Server) inboxReply(in store.Inbox) wire.InboxFetchReply {
	r := wire.InboxFetchReply{Head: uint64(in.Head), Acknowledged: uint64(in.Acknowledged), Lapsed: in.Lapsed}
	for _, row := range in.Rows {
		out := wire.InboxRow{Sequence: uint64(row.Seq), Kind: wire.InboxKind(row.Kind), Channel: row.Channel, ChannelSequence: uint64(row.Sequence),
			Time: row.Time, Payload: row.Payload, Device: row.For}
		copy(out.ID[:], row.ID)
		if row.Account != "" {
			out.From = &wire.MemberDevice{User: s.local(row.Account), Device: row.Device}
		}
		if row.Slot != nil {
			receipt := receiptOf(*row.Slot)
			out.Receipt = &receipt
		}
		r.Rows = append(r.Rows, out)
	}
	return r
}

func (s *Server) inboxAck(ctx context.Context, c *conn, q wire.InboxAck) (wire.InboxAckReply, error) {
	user, device := c.who()
	a := store.Acknowledgement{Account: user.Name, Device: device, Seq: int64(min(q.Sequence, maxSlot)), Now: now(), Lapse: s.limits.Lapse}
	return wire.InboxAckReply{}, contract(s.cfg.Store.Acknowledge(ctx, a))
}
