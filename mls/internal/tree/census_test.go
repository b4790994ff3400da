package tree

import (
	"math/rand/v2"
	"testing"

	"github.com/quicproquo/qpq/mls/message"
)

// TestTypesAreCountedOnce: whatever the length of a member's lists, and however often it repeats itself.
func TestTypesAreCountedOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 15, 16, 17, 18, 100, 5000} {
		list := make([]message.ExtensionType, n)
		want := map[feature]int{}
		for i := range list {
			list[i] = message.ExtensionType(random.IntN(n))
			want[feature{extensionFeature, uint16(list[i])}] = 1
		}
		before := append([]message.ExtensionType{}, list...)
		c := newCensus()
		countListed(c, extensionFeature, list, 1)
		if len(c.listed) != len(want) {
			t.Errorf("%d types counted of %d", len(c.listed), len(want))
		}
		for f := range want {
			if c.listed[f] != 1 {
				t.Errorf("type %d of a list of %d is counted %d times", f.value, n, c.listed[f])
			}
		}
		for i := range list {
			if list[i] != before[i] {
				t.Fatal("the member's own list changed")
			}
		}
		countListed(c, extensionFeature, list, -1)
		if len(c.listed) != 0 {
			t.Errorf("%d types left", len(c.listed))
		}
	}
}

// TestLongListsAreNotSearchedForEachType: a list that would take 10^12 comparisons if each entry were looked for among those before
// it. Nothing is measured: the test does not end in time then.
func TestLongListsAreNotSearchedForEachType(t *testing.T) {
	const types, repeated = 1 << 16, 1 << 25
	list := make([]message.ExtensionType, types+repeated)
	for i := range list {
		list[i] = message.ExtensionType(min(i, types-1))
	}
	c := newCensus()
	countListed(c, extensionFeature, list, 1)
	if len(c.listed) != types {
		t.Errorf("%d types counted of %d", len(c.listed), types)
	}
}
