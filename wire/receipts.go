package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"

	"github.com/quicproquo/qpq"
)

// SlotStatement returns what a hub signs for a slot of a channel. The signature in r is no part of it.
func SlotStatement(channel qpq.ChannelID, r SlotReceipt) []byte {
	b := append([]byte("quicproquo slot v1\x00"), channel[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Slot)
	b = binary.BigEndian.AppendUint64(b, r.Parent)
	b = append(b, r.Previous[:]...)
	b = append(b, r.Commit[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(r.Time.UnixMilli()))
}

// SlotHash returns what the receipt of the slot after r has as Previous.
func SlotHash(channel qpq.ChannelID, r SlotReceipt) [32]byte {
	return sha256.Sum256(SlotStatement(channel, r))
}

// SignSlot returns r with the hub's signature.
func SignSlot(hub ed25519.PrivateKey, channel qpq.ChannelID, r SlotReceipt) SlotReceipt {
	r.Signature = [64]byte(ed25519.Sign(hub, SlotStatement(channel, r)))
	return r
}

// VerifySlot reports whether r has the signature of the hub that has this key.
func VerifySlot(hub [32]byte, channel qpq.ChannelID, r SlotReceipt) bool {
	return ed25519.Verify(hub[:], SlotStatement(channel, r), r.Signature[:])
}

// MaxBatch is how many receipts one signature is for at most.
const MaxBatch = 1024

// MessageLeaf returns what stands for a receipt of q in the tree that the hub signs: the hash of all that it says. payload is the SHA-256 of q.Payload.
func MessageLeaf(q *Send, payload [32]byte, r *SendReply) [32]byte {
	b := make([]byte, 0, 96)
	b = append(b, q.Channel[:]...)
	b = append(b, q.ID[:]...)
	b = append(b, payload[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Sequence)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Time.UnixMilli()))
	return leafHash(b)
}

// batchStatement returns what a hub signs for a tree of receipts.
func batchStatement(size int, root [32]byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte("quicproquo receipts v1\x00"), uint16(size))
	return append(b, root[:]...)
}

// SignMessages signs receipts together, at least one and at most MaxBatch, which have these leaves: it sets what proves each of them. The paths share memory.
func SignMessages(hub ed25519.PrivateKey, leaves [][32]byte, replies []*SendReply) {
	levels := tree(leaves)
	root := levels[len(levels)-1][0]
	signature := [64]byte(ed25519.Sign(hub, batchStatement(len(leaves), root)))
	paths := make([]byte, 0, len(leaves)*(len(levels)-1)*sha256.Size)
	for i, r := range replies {
		before := len(paths)
		paths = appendPath(paths, levels, i)
		r.Signature, r.LeafIndex, r.TreeSize, r.Path = signature, uint16(i), uint16(len(leaves)), paths[before:len(paths):len(paths)]
	}
}

// VerifyMessage reports whether r is the receipt for q of the hub that has this key.
func VerifyMessage(hub [32]byte, q Send, r SendReply) bool {
	if r.TreeSize > MaxBatch {
		return false
	}
	root, ok := rootOf(MessageLeaf(&q, sha256.Sum256(q.Payload), &r), int(r.LeafIndex), int(r.TreeSize), r.Path)
	return ok && ed25519.Verify(hub[:], batchStatement(int(r.TreeSize), root), r.Signature[:])
}
