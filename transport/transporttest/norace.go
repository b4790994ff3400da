//go:build !race

package transporttest

// stackFactor is by how much stacks are larger with the race detector, which is not there.
const stackFactor = 1
