package world

import (
	"strings"
	"testing"
)

// plants are bugs that the histories must find. A test that finds none of them would not find others either.
var plants = []struct {
	name  string
	plant Plant
	finds string // part of what the oracle says
}{
	{"a disk that acknowledges before it has written", Plant{Lies: true}, ""},
}

func TestPlantedBugsAreFound(t *testing.T) {
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			for seed := range uint64(100) {
				failures, _ := Play(t, Chance(seed), p.plant)
				if len(failures) > 0 && strings.Contains(strings.Join(failures, "\n"), p.finds) {
					t.Logf("seed %d: %s", seed, failures[0])
					return
				}
			}
			t.Error("no history finds it")
		})
	}
}
