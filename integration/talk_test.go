//go:build linux

package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// talk is people who say things to each other while a server, or they, are killed, and what is remembered of it.
type talk struct {
	*ordeal
	people []string

	mu   sync.Mutex
	said map[string][]*utterance // by who said it, in order
}

// utterance is a text that somebody handed to qpq send, once.
type utterance struct {
	text  string
	state string // accepted or queued, as qpq said; empty where it was killed before it said anything
}

func newTalk(t *testing.T) *talk {
	k := &talk{ordeal: newOrdeal(t), people: []string{"alice", "bob", "carol"}, said: map[string][]*utterance{}}
	for _, name := range k.people {
		k.check(signUp(t.Context(), k.profile(name), k.address, name))
	}
	k.qpq([]int{0}, "--profile", "alice", "group", "create", "team", "bob", "carol")
	for _, name := range k.people {
		k.qpq([]int{0}, "--profile", name, "sync")
	}
	return k
}

func (k *talk) profile(name string) string { return filepath.Join(k.dir, ".local/share/qpq", name) }

// line is what qpq prints with --json of an entry, of a message that was sent, or of an error.
type line struct {
	Type, Sender, Text, Code, State string
	Error                           struct{ Code string }
}

// lines reads what was printed; the last line of a program that was killed may be cut off.
func lines(t *testing.T, out []byte, killed bool) (list []line) {
	t.Helper()
	for rest := out; len(rest) > 0; {
		one, more, whole := bytes.Cut(rest, []byte("\n"))
		rest = more
		var l line
		if err := json.Unmarshal(one, &l); err != nil && (whole || !killed) {
			t.Errorf("%q: %v", one, err)
		} else if err == nil {
			list = append(list, l)
		}
	}
	return list
}

// says has somebody say the next thing. It ends by itself or is killed once after is over, unless that is zero.
func (k *talk) says(name string, after time.Duration) {
	k.mu.Lock()
	u := &utterance{text: fmt.Sprintf("%s-%d", name, len(k.said[name]))}
	k.said[name] = append(k.said[name], u)
	k.mu.Unlock()
	out, errs, code, err := k.run(after, "--profile", name, "send", "team", u.text, "--json")
	switch {
	case err != nil:
		k.t.Error(err)
	case code == 0:
		if l := lines(k.t, out, false); len(l) == 1 {
			u.state = l[0].State
		}
		if u.state != "sent" {
			k.t.Errorf("%s is sent, and said to be %q: %s", u.text, u.state, out)
		}
	case code > 0:
		if l := lines(k.t, errs, false); len(l) == 0 || l[len(l)-1].Error.Code != "queued" {
			k.t.Errorf("%s could not be sent: %s", u.text, errs)
		}
		u.state = "queued"
	}
}

// run runs qpq, and kills it once after is over, unless that is zero. The code of one that was killed is -1.
func (k *talk) run(after time.Duration, args ...string) (out, errs []byte, code int, err error) {
	ctx, cancel := context.WithCancel(k.t.Context())
	defer cancel()
	if after > 0 {
		defer time.AfterFunc(after, cancel).Stop()
	}
	like := k.program("qpq", args...)
	cmd := exec.CommandContext(ctx, like.Path, args...)
	cmd.Dir, cmd.Env = like.Dir, like.Env
	tie(cmd)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) || after > 0 && ctx.Err() != nil {
		err = nil
	}
	return stdout.Bytes(), stderr.Bytes(), cmd.ProcessState.ExitCode(), err
}

// audit has all receive all there is, looks at what they show, and returns how many messages that are.
func (k *talk) audit() int {
	k.t.Helper()
	codes := []int{0, 3} // a watch may not have noticed yet that its connection ended with the server
	for range 3 {
		for _, name := range k.people {
			k.qpq(codes, "--profile", name, "sync")
		}
		codes = []int{0}
	}
	var first []string
	for _, viewer := range k.people {
		out, err := k.program("qpq", "--profile", viewer, "history", "team", "--limit", "100000", "--json").Output()
		k.check(err)
		shown := k.shown(viewer, out, true)
		all := slices.Sorted(slices.Values(shown))
		if first == nil {
			first = all
		} else if !slices.Equal(all, first) {
			k.t.Errorf("%s shows %d messages, and %s %d: %q, %q", viewer, len(all), k.people[0], len(first), all, first)
		}
	}
	k.t.Logf("%d kills, %d messages", k.kills, len(first))
	if k.kills == 0 || len(first) < 3 {
		k.t.Error("nobody was killed, or nobody said anything: the test tried nothing")
	}
	return len(first)
}

// shown returns the texts of a history; where that is settled, nothing is on its way any more. It fails where one is shown twice, was never said, or is not in its place among those of its sender;
// and where one is missing that was accepted or queued.
func (k *talk) shown(viewer string, history []byte, settled bool) (texts []string) {
	k.t.Helper()
	of := map[string][]string{}
	for _, l := range lines(k.t, history, false) {
		if l.Type == "notice" {
			if !slices.Contains([]string{"added", "joined"}, l.Code) {
				k.t.Errorf("%s is told: %s", viewer, l.Text)
			}
			continue
		}
		if settled && l.State == "queued" || l.State == "failed" {
			k.t.Errorf("%s: %s is %s", viewer, l.Text, l.State)
		}
		name, _, _ := strings.Cut(l.Sender, "@")
		of[name] = append(of[name], l.Text)
		texts = append(texts, l.Text)
	}
	for name, said := range k.said {
		at := 0
		for _, u := range said {
			if at < len(of[name]) && of[name][at] == u.text {
				at++
			} else if u.state != "" {
				k.t.Errorf("%s does not show, or in the wrong place, %s, which was %s; it shows %q", viewer, u.text, u.state, of[name])
			}
		}
		if at < len(of[name]) {
			k.t.Errorf("%s shows of %s what was not said, or twice, or in another order: %q", viewer, name, of[name])
		}
	}
	return texts
}

