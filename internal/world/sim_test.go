package world

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	first    = flag.Uint64("first", 0, "the first seed to play")
	seeds    = flag.Uint64("seeds", 0, "how many seeds to play here; 0 plays those of the test, in processes of their own")
	stride   = flag.Uint64("stride", 1, "from one seed to the next")
	within   = flag.Duration("within", 0, "after which no further seed is begun; 0 plays all")
	theme    = flag.String("theme", "", "play histories of this theme only")
	overQUIC = flag.Bool("quic", false, "play over QUIC on a simulated network")
	tell     = flag.Bool("tell", false, "tell the whole story")
	here     = flag.Bool("here", false, "play in this process what else is played in one of its own")
)

// kept are seeds beyond those that are always played, which found something once and ought to find it again: a device that was away for weeks and had not read a
// row of the group that it made (366), a server that was set back behind the revocation of a device (483), a message of a device that was being revoked (529), an older copy of a
// device that was about to join (554).
var kept = []uint64{366, 483, 529, 554}

// TestSim plays random histories: 300 of them, 30 with -short, and those that are kept. QPQ_SOAK, a duration, has it play 10,000 for at most so long; QPQ_SEEDS says
// how many instead.
func TestSim(t *testing.T) {
	if *seeds > 0 {
		playSeeds(t)
		return
	}
	t.Parallel()
	n, soak := uint64(300), os.Getenv("QPQ_SOAK")
	if testing.Short() {
		n = 30
	}
	if soak != "" {
		n = 10_000
	}
	if s := os.Getenv("QPQ_SEEDS"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	processes := uint64(runtime.NumCPU())
	var wg sync.WaitGroup
	var played atomic.Uint64
	for i := range min(processes, n) {
		wg.Go(func() {
			played.Add(playElsewhere(t, "-first", fmt.Sprint(i), "-stride", fmt.Sprint(processes), "-seeds", fmt.Sprint((n-i+processes-1)/processes), "-within", cmp.Or(soak, "0")))
		})
	}
	wg.Wait()
	if !testing.Short() {
		for _, seed := range kept {
			played.Add(playElsewhere(t, "-first", fmt.Sprint(seed), "-seeds", "1"))
		}
	}
	t.Logf("%d histories were played", played.Load())
}

// alone runs a test in a process with one processor, in which a history is repeatable, and returns what it prints.
func alone(t *testing.T, test string, args ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"-test.run=^" + test + "$", "-test.timeout=24h", fmt.Sprint("-test.short=", testing.Short())}, args...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1", "GOGC=300")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return string(out)
}

// playElsewhere plays seeds in such a process, and returns how many.
func playElsewhere(t *testing.T, args ...string) (played uint64) {
	t.Helper()
	for line := range strings.Lines(alone(t, "TestSim", args...)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), count); ok {
			played, _ = strconv.ParseUint(n, 10, 64)
		}
	}
	return played
}

// count begins the line in which such a process says how many histories it played.
const count = "histories played: "

func playSeeds(t *testing.T) {
	began, played := time.Now(), 0
	defer func() { fmt.Printf("%s%d\n", count, played) }()
	for i := range *seeds {
		if *within > 0 && time.Since(began) > *within {
			return
		}
		seed := *first + i**stride
		played++
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := Chance(seed)
			if *theme != "" {
				s = ChanceOf(seed, *theme)
			}
			by := Play
			if *overQUIC {
				by = PlayQUIC
			}
			failures, story := by(t, s, Plant{})
			if len(failures) > 0 {
				t.Errorf("%s\n\n%s\n\nplay it again:\n%s", strings.Join(failures, "\n"), strings.Join(story, "\n"), again(seed))
			} else if *tell {
				t.Log("\n" + strings.Join(story, "\n"))
			}
		})
	}
}

// again is the command that replays a seed.
func again(seed uint64) string {
	command := fmt.Sprintf("GOMAXPROCS=1 GODEBUG=asyncpreemptoff=1 go test -count=1 -v -run '^TestSim$' ./internal/world -first %d -seeds 1 -tell", seed)
	if *overQUIC {
		command += " -quic"
	}
	return command
}

// TestAScenarioIsRead reads back what is written.
func TestAScenarioIsRead(t *testing.T) {
	want := Chance(7)
	var lines []string
	for _, s := range want.Steps {
		lines = append(lines, s.String())
	}
	got, err := Parse("# a comment\n\n" + strings.Join(lines, "\n"))
	if err != nil || fmt.Sprint(got.Steps) != fmt.Sprint(want.Steps) {
		t.Errorf("read %v, %v", got.Steps, err)
	}
	for _, bad := range []string{"1s alice/1", "soon alice/1 login", "1s alice/1 fly"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
