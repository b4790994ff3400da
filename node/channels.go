package node

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// maxChunkBytes is how many bytes of chunks a reply carries, and of payloads that of an inbox.
const maxChunkBytes = 4 << 20

// maxChannels is how many channels of an account are listed.
const maxChannels = 65536

func (s *Server) channelCreate(ctx context.Context, c *conn, q wire.ChannelCreate) (wire.ChannelCreateReply, error) {
	var none wire.ChannelCreateReply
	user, device := c.who()
	f, err := wire.Unmarshal[wire.Founding](q.Founding)
	if err != nil {
		return none, err
	}
	if err := s.checkFounding(f); err != nil {
		return none, err
	}
	if f.Creator != (wire.MemberDevice{User: user, Device: device}) {
		return none, badFounding("its creator is another device than this one")
	}
	receipt := wire.SlotReceipt{Commit: sha256.Sum256(q.Founding), Time: now()}
	n := s.newChannel(f, q.Founding, wire.SignSlot(s.cfg.SigningKey, f.Channel, receipt))
	if n.Group, err = s.groupState(q.Group); err != nil {
		return none, err
	}
	if q.Group.AccessSlot != 0 {
		return none, badFounding("its access key is of another slot")
	}
	if size, most := n.Group.Size(), handshakeSize(0, len(n.Roster)+1); size > most {
		return none, qpq.E(qpq.TooLarge, wire.CodeHandshakeTooLarge, fmt.Sprintf("the group state of a new conversation has %d bytes, and at most %d belong to it", size, most))
	}
	taken, err := s.mayFound(ctx, user.Name, n.Now)
	if err != nil {
		return none, err
	}
	id, slot, created, err := s.cfg.Store.CreateChannel(ctx, n)
	if err != nil || !created {
		s.forgive(ctx, taken)
	}
	if err != nil {
		return none, contract(err)
	}
	r := wire.ChannelCreateReply{Channel: id, Created: created}
	if created {
		signed := receiptOf(slot)
		r.Receipt = &signed
	}
	return r, nil
}

// mayFound counts one more conversation that an account founds within a day, or fails with RateLimited.
func (s *Server) mayFound(ctx context.Context, name string, at time.Time) (store.Attempt, error) {
	subject := sha256.Sum256([]byte("conversations of an account\x00" + name))
	taken, err := s.cfg.Store.CountAttempt(ctx, subject[:], store.Budget{Limit: int64(s.limits.Channels), Window: day}, at)
	if errors.Is(err, qpq.RateLimited) {
		err = qpq.E(qpq.RateLimited, "too-many-conversations", fmt.Sprintf("the account founded %d conversations within a day, the most there may be: try again in %s",
			s.limits.Channels, taken.Closes.Sub(at).Round(time.Second)))
	}
	return taken, err
}

// now is the time as receipts have it, in milliseconds.
func now() time.Time { return time.Now().Truncate(time.Millisecond).UTC() }

func badFounding(why string) error {
	return qpq.E(qpq.Invalid, "bad-founding", "a conversation cannot begin so: "+why)
}

// checkFounding fails unless this server may be the hub of what is founded.
func (s *Server) checkFounding(f wire.Founding) error {
	switch {
	case f.Channel.IsZero():
		return badFounding("it has no id")
	case f.Domain != s.cfg.Domain || f.HubKey != [32]byte(s.cfg.SigningKey.Public().(ed25519.PublicKey)):
		return badFounding("it names another server")
	case !f.Direct && !f.Peer.IsZero():
		return badFounding("it names a peer, and is not direct")
	case f.Peer == f.Creator.User:
		return badFounding("its peer is its creator, who is left out where somebody is alone")
	}
	if f.Peer.IsZero() {
		return nil
	}
	return s.home(f.Peer)
}

// newChannel returns what the store makes of a founding.
func (s *Server) newChannel(f wire.Founding, founding []byte, receipt wire.SlotReceipt) store.NewChannel {
	n := store.NewChannel{ID: f.Channel, Founding: founding, Account: f.Creator.User.Name, Device: f.Creator.Device, Slot: slotOf(receipt), Now: now()}
	role := wire.RoleOwner
	if f.Direct {
		role = wire.RoleMember
		n.Pair = [2]string{f.Creator.User.Name, f.Creator.User.Name}
		if !f.Peer.IsZero() {
			n.Pair[1] = f.Peer.Name
			n.Roster.Put(f.Peer.Name, uint8(wire.RoleMember))
		}
	}
	n.Roster.Put(f.Creator.User.Name, uint8(role))
	n.Roster.Join(f.Creator.User.Name, f.Creator.Device)
	return n
}