// long is how long a test goes on: a few seconds, or what QPQ_SOAK says.
func long(t *testing.T, usually time.Duration) time.Duration {
	s := os.Getenv("QPQ_SOAK")
	if s == "" {
		return usually
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestStoryServerKilledWhilePeopleTalk kills the server again and again while two talk and a third one watches. Nothing that was accepted is
// lost, nothing is shown twice, what was queued goes out, and the order of each sender is kept.
func TestStoryServerKilledWhilePeopleTalk(t *testing.T) {
	t.Parallel()
	k := newTalk(t)
	watch, err := start(k.program("qpq", "--profile", "carol", "watch", "team", "--json", "--after", "0"), filepath.Join(k.dir, "watch"))
	k.check(err)
	t.Cleanup(watch.kill)
	var busy sync.WaitGroup
	ended := make(chan struct{})
	for _, name := range []string{"alice", "bob"} {
		busy.Go(func() {
			for {
				k.says(name, 0)
				select {
				case <-ended:
					return
				default:
				}
			}
		})
	}
	for deadline := time.Now().Add(long(t, time.Second)); k.kills < 3 || time.Now().Before(deadline); k.kills++ {
		k.untilServerWrote(1 + k.rand.IntN(20))
		k.server.kill()
		k.serve()
	}
	close(ended)
	busy.Wait()
	k.untilShown(watch, k.audit())
	k.check(watch.cmd.Process.Signal(os.Interrupt))
	if code, err := watch.ends(); code != 0 || err != nil {
		text, _ := os.ReadFile(watch.err)
		t.Errorf("the watch ended with %d: %v\n%s", code, err, text)
	}
	out, err := os.ReadFile(watch.out)
	k.check(err)
	k.shown("carol's watch", out, false)
	if out, err := k.stopAndCheck(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// untilShown returns when a program has shown so many messages: it does so beside the commands that others have it carry out.
func (k *talk) untilShown(p *process, messages int) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if out, err := os.ReadFile(p.out); err != nil || bytes.Count(out, []byte(`"type":"message"`)) >= messages {
			return
		}
	}
}

// untilServerWrote returns when the server has written some number of times.
func (k *talk) untilServerWrote(times int) {
	name := filepath.Join(k.dir, "data/qpq.db-wal")
	var last os.FileInfo
	for deadline := time.Now().Add(patience); times > 0 && time.Now().Before(deadline); time.Sleep(50 * time.Microsecond) {
		now, err := os.Stat(name)
		if err == nil && (last == nil || now.Size() != last.Size() || !now.ModTime().Equal(last.ModTime())) {
			last = now
			times--
		}
	}
}

func (k *talk) stopAndCheck() ([]byte, error) {
	k.server.kill()
	return k.program("qpq-server", "check", "--data", "data").CombinedOutput()
}

// TestStoryClientsKilledWhilePeopleTalk kills clients that send and receive. What one said is shown once or, where it was killed before it
// kept it, never; what was queued goes out later; and no entry is missing in what recv gave, though that may repeat those that a killed
// one gave.
func TestStoryClientsKilledWhilePeopleTalk(t *testing.T) {
	t.Parallel()
	k := newTalk(t)
	began := time.Now()
	k.says("alice", 0)
	took := time.Since(began)
	deadline := time.Now().Add(long(t, 6*time.Second))
	given := make([][]string, len(k.people))
	kills := make([]int, len(k.people))
	var busy sync.WaitGroup
	for i, name := range k.people {
		chance := rand.New(rand.NewPCG(k.rand.Uint64(), 0))
		busy.Go(func() {
			for n := 0; n < 5 || time.Now().Before(deadline); n++ {
				after := time.Duration(0)
				if chance.IntN(3) > 0 {
					after = 1 + time.Duration(chance.Int64N(int64(took)*3/2))
					kills[i]++
				}
				if chance.IntN(3) > 0 {
					k.says(name, after)
					continue
				}
				given[i] = append(given[i], k.receives(name, after)...)
			}
		})
	}
	busy.Wait()
	for _, n := range kills {
		k.kills += n
	}
	k.audit()
	for i, name := range k.people {
		given[i] = append(given[i], k.receives(name, 0)...)
		for other, said := range k.said {
			for _, u := range said {
				if got := slices.Contains(given[i], u.text); other != name && u.state == "sent" && !got {
					t.Errorf("recv never gave %s %s", name, u.text)
				}
			}
		}
		if more := k.receives(name, 0); len(more) > 0 {
			t.Errorf("recv gives %s again what it gave undisturbed: %q", name, more)
		}
	}
}

// receives returns what recv gives somebody.
func (k *talk) receives(name string, after time.Duration) (texts []string) {
	out, errs, code, err := k.run(after, "--profile", name, "recv", "--json")
	if err != nil || code > 0 {
		k.t.Errorf("%s's recv: code %d, %v: %s", name, code, err, errs)
	}
	for _, l := range lines(k.t, out, after > 0) {
		texts = append(texts, l.Text)
	}
	return texts
}
