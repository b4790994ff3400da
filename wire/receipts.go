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

// MessageStatement returns what a hub signs for a message that it took. The signature in r is no part of it.
func MessageStatement(q Send, r SendReply) []byte {
	return messageStatement(q.Channel, q.ID, sha256.Sum256(q.Payload), r)
}

func messageStatement(channel qpq.ChannelID, id [16]byte, payload [32]byte, r SendReply) []byte {
	b := append([]byte("quicproquo receipt v1\x00"), channel[:]...)
	b = append(b, id[:]...)
	b = append(b, payload[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Sequence)
	return binary.BigEndian.AppendUint64(b, uint64(r.Time.UnixMilli()))
}

// SignMessage returns r with the hub's signature; payload is the SHA-256 of q.Payload.
func SignMessage(hub ed25519.PrivateKey, q Send, payload [32]byte, r SendReply) SendReply {
	r.Signature = [64]byte(ed25519.Sign(hub, messageStatement(q.Channel, q.ID, payload, r)))
	return r
}

// VerifyMessage reports whether r is the receipt for q of the hub that has this key.
func VerifyMessage(hub [32]byte, q Send, r SendReply) bool {
	return ed25519.Verify(hub[:], MessageStatement(q, r), r.Signature[:])
}
