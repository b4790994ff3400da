package playbook

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/quicproquo/qpq"
)

// Progress writes what happens in lines for people: one for each step that came to its end.
type Progress struct {
	Out io.Writer
	// Paint colours text for a terminal with a code of its own. Nil leaves it as it is.
	Paint func(text, color string) string
	// Long says that steps are shown that were skipped, too.
	Long bool

	noted string // the note that was shown last
}

// Report is what Config.Report may be.
func (p *Progress) Report(e Event) {
	switch e.Event {
	case "begin":
		p.line("%s (%s)", qpq.OneLine(e.Name), qpq.OneLine(e.File))
	case "note":
		if e.Text != p.noted { // several users may be told the same
			p.line("%s %s", p.paint("note:", "33"), qpq.OneLine(e.Text))
		}
		p.noted = e.Text
	case "user", "step":
		p.step(e)
	case "end":
		s := e.Summary
		word, color := "passed", "32"
		if s.Failed > 0 {
			word, color = "failed", "31"
		}
		p.line("%s: %s, %d steps passed, %d failed, %d skipped, in %s", qpq.OneLine(e.Name), p.paint(word, color), s.Passed, s.Failed, s.Skipped, span(s.Seconds))
	}
}

func (p *Progress) step(e Event) {
	what := qpq.OneLine(e.Step)
	if e.As != "" {
		what = qpq.OneLine(e.As) + ": " + what
	}
	if e.Group != "" {
		what = qpq.OneLine(e.Group) + " / " + what
	}
	switch e.Status {
	case Passed:
		p.line("%s %4d  %s (%s%s)", p.paint("ok  ", "32"), e.Line, what, span(e.Seconds), tries(e))
	case Failed:
		p.line("%s %4d  %s (%s%s)", p.paint("FAIL", "31"), e.Line, what, span(e.Seconds), tries(e))
		p.line("           %s", strings.ReplaceAll(e.Error.Text, "\n", "\n           "))
	case Skipped:
		if p.Long {
			p.line("%s %4d  %s", p.paint("skip", "33"), e.Line, what)
		}
	}
	if e.Load != nil {
		p.line("           %s", e.Load)
	}
}

// tries says how often a step was tried, where that was more than once.
func tries(e Event) string {
	if e.Attempts < 2 || e.Load != nil {
		return ""
	}
	return fmt.Sprintf(", at the %d. try", e.Attempts)
}

// painted is a text of this file, which may be in colour. All others come from somewhere.
type painted string

func (p *Progress) paint(text, color string) painted {
	if p.Paint == nil {
		return painted(text)
	}
	return painted(p.Paint(text, color))
}

// line writes a line. Only what is painted in it can tell a terminal what to do.
func (p *Progress) line(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = qpq.Printable(s)
		}
	}
	_, _ = fmt.Fprintf(p.Out, format+"\n", args...)
}

// JUnit gathers what happens for a report that continuous integration understands. Its zero value is ready.
type JUnit struct {
	mu    sync.Mutex
	suite suite
}

type suite struct {
	XMLName  xml.Name   `xml:"testsuite"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Time     string     `xml:"time,attr"`
	File     string     `xml:"file,attr,omitempty"`
	Cases    []testcase `xml:"testcase"`
}

type testcase struct {
	Name    string    `xml:"name,attr"`
	Class   string    `xml:"classname,attr"`
	Time    string    `xml:"time,attr"`
	File    string    `xml:"file,attr,omitempty"`
	Line    int       `xml:"line,attr,omitempty"`
	Failure *trouble  `xml:"failure"`
	Error   *trouble  `xml:"error"`
	Skipped *struct{} `xml:"skipped"`
	Out     string    `xml:"system-out,omitempty"`
}

type trouble struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// Report is what Config.Report may be.
func (j *JUnit) Report(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch e.Event {
	case "begin":
		j.suite.Name, j.suite.File = e.Name, e.File
	case "end":
		j.suite.Time = fmt.Sprintf("%.3f", e.Seconds)
	case "step":
		j.add(e)
	}
}

// Trouble adds what ended a run that no step tells of.
func (j *JUnit) Trouble(file string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.suite.Failures+j.suite.Errors > 0 {
		return
	}
	j.suite.Tests++
	j.suite.Errors++
	j.suite.Time = cmp.Or(j.suite.Time, "0.000")
	if j.suite.Name == "" {
		j.suite.Name, j.suite.File = file, file
	}
	j.suite.Cases = append(j.suite.Cases, testcase{Name: "playbook", Class: j.suite.Name, Time: "0.000", File: file,
		Error: &trouble{clean(err.Error()), qpq.CodeOf(err), clean(err.Error())}})
}

func (j *JUnit) add(e Event) {
	c := testcase{Name: clean(e.Step), Class: clean(strings.Join(slices.DeleteFunc([]string{j.suite.Name, e.Group, e.As}, func(s string) bool { return s == "" }), ".")),
		Time: fmt.Sprintf("%.3f", e.Seconds), File: j.suite.File, Line: e.Line}
	j.suite.Tests++
	switch e.Status {
	case Failed:
		t := &trouble{clean(e.Error.Text), e.Error.Code, clean(fmt.Sprintf("%s:%d: %s", j.suite.File, e.Line, e.Error.Text))}
		if e.Error.Code == CodeExpectation {
			c.Failure = t
			j.suite.Failures++
		} else {
			c.Error = t
			j.suite.Errors++
		}
	case Skipped:
		c.Skipped = &struct{}{}
		j.suite.Skipped++
	}
	if e.Load != nil {
		c.Out = e.Load.String()
	}
	j.suite.Cases = append(j.suite.Cases, c)
}

// Document returns the report as XML.
func (j *JUnit) Document() ([]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b, err := xml.MarshalIndent(&j.suite, "", "  ")
	return append([]byte(xml.Header), append(b, '\n')...), err
}

// clean returns a text without what XML cannot hold, or nobody should see.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' {
			return r
		}
		return '�'
	}, s)
}
