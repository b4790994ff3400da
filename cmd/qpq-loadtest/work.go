package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/quicproquo/qpq/loadtest"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// work does what the settings say.
func (p *program) work(ctx context.Context, s *settings, args []string) error {
	if s.compare != "" {
		return p.compare(s, args[0])
	}
	local, err := s.local()
	if err != nil {
		return err
	}
	t := &teller{w: p.stderr, terminal: p.terminal}
	local.Progress = t.tell
	if s.worker != "" {
		defer t.end()
		return p.help(ctx, s, local)
	}
	plan, err := s.plan()
	if err != nil {
		return err
	}
	var report *loadtest.Report
	if s.coordinator != "" {
		report, err = p.coordinate(ctx, s, plan, local)
	} else {
		report, err = loadtest.Run(ctx, plan, local)
	}
	t.end()
	return p.finish(s, report, err)
}

const sharedSecret = "the secret of coordinator and workers"

// help is the work of a worker.
func (p *program) help(ctx context.Context, s *settings, local loadtest.Local) error {
	secret, err := secretIn("secret-file", sharedSecret, s.secretFile)
	if err != nil {
		return err
	}
	return loadtest.Work(ctx, s.worker, secret, local)
}

// coordinate has workers do the work.
func (p *program) coordinate(ctx context.Context, s *settings, plan loadtest.Plan, local loadtest.Local) (*loadtest.Report, error) {
	secret, err := secretIn("secret-file", sharedSecret, s.secretFile)
	if err != nil {
		return &loadtest.Report{}, err
	}
	team := loadtest.Team{Listen: s.coordinator, Secret: secret, Workers: s.workers}
	team.Listening = func(at net.Addr) { fmt.Fprintf(p.stdout, "waiting for workers on %s\n", at) }
	return loadtest.Coordinate(ctx, plan, team, local)
}

// finish shows and writes a report, whatever became of the run.
func (p *program) finish(s *settings, report *loadtest.Report, err error) error {
	if err != nil && report.Began.IsZero() {
		return err // nothing was measured
	}
	if shown := report.WriteText(p.stdout); err == nil {
		err = shown
	}
	if s.json != "" {
		if written := report.WriteJSON(s.json); err == nil {
			err = written
		}
	}
	if s.html != "" {
		if written := report.WriteHTML(s.html); err == nil {
			err = written
		}
	}
	if n := report.Failed(); err == nil && n > int64(s.maxErrors) {
		err = tooManyErrors{fmt.Sprintf("there were %d errors, and at most %d may be: --max-errors allows more", n, s.maxErrors)}
	}
	return err
}

// compare says how one report stands to another.
func (p *program) compare(s *settings, newer string) error {
	a, err := loadtest.ReadReport(s.compare)
	if err != nil {
		return err
	}
	b, err := loadtest.ReadReport(newer)
	if err != nil {
		return err
	}
	c, err := loadtest.Compare(a, b)
	if err != nil {
		return err
	}
	c.Old, c.New = s.compare, newer
	if err := c.WriteText(p.stdout); err != nil {
		return err
	}
	if s.json != "" {
		return c.WriteJSON(s.json)
	}
	return nil
}

// every is how often a line tells of progress where there is no terminal.
const every = 5 * time.Second

// teller shows progress: on a terminal in one line, which changes, elsewhere in lines now and then.
type teller struct {
	w        io.Writer
	terminal bool

	mu    sync.Mutex
	last  time.Time
	doing string
	open  bool // a line of the terminal is not ended
}

func (t *teller) tell(p loadtest.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pause := every
	if t.terminal {
		pause = 100 * time.Millisecond
	}
	if p.Doing == t.doing && time.Since(t.last) < pause && (p.Doing == "" || p.Done < p.Of) {
		return
	}
	if t.open && p.Doing != t.doing {
		fmt.Fprintln(t.w)
	}
	t.last, t.doing, t.open = time.Now(), p.Doing, t.terminal
	if t.terminal {
		fmt.Fprintf(t.w, "\r\x1b[K%s", p)
		return
	}
	fmt.Fprintln(t.w, p)
}

// end ends a line that is not ended.
func (t *teller) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open {
		fmt.Fprintln(t.w)
	}
}
