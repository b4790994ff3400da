package conversation

import "math/bits"

// The size classes of what members encrypt: powers of two from smallest to largest, and from there on eight steps to each power of two, as in
// Padmé (Nikitin et al., 2019). Of a message, its length tells its class and no more.
const (
	smallestClass = 256
	largestPower  = 4096
)

// SizeClass returns how many bytes a content of n bytes is made before it is encrypted.
func SizeClass(n int) int {
	if n <= smallestClass {
		return smallestClass
	}
	power := 1 << bits.Len(uint(n-1))
	if power <= largestPower {
		return power
	}
	step := power / 16
	return (n + step - 1) / step * step
}
