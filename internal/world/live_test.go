package world

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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
50s alice/2 offline
55s alice/2 send g1 five
60s bob/1 send g1 six
65s alice/1 title g1 later
70s bob/1 reply g1 1 seven
72s alice/2 react g1 0 👍
73s alice/1 edit g1 1 eight
75s alice/1 file g1 nine
80s bob/1 fetch g1 0
82s bob/1 read g1
84s bob/1 meddle g1 1 ten
86s bob/1 unsay g1 0
88s alice/1 whisper bob secret
92s bob/1 view alice 0
95s alice/1 timer g1 1s
98s alice/2 send g1 eleven
`

// rough are seeds of days on which machines are killed and lose power, devices go offline, calls are cut off, and the network loses something.
var rough = []uint64{11, 13, 18, 20, 28, 47}

// TestLive plays an ordinary day and some rough ones over real sockets, and for as long as QPQ_SOAK says what chance makes up.
func TestLive(t *testing.T) {
	t.Parallel()
	s, err := Parse(ordinary)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup // at once: people mostly wait
	all.Go(func() { t.Run("ordinary", func(t *testing.T) { playLive(t.Context(), t, s) }) })
	seeds := rough
	if testing.Short() {
		seeds = rough[:3]
	}
	for _, seed := range seeds {
		all.Go(func() { t.Run(fmt.Sprint(seed), func(t *testing.T) { playLive(t.Context(), t, ChanceOf(seed, "")) }) })
	}
	all.Wait()
	if soak, err := time.ParseDuration(os.Getenv("QPQ_SOAK")); err == nil {
		soakLive(t, soak)
	}
}

// soakLive plays seeds for some time, a few at once.
func soakLive(t *testing.T, soak time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), soak)
	defer cancel()
	var seeds atomic.Uint64
	var all sync.WaitGroup
	for range 2 * runtime.NumCPU() {
		all.Go(func() {
			for ctx.Err() == nil {
				seed := seeds.Add(1)
				t.Run(fmt.Sprint("soak", seed), func(t *testing.T) { playLive(ctx, t, ChanceOf(seed, brief[seed%uint64(len(brief))])) })
			}
		})
	}
	all.Wait()
	t.Logf("%d seeds were played", seeds.Load())
}

// brief are themes that need no long time.
var brief = []string{"", answers, "backups", snapshots, "damage"}

func playLive(ctx context.Context, t *testing.T, s Scenario) {
	t.Helper()
	if failures, story := PlayLive(ctx, t, s, Plant{}); len(failures) > 0 {
		t.Errorf("seed %d, theme %q: %s\n\n%s", s.Seed, s.Theme, strings.Join(failures, "\n"), strings.Join(story, "\n"))
	}
}

// TestSimQUIC plays some seeds over QUIC on a simulated network, or many for as long as QPQ_SOAK says.
func TestSimQUIC(t *testing.T) {
	t.Parallel()
	args := []string{"-quic", "-first", "11", "-seeds", "6"}
	if testing.Short() {
		args[len(args)-1] = "3"
	}
	if soak := os.Getenv("QPQ_SOAK"); soak != "" {
		args = []string{"-quic", "-seeds", "10000", "-within", soak}
	}
	n := playElsewhere(t, args...)
	t.Logf("%d histories were played", n)
	if n == 0 {
		t.Error("no history was played")
	}
}
