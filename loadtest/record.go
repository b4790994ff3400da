package loadtest

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
)

// Latencies are counted in microseconds up to an hour: the whole of a run to three digits, a slice of it to two.
const (
	longest     = int64(time.Hour / time.Microsecond)
	digits      = 3
	sliceDigits = 2
)

// recorder takes what happens in a run. Until start nothing but errors is kept.
type recorder struct {
	mu      sync.Mutex
	began   time.Time // zero before start
	slice   time.Duration
	names   []string // of series, in the order in which they came up
	series  map[string]*tally
	errors  map[mishap]*ErrorCount
	retries map[string]*ErrorCount
	over    bool
}

// tally is one kind of thing that is counted.
type tally struct {
	all    *hdr.Histogram
	bytes  int64
	last   time.Duration  // when the latest one was noted, since the beginning
	now    *hdr.Histogram // of the slice that is running
	number int            // of that slice
	done   []sliceTally
}

// sliceTally is what a slice that is over had.
type sliceTally struct {
	number int
	hdr    string // encoded
	point  Point
}

// mishap is what makes errors the same.
type mishap struct{ during, kind string }

func newRecorder() *recorder {
	return &recorder{series: map[string]*tally{}, errors: map[mishap]*ErrorCount{}, retries: map[string]*ErrorCount{}}
}

func newHistogram(digits int) *hdr.Histogram { return hdr.New(1, longest, digits) }

// encode writes a histogram as HdrHistogram's V2 has it, compressed and in base64.
func encode(h *hdr.Histogram) string {
	b, err := h.Encode(hdr.V2CompressedEncodingCookieBase)
	if err != nil {
		panic(err) // it writes to memory
	}
	return string(b)
}

// start begins the first slice.
func (r *recorder) start(at time.Time, slice time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began, r.slice = at, slice
}

// started returns when measuring began, zero before.
func (r *recorder) started() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.began
}

// note takes one of a series, which took so long and moved so many bytes.
func (r *recorder) note(name string, took time.Duration, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() || r.over {
		return
	}
	t := r.series[name]
	if t == nil {
		t = &tally{all: newHistogram(digits), now: newHistogram(sliceDigits)}
		r.series[name], r.names = t, append(r.names, name)
	}
	t.last = time.Since(r.began)
	t.until(int(t.last/r.slice), r.slice)
	µs := min(max(took.Microseconds(), 1), longest)
	_ = t.all.RecordValue(µs) // is within its bounds
	_ = t.now.RecordValue(µs)
	t.bytes += bytes
}

// until ends the slice that is running if a later one has begun.
func (t *tally) until(number int, slice time.Duration) {
	if number <= t.number {
		return
	}
	if t.now.TotalCount() > 0 {
		t.done = append(t.done, sliceTally{t.number, encode(t.now), pointOf(t.now, t.number, slice)})
		t.now.Reset()
	}
	t.number = number
}

// finish ends all slices.
func (r *recorder) finish(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	for _, t := range r.series {
		t.until(max(t.number, int(at.Sub(r.began)/r.slice))+1, r.slice)
	}
}

// fail counts an error.
func (r *recorder) fail(during string, err error) {
	if err == nil {
		return
	}
	r.failed(during, kindOf(err), qpq.Printable(err.Error()), 1)
}

// failed counts so many errors of a kind.
func (r *recorder) failed(during, kind, example string, n int64) {
	if n <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	e := r.errors[mishap{during, kind}]
	if e == nil {
		e = &ErrorCount{During: during, Kind: kind, Example: example}
		r.errors[mishap{during, kind}] = e
	}
	e.Count += n
}

// retried counts what failed and is going to be tried again: it is told, and is no error.
func (r *recorder) retried(err error) {
	kind := kindOf(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.retries[kind]
	if e == nil {
		e = &ErrorCount{During: "reconnect", Kind: kind, Example: qpq.Printable(err.Error())}
		r.retries[kind] = e
	}
	e.Count++
}

// failures returns all errors, the most frequent first.
func (r *recorder) failures() (list []ErrorCount) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.errors {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b ErrorCount) int {
		if a.Count != b.Count {
			return int(b.Count - a.Count)
		}
		return strings.Compare(a.During+a.Kind, b.During+b.Kind)
	})
	return list
}

// again returns what was tried again.
func (r *recorder) again() (list []ErrorCount) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, kind := range slices.Sorted(maps.Keys(r.retries)) {
		list = append(list, *r.retries[kind])
	}
	return list
}

// kindOf says in a word or two what kind of error it is: the code that the server gave, or what became of connection or call.
func kindOf(err error) string {
	var network net.Error
	code, refused := transport.Refused(err)
	switch {
	case refused && code == transport.CodeRefused:
		return "refused: no room"
	case refused:
		return "ended by the server: " + code.String()
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "timed out"
	case errors.Is(err, context.Canceled):
		return "given up"
	case qpq.CodeOf(err) != "":
		return qpq.CodeOf(err)
	}
	var lost *transport.CallError
	if errors.As(err, &lost) {
		return "connection lost"
	}
	return qpq.KindOf(err).String()
}
