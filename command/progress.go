package command

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
)

// How often it is told how far a transfer is, at most, and over how long a time its rate is taken.
const (
	meterEvery = 250 * time.Millisecond
	meterSpan  = 5 * time.Second
)

// ProgressJSON says how far a transfer is, for programs.
type ProgressJSON struct {
	Transfer int64    `json:"transfer"`
	Name     string   `json:"name"`
	Done     int64    `json:"done"` // bytes
	Total    int64    `json:"total"`
	Rate     float64  `json:"rate"`           // bytes a second
	Left     *float64 `json:"left,omitempty"` // seconds, where it can be told
}

// progressing is what an Output has that says how far a transfer is.
type progressing struct {
	Progress ProgressJSON `json:"progress"`
}

// Progress reports whether an Output says how far something is: what is shown next takes its place. People see it where it does not stay, or not at all.
func (o Output) Progress() (p ProgressJSON, ok bool) {
	switch v := o.Value.(type) {
	case progressing:
		return v.Progress, true
	case json.RawMessage: // from another process
		var h struct{ Progress *ProgressJSON }
		if json.Unmarshal(v, &h) == nil && h.Progress != nil {
			return *h.Progress, true
		}
	}
	return ProgressJSON{}, false
}

// meter shows how far a transfer is.
type meter struct {
	ui   UI
	id   int64
	name string

	mu      sync.Mutex
	told    time.Time
	samples []sample // the oldest first
}

type sample struct {
	at   time.Time
	done int64
}

func newMeter(ui UI, id int64, name string) *meter { return &meter{ui: ui, id: id, name: name} }

// report is a client.Progress.
func (m *meter) report(done, total int64) {
	if o, ok := m.at(time.Now(), done, total); ok {
		m.ui.Show(o)
	}
}

// at returns what to show at a time, if it is time to show something.
func (m *meter) at(now time.Time, done, total int64) (Output, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if done < total && now.Sub(m.told) < meterEvery {
		return Output{}, false
	}
	m.told = now
	for len(m.samples) > 1 && now.Sub(m.samples[1].at) >= meterSpan {
		m.samples = m.samples[1:]
	}
	m.samples = append(m.samples, sample{now, done})
	p := ProgressJSON{Transfer: m.id, Name: m.name, Done: done, Total: total}
	if first := m.samples[0]; now.After(first.at) {
		p.Rate = float64(done-first.done) / now.Sub(first.at).Seconds()
	}
	if p.Rate > 0 {
		left := float64(total-done) / p.Rate
		p.Left = &left
	}
	return Output{progressing{p}, p.text()}, true
}

// Part returns how much is done, from 0 to 1. A file may grow or shrink under way.
func (p *ProgressJSON) Part() float64 {
	if p.Total <= 0 {
		return 1
	}
	return min(max(float64(p.Done)/float64(p.Total), 0), 1)
}

// text returns a line with a bar.
func (p *ProgressJSON) text() string {
	const width = 20
	part := p.Part()
	full := int(part * width)
	line := fmt.Sprintf("%s [%s%s] %3.0f%%  %s of %s", qpq.OneLine(p.Name), strings.Repeat("#", full), strings.Repeat("-", width-full), part*100, Bytes(p.Done), Bytes(p.Total))
	if p.Rate > 0 {
		line += fmt.Sprintf(", %s/s", Bytes(int64(p.Rate)))
	}
	if p.Left != nil && p.Done < p.Total {
		line += fmt.Sprintf(", %s left", (time.Duration(*p.Left * float64(time.Second))).Round(time.Second))
	}
	return line
}

// Bytes writes a number of bytes for people.
func Bytes(n int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	v, unit := float64(n)/1024, 0
	for v >= 1023.95 && unit < len(units)-1 {
		v, unit = v/1024, unit+1
	}
	return fmt.Sprintf("%.1f %s", v, units[unit])
}
