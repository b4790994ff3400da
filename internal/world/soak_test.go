package world

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// full are disks that fill up, and have room again.
const full = `
0s alice/1 register
0s bob/1 register
10s alice/1 group g1 bob
15s alice/1 send g1 one
20s alice/1 full
21s alice/1 send g1 lost
22s alice/1 put a one
23s bob/1 send g1 two
30s alice/1 room
31s alice/1 send g1 three
40s server full
41s bob/1 send g1 four
42s alice/1 put a two
43s bob/1 react g1 0 👍
44s alice/1 file g1 five
200s server room
201s alice/1 sync
202s bob/1 sync
203s alice/1 put a three
`

// TestSoakFullDisks lets the disk of a device and that of the server be full for a while: whoever asks for something is told so in a line, nothing
// that was accepted is lost, and all goes on.
func TestSoakFullDisks(t *testing.T) {
	s, err := Parse(full)
	if err != nil {
		t.Fatal(err)
	}
	failures, story := Play(t, s, Plant{})
	all := strings.Join(story, "\n")
	if len(failures) > 0 {
		t.Errorf("%s\n\n%s", strings.Join(failures, "\n"), all)
	}
	for _, want := range []string{
		"alice/1   send g1 lost: the disk is full: make room for the profile and try again (disk-full)",
		"alice/1   is told: offline: the disk is full: make room for the profile and try again",
		"alice/1   put a two: the server's disk is full: its operator must make room (disk-full)",
		"alice/1   reads: bob: two", "bob/1     reads: alice: three", "alice/1   reads: bob: four", "alice/1   file g1 five: the server has no room for files now", "alice/1   put a three: done",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("missing in the story: %s", want)
		}
	}
	if strings.Contains(all, "reads: alice: lost") || t.Failed() {
		t.Error(all)
	}
}

// soakWave makes up what some people do within a while, in which so often the server and devices are killed, off the network, and their disks full.
func soakWave(seed uint64, troubled int) Scenario {
	c := &chance{r: rand.New(rand.NewPCG(seed, 3))}
	c.s.Seed, c.s.Weather = seed, Weather{Delay: 20 * time.Millisecond, Loss: 0.01}
	for _, u := range []string{"alice", "bob", "carol", "dave"} {
		c.user(u, 1+len(c.users)%2)
	}
	c.step("bob/2", "login")
	c.step("dave/2", "login")
	c.at += 5 * time.Second
	c.groups = []string{"g1"}
	c.step("alice/1", "group", "g1", "bob", "carol", "dave")
	c.directs = [][2]string{{"alice", "bob"}}
	c.step("bob/1", "direct", "alice")
	c.at += 5 * time.Second
	for n := range troubled {
		c.hardship(n)
	}
	return c.s
}

// hardships are troubles and what ends them; those that have no end pass by themselves.
var hardships = [][2]string{{"full", "room"}, {"crash", ""}, {"offline", "online"}, {"deaf", "hearing"}, {"hang-up", ""}, {"crash-at", ""}, {"full", "room"}}

// hardship has somebody be in trouble while people go on.
func (c *chance) hardship(n int) {
	who := c.pick(append([]string{"server"}, c.devices...))
	if n%4 == 0 {
		who = "server"
	}
	x := hardships[(n+c.r.IntN(2))%len(hardships)]
	if who == "server" && x[0] != "full" {
		x = [2]string{"crash", ""}
	}
	var with []string
	if x[0] == "crash-at" {
		with = []string{fmt.Sprint(c.r.IntN(60))}
	}
	c.step(who, x[0], with...)
	for range 8 {
		c.step(c.pick(c.devices), "send", "g1", fmt.Sprintf("text%d", len(c.s.Steps)))
		c.enrich()
	}
	if x[1] != "" {
		c.step(who, x[1])
	}
}

// footprint is what a process holds on to.
type footprint struct {
	goroutines, files int
	heap              uint64
}

// held measures it once all has come to rest that was told to end.
func held(t *testing.T) (f footprint) {
	t.Helper()
	var m runtime.MemStats
	for range 20 { // what finalizers and pools hold goes in steps
		before := m.HeapAlloc
		runtime.GC()
		if runtime.ReadMemStats(&m); before > 0 && m.HeapAlloc > before-before/100 {
			break
		}
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Logf("open files cannot be counted: %v", err)
	}
	return footprint{runtime.NumGoroutine(), len(files), m.HeapAlloc}
}

// exceeds reports whether more is held than before, on the heap by more than so much.
func (f footprint) exceeds(before footprint, slack uint64) bool {
	return f.goroutines > before.goroutines || f.files > before.files || f.heap > before.heap+slack
}

// heldSince measures again and again while more is held than before, until that is there to stay: what nobody uses any more, as lanes, ends within seconds.
func heldSince(t *testing.T, before footprint, slack uint64) footprint {
	t.Helper()
	for began := time.Now(); ; pause(t.Context(), 20*time.Millisecond) {
		if f := held(t); !f.exceeds(before, slack) || time.Since(began) > stuck {
			return f
		}
	}
}

// heapSlack is by how many bytes the heap may be larger in the end: pools that fill with what is used most.
const heapSlack = 8 << 20

// TestSoak has people do all that they do, for QPQ_SOAK or in two waves, with servers and devices on real folders and sockets, which are killed, cut off, and
// full. Each wave is checked by the model to the end. What is held on to then is what was after the first one.
func TestSoak(t *testing.T) {
	waves, troubled, until := uint64(2), 3, time.Time{}
	if testing.Short() {
		troubled = 2
	}
	if soak, err := time.ParseDuration(os.Getenv("QPQ_SOAK")); err == nil {
		waves, troubled, until = 1<<40, 8, time.Now().Add(soak)
	}
	var warm, last footprint
	steps, seed := 0, uint64(0)
	for wave := range waves {
		if !until.IsZero() && wave > 2 && time.Now().After(until) {
			break
		}
		t.Run(fmt.Sprint("wave", wave), func(t *testing.T) {
			var all sync.WaitGroup
			for range 2 {
				seed++
				s := soakWave(seed, troubled)
				steps += len(s.Steps)
				all.Go(func() {
					if failures, story := PlayFolders(t.Context(), t, s, Plant{}); len(failures) > 0 {
						t.Errorf("seed %d: %s\n\n%s", s.Seed, strings.Join(failures, "\n"), strings.Join(story, "\n"))
					}
				})
			}
			all.Wait()
		})
		last = held(t)
		t.Logf("wave %d: %d goroutines, %d files, %d KiB on the heap", wave, last.goroutines, last.files, last.heap>>10)
		if wave == 0 {
			warm = last
		}
	}
	last = heldSince(t, warm, heapSlack)
	t.Logf("%d deeds and troubles in %d worlds", steps, seed)
	if last.exceeds(warm, heapSlack) {
		buf := make([]byte, 1<<20)
		t.Errorf("after the first wave %+v was held, and in the end %+v\n%s", warm, last, buf[:runtime.Stack(buf, true)])
	}
}
