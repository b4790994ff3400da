package world

import (
	"os"
	"strings"
	"testing"
	"time"
)

// ordinary is what people do on an ordinary day, with a program and a server that die in between.
const ordinary = `
0s alice/1 register
0s bob/1 register
5s alice/2 login
10s alice/1 group g1 bob
15s bob/1 send g1 one
20s alice/2 send g1 two
25s bob/1 direct alice
30s bob/1 send alice three
35s bob/1 crash
40s alice/1 send g1 four
45s server crash
60s bob/1 send g1 five
65s alice/1 title g1 later
`

// TestLive plays an ordinary day over real sockets, and for as long as QPQ_SOAK says what chance makes up.
func TestLive(t *testing.T) {
	s, err := Parse(ordinary)
	if err != nil {
		t.Fatal(err)
	}
	playLive(t, s)
	soak, err := time.ParseDuration(os.Getenv("QPQ_SOAK"))
	if err != nil {
		return // not now
	}
	seed := uint64(1)
	for began := time.Now(); time.Since(began) < soak; seed++ {
		s := ChanceOf(seed, "")
		s.Weather = Weather{}
		playLive(t, s)
	}
	t.Logf("%d seeds were played", seed-1)
}

func playLive(t *testing.T, s Scenario) {
	t.Helper()
	if failures, story := PlayLive(t, s); len(failures) > 0 {
		t.Errorf("seed %d: %s\n\n%s", s.Seed, strings.Join(failures, "\n"), strings.Join(story, "\n"))
	}
}

// TestSimQUIC plays some seeds over QUIC on a simulated network.
func TestSimQUIC(t *testing.T) {
	for seed := range uint64(4) {
		if failures, story := PlayQUIC(t, Chance(seed+12)); len(failures) > 0 {
			t.Errorf("seed %d: %s\n\n%s", seed+12, strings.Join(failures, "\n"), strings.Join(story, "\n"))
		}
	}
}
