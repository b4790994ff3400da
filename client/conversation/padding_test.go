package conversation

import "testing"

func TestSizeClasses(t *testing.T) {
	for n, want := range map[int]int{0: 256, 1: 256, 256: 256, 257: 512, 512: 512, 513: 1024, 2049: 4096, 4096: 4096, 4097: 4608, 4608: 4608, 8192: 8192, 8193: 9216, 65536: 65536, 65537: 73728} {
		if got := SizeClass(n); got != want {
			t.Errorf("%d bytes become %d and not %d", n, got, want)
		}
	}
	last := 0
	for n := range 1 << 20 {
		class := SizeClass(n)
		if class < n || class < last || SizeClass(class) != class || n > largestPower && class > n+n/8 {
			t.Fatalf("%d bytes become %d", n, class)
		}
		last = class
	}
}
