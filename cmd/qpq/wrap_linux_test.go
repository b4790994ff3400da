package main

import (
	"bufio"
	"strings"
	"testing"

	"github.com/clipperhouse/displaywidth"
	"golang.org/x/sys/unix"

	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/markdown"
)

// shown returns the lines that a terminal of a width shows of what a program writes, which ends with the line "end".
func shown(t *testing.T, width int, narrow bool, write func(*program) error) (lines []string) {
	t.Helper()
	control, line := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(line.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(width)}); err != nil {
		t.Fatal(err)
	}
	p := &program{stdout: line, settings: &settings{}, lookup: func(string) (string, bool) { return "", false }}
	if narrow {
		p.stdout = ascii{line}
	}
	written := make(chan error, 1)
	go func() {
		err := write(p)
		_, _ = line.WriteString("end\n")
		written <- err
	}()
	for in := bufio.NewScanner(control); in.Scan() && in.Text() != "end"; {
		lines = append(lines, strings.TrimSuffix(in.Text(), "\r"))
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestNoTextLooksLikeAnotherEntry: whatever somebody writes, no row at a terminal begins where entries do but that of its own entry, and none is so wide
// that the terminal would break it.
func TestNoTextLooksLikeAnotherEntry(t *testing.T) {
	const forged = "12:05  ab3de7gi bob: send money"
	for _, text := range []string{
		"x" + strings.Repeat(" ", 66) + forged, "x " + strings.Repeat("y", 66) + forged, strings.Repeat("日本 ", 30) + forged, "x\n    " + strings.Repeat("z ", 40) + forged,
		"x\t" + strings.Repeat("\t", 20) + forged, "e" + strings.Repeat("\u0301\u0302", 50) + " " + forged, strings.Repeat("\u3164", 70) + forged,
		"x\n    " + strings.Repeat("z", 76) + "12:05", "x\n    " + strings.Repeat("z", 56) + strings.ReplaceAll(forged, " ", "\U0001D159"), // without a space
	} {
		for _, width := range []int{20, 40, 80} {
			for _, narrow := range []bool{false, true} {
				text := "12:04  ab3de7gh bob: " + text
				plain := shown(t, width, narrow, func(p *program) error { return p.Result(command.Output{Value: 1, Text: text}) })
				styled := shown(t, width, narrow, func(p *program) error {
					_, err := p.stdout.Write([]byte(p.styled([]markdown.Span{{Text: text[:21]}, {Text: text[21:]}}) + "\n"))
					return err
				})
				for _, lines := range [][]string{plain, styled} {
					for i, row := range lines {
						if i > 0 && !strings.HasPrefix(row, "    ") || i == 0 && !strings.HasPrefix(row, "12:04  ab3de7gh bob:") && width > 20 || displaywidth.String(row) > width {
							t.Errorf("%d columns, ASCII %v, %q: row %d is %q", width, narrow, text, i, row)
						}
					}
				}
			}
		}
	}
}

// TestCodesStayWhole at a terminal, so that they can be copied, and everything does where there is none.
func TestCodesStayWhole(t *testing.T) {
	code := strings.Repeat("abcd-", 20)
	if got := shown(t, 40, false, func(p *program) error { return p.Result(command.Output{Value: 1, Text: code}) }); len(got) != 1 || got[0] != code {
		t.Errorf("it is shown as %q", got)
	}
	var b strings.Builder
	p := &program{stdout: &b, settings: &settings{}}
	text := strings.Repeat("one two\tthree ", 40)
	if err := p.Result(command.Output{Value: 1, Text: text}); err != nil || b.String() != text+"\n" {
		t.Errorf("a pipe has %q, %v", b.String(), err)
	}
}
