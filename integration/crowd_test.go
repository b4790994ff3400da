//go:build linux

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
)

// TestKilledAtAnyMoment kills the server again and again while people sign up and change their passwords.
// What was acknowledged is there after the next start, with a vault that the password opens; what was not is
// there whole or not at all, and the name can be had.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	rounds, seed := 10, rand.Uint64()
	if testing.Short() {
		rounds = 3
	}
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	w := &crowd{base: filepath.Join(t.TempDir(), "s")}
	for round := range rounds {
		w.start(t)
		w.killAt = int64(1 + chance.IntN(60))
		w.calls.Store(0)
		var busy sync.WaitGroup
		for n := range 6 {
			busy.Go(func() { w.live(t, fmt.Sprintf("person-%d-%d", round, n)) })
		}
		busy.Wait()
		w.server.kill()
		w.start(t)
		w.audit(t, w.since)
		w.since = nil
		if err := w.server.stop(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	w.start(t)
	w.audit(t, w.all)
	if err := w.server.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if out, err := w.command("check").CombinedOutput(); err != nil {
		t.Errorf("the check after all: %v\n%s", err, out)
	}
	whole, none := w.made.Load(), w.unmade.Load()
	t.Logf("%d accounts; of the registrations cut off %d were whole and %d were not there", len(w.all), whole, none)
	if len(w.all) == 0 || whole+none == 0 {
		t.Error("no account was made, or no registration cut off: the test tried nothing")
	}
}

// crowd is people at a server that is killed.
type crowd struct {
	base   string
	server *process
	calls  atomic.Int64 // begun since the start
	killAt int64        // the call that the server is killed at

	mu           sync.Mutex
	all, since   []*person // with an account; those of the present round
	cut          []*person // whose registration was cut off, in the present round
	made, unmade atomic.Int64
}

// command is the server's program with the data of all.
func (w *crowd) command(args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(programs, "qpq-server"), append(args, "--data", w.base+".data")...)
}

func (w *crowd) start(t *testing.T) {
	t.Helper()
	var err error
	w.server, err = startServer(w.command("--listen", "127.0.0.1:0", "--login-attempts", "1000000", "--address-rate", "1000000", "--log-level", "error"), w.base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.server.kill)
}

// deadly is a session that kills the server when it is time.
type deadly struct {
	*transport.Session
	crowd *crowd
}

// Call implements wire.Caller.
func (d deadly) Call(ctx context.Context, method uint16, request []byte) (uint16, []byte, error) {
	if d.crowd.calls.Add(1) == d.crowd.killAt {
		go d.crowd.server.kill() // at some moment of this call, or of those beside it
	}
	return d.Session.Call(ctx, method, request)
}

// live signs one after another up and changes passwords, until the server is gone.
func (w *crowd) live(t *testing.T, name string) {
	for i := 0; ; i++ {
		p, err := newPerson(qpq.UserID{Name: fmt.Sprintf("%s-%d", name, i), Domain: "localhost"})
		if err != nil {
			t.Error(err)
			return
		}
		if err := w.one(t.Context(), p); err != nil {
			if !errors.Is(err, qpq.Unavailable) && w.running() {
				t.Errorf("%s: %v", p.user, err)
			}
			return
		}
	}
}

func (w *crowd) running() bool {
	select {
	case <-w.server.done:
		return false
	default:
		return true
	}
}

// one is what one person does, and what is to be remembered of it.
func (w *crowd) one(ctx context.Context, p *person) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	gone := w.server.done
	go func() { // nobody answers for a server that was killed
		select {
		case <-gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	session, err := dial(ctx, w.server.address, nil)
	if err != nil {
		if w.running() {
			return err
		}
		return qpq.Unavailable
	}
	defer session.Close()
	s := deadly{session, w}
	if _, err := p.register(ctx, s, ""); err != nil {
		w.remember(&w.cut, p)
		return err
	}
	w.remember(&w.since, p)
	p.next = p.password + " changed"
	err = p.changePassword(ctx, s, p.next)
	if err == nil {
		p.next = ""
	}
	return err
}

func (w *crowd) remember(list *[]*person, p *person) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, p)
}

// audit looks at what became of people.
func (w *crowd) audit(t *testing.T, accounts []*person) {
	t.Helper()
	var busy sync.WaitGroup
	room := make(chan struct{}, 16)
	each := func(list []*person, look func(context.Context, *transport.Session, *person) error) {
		for _, p := range list {
			room <- struct{}{}
			busy.Go(func() {
				defer func() { <-room }()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				s, err := dial(ctx, w.server.address, nil)
				if err == nil {
					defer s.Close()
					err = look(ctx, s, p)
				}
				if err != nil {
					t.Errorf("%s: %v", p.user, err)
				}
			})
		}
	}
	each(accounts, w.stays)
	each(w.cut, w.wholeOrNothing)
	busy.Wait()
	w.cut = nil
	w.all = append(w.all, w.since...)
}

// stays fails unless an account is there: with its device, and a vault that the one password opens or the other,
// where a change was cut off.
func (w *crowd) stays(ctx context.Context, s *transport.Session, p *person) error {
	err := p.openVault(ctx, s)
	if qpq.CodeOf(err) == "login-failed" && p.next != "" {
		p.password, p.next = p.next, ""
		err = p.openVault(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("the vault of an account that was made: %w", err)
	}
	if _, err := p.authenticate(ctx, s); err != nil {
		return fmt.Errorf("the device of an account that was made: %w", err)
	}
	return nil
}

// wholeOrNothing fails where a registration that was cut off left something that is neither.
func (w *crowd) wholeOrNothing(ctx context.Context, s *transport.Session, p *person) error {
	if err := p.openVault(ctx, s); qpq.CodeOf(err) != "login-failed" {
		if err == nil {
			_, err = p.authenticate(ctx, s)
		}
		if err != nil {
			return fmt.Errorf("half an account: %w", err)
		}
		w.made.Add(1)
		return nil
	}
	w.unmade.Add(1)
	again, err := newPerson(p.user)
	if err != nil {
		return err
	}
	if _, err := again.register(ctx, s, ""); err != nil {
		return fmt.Errorf("the name of nobody: %w", err)
	}
	w.remember(&w.since, again)
	return nil
}
