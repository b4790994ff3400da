//go:build linux

package integration_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// killing is how long each of the tests below goes on; QPQ_SOAK says otherwise.
const killing = 15 * time.Second

// ordeal is a server and its clients, one of which is killed again and again in the middle of what it does.
type ordeal struct {
	t       *testing.T
	rand    *rand.Rand
	dir     string
	address string
	server  *process
	kills   int
	late    int                      // of them, after the command had ended
	took    map[string]time.Duration // how long commands take that are left alone,
	wrote   map[string]int           // and how often they and the server write meanwhile
}

func newOrdeal(t *testing.T) *ordeal {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	o := &ordeal{t: t, rand: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), address: freeAddress(), took: map[string]time.Duration{}, wrote: map[string]int{}}
	for name, text := range map[string]string{"old": "correct horse battery\n", "new": "correct zebra battery\n"} {
		o.check(os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o600))
	}
	o.serve()
	t.Cleanup(func() { o.server.kill() })
	return o
}

func (o *ordeal) check(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *ordeal) program(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(programs, name), args...)
	cmd.Dir = o.dir
	cmd.Env = []string{"HOME=" + o.dir, "QPQ_SERVER=" + o.address}
	tie(cmd)
	return cmd
}

func (o *ordeal) serve() {
	o.t.Helper()
	cmd := o.program("qpq-server", "--listen", o.address, "--data", "data", "--address-rate", "100000", "--account-rate", "100000")
	var err error
	o.server, err = startServer(cmd, filepath.Join(o.dir, "server"))
	o.check(err)
}

// qpq runs a command undisturbed and returns its exit code, which must be one of codes.
func (o *ordeal) qpq(codes []int, args ...string) int {
	o.t.Helper()
	cmd := o.program("qpq", args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		o.t.Fatal(err)
	}
	code := cmd.ProcessState.ExitCode()
	for _, want := range codes {
		if code == want {
			return code
		}
	}
	o.t.Fatalf("after %d kills, qpq %s ended with %d, not one of %v:\n%s", o.kills, strings.Join(args, " "), code, codes, out)
	return 0
}

// cut begins a command and kills the client, or the server, at a random point of it: at some time, or once one of them has
// written some number of times.
func (o *ordeal) cut(server bool, args ...string) {
	o.t.Helper()
	o.kills++
	delay, writes := time.Duration(o.rand.Int64N(int64(o.took[args[2]])*5/4)), 1+o.rand.IntN(o.wrote[args[2]])
	p, err := start(o.program("qpq", args...), filepath.Join(o.dir, fmt.Sprintf("cut-%d", o.kills)))
	o.check(err)
	if o.rand.IntN(3) == 0 {
		select {
		case <-p.done:
		case <-time.After(delay):
		}
	} else {
		o.untilWritten(p, args[1], writes)
	}
	select {
	case <-p.done:
		o.late++
	default:
	}
	if server {
		o.server.kill()
		o.serve()
		select {
		case <-p.done: // it knows what became of its command, or that it does not
		case <-time.After(100 * time.Millisecond): // or waits for a server that forgot it
		}
	}
	p.kill()
}

// untilWritten returns when the client with a profile and the server have written some number of times, or the client has ended. It
// returns how often they have.
func (o *ordeal) untilWritten(p *process, profile string, times int) (n int) {
	type state struct {
		size int64
		at   time.Time
	}
	files := []string{filepath.Join(".local/share/qpq", profile, "profile.db-wal"), "data/qpq.db-wal"}
	last := make([]state, len(files))
	look := func(i int) state {
		if info, err := os.Stat(filepath.Join(o.dir, files[i])); err == nil {
			return state{info.Size(), info.ModTime()}
		}
		return state{}
	}
	for i := range files {
		last[i] = look(i)
	}
	for n < times {
		select {
		case <-p.done:
			return n
		case <-time.After(50 * time.Microsecond):
		}
		for i := range files {
			if now := look(i); now != last[i] {
				last[i] = now
				n++
			}
		}
	}
	return n
}

// whole reports whether the device of a profile is part of its account. If so, the vault opens; if not, nothing is left.
func (o *ordeal) whole(profile string) bool {
	o.t.Helper()
	if o.qpq([]int{0, 5}, "--profile", profile, "whoami") == 5 {
		return false
	}
	o.qpq([]int{0}, "--profile", profile, "devices")
	return true
}

