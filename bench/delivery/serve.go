package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/quicproquo/qpq/bench/store"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/opaque"
	contract "github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/transport/quic"
)

const domain = "localhost"

// passwords is OPAQUE as the protocol says, but for what clients alone pay: stretching the password.
var passwords = opaque.Configuration{KSF: opaque.Identity}

// limits are the server's defaults, but for those on rates: one machine stands for many people here.
var limits = node.Limits{AddressRate: 1e9, AccountRate: 1e9, AddressConnections: 1e6, Connections: 1e6, Attempts: 1e9,
	PasswordFloor: time.Nanosecond, LookupFloor: time.Nanosecond}

// counters are what a server has used so far.
type counters struct {
	CPU     time.Duration // of all its threads, user and system
	Syncs   int64
	Writes  int64 // calls that write to the database or its log
	Commits uint64
	Allocs  uint64 // objects
	Bytes   uint64 // allocated
	Waits   waits

	memory // where it was asked for
}

// memory is what a server holds after collections, in bytes.
type memory struct {
	Resident uint64 // of the process, as the system counts it
	Objects  uint64 // on the heap
	Spans    uint64 // the pages that these are in, holes between them included
	Stacks   uint64
	Runtime  uint64 // what the runtime keeps of its own: tables of spans, bits of the collector, profiles
}

// each returns what so many devices added to each figure, in KB.
func (m memory) each(base memory, devices int) (kb [5]float64) {
	now, before := [...]uint64{m.Resident, m.Objects, m.Spans, m.Stacks, m.Runtime}, [...]uint64{base.Resident, base.Objects, base.Spans, base.Stacks, base.Runtime}
	for i := range kb {
		kb[i] = (float64(now[i]) - float64(before[i])) / float64(devices) / 1000
	}
	return kb
}

func (c counters) since(b counters) counters {
	return counters{CPU: c.CPU - b.CPU, Syncs: c.Syncs - b.Syncs, Writes: c.Writes - b.Writes, Commits: c.Commits - b.Commits, Allocs: c.Allocs - b.Allocs, Bytes: c.Bytes - b.Bytes, Waits: c.Waits.since(b.Waits)}
}

// used returns the CPU time of this process.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// server is a real server on loopback: that of qpq-server, without its settings.
type server struct {
	at     *quic.Endpoint
	engine *sqlite.Engine
	disk   *store.Counting
	stop   context.CancelFunc
	ended  chan error
}

// key returns the signing key of the server whose data is in a folder, made when it is first asked for.
func key(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, "key")
	seed, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		seed = make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		err = os.WriteFile(path, seed, 0o600)
	}
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// open opens the store in a folder, as a server's.
func open(ctx context.Context, dir, vfs string) (*sqlite.Engine, *contract.Store, error) {
	engine, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "qpq.db"), VFS: vfs})
	if err != nil {
		return nil, nil, err
	}
	s, err := contract.Open(ctx, engine, contract.Config{Domain: domain, Now: time.Now()})
	return engine, s, err
}

// serve starts a server on the data of a folder.
func serve(ctx context.Context, dir string) (*server, error) {
	s := &server{disk: store.Count("counting"), ended: make(chan error, 1)}
	signing, err := key(dir)
	if err != nil {
		return nil, err
	}
	setup, err := opaque.NewServerSetup(passwords)
	if err != nil {
		return nil, err
	}
	engine, kept, err := open(ctx, dir, "counting")
	if err != nil {
		return nil, err
	}
	s.engine = engine
	n, err := node.New(node.Config{Domain: domain, Passwords: opaque.NewServer(passwords, setup), SigningKey: signing, Store: kept, Limits: limits})
	if err != nil {
		return nil, err
	}
	certificate, err := selfSigned()
	if err != nil {
		return nil, err
	}
	if s.at, err = quic.NewEndpoint("127.0.0.1:0", quic.Config{}); err != nil {
		return nil, err
	}
	l, err := s.at.Listen(certificate)
	if err != nil {
		return nil, err
	}
	ctx, s.stop = context.WithCancel(ctx)
	go func() { s.ended <- n.Run(ctx, l) }()
	return s, nil
}

func (s *server) close() error {
	s.stop()
	return errors.Join(<-s.ended, s.at.Close(), s.engine.Close())
}

func (s *server) counters() counters {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	st := s.engine.Stats()
	w := waits{Commit: st.CommitTime, Held: st.HeldTime, Starts: st.LogStarts, Pages: st.LogPages}
	w.Log, w.Database = s.disk.Waits()
	return counters{CPU: used(), Syncs: s.disk.Syncs(), Writes: s.disk.Writes(), Commits: st.Commits, Allocs: m.Mallocs, Bytes: m.TotalAlloc, Waits: w}
}

func selfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{domain}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, err
}

// quiet waits until no lane is served and connections neither come nor go, at most a minute: a busy machine takes longer than a lane may rest.
func quiet() {
	before, since := 0, time.Now()
	for end := since.Add(time.Minute); time.Now().Before(end) && time.Since(since) < 3*time.Second; time.Sleep(200 * time.Millisecond) {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		if n := runtime.NumGoroutine(); n != before || strings.Contains(stacks.String(), "transport.(*ServerConn).lane+") {
			before, since = n, time.Now()
		}
	}
}

// heap waits until the server has nothing to do, collects what is not used, writes what is to a file, unless its name is empty, and answers with counters.
func (s *server) heap(file string, out io.Writer) error {
	quiet()
	for range 4 { // what pools hold outlives a collection, and each takes half of a stack that is not used
		debug.FreeOSMemory()
	}
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		if err := errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close()); err != nil {
			return err
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c := s.counters()
	c.memory = memory{Objects: m.HeapAlloc, Spans: m.HeapInuse, Stacks: m.StackInuse, Runtime: m.MSpanInuse + m.MCacheInuse + m.GCSys + m.BuckHashSys + m.OtherSys}
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	if _, err := fmt.Sscan(string(statm), new(uint64), &c.Resident); err != nil {
		return err
	}
	c.Resident *= uint64(os.Getpagesize())
	return json.NewEncoder(out).Encode(c)
}

// serveMain is the server as a process of its own. It prints its address, answers each line of its standard input with its counters,
// and ends with its input. A line that names a file begins profiles there, which end with the next line.
func serveMain(dir string, in io.Reader, out io.Writer) error {
	if _, chosen := os.LookupEnv("GOGC"); !chosen {
		node.PaceCollector() // as qpq-server does
	}
	s, err := serve(context.Background(), dir)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, s.at.Addr())
	lines := bufio.NewScanner(in)
	var p profiles
	for lines.Scan() {
		if err := p.end(); err != nil {
			return err
		}
		if file, ok := strings.CutPrefix(lines.Text(), "heap "); ok {
			if err := s.heap(file, out); err != nil {
				return err
			}
			continue
		}
		if name := lines.Text(); name != "" {
			if err := p.begin(name); err != nil {
				return err
			}
		}
		if err := json.NewEncoder(out).Encode(s.counters()); err != nil {
			return err
		}
	}
	return errors.Join(p.end(), s.close())
}