// groupState returns a group state as the store keeps it.
func (s *Server) groupState(g wire.GroupState) (store.GroupState, error) {
	out := store.GroupState{Info: g.GroupInfo, AccessSlot: int64(g.AccessSlot), Chunks: map[[32]byte][]byte{}, Keys: map[string][]byte{}}
	for _, h := range g.Manifest {
		if len(h) != 32 {
			return out, qpq.E(qpq.Invalid, wire.CodeBadClaim, "the manifest of the ratchet tree has something that is no hash")
		}
		out.Manifest = append(out.Manifest, [32]byte(h))
	}
	for _, chunk := range g.Chunks {
		out.Chunks[sha256.Sum256(chunk)] = chunk
	}
	for _, k := range g.AccessKeys {
		if err := s.home(k.User); err != nil {
			return out, err
		}
		out.Keys[k.User.Name] = k.Data
	}
	return out, nil
}

func receiptOf(s store.Slot) wire.SlotReceipt {
	r := wire.SlotReceipt{Slot: uint64(s.Number), Parent: uint64(s.Parent), Time: s.Time}
	copy(r.Previous[:], s.Previous)
	copy(r.Commit[:], s.Hash)
	copy(r.Signature[:], s.Signature)
	return r
}

func slotOf(r wire.SlotReceipt) store.Slot {
	return store.Slot{Number: int64(r.Slot), Parent: int64(r.Parent), Previous: r.Previous[:], Hash: r.Commit[:], Time: r.Time, Signature: r.Signature[:]}
}

// local returns the id of an account of this server.
func (s *Server) local(name string) qpq.UserID { return qpq.UserID{Name: name, Domain: s.cfg.Domain} }

func (s *Server) channelInfo(ctx context.Context, c *conn, q wire.ChannelInfo) (wire.ChannelInfoReply, error) {
	user, _ := c.who()
	ch, err := s.cfg.Store.Channel(ctx, q.Channel, user.Name)
	if err != nil {
		return wire.ChannelInfoReply{}, contract(err)
	}
	r := wire.ChannelInfoReply{Founding: ch.Founding, Head: receiptOf(ch.Head), Sequence: uint64(ch.Sequence), Policy: policyOf(ch.Policy), Members: s.members(ch.Roster)}
	if ch.Creation != nil {
		creation := receiptOf(*ch.Creation)
		r.Creation = &creation
	}
	return r, nil
}

func (s *Server) channelsList(ctx context.Context, c *conn, _ wire.ChannelsList) (wire.ChannelsListReply, error) {
	var r wire.ChannelsListReply
	user, _ := c.who()
	list, err := s.cfg.Store.Channels(ctx, user.Name, maxChannels)
	for _, h := range list {
		r.Channels = append(r.Channels, wire.ChannelHead{Channel: h.ID, Slot: uint64(h.Slot), Sequence: uint64(h.Sequence), Commit: [32]byte(h.Hash)})
	}
	return r, contract(err)
}

func (s *Server) channelGroup(ctx context.Context, c *conn, q wire.ChannelGroup) (wire.ChannelGroupReply, error) {
	user, _ := c.who()
	g, err := s.cfg.Store.ChannelGroup(ctx, q.Channel, user.Name, int64(min(q.Slot, 1<<62)))
	return wire.ChannelGroupReply{Slot: uint64(g.Slot), GroupInfo: g.Info, Manifest: g.Manifest, AccessSlot: uint64(g.AccessSlot), AccessKey: g.Key,
		Members: s.members(g.Roster), Policy: policyOf(g.Policy)}, contract(err)
}

func policyOf(p store.Policy) wire.ChannelPolicy {
	return wire.ChannelPolicy{TimerSeconds: uint32(p.Timer / time.Second), MaxPayload: uint32(p.Payload)}
}

// members returns a roster as members see it.
func (s *Server) members(r store.Roster) (list []wire.Member) {
	for _, m := range r {
		list = append(list, wire.Member{User: s.local(m.Account), Role: wire.Role(m.Role), Devices: m.Devices})
	}
	return list
}

func (s *Server) channelChunks(ctx context.Context, c *conn, q wire.ChannelChunks) (wire.ChannelChunksReply, error) {
	user, _ := c.who()
	chunks, err := s.cfg.Store.ChannelChunks(ctx, q.Channel, user.Name, q.Hashes, maxChunkBytes)
	return wire.ChannelChunksReply{Chunks: chunks}, contract(err)
}

func (s *Server) channelLeave(ctx context.Context, c *conn, q wire.ChannelLeave) (wire.ChannelLeaveReply, error) {
	user, device := c.who()
	l := store.Leave{Channel: q.Channel, Account: user.Name, Device: device, Goodbye: q.Goodbye, Now: now(), Retention: s.limits.Retention}
	if len(q.Goodbye) > 0 {
		header, err := readMessage(q.Channel, q.Goodbye)
		if err != nil {
			return wire.ChannelLeaveReply{}, err
		}
		l.Epoch = int64(min(header.Epoch, maxSlot))
	}
	notices, err := s.cfg.Store.LeaveChannel(ctx, l)
	if err != nil {
		return wire.ChannelLeaveReply{}, contract(err)
	}
	s.announce(notices, c)
	return wire.ChannelLeaveReply{}, nil
}
