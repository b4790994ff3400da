package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
)

// Usage is what the server used while it was measured.
type Usage struct {
	From       string        `json:"from"`       // how it is known
	CPU        float64       `json:"cpu"`        // seconds
	CPUPerItem float64       `json:"cpuPerItem"` // milliseconds, for each of the first series
	Memory     int64         `json:"memory"`     // resident bytes, in the end
	MostMemory int64         `json:"mostMemory"`
	FirstBytes int64         `json:"firstMemory"`       // before any client connected
	Commits    int64         `json:"commits,omitempty"` // transactions, each an fsync or two; known by its metrics alone
	Samples    []UsageSample `json:"samples"`
	Missed     int           `json:"missed,omitempty"` // times that it could not be asked
}

// UsageSample is what the server used of a second.
type UsageSample struct {
	Second float64 `json:"second"`
	CPU    float64 `json:"cpu"` // of one core, 1 is all of it
	Memory int64   `json:"memory"`
}

// reading is what a server has used so far.
type reading struct {
	at      time.Time
	cpu     time.Duration
	memory  int64
	commits int64
}

// watch reads now and then what a server has used.
type watch struct {
	from string
	read func(context.Context) (reading, error)

	mu     sync.Mutex
	idle   reading // before anybody connected
	first  reading
	last   reading
	most   int64
	missed int
	points []UsageSample
}

// newWatch finds out how the server can be watched: nil is not at all.
func newWatch(ctx context.Context, l Local) (*watch, error) {
	w := &watch{}
	switch {
	case l.Metrics != "":
		w.from, w.read = "metrics at "+l.Metrics, func(ctx context.Context) (reading, error) { return scrape(ctx, l.Metrics) }
	case l.PID != 0:
		w.from, w.read = fmt.Sprintf("process %d", l.PID), func(context.Context) (reading, error) { return ofProcess(l.PID) }
	default:
		return nil, nil
	}
	var err error
	if w.idle, err = w.read(ctx); err != nil {
		return nil, qpq.Wrap(qpq.NotFound, "cannot-watch", fmt.Sprintf("the server cannot be watched by %s: %v: check --server-pid or --server-metrics", w.from, err), err)
	}
	w.most = w.idle.memory
	return w, nil
}

// follow reads once a second what the server uses, until ctx ends, and calls tell each time. A nil watch only calls.
func (w *watch) follow(ctx context.Context, began time.Time, tell func()) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	w.sample(ctx, began, true)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.sample(context.WithoutCancel(ctx), began, false)
			return
		}
		w.sample(ctx, began, false)
		tell()
	}
}

// latest returns what was read last, nil if nothing was.
func (w *watch) latest() *UsageSample {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.points) == 0 {
		return nil
	}
	s := w.points[len(w.points)-1]
	return &s
}

// sample adds a reading.
func (w *watch) sample(ctx context.Context, began time.Time, first bool) {
	if w == nil {
		return
	}
	now, err := w.read(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			w.missed++
		}
		return
	}
	before := w.last
	w.last, w.most = now, max(w.most, now.memory)
	if first || w.first.at.IsZero() {
		w.first = now
		return
	}
	if took := now.at.Sub(before.at).Seconds(); took > 0 {
		w.points = append(w.points, UsageSample{Second: now.at.Sub(began).Seconds(), CPU: (now.cpu - before.cpu).Seconds() / took, Memory: now.memory})
	}
}

// usage sums up, nil where nothing was read while something was measured.
func (w *watch) usage() *Usage {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first.at.IsZero() {
		return nil
	}
	return &Usage{From: w.from, CPU: (w.last.cpu - w.first.cpu).Seconds(), Memory: w.last.memory, MostMemory: w.most, FirstBytes: w.idle.memory,
		Commits: w.last.commits - w.first.commits, Samples: w.points, Missed: w.missed}
}

// tick is the unit of CPU times in /proc, which is this on all machines that Linux runs on today.
const tick = 10 * time.Millisecond

// ofProcess reads what a process of this machine has used.
func ofProcess(pid int) (reading, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return reading{}, err
	}
	end := strings.LastIndexByte(string(stat), ')') // of the name, which may have anything in it
	fields := strings.Fields(string(stat[end+1:]))
	if end < 0 || len(fields) < 22 {
		return reading{}, errors.New("/proc says nothing of it")
	}
	var numbers [3]int64 // user and system time, resident pages
	for i, at := range []int{11, 12, 21} {
		if numbers[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return reading{}, err
		}
	}
	return reading{at: time.Now(), cpu: time.Duration(numbers[0]+numbers[1]) * tick, memory: numbers[2] * int64(os.Getpagesize())}, nil
}

// scrape reads the metrics of a server.
func scrape(ctx context.Context, url string) (reading, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return reading{}, err
	}
	reply, err := http.DefaultClient.Do(q)
	if err != nil {
		return reading{}, err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return reading{}, fmt.Errorf("it answered %s", reply.Status)
	}
	b, err := io.ReadAll(io.LimitReader(reply.Body, 4<<20))
	if err != nil {
		return reading{}, err
	}
	return metrics(string(b))
}

// metrics reads what matters here of a page in Prometheus' text format.
func metrics(page string) (reading, error) {
	found := map[string]float64{}
	for line := range strings.Lines(page) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				found[name] = v
			}
		}
	}
	cpu, ok := found["process_cpu_seconds_total"]
	if !ok {
		return reading{}, errors.New("there is no process_cpu_seconds_total on the page")
	}
	return reading{at: time.Now(), cpu: time.Duration(cpu * float64(time.Second)), memory: int64(found["process_resident_memory_bytes"]),
		commits: int64(found["qpq_store_commits_total"])}, nil
}
