package editor

import (
	"slices"
	"strings"
	"unicode"

	"github.com/clipperhouse/displaywidth"
)

// maxLine is the most characters that a line has. Messages are bounded in bytes, and refused with a sentence; this only bounds memory.
const maxLine = 1 << 18

// Buffer is a line and the place of its cursor.
type Buffer struct {
	Text []rune
	At   int // before this character
}

// String returns the text.
func (l *Buffer) String() string { return string(l.Text) }

// Set replaces all, with the cursor at the end.
func (l *Buffer) Set(text string) {
	l.Text = []rune(text)
	l.At = len(l.Text)
}

// Insert puts text at the cursor.
func (l *Buffer) Insert(text string) {
	add := []rune(text)
	add = add[:min(len(add), max(0, maxLine-len(l.Text)))]
	l.Text = slices.Insert(l.Text, l.At, add...)
	l.At += len(add)
}

// Cut takes what is between two places out and returns it.
func (l *Buffer) Cut(from, to int) []rune {
	out := slices.Clone(l.Text[from:to])
	l.Text = slices.Delete(l.Text, from, to)
	l.At = from
	return out
}

// Left returns the place one character before the cursor, as people count them: a letter with its accents is one.
func (l *Buffer) Left() int {
	last := 0
	for g := displaywidth.StringGraphemes(string(l.Text[:l.At])); g.Next(); {
		last = len([]rune(g.Value()))
	}
	return l.At - last
}

// Right returns the place one character after the cursor.
func (l *Buffer) Right() int {
	g := displaywidth.StringGraphemes(string(l.Text[l.At:]))
	if !g.Next() {
		return l.At
	}
	return l.At + len([]rune(g.Value()))
}

// WordLeft returns the place where the word before the cursor begins.
func (l *Buffer) WordLeft() int {
	at := l.At
	for at > 0 && !wordly(l.Text[at-1]) {
		at--
	}
	for at > 0 && wordly(l.Text[at-1]) {
		at--
	}
	return at
}

// WordRight returns the place where the word after the cursor ends.
func (l *Buffer) WordRight() int {
	at := l.At
	for at < len(l.Text) && !wordly(l.Text[at]) {
		at++
	}
	for at < len(l.Text) && wordly(l.Text[at]) {
		at++
	}
	return at
}

func wordly(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || r == '_'
}

// History is what was entered before, for this session only: it is what people said, and belongs in no file.
type History struct {
	lines []string
	back  int    // how many lines back the one shown is; 0 is none
	draft string // what was typed before somebody went back
}

// maxHistory is how many lines can be gone back.
const maxHistory = 500

// Add keeps a line.
func (h *History) Add(line string) {
	h.back, h.draft = 0, ""
	if strings.TrimSpace(line) == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	h.lines = append(h.lines, line)
	if len(h.lines) > maxHistory {
		h.lines = slices.Delete(h.lines, 0, len(h.lines)-maxHistory)
	}
}

// Move goes back, or forward with a negative step, and changes the line.
func (h *History) Move(step int, l *Buffer) {
	to := h.back + step
	if to < 0 || to > len(h.lines) {
		return
	}
	if h.back == 0 {
		h.draft = l.String()
	}
	h.back = to
	if to == 0 {
		l.Set(h.draft)
		return
	}
	l.Set(h.lines[len(h.lines)-to])
}
