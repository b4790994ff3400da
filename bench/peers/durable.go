package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// syncs are what a server's processes asked the system to write to disk, seen by strace.
type syncs struct {
	alone    int     // messages, one after the other
	before   int     // of these, how many had a sync begun and ended between sending and acknowledgement
	perAlone float64 // syncs for each of these
	pairs    int
	perMany  float64 // syncs for each message when so many pairs send at a time
}

// errUntraced says that this system does not let processes be watched.
var errUntraced = errors.New("strace cannot watch the server's processes (run this as root, or allow it by /proc/sys/kernel/yama/ptrace_scope)")

// span is when something began and ended.
type span struct{ from, to time.Time }

// watched sends messages while the system calls that write to disk are watched.
func (s *subject) watched(ctx context.Context, o options) error {
	p, _, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer p.stop()
	pairs := o.several()
	c, err := gather(ctx, s.server, p, pairs)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.closed(ctx, pairs, 200*time.Millisecond); err != nil {
		return err
	}
	found := &syncs{alone: 40, pairs: pairs}
	var sent []span
	calls, err := s.traced(ctx, p, func() error {
		for range found.alone {
			began := time.Now()
			if err := c.pairs[0].from.send(ctx, 1, stamp(began.UnixNano())); err != nil {
				return err
			}
			sent = append(sent, span{began, time.Now()})
		}
		return delivered(ctx, c.pairs[:1], found.alone)
	}, c.pairs)
	if errors.Is(err, errUntraced) {
		s.found.untraced = err
		return nil
	}
	if err != nil {
		return err
	}
	found.perAlone = float64(len(calls)) / float64(found.alone)
	for _, m := range sent {
		for _, call := range calls {
			if !call.from.Before(m.from) && !call.to.After(m.to) {
				found.before++
				break
			}
		}
	}
	const each = 20
	calls, err = s.traced(ctx, p, func() error {
		err := together(pairs, pairs, func(i int) error {
			for range each {
				if err := c.pairs[i].from.send(ctx, c.pairs[i].number, stamp(time.Now().UnixNano())); err != nil {
					return err
				}
			}
			return nil
		})
		return errors.Join(err, delivered(ctx, c.pairs, each*pairs))
	}, c.pairs)
	found.perMany = float64(len(calls)) / float64(each*pairs)
	s.found.syncs = found
	return err
}

// traced returns the syncs that all processes of a server made while f ran. Counts of what arrived begin anew.
func (s *subject) traced(ctx context.Context, p *processes, f func() error, pairs []*pair) ([]span, error) {
	for _, pair := range pairs {
		pair.take()
	}
	out := s.site.path("strace.out")
	args := []string{"-f", "-ttt", "-T", "-e", "trace=fsync,fdatasync,sync_file_range,msync,syncfs", "-o", out}
	for _, pid := range p.pids() {
		args = append(args, "-p", strconv.Itoa(pid))
	}
	path, err := program("strace")
	if err != nil {
		return nil, err
	}
	strace := exec.CommandContext(ctx, path, args...)
	strace.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := strace.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := strace.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(said)
	for range p.pids() { // it says of each process that it is attached
		if !lines.Scan() || !strings.Contains(lines.Text(), "attached") {
			_ = strace.Process.Kill()
			_ = strace.Wait()
			return nil, fmt.Errorf("%w: %s", errUntraced, lines.Text())
		}
	}
	err = f()
	_ = strace.Process.Signal(syscall.SIGINT)
	for lines.Scan() { // it says of each that it is let go
	}
	_ = strace.Wait() // tells that it was interrupted
	if err != nil {
		return nil, err
	}
	return readSyncs(out)
}

var (
	syncWhole   = regexp.MustCompile(`^\d+\s+(\d+\.\d+) \w+\(.*<(\d+\.\d+)>$`)
	syncResumed = regexp.MustCompile(`^\d+\s+(\d+\.\d+) <\.\.\. \w+ resumed>.*<(\d+\.\d+)>$`)
)

// readSyncs reads what strace wrote: calls that were cut in two by others count where they are resumed.
func readSyncs(path string) ([]span, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var found []span
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if m := syncResumed.FindStringSubmatch(line); m != nil {
			end, took := seconds(m[1]), duration(m[2])
			found = append(found, span{end.Add(-took), end})
		} else if m := syncWhole.FindStringSubmatch(line); m != nil {
			began := seconds(m[1])
			found = append(found, span{began, began.Add(duration(m[2]))})
		}
	}
	return found, nil
}

func seconds(text string) time.Time { return time.Unix(0, 0).Add(duration(text)) }

func duration(text string) time.Duration {
	d, _ := time.ParseDuration(text + "s") // the expression that found it takes nothing else
	return d
}

// crash is what came of messages that were acknowledged before all processes were killed.
type crash struct {
	acknowledged, lost int
}

// crashed has users send to others who are away, kills the server while they do, starts it again, and has the others fetch.
func (s *subject) crashed(ctx context.Context, o options) error {
	p, _, err := s.begin(ctx)
	if err != nil {
		return err
	}
	pairs := o.several()
	acknowledged, err := s.sendUntilKilled(ctx, p, pairs, min(o.time, 1500*time.Millisecond))
	if err != nil {
		return err
	}
	if p, _, err = s.begin(ctx); err != nil {
		return fmt.Errorf("after it was killed: %w", err)
	}
	defer p.stop()
	var mu sync.Mutex
	missing, changed := map[[2]int64]bool{}, time.Now()
	for i, list := range acknowledged {
		for _, m := range list {
			missing[[2]int64{int64(i), int64(m)}] = true
		}
	}
	s.found.crash = &crash{acknowledged: len(missing)}
	clients := make([]client, pairs)
	defer closeAll(clients)
	err = together(pairs, 8, func(i int) (err error) {
		clients[i], err = s.server.client(ctx, 2*i+1, func(m stamp) {
			mu.Lock()
			defer mu.Unlock()
			delete(missing, [2]int64{int64(i), int64(m)})
			changed = time.Now()
		})
		if err == nil {
			err = clients[i].fetch(ctx)
		}
		return err
	})
	for err == nil {
		mu.Lock()
		left, since := len(missing), time.Since(changed)
		mu.Unlock()
		if s.found.crash.lost = left; left == 0 || since > 5*time.Second {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

// sendUntilKilled returns what each sender had acknowledged when all processes were killed: after a time, and not before there is enough
// to judge by.
func (s *subject) sendUntilKilled(ctx context.Context, p *processes, pairs int, d time.Duration) ([][]stamp, error) {
	acknowledged, senders := make([][]stamp, pairs), make([]client, pairs)
	defer closeAll(senders)
	err := together(pairs, 8, func(i int) (err error) {
		senders[i], err = s.server.client(ctx, 2*i, func(stamp) {})
		return err
	})
	if err != nil {
		p.stop()
		return nil, err
	}
	var wg sync.WaitGroup
	var all atomic.Int64
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	for i := range pairs {
		wg.Go(func() {
			for {
				m := stamp(time.Now().UnixNano())
				if err := senders[i].send(within, 2*i+1, m); err != nil {
					return
				}
				acknowledged[i] = append(acknowledged[i], m)
				all.Add(1)
			}
		})
	}
	began := time.Now()
	for time.Since(began) < d || all.Load() < int64(10*pairs) && time.Since(began) < 20*time.Second && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	p.kill()
	cancel()
	wg.Wait()
	return acknowledged, nil
}
