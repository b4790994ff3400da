package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
)

// merkle is the hash of a tree as RFC 9162, section 2.1.1, defines it.
func merkle(leaves [][32]byte) [32]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	left, right := merkle(leaves[:k]), merkle(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// audit is the inclusion proof of a leaf as RFC 9162, section 2.1.3.1, defines it.
func audit(leaves [][32]byte, m int) []byte {
	if len(leaves) == 1 {
		return nil
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	if m < k {
		right := merkle(leaves[k:])
		return append(audit(leaves[:k], m), right[:]...)
	}
	left := merkle(leaves[:k])
	return append(audit(leaves[k:], m-k), left[:]...)
}

// TestTreeVectors: the roots over the leaves that implementations of Certificate Transparency test with.
func TestTreeVectors(t *testing.T) {
	data := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"}
	var leaves [][32]byte
	for i, text := range data {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leafHash(b))
		levels := tree(leaves)
		if root := levels[len(levels)-1][0]; hex.EncodeToString(root[:]) != roots[i] {
			t.Errorf("the root over %d leaves is %x, want %s", i+1, root, roots[i])
		}
	}
}

// TestTree: roots and paths are those of the definition, for all sizes up to some, and lead to the root from their own leaf, place and size alone.
func TestTree(t *testing.T) {
	var leaves [][32]byte
	for n := 1; n <= 40; n++ {
		leaves = append(leaves, leafHash(fmt.Append(nil, n)))
		levels := tree(leaves)
		root := levels[len(levels)-1][0]
		if want := merkle(leaves); root != want {
			t.Fatalf("the root over %d leaves is %x, want %x", n, root, want)
		}
		for i := range leaves {
			path := appendPath(nil, levels, i)
			if want := audit(leaves, i); !bytes.Equal(path, want) {
				t.Fatalf("the path of leaf %d of %d is %x, want %x", i, n, path, want)
			}
			for place := range n {
				for _, leaf := range leaves[max(0, i-1):min(n, i+2)] {
					got, ok := rootOf(leaf, place, n, path)
					if found := ok && got == root; found != (place == i && leaf == leaves[i]) {
						t.Fatalf("the path of leaf %d of %d counts for %x at %d: %t", i, n, leaf, place, found)
					}
				}
			}
		}
	}
}

// batch are receipts that were signed together, of messages that differ in their ids.
func batch(hub ed25519.PrivateKey, n int) (requests []Send, replies []*SendReply, leaves [][32]byte) {
	for i := range n {
		q := Send{Channel: qpq.ChannelID{1}, Payload: []byte("payload")}
		binary.BigEndian.PutUint32(q.ID[:], uint32(i))
		r := &SendReply{Sequence: uint64(i + 1), Time: time.UnixMilli(1_700_000_000_123)}
		requests, replies, leaves = append(requests, q), append(replies, r), append(leaves, MessageLeaf(&q, sha256.Sum256(q.Payload), r))
	}
	SignMessages(hub, leaves, replies)
	return requests, replies, leaves
}

func testHub() (hub ed25519.PrivateKey, key [32]byte) {
	hub = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	return hub, [32]byte(hub.Public().(ed25519.PublicKey))
}

// TestMessageReceipts: each receipt of a batch counts, after the way through the encoding too, for its message and nothing else.
func TestMessageReceipts(t *testing.T) {
	hub, key := testHub()
	for _, n := range []int{1, 2, 3, 5, 8, 100, MaxBatch - 1, MaxBatch} {
		requests, replies, _ := batch(hub, n)
		for i := 0; i < n; i += max(1, n/7) {
			q := requests[i]
			b, err := Marshal(*replies[i])
			if err != nil {
				t.Fatal(err)
			}
			r, err := Unmarshal[SendReply](b)
			if err != nil || !VerifyMessage(key, q, r) {
				t.Fatalf("receipt %d of %d is not accepted: %v", i, n, err)
			}
			if n == 1 && (len(r.Path) != 0 || len(b) > 128) {
				t.Errorf("a receipt alone has a path of %d bytes, and takes %d in all", len(r.Path), len(b))
			}
			other := q
			other.Payload = []byte("other")
			later, moved := r, r
			later.Sequence++
			moved.Time = moved.Time.Add(time.Millisecond)
			if VerifyMessage(key, other, r) || VerifyMessage(key, q, later) || VerifyMessage(key, q, moved) || VerifyMessage([32]byte{1}, q, r) ||
				VerifyMessage(key, Send{ID: q.ID, Payload: q.Payload}, r) || VerifyMessage(key, Send{Channel: q.Channel, ID: [16]byte{9, 9}, Payload: q.Payload}, r) {
				t.Errorf("receipt %d of %d counts for what it does not say", i, n)
			}
		}
	}
}

// TestForgedReceipts: what was not signed as this leaf of this tree is refused.
func TestForgedReceipts(t *testing.T) {
	hub, key := testHub()
	requests, replies, leaves := batch(hub, 7)
	_, others, _ := batch(hub, 8)
	q, good := requests[2], *replies[2]
	if !VerifyMessage(key, q, good) {
		t.Fatal("the receipt is not accepted")
	}
	for what, spoil := range map[string]func(*SendReply){
		"path that is too long":          func(r *SendReply) { r.Path = append(bytes.Clone(r.Path), make([]byte, 32)...) },
		"path that is too short":         func(r *SendReply) { r.Path = r.Path[:len(r.Path)-32] },
		"path with half a hash":          func(r *SendReply) { r.Path = r.Path[:len(r.Path)-16] },
		"path of another leaf":           func(r *SendReply) { r.Path = replies[3].Path },
		"path that is empty":             func(r *SendReply) { r.Path = nil },
		"place beside its own":           func(r *SendReply) { r.LeafIndex = 3 },
		"place behind the last":          func(r *SendReply) { r.LeafIndex = 7 },
		"place far behind the last":      func(r *SendReply) { r.LeafIndex = 65535 },
		"tree of one more":               func(r *SendReply) { r.TreeSize = 8 },
		"tree without leaves":            func(r *SendReply) { r.TreeSize = 0 },
		"tree of this one alone":         func(r *SendReply) { r.LeafIndex, r.TreeSize, r.Path = 0, 1, nil },
		"tree that is too large":         func(r *SendReply) { r.TreeSize = MaxBatch + 1 },
		"signature of another batch":     func(r *SendReply) { r.Signature = others[2].Signature },
		"path and size of another batch": func(r *SendReply) { r.Path, r.TreeSize = others[2].Path, 8 },
		"signature that was changed":     func(r *SendReply) { r.Signature[63] ^= 1 },
		"signature over its leaf alone": func(r *SendReply) {
			r.Signature, r.LeafIndex, r.TreeSize, r.Path = [64]byte(ed25519.Sign(hub, leaves[2][:])), 0, 1, nil
		},
	} {
		r := good
		spoil(&r)
		if VerifyMessage(key, q, r) {
			t.Errorf("a receipt with a %s is accepted", what)
		}
	}

	// A node is no leaf: with what it is made of as content, a leaf has another hash, and a tree of nodes another root.
	node := nodeHash(leaves[0][:], leaves[1][:])
	if leafHash(append(bytes.Clone(leaves[0][:]), leaves[1][:]...)) == node {
		t.Error("a leaf has the hash of a node")
	}
	levels := tree(leaves)
	if root, ok := rootOf(node, 0, 4, appendPath(nil, levels, 0)[32:]); !ok || root != merkle(leaves) {
		t.Fatal("a node does not lead to the root")
	} else if ed25519.Verify(key[:], batchStatement(4, root), good.Signature[:]) {
		t.Error("the signature of a tree counts for the smaller one whose leaves are its nodes")
	}
}

// FuzzVerifyMessage changes a receipt in any way: it is refused, unless it is as it was signed.
func FuzzVerifyMessage(f *testing.F) {
	hub, key := testHub()
	requests, replies, _ := batch(hub, 11)
	for i := range replies {
		f.Add(uint8(i), replies[i].LeafIndex, replies[i].TreeSize, replies[i].Path, replies[i].Signature[:], replies[i].Sequence)
	}
	f.Add(uint8(0), uint16(0), uint16(0), []byte{}, []byte{}, uint64(0))
	f.Add(uint8(1), uint16(1023), uint16(1024), make([]byte, 320), make([]byte, 64), uint64(2))
	f.Fuzz(func(t *testing.T, i uint8, leaf, size uint16, path, signature []byte, sequence uint64) {
		want := replies[int(i)%len(replies)]
		r := SendReply{Sequence: sequence, Time: want.Time, LeafIndex: leaf, TreeSize: size, Path: path}
		copy(r.Signature[:], signature)
		signed := sequence == want.Sequence && leaf == want.LeafIndex && size == want.TreeSize && bytes.Equal(path, want.Path) && r.Signature == want.Signature
		if got := VerifyMessage(key, requests[int(i)%len(requests)], r); got != signed {
			t.Errorf("accepted: %t, as it was signed: %t", got, signed)
		}
	})
}
