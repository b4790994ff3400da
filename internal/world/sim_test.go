package world

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

var (
	first = flag.Uint64("first", 0, "the first seed to play")
	seeds = flag.Uint64("seeds", 20, "how many seeds to play")
	tell  = flag.Bool("tell", false, "tell the whole story")
)

func TestSim(t *testing.T) {
	for seed := *first; seed < *first+*seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			failures, story := Play(t, Chance(seed), Plant{})
			if len(failures) > 0 {
				t.Errorf("seed %d:\n%s\n\n%s", seed, strings.Join(failures, "\n"), strings.Join(story, "\n"))
			} else if *tell {
				t.Log("\n" + strings.Join(story, "\n"))
			}
		})
	}
}
