//go:build linux

package client_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
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

// ready waits until a server says so, and returns its fingerprint.
func (p *process) ready(from int64) (fingerprint string, err error) {
	said := regexp.MustCompile(`(?s)fingerprint (SHA256:\S+)\n.*^?ready\n`)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(p.out)
		if err != nil {
			return "", err
		}
		if m := said.FindSubmatch(b[from:]); m != nil {
			return string(m[1]), nil
		}
		select {
		case <-p.done:
			text, _ := os.ReadFile(p.err)
			return "", fmt.Errorf("the server ended with %d: %s", p.code, text)
		default:
		}
	}
	return "", errors.New("the server is never ready")
}

// startServer starts a server that keeps its data in base.data.
func startServer(cmd *exec.Cmd, base string) (*process, string, error) {
	var before int64
	if info, err := os.Stat(base + ".out"); err == nil {
		before = info.Size() // of an earlier run
	}
	p, err := start(cmd, base)
	if err != nil {
		return nil, "", err
	}
	fingerprint, err := p.ready(before)
	if err != nil {
		p.kill()
	}
	return p, fingerprint, err
}

func cmdServer(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg, args, 1)
	b, name := of(ts), args[0]
	if b.processes[name] != nil {
		ts.Fatalf("%s runs already", name)
	}
	if b.ports[name] == "" {
		b.ports[name] = freeAddress()
	}
	line := append([]string{"qpq-server", "--listen", b.ports[name], "--data", name + ".data"}, args[1:]...)
	p, fingerprint, err := startServer(command(ts, line), ts.MkAbs(name))
	ts.Check(err)
	b.processes[name] = p
	ts.Setenv(name, b.ports[name])
	ts.Setenv(name+"_fingerprint", fingerprint)
	ts.Logf("%s is at %s", strings.Join(line, " "), b.ports[name])
}
