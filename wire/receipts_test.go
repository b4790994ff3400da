package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
)

// TestReceipts: a receipt counts for what it says and nothing else, and keeps doing so on its way through the encoding.
func TestReceipts(t *testing.T) {
	hub := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	key := [32]byte(hub.Public().(ed25519.PublicKey))
	channel := qpq.ChannelID{1}
	slot := SlotReceipt{Slot: 3, Parent: 2, Previous: [32]byte{4}, Commit: [32]byte{5}, Time: time.UnixMilli(1_700_000_000_123)}
	want := hex.EncodeToString([]byte("quicproquo slot v1")) + "00" + "01000000000000000000000000000000" + "0000000000000003" + "0000000000000002" +
		"0400000000000000000000000000000000000000000000000000000000000000" + "0500000000000000000000000000000000000000000000000000000000000000" + "0000018bcfe5687b"
	if got := hex.EncodeToString(SlotStatement(channel, slot)); got != want {
		t.Errorf("the statement is\n%s, want\n%s", got, want)
	}
	signed := SignSlot(hub, channel, slot)
	b, err := Marshal(signed)
	if err != nil {
		t.Fatal(err)
	}
	if signed, err = Unmarshal[SlotReceipt](b); err != nil || !VerifySlot(key, channel, signed) {
		t.Fatalf("the receipt is not accepted: %v", err)
	}
	for what, spoil := range map[string]func(*SlotReceipt){
		"slot": func(r *SlotReceipt) { r.Slot++ }, "parent": func(r *SlotReceipt) { r.Parent++ }, "previous": func(r *SlotReceipt) { r.Previous[31]++ },
		"commit": func(r *SlotReceipt) { r.Commit[31]++ }, "time": func(r *SlotReceipt) { r.Time = r.Time.Add(time.Millisecond) }, "signature": func(r *SlotReceipt) { r.Signature[0]++ },
	} {
		other := signed
		spoil(&other)
		if VerifySlot(key, channel, other) {
			t.Errorf("a receipt with another %s is accepted", what)
		}
	}
	if VerifySlot(key, qpq.ChannelID{2}, signed) || VerifySlot([32]byte{}, channel, signed) {
		t.Error("a receipt counts for another channel or hub")
	}
}
