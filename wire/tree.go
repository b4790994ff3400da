package wire

import "crypto/sha256"

// The Merkle tree of RFC 9162, section 2.1, whose leaves are the receipts that one signature is for. Leaves and nodes are hashed with different
// first bytes, so that none can stand for the other.

const (
	leafPrefix = 0
	nodePrefix = 1
)

func leafHash(data []byte) [32]byte {
	return sha256.Sum256(append([]byte{leafPrefix}, data...))
}

func nodeHash(left, right []byte) [32]byte {
	var b [1 + 2*sha256.Size]byte
	b[0] = nodePrefix
	copy(b[1:], left)
	copy(b[1+sha256.Size:], right)
	return sha256.Sum256(b[:])
}

// tree returns the levels of the tree over some leaves, which are the first: the last has the root alone. A node without a neighbour rises as it is.
func tree(leaves [][32]byte) (levels [][][32]byte) {
	rest := make([][32]byte, 0, len(leaves)+16) // the halves add up to fewer than the leaves and one for each level
	for levels = append(levels, leaves); len(leaves) > 1; levels = append(levels, leaves) {
		above := rest
		for i := 0; i+1 < len(leaves); i += 2 {
			above = append(above, nodeHash(leaves[i][:], leaves[i+1][:]))
		}
		if len(leaves)%2 == 1 {
			above = append(above, leaves[len(leaves)-1])
		}
		leaves, rest = above, above[len(above):]
	}
	return levels
}

// appendPath appends the inclusion proof of a leaf: what stands beside its way to the root.
func appendPath(b []byte, levels [][][32]byte, leaf int) []byte {
	for _, level := range levels {
		if beside := leaf ^ 1; beside < len(level) {
			b = append(b, level[beside][:]...)
		}
		leaf /= 2
	}
	return b
}

// rootOf returns the root of the tree of so many leaves that has a leaf at a place, by its inclusion proof. It reports false where no such tree has a path of
// this length there.
func rootOf(leaf [32]byte, place, size int, path []byte) (root [32]byte, ok bool) {
	if place < 0 || place >= size || len(path)%sha256.Size != 0 {
		return root, false
	}
	root = leaf
	for last := size - 1; last > 0; place, last = place/2, last/2 {
		if place == last && place%2 == 0 { // it has no neighbour, and rises as it is
			continue
		}
		if len(path) == 0 {
			return root, false
		}
		if beside := path[:sha256.Size]; place%2 == 1 {
			root = nodeHash(beside, root[:])
		} else {
			root = nodeHash(root[:], beside)
		}
		path = path[sha256.Size:]
	}
	return root, len(path) == 0
}
