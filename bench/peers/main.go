// Command peers does the same work on quicproquo and on what a user could install instead, and writes one table. Each peer is a real
// server in a folder of its own on loopback, with a durable archive where it has one; clients are connections of this process. The peers
// take turns, so that what else the machine does falls on all of them, and figures are medians of the turns.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are what can be chosen. The defaults take about a quarter of an hour.
type options struct {
	time   time.Duration // of each measurement
	rounds int
	pairs  []int // the last is the greatest, and that of latencies
	equal  float64
	idle   []int   // clients, ascending
	arrive float64 // of these, a second
	rest   time.Duration
	parts  bool
	stages []string
}

// The stages. Each is measured for itself: one that fails voids what it would have found, and nothing else.
const (
	stageRounds = "rounds"
	stageSyncs  = "syncs"
	stageCrash  = "crash"
	stageIdle   = "idle"
)

var allStages = []string{stageRounds, stageSyncs, stageCrash, stageIdle}

// smoke are options that show in seconds whether all works, and nothing else.
var smoke = options{time: 400 * time.Millisecond, rounds: 1, pairs: []int{1, 2, 4}, equal: 20, idle: []int{20, 60}, arrive: 100, rest: time.Second, stages: allStages}

func main() {
	log.SetFlags(0)
	var o options
	names := flag.String("peers", "qpq,qpq-mls,ejabberd-pg,ejabberd-sqlite,prosody,nats,mosquitto", "`peers` to measure: of "+peerNames())
	flag.DurationVar(&o.time, "time", 2500*time.Millisecond, "of each measurement")
	flag.IntVar(&o.rounds, "rounds", 3, "turns of each peer")
	pairs := flag.String("pairs", "1,25,100", "pairs of users who talk")
	flag.Float64Var(&o.equal, "equal", 200, "messages a second that all peers bear, for latencies")
	idling := flag.String("idle", "1000,10000", "idle clients; empty measures none")
	flag.Float64Var(&o.arrive, "arrive", 250, "idle clients that connect a second, at most")
	stages := flag.String("stages", strings.Join(allStages, ","), "`stages` to measure, of these")
	flag.BoolVar(&o.parts, "parts", true, "measure the parts of quicproquo alone, too")
	out := flag.String("out", "REPORT.md", "`file` for the report")
	short := flag.Bool("smoke", false, "show in seconds whether all works: figures mean nothing")
	flag.Parse()
	var err error
	if o.pairs, err = numbers(*pairs); err == nil {
		o.idle, err = numbers(*idling)
	}
	if o.stages = strings.Split(*stages, ","); err == nil {
		err = known(o.stages)
	}
	if err == nil && (len(o.pairs) == 0 || o.time <= 0 || o.rounds < 1 || o.equal <= 0 || o.arrive <= 0) {
		err = errors.New("-pairs, -time, -rounds, -equal and -arrive take something above zero")
	}
	if err != nil {
		log.Fatal(err)
	}
	o.rest = laneRest
	if *short {
		o = smoke
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := compare(ctx, *names, o, *out, os.Stderr); err != nil {
		stop()
		log.Fatal(err)
	}
}

// known refuses stages that there are not.
func known(stages []string) error {
	for _, name := range stages {
		if !slices.Contains(allStages, name) {
			return fmt.Errorf("there is no stage %q: -stages takes some of %s", name, strings.Join(allStages, ","))
		}
	}
	return nil
}

// numbers reads a list of numbers and sorts it.
func numbers(list string) (out []int, err error) {
	if list == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no list of numbers above zero", list)
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return out, nil
}

// compare measures peers and writes the report, also where some of them failed, which it returns.
func compare(ctx context.Context, names string, o options, out string, progress io.Writer) error {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	for _, p := range chosen {
		if err := p.installed(); err != nil {
			return err
		}
	}
	if err := raiseFiles(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL is another user than root
		return err
	}
	r := &run{options: o, dir: dir, began: time.Now(), load: load(), progress: progress}
	if err := r.measure(ctx, chosen); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := os.WriteFile(out, []byte(r.report()), 0o644); err != nil {
		return err
	}
	return r.failures()
}

// raiseFiles lets this process and those that it starts have as many open files as they may.
func raiseFiles() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	l.Cur = l.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}

