package node

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// TestReceiptsOfALargeCommit: receipts of more messages than one tree has are signed in several, and each counts.
func TestReceiptsOfALargeCommit(t *testing.T) {
	hub := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	key := [32]byte(hub.Public().(ed25519.PublicKey))
	all := make([]store.Receipt, wire.MaxBatch+3)
	for i := range all {
		q := &wire.Send{Payload: binary.BigEndian.AppendUint32(nil, uint32(i))}
		all[i] = &receipt{hub: hub, request: q, payload: sha256.Sum256(q.Payload)}
		all[i].Accept(int64(i+1), time.UnixMilli(1_700_000_000_123))
	}
	all[0].Sign(all)
	signatures := map[[64]byte]int{}
	for i, one := range all {
		r := one.(*receipt)
		if signatures[r.reply.Signature]++; i%50 == 0 || i >= wire.MaxBatch {
			if !wire.VerifyMessage(key, *r.request, r.reply) {
				t.Errorf("receipt %d does not count", i)
			}
		}
	}
	if len(signatures) != 2 {
		t.Errorf("there are %d signatures for %d receipts, want 2", len(signatures), len(all))
	}
}
