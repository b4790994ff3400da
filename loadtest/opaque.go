package loadtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/wire"
)

// leastOpaque is how many bytes an opaque message has at least, and leastText a text: what tells one from another.
const (
	leastOpaque = 64
	leastText   = 16
)

// frame is what a server sees of an encrypted message, and accepts: a true header, and bytes by chance.
func frame(channel qpq.ChannelID, epoch uint64, kind message.ContentType, data []byte, size int) []byte {
	m := &message.PrivateMessage{GroupID: conversation.GroupID(channel, 0), Epoch: epoch, Type: kind, AuthenticatedData: data,
		EncryptedSenderData: make([]byte, 8), Ciphertext: make([]byte, size)}
	rand.Read(m.EncryptedSenderData)
	rand.Read(m.Ciphertext)
	return (&message.Message{Private: m}).Marshal()
}

// envelope is an application message of so many bytes that nobody can read.
func envelope(channel qpq.ChannelID, epoch uint64, size int) []byte {
	least := len(frame(channel, epoch, message.ContentApplication, nil, 1)) - 1
	length := size - least
	b := frame(channel, epoch, message.ContentApplication, nil, length)
	if more := len(b) - size; more > 0 { // the length of a long one takes more bytes
		b = frame(channel, epoch, message.ContentApplication, nil, length-more)
	}
	return b
}

// foundOpaque makes a room's conversation, with a true roster and group states and commits that nobody can read; or takes that of an
// earlier run.
func (f *fleet) foundOpaque(ctx context.Context, k *room) error {
	if e, ok := f.book.room(k.name); ok {
		id, err := qpq.ParseChannelID(e.Channel)
		if err != nil {
			return err
		}
		k.epoch = e.Epoch
		k.sit(id)
		return k.emptyAll(ctx)
	}
	made, err := f.beginOpaque(ctx, k)
	if err == nil && !made { // they have a direct one, of a run that kept nothing of it
		k.direct = false
		made, err = f.beginOpaque(ctx, k)
	}
	if err != nil || !made {
		return err
	}
	for left := k.members[1:]; len(left) > 0; {
		some := left[:min(len(left), mostAdded)]
		left = left[len(some):]
		if err := f.addOpaque(ctx, k, some); err != nil {
			return err
		}
	}
	if err := k.emptyAll(ctx); err != nil {
		return err
	}
	return f.book.keep(entry{Room: k.name, Channel: k.id.String(), Epoch: k.epoch})
}

// beginOpaque founds a room's conversation with its first member alone. It reports false where two people have a direct one already.
func (f *fleet) beginOpaque(ctx context.Context, k *room) (bool, error) {
	first := k.members[0]
	founding := wire.Founding{Domain: f.info.Domain, HubKey: f.info.SigningKey, Suite: suites[0], Creator: wire.MemberDevice{User: first.user, Device: first.device.ID()}}
	rand.Read(founding.Channel[:])
	if k.direct {
		founding.Direct, founding.Peer = true, k.members[1].user
	}
	b, err := wire.Marshal(founding)
	if err != nil {
		return false, err
	}
	var reply wire.ChannelCreateReply
	err = patiently(ctx, func() (err error) {
		reply, err = wire.Call(ctx, first, wire.ChannelCreate{Founding: b, Group: opaqueState()})
		return err
	})
	if err != nil || reply.Channel != founding.Channel {
		return false, err
	}
	k.sit(founding.Channel)
	return true, nil
}

// addOpaque adds members to a room by the commit of its next slot.
func (f *fleet) addOpaque(ctx context.Context, k *room, people []*person) error {
	claim := wire.Claim{Slot: k.epoch + 1, Parent: k.epoch}
	for _, p := range people {
		claim.Joined = append(claim.Joined, wire.MemberDevice{User: p.user, Device: p.device.ID()})
		if !k.direct {
			claim.Roles = append(claim.Roles, wire.MemberRole{User: p.user})
		}
	}
	b, err := wire.Marshal(claim)
	if err != nil {
		return err
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	welcome := (&message.Message{Welcome: &message.Welcome{CipherSuite: message.CipherSuite(suites[0]), EncryptedGroupInfo: secret,
		Secrets: []message.EncryptedGroupSecrets{{NewMember: secret}}}}).Marshal()
	q := wire.ChannelCommit{Channel: k.id, Commit: frame(k.id, k.epoch, message.ContentCommit, b, 1024), Welcome: welcome, Group: opaqueState()}
	if err := patiently(ctx, func() error { _, err := wire.Call(ctx, k.members[0], q); return err }); err != nil {
		return err
	}
	k.epoch++
	return nil
}

// opaqueState is a group state of the usual form that nobody can open.
func opaqueState() wire.GroupState {
	info, chunk := make([]byte, 600), make([]byte, 1300)
	rand.Read(info)
	rand.Read(chunk)
	hash := sha256.Sum256(chunk)
	return wire.GroupState{GroupInfo: info, Manifest: [][]byte{hash[:]}, Chunks: [][]byte{chunk}}
}