// run is one run of the command.
type run struct {
	options
	dir      string
	began    time.Time
	load     string // at the beginning
	progress io.Writer
	subjects []*subject
	parts    *parts
	failed   error // why there are no parts
}

// several is how many pairs send at a time where more than that would only take longer.
func (o options) several() int { return min(25, o.pairs[len(o.pairs)-1]) }

// tell says how far the run is.
func (r *run) tell(format string, args ...any) {
	fmt.Fprintf(r.progress, "%4.0f s  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// measure has all peers do everything.
func (r *run) measure(ctx context.Context, chosen []peer) error {
	tools := filepath.Join(r.dir, "tools")
	if err := os.Mkdir(tools, 0o755); err != nil {
		return err
	}
	r.tell("build")
	if err := build(ctx, tools, chosen); err != nil {
		return err
	}
	for _, p := range chosen {
		if err := r.prepare(ctx, p, tools); err != nil {
			return err
		}
	}
	for n := range r.rounds {
		for _, s := range r.subjects {
			r.step(ctx, s, stageRounds, fmt.Sprintf("round %d", n+1), func() error { return s.round(ctx, r.options) })
		}
	}
	for _, s := range r.subjects {
		if s.rates {
			continue
		}
		r.step(ctx, s, stageSyncs, "syncs", func() error { return s.watched(ctx, r.options) })
		r.step(ctx, s, stageCrash, "crash", func() error { return s.crashed(ctx, r.options) })
		if len(r.idle) > 0 {
			r.step(ctx, s, stageIdle, "idle clients", func() error { return s.rest(ctx, r.options) })
		}
	}
	if !r.options.parts {
		return nil
	}
	r.tell("parts alone")
	var err error
	if r.parts, err = measureParts(ctx); err != nil {
		r.failed = fmt.Errorf("parts alone: %w", err)
	}
	return nil
}

// prepare makes what a peer needs. Where that fails, the peer is measured no more.
func (r *run) prepare(ctx context.Context, p peer, tools string) error {
	s := &subject{peer: p, site: site{dir: filepath.Join(r.dir, p.name), tools: tools, pairs: r.pairs[len(r.pairs)-1]}}
	if s.site.users = 2 * s.site.pairs; len(r.idle) > 0 && !p.rates {
		s.site.users, s.site.together = max(s.site.users, r.idle[len(r.idle)-1]), r.idle[0]
	}
	s.server = p.open(s.site)
	r.subjects = append(r.subjects, s)
	if err := os.Mkdir(s.site.dir, 0o755); err != nil {
		return err
	}
	r.tell("%s: prepare", s.name)
	if err := s.server.prepare(ctx); err != nil {
		s.broken = true
		r.tell("%v", s.void("prepare", err))
	}
	return nil
}

// step does a stage of a peer that could be prepared.
func (r *run) step(ctx context.Context, s *subject, stage, what string, do func() error) {
	if s.broken || ctx.Err() != nil || !slices.Contains(r.stages, stage) {
		return
	}
	r.tell("%s: %s", s.name, what)
	before := len(s.voids)
	if err := do(); err != nil {
		s.void(what, err)
	}
	for _, v := range s.voids[before:] {
		r.tell("%v", v)
	}
}

func (r *run) failures() error {
	all := []error{r.failed}
	for _, s := range r.subjects {
		for _, v := range s.voids {
			all = append(all, v)
		}
	}
	return errors.Join(all...)
}

// build builds the programs that are not Debian's.
func build(ctx context.Context, tools string, chosen []peer) error {
	if slices.ContainsFunc(chosen, func(p peer) bool { return strings.HasPrefix(p.name, "qpq") }) {
		if err := buildQPQ(ctx, tools); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(chosen, func(p peer) bool { return p.name == "nats" }) {
		return buildNATS(ctx, tools)
	}
	return nil
}
