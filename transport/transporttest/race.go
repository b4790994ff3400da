//go:build race

package transporttest

// stackFactor is by how much stacks are larger with the race detector.
const stackFactor = 2
