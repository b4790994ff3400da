//go:build linux

package integration_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Servers that are started again need the port that they had. So they get one that the system never gives to clients on its
// own account, which all systems take from 32768 upwards.
var nextPort atomic.Uint32

func init() { nextPort.Store(uint32(20_000 + os.Getpid()%10_000)) }

func freeAddress() string {
	for {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(10_000+nextPort.Add(1)%22_000)))
		tcp, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		_ = tcp.Close()
		udp, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		_ = udp.Close()
		return address
	}
}

var said = regexp.MustCompile(`(?s)listening on (\S+) .*fingerprint (SHA256:\S+)\n(?:metrics on (\S+)/metrics\n)?.*ready\n`)

// ready waits until a server says so.
func (p *process) ready() error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(p.out)
		if err != nil {
			return err
		}
		if m := said.FindSubmatch(b); m != nil {
			p.address, p.fingerprint, p.metrics = string(m[1]), string(m[2]), string(m[3])
			return nil
		}
		select {
		case <-p.done:
			text, _ := os.ReadFile(p.err)
			return fmt.Errorf("the server ended with %d: %s", p.code, text)
		default:
		}
	}
	return errors.New("the server is never ready")
}

// startServer starts a server whose output goes to base.out and base.err, and waits until it is ready.
func startServer(cmd *exec.Cmd, base string) (*process, error) {
	p, err := start(cmd, base)
	if err != nil {
		return nil, err
	}
	if err := p.ready(); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

func has(args []string, flag string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == flag || strings.HasPrefix(a, flag+"=") })
}

func cmdServer(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0 && of(ts).processes[args[0]] == nil)
	s, name := of(ts), args[0]
	line := append([]string{"qpq-server"}, args[1:]...)
	if !has(line, "--data") && !has(line, "--config") {
		line = append(line, "--data", name+".data")
	}
	if !has(line, "--listen") && !has(line, "--config") {
		if s.ports[name] == "" {
			s.ports[name] = freeAddress()
		}
		line = append(line, "--listen", s.ports[name])
	}
	p, err := startServer(command(ts, line), ts.MkAbs(name))
	ts.Check(err)
	s.processes[name] = p
	ts.Setenv(name, p.address)
	ts.Setenv(name+"_fingerprint", p.fingerprint)
	ts.Setenv(name+"_metrics", p.metrics)
	ts.Logf("%s is at %s", strings.Join(line, " "), p.address)
}
