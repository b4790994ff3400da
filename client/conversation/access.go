package conversation

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// What the hub keeps for devices that join by themselves, under the access key (docs/protocol.md, section 12.3).

// pieceLeaves is how many leaves of the ratchet tree a chunk has.
const pieceLeaves = 64

const accessWhat = "channel access key"

// exporter is what derives secrets from an epoch: a group, or a commit that starts one.
type exporter interface {
	Export(label string, context []byte, n int) ([]byte, error)
}

func exportAccess(e exporter, id qpq.ChannelID, slot uint64) (Access, error) {
	key, err := e.Export("quicproquo access key", id[:], 32)
	return Access{slot, key}, err
}

// clone copies an access key, so that who wipes one has the other left.
func (a Access) clone() Access { return Access{a.Slot, slices.Clone(a.Key)} }

// aead returns the cipher for a purpose.
func (a Access) aead(label string) (cipher interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}, err error) {
	key, err := a.derive(label)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return chacha20poly1305.NewX(key)
}

func (a Access) derive(label string) ([]byte, error) {
	return hkdf.Expand(sha256.New, a.extract(), label, 32)
}

func (a Access) extract() []byte {
	b, err := hkdf.Extract(sha256.New, a.Key, nil)
	if err != nil {
		panic("conversation: " + err.Error()) // only where FIPS mode forbids the key's length
	}
	return b
}

func infoData(id qpq.ChannelID, slot uint64) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(id[:]), slot)
}

func pieceData(id qpq.ChannelID, index int) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(id[:]), uint32(index))
}

func (g *Group) random() io.Reader {
	if g.config.Rand != nil {
		return g.config.Rand
	}
	return rand.Reader
}

// sealState returns the group state after a slot. Chunks are left out that are the same in before, the ratchet tree of the slot
// that this one builds on; nil leaves out none.
func (g *Group) sealState(slot uint64, access Access, info, ratchetTree, before []byte) (*wire.GroupState, error) {
	aead, err := access.aead("quicproquo group info v1")
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	if _, err := io.ReadFull(g.random(), nonce); err != nil {
		return nil, err
	}
	state := &wire.GroupState{AccessSlot: access.Slot, GroupInfo: aead.Seal(nonce, nonce, info, infoData(g.founding.Channel, slot))}
	pieces, err := g.mls.CutRatchetTree(ratchetTree, pieceLeaves)
	if err != nil {
		return nil, err
	}
	var known [][]byte
	if before != nil {
		if known, err = g.mls.CutRatchetTree(before, pieceLeaves); err != nil {
			return nil, err
		}
	}
	for i, piece := range pieces {
		sealed, err := g.sealPiece(access, i, piece)
		if err != nil {
			return nil, err
		}
		hash := sha256.Sum256(sealed)
		state.Manifest = append(state.Manifest, hash[:])
		if i >= len(known) || !bytes.Equal(piece, known[i]) {
			state.Chunks = append(state.Chunks, sealed)
		}
	}
	return state, nil
}

// sealPiece seals a piece of the ratchet tree, always to the same bytes: the nonce is drawn from the content.
func (g *Group) sealPiece(access Access, index int, piece []byte) ([]byte, error) {
	aead, err := access.aead("quicproquo tree v1")
	if err != nil {
		return nil, err
	}
	key, err := access.derive("quicproquo tree nonce v1")
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(index)))
	mac.Write(piece)
	nonce := mac.Sum(make([]byte, 0, 64))[:chacha20poly1305.NonceSizeX:chacha20poly1305.NonceSizeX]
	return aead.Seal(nonce, nonce, piece, pieceData(g.founding.Channel, index)), nil
}

// grant seals the access key to accounts.
func (g *Group) grant(members []wire.MemberRole, access Access) (list []wire.SealedAccessKey, err error) {
	content := append(binary.BigEndian.AppendUint64(nil, access.Slot), access.Key...)
	defer clear(content)
	for _, m := range members {
		state, err := g.config.Account(m.User)
		if err != nil {
			return nil, err
		}
		if state == nil {
			return nil, &UnknownDevices{Devices: []wire.MemberDevice{{User: m.User}}}
		}
		sealed, err := identity.SealTo(state, accessWhat, g.founding.Channel.String(), content)
		if err != nil {
			return nil, fmt.Errorf("seal the access key to %s: %w", m.User, err)
		}
		list = append(list, wire.SealedAccessKey{User: m.User, Data: sealed})
	}
	return list, nil
}

// OpenAccess opens an access key that a member sealed to the account of a vault key. It fails with qpq.Denied.
func OpenAccess(key *identity.VaultKey, user qpq.UserID, id qpq.ChannelID, sealed []byte) (Access, error) {
	b, err := key.OpenSealed(user, accessWhat, id.String(), sealed)
	if err != nil {
		return Access{}, err
	}
	if len(b) != 8+32 {
		return Access{}, qpq.E(qpq.Invalid, "bad-access-key", "the access key of a conversation has the wrong size")
	}
	return Access{Slot: binary.BigEndian.Uint64(b), Key: b[8:]}, nil
}

// State is what a hub keeps of a group after a slot, opened.
type State struct {
	Slot        uint64
	GroupInfo   []byte
	RatchetTree []byte
	Access      Access
}

// OpenState opens what a hub answered: a group's state, and all chunks that its manifest names, in order. It fails with qpq.Denied.
func OpenState(access Access, id qpq.ChannelID, r *wire.ChannelGroupReply, chunks [][]byte) (*State, error) {
	info, err := open(access, "quicproquo group info v1", r.GroupInfo, infoData(id, r.Slot))
	if err != nil {
		return nil, err
	}
	pieces := make([][]byte, len(chunks))
	for i, c := range chunks {
		if pieces[i], err = open(access, "quicproquo tree v1", c, pieceData(id, i)); err != nil {
			return nil, err
		}
	}
	return &State{Slot: r.Slot, GroupInfo: info, RatchetTree: mls.JoinRatchetTree(pieces), Access: access}, nil
}

func open(access Access, label string, sealed, data []byte) ([]byte, error) {
	aead, err := access.aead(label)
	if err != nil {
		return nil, err
	}
	if len(sealed) >= chacha20poly1305.NonceSizeX {
		if b, err := aead.Open(nil, sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:], data); err == nil {
			return b, nil
		}
	}
	return nil, qpq.E(qpq.Denied, "bad-group-state", "the group state that the server keeps does not open: it was altered, or whoever made it lied")
}