// devices returns how many devices the account of a profile has.
func (o *ordeal) devices(profile string) int {
	o.t.Helper()
	out, err := o.program("qpq", "--profile", profile, "devices", "--json").Output()
	o.check(err)
	return strings.Count(string(out), `"id":`)
}

// life takes one person through all that changes an account, each step cut off and then finished.
func (o *ordeal) life(server bool, n int) {
	o.t.Helper()
	name := fmt.Sprintf("user%d", n)
	first, second, third := name+"-1", name+"-2", name+"-3"
	register := []string{"--profile", first, "register", name, "--password-file", "old", "--device-name", "first"}
	o.cut(server, register...)
	if !o.whole(first) {
		o.qpq([]int{0}, register...)
	}
	login := []string{"--profile", second, "login", name, "--password-file", "old", "--device-name", "second"}
	o.cut(server, login...)
	in := o.whole(second)
	if n := o.devices(first); (n == 2) != in || n > 2 {
		o.t.Fatalf("the account has %d devices, and that the second is one of them is %v", n, in)
	}
	if !in {
		o.qpq([]int{0}, login...)
	}

	o.cut(server, "--profile", second, "passwd", "--password-file", "old", "--new-password-file", "new")
	o.qpq([]int{0}, "--profile", first, "devices")
	o.qpq([]int{0}, "--profile", second, "devices")
	password := "new"
	if o.qpq([]int{0, 4}, "--profile", third, "login", name, "--password-file", "new") == 4 {
		password = "old"
		o.qpq([]int{0}, "--profile", third, "login", name, "--password-file", "old")
	}

	o.cut(server, "--profile", first, "revoke", "second", "--password-file", password)
	in = o.qpq([]int{0, 4}, "--profile", second, "whoami") == 0
	if n := o.devices(first); (n == 3) != in {
		o.t.Fatalf("the account has %d devices, and that the revoked one is let in is %v", n, in)
	}
	o.qpq([]int{0}, "--profile", third, "devices")

	remove := []string{"--profile", first, "delete-account", "--yes", "--password-file", password}
	o.cut(server, remove...)
	if o.qpq([]int{0, 5}, "--profile", first, "whoami") == 0 {
		o.qpq([]int{0}, "--profile", third, "devices")
		o.qpq([]int{0}, remove...)
	}
	o.qpq([]int{4}, "--profile", third, "whoami")
	o.qpq([]int{6}, "--profile", name+"-4", "register", name, "--password-file", "old")
}

// quietLife is life without cuts, to see how long its steps take and how often they write.
func (o *ordeal) quietLife() {
	o.t.Helper()
	for i, line := range []string{
		"--profile quiet register quiet --password-file old",
		"--profile other login quiet --password-file old --device-name other",
		"--profile other passwd --password-file old --new-password-file new",
		"--profile quiet revoke other --password-file new",
		"--profile quiet delete-account --yes --password-file new",
	} {
		args := strings.Fields(line)
		began := time.Now()
		p, err := start(o.program("qpq", args...), filepath.Join(o.dir, fmt.Sprintf("quiet-%d", i)))
		o.check(err)
		o.wrote[args[2]] = max(o.untilWritten(p, args[1], 1000), 1) // where nobody looked until it had ended
		o.took[args[2]] = time.Since(began)
		if code, err := p.ends(); code != 0 || err != nil {
			o.t.Fatalf("qpq %s ended with %d: %v", line, code, err)
		}
	}
	o.t.Logf("writes seen: %v", o.wrote)
}

func TestStoryKilled(t *testing.T) {
	until := killing
	if s := os.Getenv("QPQ_SOAK"); s != "" {
		var err error
		if until, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, victim := range []string{"client", "server"} {
		t.Run("the "+victim+" at random points of all that changes an account", func(t *testing.T) {
			t.Parallel()
			o := newOrdeal(t)
			o.quietLife()
			o.qpq([]int{0}, "--profile", "witness", "register", "witness", "--password-file", "old")
			deadline := time.Now().Add(until)
			for n := 0; n < 2 || time.Now().Before(deadline); n++ {
				o.life(victim == "server", n)
			}
			o.qpq([]int{0}, "--profile", "witness", "devices")
			o.server.kill()
			out, err := o.program("qpq-server", "check", "--data", "data").CombinedOutput()
			if err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
			t.Logf("%d kills, %d of them after the command had ended", o.kills, o.late)
		})
	}
}
