package loadtest

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/quicproquo/qpq"
)

// Format is the version of the form that reports are written in.
const Format = 1

// Report is what came of a load test. Latencies are in milliseconds, what is a time.Duration is in nanoseconds.
type Report struct {
	Format      int          `json:"format"`
	Plan        Plan         `json:"plan"`
	Loop        string       `json:"loop"` // how work came about, in words
	Server      ServerFacts  `json:"server"`
	Setup       Setup        `json:"setup"`
	Began       time.Time    `json:"began"`
	Seconds     float64      `json:"seconds"` // that were measured, until what was under way had ended
	Interrupted bool         `json:"interrupted"`
	Series      []Series     `json:"series"`
	Errors      []ErrorCount `json:"errors"`
	Retried     []ErrorCount `json:"retried,omitempty"` // what failed and was tried again, as clients do that were cut off
	Limit       *Limit       `json:"limit,omitempty"`
	Storms      []Storm      `json:"storms,omitempty"`
	Usage       *Usage       `json:"usage,omitempty"` // of the server, where it could be watched
	ClientCPU   float64      `json:"clientCPU"`       // seconds of CPU that the clients used
	Workers     []Worker     `json:"workers,omitempty"`
	Notes       []string     `json:"notes,omitempty"`
}

// ServerFacts is what the server says of itself.
type ServerFacts struct {
	Domain      string `json:"domain"`
	Software    string `json:"software"`
	Fingerprint string `json:"fingerprint"`
}

// Setup is what was done before anything was measured.
type Setup struct {
	Registered    int           `json:"registered"` // accounts
	Reused        int           `json:"reused"`
	Conversations int           `json:"conversations"`
	Took          time.Duration `json:"took"`
}

// Series is one kind of thing that was counted, with its latencies.
type Series struct {
	Name    string  `json:"name"`
	Count   int64   `json:"count"`
	Bytes   int64   `json:"bytes,omitempty"`
	PerSec  float64 `json:"perSecond"`
	Latency Latency `json:"latency"`
	Points  []Point `json:"points"` // a slice of the run each; where nothing was counted there is none
	HDR     string  `json:"hdr"`    // all latencies in microseconds, as a compressed HdrHistogram (V2, base64)
}

// Latency is how long things took, in milliseconds.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Point is a slice of a series.
type Point struct {
	Slice  int     `json:"slice"` // from 0
	Count  int64   `json:"count"`
	PerSec float64 `json:"perSecond"`
	P50    float64 `json:"p50"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// ErrorCount is how often something went wrong.
type ErrorCount struct {
	During  string `json:"during"`
	Kind    string `json:"kind"`
	Count   int64  `json:"count"`
	Example string `json:"example"` // the first one, in full
}

// Limit is how many connections there could be.
type Limit struct {
	Connections int    `json:"connections"` // that were open at a time
	Alive       int    `json:"alive"`       // of those, that still answered in the end
	Why         string `json:"why"`         // it was no more
	Reached     bool   `json:"reached"`     // the server's limit, not that of the plan
}

// Storm is all clients being cut off and connecting again at once.
type Storm struct {
	Clients int     `json:"clients"`
	Back    int     `json:"back"`
	Refused int     `json:"refused"` // for good: they were not back when patience ended
	Tries   int64   `json:"tries"`
	Seconds float64 `json:"seconds"` // until the last was back
}

// Worker is a process that took part.
type Worker struct {
	Name    string `json:"name"`
	Clients int    `json:"clients"`
	Lost    string `json:"lost,omitempty"` // why nothing, or not all, is known of it
}

func ms(µs float64) float64 { return µs / 1000 }

func latencyOf(h *hdr.Histogram) Latency {
	at := func(q float64) float64 { return ms(float64(h.ValueAtQuantile(q))) }
	return Latency{Mean: ms(h.Mean()), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: ms(float64(h.Max()))}
}

func pointOf(h *hdr.Histogram, number int, slice time.Duration) Point {
	return Point{Slice: number, Count: h.TotalCount(), PerSec: float64(h.TotalCount()) / slice.Seconds(),
		P50: ms(float64(h.ValueAtQuantile(50))), P99: ms(float64(h.ValueAtQuantile(99))), Max: ms(float64(h.Max()))}
}

// loop says how work comes about.
func (p Plan) loop() string {
	switch {
	case p.Scenario == "reconnect-storm":
		return "all at once: latencies count from when all were cut off"
	case p.Rate > 0:
		return fmt.Sprintf("open loop: %g a second are due, and latencies count from when each was due", p.Rate)
	case p.Scenario == "connect":
		return fmt.Sprintf("closed loop, as fast as it goes: %d connect at a time; a stall of the server hides in this", atOnce)
	}
	return fmt.Sprintf("closed loop, as fast as it goes: what is next begins when what was before has ended, %d at a time each; a stall of the server hides in this", p.Window)
}

// rank is the order of series.
var rank = []string{seriesAccepted, seriesDelivered, seriesAcknowledged, seriesUploaded, seriesDownloaded, seriesConnected, seriesBack, seriesLogin,
	seriesReconnected, seriesTyping}

// Failed returns how many errors there were.
func (r *Report) Failed() (n int64) {
	for _, e := range r.Errors {
		n += e.Count
	}
	return n
}

// Find returns a series, nil if there is none of that name.
func (r *Report) Find(name string) *Series {
	for i := range r.Series {
		if r.Series[i].Name == name {
			return &r.Series[i]
		}
	}
	return nil
}

// advice says what errors that have a plain cause come of.
func (r *Report) advice() (list []string) {
	said := map[string]bool{}
	for _, e := range r.Errors {
		text := map[string]string{
			"rate-limited":         "the server limits how much one address or account may ask for: it takes more with --address-rate and --account-rate",
			"refused: no room":     "the server limits how many connections there may be: it takes more with --max-connections and --max-connections-per-address",
			"too-many-connections": "the server limits how many connections there may be: it takes more with --max-connections and --max-connections-per-address",
		}[e.Kind]
		if text != "" && !said[text] {
			said[text] = true
			list = append(list, text)
		}
	}
	return list
}

// WriteJSON writes a report to a file.
func (r *Report) WriteJSON(path string) error { return writeJSON(path, r) }

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(b, '\n'), 0o644)
	}
	if err != nil {
		return cannotWrite(path, err)
	}
	return nil
}

func cannotWrite(path string, err error) error {
	return qpq.Wrap(qpq.Unavailable, "cannot-write", fmt.Sprintf("the report cannot be written to %s: %v", path, err), err)
}

// ReadReport reads what WriteJSON wrote.
func ReadReport(path string) (*Report, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, qpq.Wrap(qpq.NotFound, "no-report", fmt.Sprintf("the report %s cannot be read: %v", path, err), err)
	}
	r := &Report{}
	if err := json.Unmarshal(b, r); err != nil || r.Format == 0 {
		return nil, qpq.Wrap(qpq.Invalid, "bad-report", fmt.Sprintf("%s is no report that qpq-loadtest wrote with --json (%v)", path, err), err)
	}
	if r.Format != Format {
		return nil, qpq.E(qpq.Unsupported, "bad-report", fmt.Sprintf("the report %s is of form %d, and this program reads form %d: make it anew", path, r.Format, Format))
	}
	return r, nil
}

// Histogram returns all latencies of a series, in microseconds.
func (s *Series) Histogram() (*hdr.Histogram, error) { return decode(s.HDR) }
