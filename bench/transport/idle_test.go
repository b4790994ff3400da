package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/quic"
)

// idleClients is how many clients do nothing in BenchmarkIdle.
const idleClients = 10_000

// TestMain is also the server of BenchmarkIdle, in a process whose memory is its own.
func TestMain(m *testing.M) {
	if os.Getenv("QPQ_BENCH_SERVER") == "" {
		os.Exit(m.Run())
	}
	if err := idleServer(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// idleServer prints its address, and on each line that it reads its resident bytes: for "idle" once no lane is served, for
// "collect" after a collection.
func idleServer(in io.Reader, out io.Writer) error {
	debug.SetGCPercent(50) // as qpq-server does
	server, _, err := certificate()
	if err != nil {
		return err
	}
	at, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
	if err != nil {
		return err
	}
	l, err := at.Listen(server)
	if err != nil {
		return err
	}
	s := transport.NewServer(transport.ServerConfig{Handler: echo{}})
	go func() { _ = s.Serve(context.Background(), l) }()
	fmt.Fprintln(out, at.Addr())
	for lines := bufio.NewScanner(in); lines.Scan(); {
		switch lines.Text() {
		case "idle":
			for strings.Contains(stacks(), "transport.(*ServerConn).lane+") {
				time.Sleep(100 * time.Millisecond)
			}
		case "collect":
			debug.FreeOSMemory()
		}
		n, err := resident()
		if err != nil {
			return err
		}
		fmt.Fprintln(out, n)
	}
	return at.Close()
}

// stacks returns what the goroutines do, each stack once.
func stacks() string {
	var b strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
	return b.String()
}

// resident returns the bytes of memory that this process has.
func resident() (int, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	return pages * os.Getpagesize(), err
}

// BenchmarkIdle measures what a client that does nothing costs the server, with one UDP socket on each side.
func BenchmarkIdle(b *testing.B) {
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "QPQ_BENCH_SERVER=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	check(b, err)
	pipe, err := cmd.StdoutPipe()
	check(b, err)
	check(b, cmd.Start())
	out := bufio.NewScanner(pipe)
	ask := func(line string) int {
		_, err := fmt.Fprintln(in, line)
		check(b, err)
		if !out.Scan() {
			b.Fatal("the server ended")
		}
		n, err := strconv.Atoi(out.Text())
		check(b, err)
		return n
	}
	if !out.Scan() {
		b.Fatal("the server did not start")
	}
	address := out.Text()
	for b.Loop() {
		empty := ask("collect")
		closeAll := connectIdle(b, address)
		b.ReportMetric(float64(ask("idle")-empty)/idleClients/1000, "KB/client")
		b.ReportMetric(float64(ask("collect")-empty)/idleClients/1000, "KB/client-collected")
		closeAll()
	}
	check(b, in.Close())
	check(b, cmd.Wait())
}

// connectIdle connects all clients; each makes one call, waits for its welcome, and gives up its lane.
func connectIdle(b *testing.B, address string) func() {
	_, config, err := certificate()
	check(b, err)
	from, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
	check(b, err)
	var group sync.WaitGroup
	slots := make(chan struct{}, 16)
	for range idleClients {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if err := connectOne(b.Context(), from, address, config); err != nil {
				b.Error(err)
			}
		})
	}
	group.Wait()
	return func() { check(b, from.Close()) }
}

func connectOne(ctx context.Context, from *quic.Endpoint, address string, config *tls.Config) error {
	conn, err := from.Dial(ctx, address, config)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	welcome := make(chan struct{})
	s := transport.NewSession(conn, transport.SessionConfig{
		Push:   func([]byte) { close(welcome) },
		Limits: transport.Limits{Idle: time.Millisecond},
	})
	if _, _, err := s.Call(ctx, 1, []byte("hello")); err != nil {
		return fmt.Errorf("call: %w", err)
	}
	select {
	case <-welcome:
		return nil
	case <-s.Done():
		return errors.New("the connection ended before the welcome came")
	}
}
