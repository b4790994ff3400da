package loadtest

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/quicproquo/qpq"
)

// Verdict says how a figure of one report stands to that of another.
type Verdict string

// The verdicts.
const (
	Better Verdict = "better"
	Worse  Verdict = "worse"
	Noise  Verdict = "noise" // whatever differs can be chance, or is too small to matter
	Unsure Verdict = "too short to say"
)

// Comparison is what --compare says.
type Comparison struct {
	Old     string   `json:"old"`
	New     string   `json:"new"`
	Figures []Figure `json:"figures"`
	Notes   []string `json:"notes,omitempty"` // what makes the two hard to compare
}

// Figure is one thing that is compared: medians of slices, or single numbers.
type Figure struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit"`
	Old     float64 `json:"old"`
	New     float64 `json:"new"`
	Change  float64 `json:"change"` // in hundredths of the old one
	P       float64 `json:"p"`      // how likely such a difference is where there is none
	Slices  [2]int  `json:"slices"` // that were compared
	Verdict Verdict `json:"verdict"`
}

// What counts: a difference has to be unlikely to be chance, and large enough to matter. Slices of fewer than fewest, in either report,
// say nothing.
const (
	significant = 0.01
	matters     = 0.03
	fewest      = 8
)

// Compare compares two reports slice by slice, without the first and the last slice of each, which begin and end things.
func Compare(older, newer *Report) (*Comparison, error) {
	c := &Comparison{Notes: differences(older, newer)}
	for _, o := range older.Series {
		n := newer.Find(o.Name)
		if n == nil {
			continue
		}
		if older.Plan.Rate == 0 || newer.Plan.Rate == 0 { // else the rate is what was asked for
			c.Figures = append(c.Figures, figure(o.Name+" per second", "/s", true, &o, n, func(p Point) float64 { return p.PerSec }))
		}
		c.Figures = append(c.Figures,
			figure(o.Name+" p50", "ms", false, &o, n, func(p Point) float64 { return p.P50 }),
			figure(o.Name+" p99", "ms", false, &o, n, func(p Point) float64 { return p.P99 }))
	}
	if len(c.Figures) == 0 {
		return nil, qpq.E(qpq.Invalid, "nothing-to-compare", "the two reports have nothing in common that could be compared: are they of the same scenario?")
	}
	if f, ok := serverCPU(older, newer); ok {
		c.Figures = append(c.Figures, f)
	}
	return c, nil
}

// differences says in what the plans differ: then it is not the server alone that is compared.
func differences(a, b *Report) (list []string) {
	add := func(what string, a, b any) {
		if a != b {
			list = append(list, fmt.Sprintf("%s differs: %v, then %v", what, a, b))
		}
	}
	p, q := a.Plan, b.Plan
	add("the scenario", p.Scenario, q.Scenario)
	add("the number of clients", p.Clients, q.Clients)
	add("the rate", p.Rate, q.Rate)
	add("the size of messages", p.Payload, q.Payload)
	add("whether messages are opaque", p.Opaque, q.Opaque)
	add("the size of groups", p.GroupSize, q.GroupSize)
	add("the size of files", p.FileSize, q.FileSize)
	add("the window", p.Window, q.Window)
	add("the length of slices", p.Slice, q.Slice)
	for _, r := range []*Report{a, b} {
		if r.Interrupted {
			list = append(list, "a run was interrupted")
		}
		if n := r.Failed(); n > 0 {
			list = append(list, fmt.Sprintf("a run had %d errors", n))
		}
	}
	return list
}

// figure compares the slices of a series by one of their numbers.
func figure(name, unit string, more bool, older, newer *Series, of func(Point) float64) Figure {
	a, b := values(older, of), values(newer, of)
	f := Figure{Name: name, Unit: unit, Old: median(a), New: median(b), P: 1, Slices: [2]int{len(a), len(b)}, Verdict: Unsure}
	if f.Old > 0 {
		f.Change = 100 * (f.New - f.Old) / f.Old
	}
	if len(a) < fewest || len(b) < fewest {
		return f
	}
	f.P = rankTest(a, b)
	f.Verdict = judge(f, more)
	return f
}

// judge says what a difference means where more is better, or less is.
func judge(f Figure, more bool) Verdict {
	switch {
	case f.P >= significant || math.Abs(f.Change) < 100*matters:
		return Noise
	case (f.New > f.Old) == more:
		return Better
	}
	return Worse
}

