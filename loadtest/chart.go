package loadtest

import (
	"fmt"
	"math"
	"strings"
)

// chart is a drawing, in units of SVG: lines over two axes, with words for those who do not see it.
type chart struct {
	Title   string
	Words   string
	Width   int
	Height  int
	Lines   []line
	Across  []mark // along the horizontal axis
	Upwards []mark
	Left    int // of the drawing within the chart
	Right   int
	Top     int
	Bottom  int
	Unit    string
	Below   string // unit of the horizontal axis
}

// line is one line of a chart.
type line struct {
	Name   string
	Path   string // as SVG has it
	points []point
}

type point struct{ x, y float64 }

// mark is a line of the grid, with what stands beside it.
type mark struct {
	At   int
	Text string
}

const (
	chartWidth, chartHeight = 640, 220
	left, right             = 56, 28
	top, bottom             = 12, 30
)

// nines are the quantiles of the chart of latencies, and where they stand: one more nine is one step.
var nines = []struct {
	q     float64
	nines float64
	text  string
}{{0.1, 0, ""}, {10, -math.Log10(.9), ""}, {25, -math.Log10(.75), ""}, {50, -math.Log10(.5), "p50"}, {75, -math.Log10(.25), ""}, {90, 1, "p90"}, {95, -math.Log10(.05), ""}, {99, 2, "p99"},
	{99.5, -math.Log10(.005), ""}, {99.9, 3, "p99.9"}, {99.99, 4, "p99.99"}, {99.999, 5, "p99.999"}}

func frameOf(title, below, unit string) chart {
	return chart{Title: title, Width: chartWidth, Height: chartHeight, Left: left, Right: chartWidth - right, Top: top, Bottom: chartHeight - bottom, Unit: unit, Below: below}
}

// draw draws lines over a plain axis from nothing.
func draw(title, below, unit string, lines []line) chart {
	c := frameOf(title, below, unit)
	var x, y float64
	for _, l := range lines {
		for _, p := range l.points {
			x, y = max(x, p.x), max(y, p.y)
		}
	}
	stepX, stepY := step(x, 8), step(y, 4)
	x, y = max(x, stepX), stepY*math.Ceil(y/stepY)
	across := func(v float64) float64 { return left + v/x*(chartWidth-left-right) }
	upwards := func(v float64) float64 { return chartHeight - bottom - v/y*(chartHeight-top-bottom) }
	for v := 0.0; v <= x+stepX/1e6; v += stepX {
		c.Across = append(c.Across, mark{int(across(v)), short(v)})
	}
	for v := 0.0; v <= y+stepY/1e6; v += stepY {
		c.Upwards = append(c.Upwards, mark{int(upwards(v)), short(v)})
	}
	return c.with(lines, across, upwards)
}

// drawQuantiles draws latencies over nines, on a logarithmic axis.
func drawQuantiles(title string, lines []line) chart {
	c := frameOf(title, "", "ms")
	least, most, far := math.Inf(1), 0.0, 1.0
	for _, l := range lines {
		for _, p := range l.points {
			least, most, far = min(least, p.y), max(most, p.y), max(far, p.x)
		}
	}
	if most == 0 {
		least, most = 1, 10
	}
	low, high := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	high = max(high, low+1)
	across := func(v float64) float64 { return left + v/far*(chartWidth-left-right) }
	upwards := func(v float64) float64 {
		return chartHeight - bottom - (math.Log10(v)-low)/(high-low)*(chartHeight-top-bottom)
	}
	for _, q := range nines {
		if q.text != "" && q.nines <= far {
			c.Across = append(c.Across, mark{int(across(q.nines)), q.text})
		}
	}
	for d := low; d <= high; d++ {
		c.Upwards = append(c.Upwards, mark{int(upwards(math.Pow(10, d))), short(math.Pow(10, d))})
	}
	return c.with(lines, across, upwards)
}

// with adds lines, and says in words how high they are.
func (c chart) with(lines []line, across, upwards func(float64) float64) chart {
	var words []string
	for _, l := range lines {
		var path strings.Builder
		most := 0.0
		for i, p := range l.points {
			fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[i == 0], across(p.x), upwards(p.y))
			most = max(most, p.y)
		}
		l.Path = path.String()
		c.Lines = append(c.Lines, l)
		words = append(words, fmt.Sprintf("%s at most %s %s", l.Name, short(most), c.Unit))
	}
	c.Words = c.Title + ": " + strings.Join(words, ", ")
	return c
}

// step returns the distance of marks, so that there are about so many: 1, 2 or 5 times a power of ten.
func step(most float64, marks int) float64 {
	if most <= 0 {
		return 1
	}
	rough := most / float64(marks)
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, f := range []float64{1, 2, 5} {
		if rough <= f*power*1.0001 {
			return f * power
		}
	}
	return 10 * power
}

// short writes a number as briefly as it can be.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.4gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.4gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}
