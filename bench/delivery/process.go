package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/quic"
	"github.com/quicproquo/qpq/wire"
)

// process is a server in a process of its own.
type process struct {
	dir     string
	address string
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	from    *quic.Endpoint
	profile string // file of CPU profiles, if any: one for each measurement, numbered
	made    int    // profiles
	traffic traffic
}

// start runs this program as a server on the data of a folder, and returns when it listens.
func start(dir, profile string) (*process, error) {
	p := &process{dir: dir, profile: profile, cmd: exec.Command(os.Args[0], "-serve", dir)}
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the server did not start: %w", err), p.cmd.Wait())
	}
	p.address = strings.TrimSpace(line)
	p.from, err = quic.NewEndpoint("127.0.0.1:0", quic.Config{})
	return p, err
}

// counters asks the server what it has used.
func (p *process) counters() (c counters, err error) {
	return c, p.ask("", &c)
}

// profiling is counters at the beginning of what a profile is to be made of.
func (p *process) profiling() (c counters, err error) {
	if p.profile == "" {
		return p.counters()
	}
	p.made++
	return c, p.ask(fmt.Sprintf("%s.%d", p.profile, p.made), &c)
}

// heap has the server collect, and write a profile of its heap where profiles are made.
func (p *process) heap(file string) (c counters, err error) {
	if p.profile == "" {
		file = ""
	}
	return c, p.ask("heap "+file, &c)
}

// profileClients begins a profile of this process beside that of the server, and returns what ends it.
func (p *process) profileClients() (stop func(), err error) {
	if p.profile == "" {
		return func() {}, nil
	}
	f, err := os.Create(fmt.Sprintf("%s.%d.clients", p.profile, p.made))
	if err != nil {
		return nil, err
	}
	stop = func() { pprof.StopCPUProfile(); _ = f.Close() }
	return stop, pprof.StartCPUProfile(f)
}

func (p *process) ask(line string, c *counters) error {
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		return err
	}
	reply, err := p.out.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(reply, c)
}

// close lets the server end as it should.
func (p *process) close() error {
	return errors.Join(p.in.Close(), p.cmd.Wait(), p.from.Close())
}

// kill ends it as a loss of power would, but for the disk.
func (p *process) kill() error {
	err := errors.Join(p.cmd.Process.Kill(), p.from.Close())
	_ = p.cmd.Wait() // tells that it was killed
	return err
}

// connect opens a connection. push may be nil.
func (p *process) connect(ctx context.Context, push func([]byte)) (*transport.Session, error) {
	conn, err := p.from.Dial(ctx, p.address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	return transport.NewSession(counted{conn, &p.traffic}, transport.SessionConfig{Push: push}), nil
}

// until returns after how long the server answers somebody who tries as soon as it is started.
func (p *process) until(ctx context.Context, started time.Time) (time.Duration, error) {
	c, err := p.connect(ctx, nil)
	if err != nil {
		return 0, err
	}
	_, err = wire.Call(ctx, c, wire.Ping{})
	return time.Since(started), errors.Join(err, c.Close())
}

// fromDisk returns how many bytes the server has read of files, from disk or from what the system kept of it, and how many it holds.
func (p *process) fromDisk() (read, resident int64, err error) {
	if read, err = p.number("io", "rchar:"); err != nil {
		return 0, 0, err
	}
	resident, err = p.number("status", "VmRSS:")
	return read, resident << 10, err
}

// number returns the number behind a word of a file that Linux has about the process.
func (p *process) number(file, word string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == word {
			return strconv.ParseInt(f[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, word)
}
