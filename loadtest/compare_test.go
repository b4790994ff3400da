package loadtest

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
)

// made is a report whose slices are made up: so many, whose numbers are around level, each by some share off, and alike to the one before.
func made(seed uint64, slices int, level, off, alike float64) *Report {
	chance := rand.New(rand.NewPCG(seed, 7))
	s := Series{Name: seriesAccepted}
	drift := 0.0
	for i := range slices {
		drift = alike*drift + (1-alike)*chance.NormFloat64()*off
		v := level * (1 + drift)
		s.Points = append(s.Points, Point{Slice: i, Count: int64(1000 * v), PerSec: 1000 * v, P50: 10 * v, P99: 30 * v})
	}
	return &Report{Format: Format, Plan: Plan{Scenario: "dm", Slice: time.Second}, Series: []Series{s}}
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		old, new    *Report
		rate, tails Verdict
	}{
		"the same":           {made(1, 30, 1, .1, 0), made(2, 30, 1, .1, 0), Noise, Noise},
		"more":               {made(1, 30, 1, .1, 0), made(2, 30, 1.3, .1, 0), Better, Worse}, // the latencies rise with it
		"less":               {made(1, 30, 1, .1, 0), made(2, 30, .8, .1, 0), Worse, Better},
		"certain, and small": {made(1, 60, 1, .001, 0), made(2, 60, 1.01, .001, 0), Noise, Noise},
		"lost in the noise":  {made(1, 20, 1, .5, 0), made(2, 20, 1.1, .5, 0), Noise, Noise},
		"short":              {made(1, 9, 1, .1, 0), made(2, 30, 2, .1, 0), Unsure, Unsure},
	} {
		got, err := Compare(c.old, c.new)
		if err != nil {
			t.Fatal(err)
		}
		if got.Figures[0].Verdict != c.rate || got.Figures[2].Verdict != c.tails {
			t.Errorf("%s: %+v", name, got.Figures)
		}
	}
}

// TestNoiseIsNoise: of many comparisons of what does not differ hardly any says that it does, also where neighbouring slices are alike.
func TestNoiseIsNoise(t *testing.T) {
	for _, alike := range []float64{0, .5, .8} {
		wrong := 0
		for i := range uint64(500) {
			c, err := Compare(made(2*i, 40, 1, .2, alike), made(2*i+1, 40, 1, .2, alike))
			if err != nil {
				t.Fatal(err)
			}
			if v := c.Figures[0].Verdict; v != Noise {
				wrong++
			}
		}
		if wrong > 15 { // three times what one of a hundred is
			t.Errorf("neighbours alike by %.1f: %d of 500 comparisons found a difference where there is none", alike, wrong)
		}
	}
}

// TestRankTest compares with what R's wilcox.test(a, b, exact=FALSE) gives.
func TestRankTest(t *testing.T) {
	a, b := []float64{3, 9, 1, 7, 5, 10, 2, 8, 4, 6}, []float64{13, 19, 11, 17, 15, 20, 12, 18, 14, 16}
	if p := rankTest(a, b); math.Abs(p-0.000182672) > 1e-6 {
		t.Errorf("p is %g", p)
	}
	if p := rankTest(a, a); p != 1 {
		t.Errorf("p of the same is %g", p)
	}
	if p := rankTest([]float64{1, 1, 1}, []float64{1, 1}); p != 1 {
		t.Errorf("p of ties alone is %g", p)
	}
}

func TestCompareRefuses(t *testing.T) {
	other := made(1, 10, 1, 0, 0)
	other.Series[0].Name = seriesLogin
	if _, err := Compare(made(1, 10, 1, 0, 0), other); !errors.Is(err, qpq.Invalid) {
		t.Error(err)
	}
	other = made(1, 20, 1, 0.1, 0)
	other.Plan.Clients, other.Interrupted = 7, true
	if c, err := Compare(made(1, 20, 1, .1, 0), other); err != nil || len(c.Notes) != 2 {
		t.Errorf("%v %+v", err, c)
	}
	for content, kind := range map[string]qpq.Kind{"": qpq.Invalid, "{}": qpq.Invalid, `{"format":99}`: qpq.Unsupported} {
		path := filepath.Join(t.TempDir(), "r.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadReport(path); !errors.Is(err, kind) {
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := ReadReport(filepath.Join(t.TempDir(), "none")); !errors.Is(err, qpq.NotFound) {
		t.Error(err)
	}
}

// TestMerge: latencies of several processes together are as if one had counted them.
func TestMerge(t *testing.T) {
	chance := rand.New(rand.NewPCG(3, 4))
	all := newHistogram(digits)
	recorders := []*recorder{newRecorder(), newRecorder(), newRecorder()}
	for _, r := range recorders {
		r.start(time.Now(), time.Hour)
	}
	for i := range 30_000 {
		took := time.Duration(chance.ExpFloat64() * float64(10*time.Millisecond))
		recorders[i%3].note(seriesAccepted, took, 2)
		if err := all.RecordValue(max(1, took.Microseconds())); err != nil {
			t.Fatal(err)
		}
	}
	var shares []share
	for i, r := range recorders {
		r.failed("send", "timed out", "x", int64(i))
		r.failures()
		s := share{Errors: r.failures()}
		r.finish(time.Now())
		s.Series = r.partials()
		shares = append(shares, s)
	}
	r, err := merge(Plan{Scenario: "dm", Slice: time.Hour}, shares, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := r.Series[0]
	if s.Count != 30_000 || s.Bytes != 60_000 || r.Failed() != 3 || len(r.Errors) != 1 || len(s.Points) != 1 || s.Points[0].Count != s.Count {
		t.Errorf("%+v %+v", s, r.Errors)
	}
	h, err := s.Histogram()
	if err != nil || !h.Equals(all) {
		t.Errorf("the merged latencies are others: %v", err)
	}
	shares[0].Series[0].HDR = "rubbish"
	if _, err := merge(Plan{Slice: time.Hour}, shares, nil); err == nil {
		t.Error("rubbish was merged")
	}
}

// FuzzDecode: latencies that others send are read, or refused.
func FuzzDecode(f *testing.F) {
	h := newHistogram(sliceDigits)
	for i := range int64(100) {
		if err := h.RecordValue(1 + i*i); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(encode(h))
	f.Add("HISTFAAAAGF42pJpmSzMwMBgzQABzFCaEURcm7yEwf4DROC8BtN")
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := decode(s); err == nil {
			newHistogram(digits).Merge(h)
			_ = latencyOf(h)
		}
	})
}

// FuzzMetrics: a page of metrics is read, or refused.
func FuzzMetrics(f *testing.F) {
	f.Add("# HELP x\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 1e6\nqpq_store_commits_total 7\n")
	f.Fuzz(func(t *testing.T, page string) {
		if r, err := metrics(page); err == nil && r.at.IsZero() {
			t.Error("a reading has no time")
		}
	})
}
