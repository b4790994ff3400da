package wire

import (
	"crypto/sha256"
	"fmt"
	"testing"
)

// BenchmarkMessageReceipts: what a receipt takes, by how many are signed together.
func BenchmarkMessageReceipts(b *testing.B) {
	hub, key := testHub()
	for _, n := range []int{1, 10, 100, 1000} {
		requests, replies, leaves := batch(hub, n)
		payload := sha256.Sum256(requests[0].Payload)
		b.Run(fmt.Sprintf("sign/%d", n), func(b *testing.B) {
			for range b.N {
				for i := range leaves {
					leaves[i] = MessageLeaf(&requests[i], payload, replies[i])
				}
				SignMessages(hub, leaves, replies)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/1000/float64(b.N*n), "µs/receipt")
		})
		b.Run(fmt.Sprintf("verify/%d", n), func(b *testing.B) {
			for range b.N {
				if !VerifyMessage(key, requests[0], *replies[0]) {
					b.Fatal("refused")
				}
			}
		})
	}
}
