package editor

import (
	"slices"
	"strings"
	"unicode"

	"github.com/clipperhouse/displaywidth"
)

// maxLine is the most characters that a line has. Messages are bounded in bytes, and refused with a sentence; this only bounds memory.
const maxLine = 1 << 18

// buffer is a line and the place of its cursor.
type buffer struct {
	text []rune
	at   int // before this character
}

func (l *buffer) String() string { return string(l.text) }

func (l *buffer) set(text string) {
	l.text = []rune(text)
	l.at = len(l.text)
}

// insert puts text at the cursor.
func (l *buffer) insert(text string) {
	add := []rune(text)
	add = add[:min(len(add), max(0, maxLine-len(l.text)))]
	l.text = slices.Insert(l.text, l.at, add...)
	l.at += len(add)
}

// cut takes what is between two places out and returns it.
func (l *buffer) cut(from, to int) []rune {
	out := slices.Clone(l.text[from:to])
	l.text = slices.Delete(l.text, from, to)
	l.at = from
	return out
}

// left returns the place one character before the cursor, as people count them: a letter with its accents is one.
func (l *buffer) left() int {
	last := 0
	for g := displaywidth.StringGraphemes(string(l.text[:l.at])); g.Next(); {
		last = len([]rune(g.Value()))
	}
	return l.at - last
}

func (l *buffer) right() int {
	g := displaywidth.StringGraphemes(string(l.text[l.at:]))
	if !g.Next() {
		return l.at
	}
	return l.at + len([]rune(g.Value()))
}

func (l *buffer) wordLeft() int {
	at := l.at
	for at > 0 && !wordly(l.text[at-1]) {
		at--
	}
	for at > 0 && wordly(l.text[at-1]) {
		at--
	}
	return at
}

func (l *buffer) wordRight() int {
	at := l.at
	for at < len(l.text) && !wordly(l.text[at]) {
		at++
	}
	for at < len(l.text) && wordly(l.text[at]) {
		at++
	}
	return at
}

func wordly(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || r == '_'
}

// history is what was entered before, for this session only: it is what people said, and belongs in no file.
type history struct {
	lines []string
	back  int    // how many lines back the one shown is; 0 is none
	draft string // what was typed before somebody went back
}

// maxHistory is how many lines can be gone back.
const maxHistory = 500

func (h *history) add(line string) {
	h.back, h.draft = 0, ""
	if strings.TrimSpace(line) == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	h.lines = append(h.lines, line)
	if len(h.lines) > maxHistory {
		h.lines = slices.Delete(h.lines, 0, len(h.lines)-maxHistory)
	}
}

// move goes back, or forward with a negative step, and changes the line.
func (h *history) move(step int, l *buffer) {
	to := h.back + step
	if to < 0 || to > len(h.lines) {
		return
	}
	if h.back == 0 {
		h.draft = l.String()
	}
	h.back = to
	if to == 0 {
		l.set(h.draft)
		return
	}
	l.set(h.lines[len(h.lines)-to])
}

// key changes the line as a key says. It reports what the person did, if anything. The caller holds mu.
func (e *Editor) key(k key) (Event, bool) {
	switch k.code {
	case keyEnter:
		return e.enter()
	case keyInterrupt:
		return e.interrupt()
	case keyEOF:
		if len(e.line.text) > 0 {
			e.line.cut(e.line.at, e.line.right())
			return Event{}, false
		}
		if e.asking != nil {
			e.answered(nil)
			return Event{}, false
		}
		return Event{Kind: End}, true
	case keyTab:
		if e.asking == nil {
			e.complete()
		}
	case keyUp, keyDown:
		step := 1
		if k.code == keyDown {
			step = -1
		}
		if e.asking == nil {
			e.history.move(step, &e.line)
		}
	case keyClear:
		e.write("\x1b[H\x1b[2J")
		e.drawn = drawing{}
	default:
		e.edit(k)
	}
	return Event{}, false
}

func (e *Editor) enter() (Event, bool) {
	if q := e.asking; q != nil {
		shown := q.prompt.Text
		if !q.secret {
			shown += e.line.String()
		}
		e.above(e.clean(shown))
		answer := e.line.text
		if answer == nil {
			answer = []rune{}
		}
		e.answered(answer)
		return Event{}, false
	}
	text := e.line.String()
	e.history.add(text)
	e.line = buffer{}
	return Event{Kind: Line, Text: text}, true
}

func (e *Editor) interrupt() (Event, bool) {
	empty := len(e.line.text) == 0
	if e.asking != nil {
		clear(e.line.text)
		e.answered(nil)
		return Event{}, false
	}
	e.line = buffer{}
	e.history.back = 0
	return Event{Kind: Interrupt, Empty: empty, Again: e.interrupted}, true
}

// edit changes the line.
func (e *Editor) edit(k key) {
	l := &e.line
	kill := func(from, to int) {
		if killed := l.cut(from, to); len(killed) > 0 && (e.asking == nil || !e.asking.secret) {
			e.killed = killed
		}
	}
	switch k.code {
	case keyText:
		l.insert(k.text)
	case keyNewline:
		l.insert("\n")
	case keyBackspace:
		l.cut(l.left(), l.at)
	case keyDelete:
		l.cut(l.at, l.right())
	case keyLeft:
		l.at = l.left()
	case keyRight:
		l.at = l.right()
	case keyWordLeft:
		l.at = l.wordLeft()
	case keyWordRight:
		l.at = l.wordRight()
	case keyHome:
		l.at = 0
	case keyEnd:
		l.at = len(l.text)
	case keyKillEnd:
		kill(l.at, len(l.text))
	case keyKillStart:
		kill(0, l.at)
	case keyKillWordLeft:
		kill(l.wordLeft(), l.at)
	case keyKillWordRight:
		kill(l.at, l.wordRight())
	case keyYank:
		l.insert(string(e.killed))
	}
}

// complete extends the word at the cursor as far as there is one way, and shows the ways where there are several.
func (e *Editor) complete() {
	if e.cfg.Complete == nil {
		return
	}
	before := string(e.line.text[:e.line.at])
	from, candidates := e.cfg.Complete(before)
	if len(candidates) == 0 {
		return
	}
	common := candidates[0]
	for _, c := range candidates[1:] {
		common = commonPrefix(common, c)
	}
	if len(candidates) == 1 {
		common += " "
	}
	if word := before[from:]; len(candidates) > 1 && len(common) <= len(word) {
		e.above(e.columns(candidates))
		return
	}
	e.line.cut(len([]rune(before[:from])), e.line.at)
	e.line.insert(common)
}

// commonPrefix returns how two candidates begin, whatever the case of their letters.
func commonPrefix(a, b string) string {
	x, y := []rune(a), []rune(b)
	n := 0
	for n < len(x) && n < len(y) && unicode.ToLower(x[n]) == unicode.ToLower(y[n]) {
		n++
	}
	return string(x[:n])
}
