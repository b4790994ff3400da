package loadtest

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"slices"
	"time"
)

//go:embed report.html
var page string

// pageTemplate is the report for people. All in it is escaped as its place asks for.
var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"ms":    func(v float64) string { return fmt.Sprintf("%.1f", v) },
	"whole": func(v float64) string { return fmt.Sprintf("%.0f", v) },
	"mb":    func(v int64) string { return fmt.Sprintf("%.1f", float64(v)/1e6) },
	"sum":   func(a, b int) int { return a + b },
}).Parse(page))

// WriteHTML writes a report with charts to a file that needs no other: no scripts, no fonts, nothing from elsewhere.
func (r *Report) WriteHTML(path string) error {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, struct {
		*Report
		When     string
		Payloads string
		Charts   []chart
		Colours  []int
	}{r, r.Began.UTC().Format(time.DateTime) + " UTC", r.payloads(), r.charts(), []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}})
	if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o644)
	}
	if err != nil {
		return cannotWrite(path, err)
	}
	return nil
}

// charts returns what is drawn.
func (r *Report) charts() (list []chart) {
	width := r.Plan.Slice.Seconds()
	var rates, spread []line
	for _, s := range r.Series {
		whole := s
		whole.Points = slices.DeleteFunc(slices.Clone(s.Points), func(p Point) bool { return float64(p.Slice+1)*width > r.Seconds }) // what is over
		rates = append(rates, whole.line(s.Name, width, func(p Point) float64 { return p.PerSec }))
		if l, err := s.quantiles(); err == nil {
			spread = append(spread, l)
		}
	}
	list = append(list, draw("How many a second", "seconds", "/s", rates))
	for _, s := range r.Series {
		list = append(list, draw("Latency of "+s.Name, "seconds", "ms", []line{
			s.line("p50", width, func(p Point) float64 { return p.P50 }), s.line("p99", width, func(p Point) float64 { return p.P99 }),
			s.line("max", width, func(p Point) float64 { return p.Max })}))
	}
	list = append(list, drawQuantiles("Latencies by how many are below", spread))
	if u := r.Usage; u != nil {
		var cpu, memory line
		for _, s := range u.Samples {
			cpu.points = append(cpu.points, point{s.Second, 100 * s.CPU})
			memory.points = append(memory.points, point{s.Second, float64(s.Memory) / 1e6})
		}
		cpu.Name, memory.Name = "of one core", "resident"
		list = append(list, draw("CPU of the server", "seconds", "%", []line{cpu}), draw("Memory of the server", "seconds", "MB", []line{memory}))
	}
	return list
}

// line returns a number of all slices over time. Where nothing was counted it is at nothing.
func (s Series) line(name string, width float64, of func(Point) float64) line {
	l := line{Name: name}
	for _, p := range s.Points {
		for n := len(l.points); n < p.Slice; n++ {
			l.points = append(l.points, point{(float64(n) + 0.5) * width, 0})
		}
		l.points = append(l.points, point{(float64(p.Slice) + 0.5) * width, of(p)})
	}
	return l
}

// quantiles returns latencies by nines: how many tens of tenths are above.
func (s Series) quantiles() (line, error) {
	h, err := s.Histogram()
	l := line{Name: s.Name}
	if err != nil || h.TotalCount() == 0 {
		return l, err
	}
	for _, q := range nines {
		if q.nines > 0 && float64(h.TotalCount())*(1-q.q/100) < 1 {
			break // there are too few to say
		}
		l.points = append(l.points, point{q.nines, max(0.001, ms(float64(h.ValueAtQuantile(q.q))))})
	}
	return l, nil
}
