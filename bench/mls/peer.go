package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// peer is ts-mls as a process of its own, which interop/mls/peer.mjs plays: a request a line, a reply a line.
type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// start runs the script in a folder, whose packages it installs unless they are there.
func start(folder string) (*peer, error) {
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "ts-mls")); err != nil {
		install := exec.Command("npm", "ci", "--no-audit", "--no-fund")
		install.Dir, install.Stderr = folder, os.Stderr
		if err := install.Run(); err != nil {
			return nil, fmt.Errorf("npm ci in %s: %w", folder, err)
		}
	}
	cmd := exec.Command("node", "peer.mjs")
	cmd.Dir, cmd.Stderr = folder, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	return &peer{cmd, in, lines}, cmd.Start()
}

// Close ends the process.
func (p *peer) Close() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }

type fields = map[string]any

// call has ts-mls do something.
func call[T any](p *peer, method string, params fields) (out T, err error) {
	if err := json.NewEncoder(p.in).Encode(fields{"method": method, "params": params}); err != nil {
		return out, err
	}
	if !p.out.Scan() {
		return out, fmt.Errorf("ts-mls: %s: it ended: %w", method, p.out.Err())
	}
	var reply struct {
		Error  string
		Result T
	}
	if err := json.Unmarshal(p.out.Bytes(), &reply); err != nil {
		return out, fmt.Errorf("ts-mls: %s: %w", method, err)
	}
	if reply.Error != "" {
		return out, fmt.Errorf("ts-mls: %s: %s", method, reply.Error)
	}
	return reply.Result, nil
}

// measure returns the mean time of so many runs of a method, each on the same state.
func (p *peer) measure(method string, params fields, times int) (time.Duration, error) {
	ns, err := call[float64](p, "measure", fields{"method": method, "params": params, "times": times})
	return time.Duration(ns), err
}
