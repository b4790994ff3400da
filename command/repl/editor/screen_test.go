package editor

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clipperhouse/displaywidth"
)

// screen is a terminal of which one can see what it shows. It fails the test when it gets what it does not know.
type screen struct {
	t             *testing.T
	mu            sync.Mutex
	width, height int
	rows          [][]string // of cells; the second cell of a wide character is empty
	row, col      int
	writes        int
}

func newScreen(t *testing.T, width, height int) *screen {
	return &screen{t: t, width: width, height: height, rows: [][]string{{}}}
}

func (s *screen) size() (int, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.width, s.height
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	for text := string(b); text != ""; {
		if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
			end := strings.IndexFunc(rest, func(r rune) bool { return r >= '@' })
			s.control(rest[:end], rest[end])
			text = rest[end+1:]
			continue
		}
		g := displaywidth.StringGraphemes(text)
		g.Next()
		s.put(g.Value(), g.Width())
		text = text[len(g.Value()):]
	}
	return len(b), nil
}

func (s *screen) put(c string, width int) {
	for _, r := range c {
		switch {
		case r == '\r':
			s.col = 0
		case r == '\n':
			s.down()
		case r < ' ':
			s.t.Errorf("the terminal gets %q", c)
		}
	}
	if strings.Trim(c, "\r\n") == "" {
		return
	}
	if s.col+width > s.width {
		s.col = 0
		s.down()
	}
	row := &s.rows[s.row]
	for len(*row) < s.col+width {
		*row = append(*row, " ")
	}
	(*row)[s.col] = c
	for i := 1; i < width; i++ {
		(*row)[s.col+i] = ""
	}
	s.col += width
}

func (s *screen) down() {
	s.row++
	if s.row == len(s.rows) {
		s.rows = append(s.rows, []string{})
	}
}

func (s *screen) control(params string, final byte) {
	n, err := strconv.Atoi(params)
	if err != nil {
		n = 1
	}
	switch final {
	case 'A':
		s.row = max(s.row-n, len(s.rows)-s.height, 0)
	case 'C':
		s.col = min(s.col+n, s.width-1)
	case 'K':
		s.rows[s.row] = s.rows[s.row][:min(s.col, len(s.rows[s.row]))]
	case 'J':
		if params == "2" {
			s.rows, s.row, s.col = [][]string{{}}, 0, 0
			return
		}
		s.rows[s.row] = s.rows[s.row][:min(s.col, len(s.rows[s.row]))]
		s.rows = s.rows[:s.row+1]
	case 'H':
		s.row, s.col = max(0, len(s.rows)-s.height), 0
	case 'm':
	default:
		s.t.Errorf("the terminal gets the control sequence %q %c", params, final)
	}
}

// narrow makes the terminal narrower: rows that do not fit are broken.
func (s *screen) narrow(width int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows [][]string
	at, col := 0, 0
	for i, row := range s.rows {
		if i == s.row {
			at, col = len(rows)+s.col/width, s.col%width
		}
		for len(row) > width {
			rows, row = append(rows, row[:width]), row[width:]
		}
		rows = append(rows, row)
	}
	s.rows, s.width, s.row, s.col = rows, width, at, col
}

// String returns what is shown, with the cursor as a bar.
func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for i, row := range s.rows {
		for len(row) < s.col && i == s.row {
			row = append(row, " ")
		}
		for j, c := range row {
			if i == s.row && j == s.col {
				b.WriteString("|")
			}
			b.WriteString(c)
		}
		if i == s.row && s.col >= len(row) {
			b.WriteString("|")
		}
		b.WriteString("\n")
	}
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// shows waits until the screen shows something.
func (s *screen) shows(want string) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); s.String() != want; {
		if time.Now().After(deadline) {
			s.t.Fatalf("the terminal shows\n%s\nand not\n%s", s, want)
		}
		<-time.After(time.Millisecond)
	}
}