// values returns a number of all slices but the first and the last.
func values(s *Series, of func(Point) float64) (list []float64) {
	if len(s.Points) < 3 {
		return nil
	}
	for _, p := range s.Points[1 : len(s.Points)-1] {
		list = append(list, of(p))
	}
	return list
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// rankTest returns how likely it is that two samples which differ so much are of the same distribution: the test of Mann and Whitney
// (1947), two-sided, by the normal approximation with its corrections for ties and continuity. Neighbouring slices are alike, so that they
// count for fewer than they are: by the correlation of each with the next (Wilks, "Statistical Methods in the Atmospheric Sciences", 5.2.4).
func rankTest(a, b []float64) float64 {
	n, m := float64(len(a)), float64(len(b))
	u, ties := ranks(a, b)
	all := n + m
	deviation := math.Sqrt(n * m / 12 * (all + 1 - ties/(all*(all-1))))
	if deviation == 0 {
		return 1 // all are equal
	}
	z := max(0, math.Abs(u-n*m/2)-0.5) / deviation
	alike := min(0.9, max(0, correlation(a), correlation(b)))
	z *= math.Sqrt((1 - alike) / (1 + alike))
	return math.Erfc(z / math.Sqrt2)
}

// ranks returns Mann and Whitney's U of a, and what its ties take off its variance.
func ranks(a, b []float64) (u, ties float64) {
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	rankOf := map[float64]float64{}
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j] == all[i] {
			j++
		}
		rankOf[all[i]] = float64(i+j+1) / 2
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	sum := 0.0
	for _, v := range a {
		sum += rankOf[v]
	}
	n := float64(len(a))
	return sum - n*(n+1)/2, ties
}

// correlation is how much each number is like the one after it.
func correlation(list []float64) float64 {
	mean := 0.0
	for _, v := range list {
		mean += v / float64(len(list))
	}
	var with, all float64
	for i, v := range list {
		all += (v - mean) * (v - mean)
		if i > 0 {
			with += (v - mean) * (list[i-1] - mean)
		}
	}
	if all == 0 {
		return 0
	}
	return with / all
}

// serverCPU compares what the server used second by second, for each of the first series.
func serverCPU(older, newer *Report) (Figure, bool) {
	a, b := cpuPerItem(older), cpuPerItem(newer)
	if a == nil || b == nil {
		return Figure{}, false
	}
	return figure("server CPU per "+older.Series[0].Name, "µs", false, a, b, func(p Point) float64 { return p.P50 }), true
}

// cpuPerItem returns the CPU time for each of the first series in each second, in microseconds, as points; nil where it is not known.
func cpuPerItem(r *Report) *Series {
	if r.Usage == nil || len(r.Series) == 0 {
		return nil
	}
	var out Series
	for i, s := range r.Usage.Samples {
		from := 0.0
		if i > 0 {
			from = r.Usage.Samples[i-1].Second
		}
		items, width := 0.0, r.Plan.Slice.Seconds()
		for _, p := range r.Series[0].Points { // as far as a slice lies between the two readings
			begin := float64(p.Slice) * width
			items += float64(p.Count) * max(0, min(begin+width, s.Second)-max(begin, from)) / width
		}
		if items > 0 {
			out.Points = append(out.Points, Point{P50: 1e6 * s.CPU * (s.Second - from) / items})
		}
	}
	return &out
}

// WriteJSON writes a comparison to a file.
func (c *Comparison) WriteJSON(path string) error { return writeJSON(path, c) }

// WriteText writes a comparison for people.
func (c *Comparison) WriteText(w io.Writer) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\told\tnew\tchange\tp\tslices\t\t\n")
	for _, f := range c.Figures {
		fmt.Fprintf(t, "%s\t%.2f %s\t%.2f %s\t%+.1f %%\t%.4f\t%d, %d\t%s\t\n", f.Name, f.Old, f.Unit, f.New, f.Unit, f.Change, f.P, f.Slices[0], f.Slices[1], f.Verdict)
	}
	_ = t.Flush() // writes to memory
	for _, note := range c.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	fmt.Fprintf(&b, "better or worse: medians of slices that differ by %.0f %% or more, which chance would do in less than one of %.0f cases (Mann-Whitney)\n", 100*matters, 1/significant)
	_, err := io.WriteString(w, b.String())
	return err
}
