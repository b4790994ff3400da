package tree

import (
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/suite"
)

// Cut cuts the content of an encoded tree behind every n nodes, n at least 1. The pieces alias data.
func Cut(s *suite.Suite, data []byte, n, limit int) ([][]byte, error) {
	nodes, err := New(s).split(data, limit)
	if err != nil {
		return nil, fmt.Errorf("cut ratchet tree: %w", err)
	}
	d := codec.NewDecoder(data)
	rest := d.Vec()
	var pieces [][]byte
	for len(nodes) > 0 {
		k, size := min(n, len(nodes)), 0
		for _, node := range nodes[:k] {
			size++
			if node != nil {
				size += 1 + len(node) // its type
			}
		}
		pieces = append(pieces, rest[:size:size])
		nodes, rest = nodes[k:], rest[size:]
	}
	return pieces, nil
}

// Join puts together what Cut cut.
func Join(pieces [][]byte) []byte {
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	b := codec.AppendVarint(make([]byte, 0, size+codec.VarintSize(size)), size)
	for _, p := range pieces {
		b = append(b, p...)
	}
	return b
}
