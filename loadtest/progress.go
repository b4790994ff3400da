package loadtest

import (
	"fmt"
	"strings"
	"time"
)

// Progress is how far a load test is.
type Progress struct {
	Doing    string // before anything is measured: what, how much of it is done, and of how much
	Done, Of int

	Elapsed, Lasts time.Duration // of what is measured
	Series         []Rate
	Errors         int64
	Server         *UsageSample // the latest, where it is watched
}

// Rate is what a series was in the last slice that is over.
type Rate struct {
	Name   string
	PerSec float64
	P50    float64 // milliseconds
	P99    float64
}

// progress says how the run goes.
func (r *runner) progress() Progress {
	p := Progress{Elapsed: time.Since(r.began), Lasts: r.plan.Duration, Server: r.watch.latest()}
	r.record.mu.Lock()
	for _, name := range r.record.names {
		t := r.record.series[name]
		t.until(int(time.Since(r.record.began)/r.record.slice), r.record.slice)
		rate := Rate{Name: name}
		if n := len(t.done); n > 0 && t.done[n-1].number >= t.number-1 {
			point := t.done[n-1].point
			rate.PerSec, rate.P50, rate.P99 = point.PerSec, point.P50, point.P99
		}
		p.Series = append(p.Series, rate)
	}
	for _, e := range r.record.errors {
		p.Errors += e.Count
	}
	r.record.mu.Unlock()
	return p
}

// String is a line for people.
func (p Progress) String() string {
	if p.Doing != "" {
		return fmt.Sprintf("%s: %d of %d", p.Doing, p.Done, p.Of)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%3.0f s of %.0f", p.Elapsed.Seconds(), p.Lasts.Seconds())
	for _, s := range p.Series {
		fmt.Fprintf(&b, " · %s %.0f/s", s.Name, s.PerSec)
		if s.PerSec > 0 {
			fmt.Fprintf(&b, " p50 %.1f p99 %.1f ms", s.P50, s.P99)
		}
	}
	fmt.Fprintf(&b, " · errors %d", p.Errors)
	if p.Server != nil {
		fmt.Fprintf(&b, " · server %.0f%% CPU, %d MB", 100*p.Server.CPU, p.Server.Memory/1e6)
	}
	return b.String()
}
