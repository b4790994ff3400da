package transport

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"

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

// idleServer prints its address, and on each line that it reads its resident bytes; for "collect" it collects before.
func idleServer(in io.Reader, out io.Writer) error {
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
		if lines.Text() == "collect" {
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
		b.ReportMetric(float64(ask("now")-empty)/idleClients/1000, "KB/client")
		b.ReportMetric(float64(ask("collect")-empty)/idleClients/1000, "KB/client-collected")
		closeAll()
	}
	check(b, in.Close())
	check(b, cmd.Wait())
}

// connectIdle connects all clients; each makes one call and waits for its welcome.
func connectIdle(b *testing.B, address string) func() {
	_, config, err := certificate()
	check(b, err)
	from, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
	check(b, err)
	sessions := make([]*transport.Session, idleClients)
	var welcome, group sync.WaitGroup
	welcome.Add(idleClients)
	slots := make(chan struct{}, 32)
	for i := range sessions {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			conn, err := from.Dial(b.Context(), address, config)
			if err != nil {
				b.Error(err)
				welcome.Done()
				return
			}
			sessions[i] = transport.NewSession(conn, transport.SessionConfig{Push: func([]byte) { welcome.Done() }})
			if _, _, err := sessions[i].Call(b.Context(), 1, []byte("hello")); err != nil {
				b.Error(err)
			}
		})
	}
	group.Wait()
	welcome.Wait()
	return func() { check(b, from.Close()) }
}
