package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processes are those of a running server, with all that they started.
type processes struct {
	roots []*exec.Cmd
	ended []chan struct{} // one for each root
}

// job is a program to be run as a server.
type job struct {
	dir  string // its folder; what it prints goes to a file in there
	as   string // user of the system, where this program is root; empty is this program's
	env  []string
	args []string
}

// run starts a program. It dies with this one.
func (p *processes) run(j job) error {
	path, err := program(j.args[0])
	if err != nil {
		return err
	}
	out, err := os.OpenFile(filepath.Join(j.dir, filepath.Base(path)+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(path, j.args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = j.dir, out, out, append(os.Environ(), j.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if cmd.SysProcAttr.Credential, err = credential(j.as); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	p.roots, p.ended = append(p.roots, cmd), append(p.ended, ended)
	return nil
}

// credential is who a server runs as: some refuse to be root.
func credential(name string) (*syscall.Credential, error) {
	if name == "" || os.Getuid() != 0 {
		return nil, nil
	}
	uid, gid, err := ids(name)
	return &syscall.Credential{Uid: uid, Gid: gid}, err
}

func ids(name string) (uid, gid uint32, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	a, errUID := strconv.ParseUint(u.Uid, 10, 32)
	b, errGID := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(a), uint32(b), errors.Join(errUID, errGID)
}

// pids are all living processes: the roots and whatever descends from them.
func (p *processes) pids() []int {
	var all []int
	for i, root := range p.roots {
		select {
		case <-p.ended[i]:
		default:
			all = append(all, root.Process.Pid)
		}
	}
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		if pid, fields, err := stat(path); err == nil {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], pid)
		}
	}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// stat returns a process and the fields that follow its name in a stat file.
func stat(path string) (pid int, fields []string, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, nil, err
	}
	end := bytes.LastIndexByte(b, ')')
	pid, err = strconv.Atoi(string(b[:bytes.IndexByte(b, ' ')]))
	fields = strings.Fields(string(b[end+1:]))
	if err == nil && len(fields) < 20 {
		err = fmt.Errorf("%s is short", path)
	}
	return pid, fields, err
}

// tick is what Linux counts processor time in, on all its architectures of today.
const tick = 10 * time.Millisecond

// cpu returns what the processes have used, user and system, with those that ended and were waited for.
func (p *processes) cpu() (total time.Duration) {
	for _, pid := range p.pids() {
		_, fields, err := stat(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has just ended
		}
		for _, f := range fields[11:15] {
			n, _ := strconv.ParseInt(f, 10, 64)
			total += time.Duration(n) * tick
		}
	}
	return total
}

// memory is what processes hold, in bytes. Pages that several have mapped count in rss for each of them, and in pss once.
type memory struct{ rss, pss int64 }

func (p *processes) memory() (m memory, err error) {
	for _, pid := range p.pids() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return m, fmt.Errorf("memory: %w", err)
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) < 2 {
				continue
			}
			n, _ := strconv.ParseInt(f[1], 10, 64)
			switch f[0] {
			case "Rss:":
				m.rss += n << 10
			case "Pss:":
				m.pss += n << 10
			}
		}
	}
	return m, nil
}

// stop lets the processes end as they should, the last first, and ends those that do not. A PostgreSQL that is told to be fast does not wait for its clients.
func (p *processes) stop() {
	for i, root := range slices.Backward(p.roots) {
		gentle := syscall.SIGTERM
		if filepath.Base(root.Path) == "postgres" {
			gentle = syscall.SIGINT
		}
		_ = root.Process.Signal(gentle)
		select {
		case <-p.ended[i]:
		case <-time.After(20 * time.Second):
		}
	}
	p.kill()
}

// kill ends all of them at once, as a crash would, and returns when they are gone.
func (p *processes) kill() {
	for _, pid := range p.pids() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for i, root := range p.roots {
		<-p.ended[i]
		_ = syscall.Kill(-root.Process.Pid, syscall.SIGKILL)
	}
}

// over tells that a root process has ended, which a server must not.
func (p *processes) over() error {
	for i, root := range p.roots {
		select {
		case <-p.ended[i]:
			return fmt.Errorf("%s ended: %v", root.Path, root.ProcessState)
		default:
		}
	}
	return nil
}

// freePort returns a port of loopback that nobody uses, by TCP or UDP. It is below those that the system gives to clients, so that none
// of these has it when a server starts again.
func freePort() (int, error) {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 15_000+rand.N(15_000))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		u, errUDP := net.ListenPacket("udp", address)
		if errUDP == nil {
			_ = u.Close()
		}
		if err := l.Close(); err != nil || errUDP == nil {
			return l.Addr().(*net.TCPAddr).Port, err
		}
	}
	return 0, errors.New("no port of loopback is free among a hundred that were tried")
}

// patience is how long a server may take to start.
const patience = 60 * time.Second

// until repeats what fails until it works, the server has ended, or patience does.
func until(ctx context.Context, p *processes, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if dead := p.over(); dead != nil {
			return errors.Join(dead, err)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
}

// output runs a program to its end and returns what it printed.
func output(ctx context.Context, as string, args ...string) (string, error) {
	path, err := program(args[0])
	if err != nil {
		return "", err
	}
	who, err := credential(as)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args[1:]...)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: who}
	b, err := cmd.CombinedOutput()
	if err != nil {
		return string(b), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, b)
	}
	return strings.TrimSpace(string(b)), nil
}
