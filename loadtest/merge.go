package loadtest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/quicproquo/qpq"
)

// share is what one process has measured, in a form that travels and can be merged with that of others.
type share struct {
	Server    ServerFacts
	Setup     Setup
	Began     time.Time
	Seconds   float64
	Series    []partial
	Errors    []ErrorCount
	Retried   []ErrorCount
	Limit     *Limit
	Storms    []Storm
	Usage     *Usage
	ClientCPU float64
}

// partial is a series of one process.
type partial struct {
	Name   string
	HDR    string // encoded
	Bytes  int64
	Last   time.Duration // when the latest one was noted, since the beginning
	Slices []partialSlice
}

// partialSlice is a slice of it.
type partialSlice struct {
	Number int
	HDR    string // encoded
}

// share returns what was measured so far.
func (r *runner) share() share {
	s := share{Setup: r.setup, Began: r.began, Errors: r.record.failures(), Retried: r.record.again(), Limit: r.limit, Storms: r.storms, ClientCPU: r.own.Seconds()}
	if r.fleet != nil {
		s.Server = ServerFacts{Domain: r.fleet.info.Domain, Software: qpq.Printable(r.fleet.info.Software), Fingerprint: formatFingerprint(r.fleet.fingerprint)}
	}
	if !r.ended.IsZero() {
		s.Seconds = r.ended.Sub(r.began).Seconds()
	}
	s.Usage = r.watch.usage()
	s.Series = r.record.partials()
	return s
}

// partials returns all series.
func (r *recorder) partials() (list []partial) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range r.names {
		t := r.series[name]
		p := partial{Name: name, HDR: encode(t.all), Bytes: t.bytes, Last: t.last}
		for _, s := range t.done {
			p.Slices = append(p.Slices, partialSlice{s.number, s.hdr})
		}
		list = append(list, p)
	}
	return list
}

// merge makes one report of what processes have measured at the same time. usage is what is known of the server besides, nil if nothing is.
func merge(plan Plan, shares []share, usage *Usage) (*Report, error) {
	r := &Report{Format: Format, Plan: plan, Loop: plan.loop(), Errors: []ErrorCount{}, Usage: usage}
	series := map[string]*whole{}
	for _, s := range shares {
		r.add(s)
		for _, p := range s.Series {
			if !slices.Contains(rank, p.Name) {
				return r, fmt.Errorf("a worker measured %q, which is nothing that is measured", clip(p.Name))
			}
			if series[p.Name] == nil {
				series[p.Name] = &whole{all: newHistogram(digits), slices: map[int]*hdr.Histogram{}}
			}
			if err := series[p.Name].add(p); err != nil {
				return r, err
			}
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(series), func(a, b string) int { return slices.Index(rank, a) - slices.Index(rank, b) }) {
		r.Series = append(r.Series, series[name].series(name, plan.Slice))
	}
	if r.Usage == nil && r.Seconds > 0 {
		r.Notes = append(r.Notes, "CPU and memory of the server are not known: give --server-pid of one on this machine, or --server-metrics of one that runs with --metrics")
	}
	r.perItem()
	r.Notes = append(r.Notes, r.advice()...)
	return r, nil
}

// perItem says what the server used for each of the first series.
func (r *Report) perItem() {
	if r.Usage != nil && len(r.Series) > 0 && r.Series[0].Count > 0 {
		r.Usage.CPUPerItem = 1000 * r.Usage.CPU / float64(r.Series[0].Count)
	}
}

// add counts in what is no series.
func (r *Report) add(s share) {
	if s.Server.Domain != "" {
		r.Server = s.Server
	}
	if r.Began.IsZero() {
		r.Began = s.Began
	}
	r.Setup.Registered += s.Setup.Registered
	r.Setup.Reused += s.Setup.Reused
	r.Setup.Conversations += s.Setup.Conversations
	r.Setup.Took = max(r.Setup.Took, s.Setup.Took)
	r.Seconds = max(r.Seconds, s.Seconds)
	r.Errors, r.Retried = sum(r.Errors, s.Errors), sum(r.Retried, s.Retried)
	r.ClientCPU += s.ClientCPU
	if r.Usage == nil {
		r.Usage = s.Usage
	}
	if s.Limit != nil {
		r.addLimit(*s.Limit)
	}
	for i, storm := range s.Storms {
		if i == len(r.Storms) {
			r.Storms = append(r.Storms, Storm{})
		}
		all := &r.Storms[i]
		all.Clients, all.Back, all.Refused, all.Tries = all.Clients+storm.Clients, all.Back+storm.Back, all.Refused+storm.Refused, all.Tries+storm.Tries
		all.Seconds = max(all.Seconds, storm.Seconds)
	}
}

func (r *Report) addLimit(l Limit) {
	if r.Limit == nil {
		r.Limit = &l
		return
	}
	if r.Limit.Why != l.Why {
		r.Limit.Why += "; and " + l.Why
	}
	r.Limit.Connections, r.Limit.Alive, r.Limit.Reached = r.Limit.Connections+l.Connections, r.Limit.Alive+l.Alive, r.Limit.Reached || l.Reached
}

// sum counts errors of the same kind together, the most frequent first.
func sum(a, b []ErrorCount) []ErrorCount {
	for _, e := range b {
		i := slices.IndexFunc(a, func(o ErrorCount) bool { return o.During == e.During && o.Kind == e.Kind })
		if i < 0 {
			a = append(a, e)
		} else {
			a[i].Count += e.Count
		}
	}
	slices.SortStableFunc(a, func(x, y ErrorCount) int { return int(y.Count - x.Count) })
	return a
}

// whole is a series of all processes.
type whole struct {
	all    *hdr.Histogram
	bytes  int64
	last   time.Duration
	slices map[int]*hdr.Histogram
}

func (w *whole) add(p partial) error {
	all, err := decode(p.HDR)
	if err != nil {
		return err
	}
	w.all.Merge(all)
	w.bytes, w.last = w.bytes+p.Bytes, max(w.last, p.Last)
	for _, s := range p.Slices {
		h, err := decode(s.HDR)
		if err != nil {
			return err
		}
		if s.Number < 0 || s.Number >= mostSlices {
			return fmt.Errorf("a worker measured a slice %d: there are %d", s.Number, mostSlices)
		}
		if w.slices[s.Number] == nil {
			w.slices[s.Number] = newHistogram(sliceDigits)
		}
		w.slices[s.Number].Merge(h)
	}
	return nil
}

func (w *whole) series(name string, slice time.Duration) Series {
	s := Series{Name: name, Count: w.all.TotalCount(), Bytes: w.bytes, Latency: latencyOf(w.all), HDR: encode(w.all)}
	if w.last > 0 {
		s.PerSec = float64(s.Count) / w.last.Seconds()
	}
	for _, n := range slices.Sorted(maps.Keys(w.slices)) {
		s.Points = append(s.Points, pointOf(w.slices[n], n, slice))
	}
	return s
}
