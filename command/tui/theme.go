package tui

import (
	"hash/fnv"
	"image/color"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/clipperhouse/displaywidth"
)

// role says what a text is, for its colours.
type role int

const (
	plain  role = iota
	faint       // times, hints, borders
	strong      // titles, oneself
	alarm       // what went wrong
	good        // what went well
	fresh       // something new
	chosen      // the selected line
	link
	code
	quote
	hit   // what a search found
	name0 // and what follows: names of people
)

// nameColors is how many colours names have.
const nameColors = 6

// style is how a text looks.
type style struct {
	role                         role
	bold, italic, strike, marked bool
}

// span is text of one style; it has no line breaks, and nothing in it does anything but show.
type span struct {
	style
	text string
}

// row is a line of the screen.
type row []span

func (r row) width() (n int) {
	for _, s := range r {
		n += displaywidth.String(s.text)
	}
	return n
}

// fit cuts a row to a width, or fills it with spaces.
func (r row) fit(width int) row {
	out := row{}
	for _, s := range r {
		w := displaywidth.String(s.text)
		if w > width {
			s.text = displaywidth.TruncateString(s.text, width, "")
			w = displaywidth.String(s.text)
			out, width = append(out, s), width-w
			break
		}
		out, width = append(out, s), width-w
	}
	if width > 0 {
		out = append(out, span{text: strings.Repeat(" ", width)})
	}
	return out
}

// theme turns styles into what the terminal is sent.
type theme struct {
	dark  bool
	ascii bool // the terminal shows nothing but ASCII
	made  map[style]lipgloss.Style
}

func newTheme(dark, ascii bool) *theme {
	return &theme{dark: dark, ascii: ascii, made: map[style]lipgloss.Style{}}
}

// pick returns the colour for light or for dark backgrounds.
func (t *theme) pick(light, dark string) color.Color {
	return lipgloss.LightDark(t.dark)(lipgloss.Color(light), lipgloss.Color(dark))
}

// names are the colours of people, on light and on dark backgrounds.
var names = [nameColors][2]string{{"22", "114"}, {"25", "111"}, {"90", "176"}, {"130", "215"}, {"30", "80"}, {"124", "210"}}

func (t *theme) style(s style) lipgloss.Style {
	if made, ok := t.made[s]; ok {
		return made
	}
	l := lipgloss.NewStyle().Inline(true)
	switch {
	case s.role == faint:
		l = l.Foreground(t.pick("243", "245"))
	case s.role == strong:
		l = l.Bold(true)
	case s.role == alarm:
		l = l.Foreground(t.pick("160", "203")).Bold(true)
	case s.role == good:
		l = l.Foreground(t.pick("28", "78"))
	case s.role == fresh:
		l = l.Foreground(t.pick("25", "117")).Bold(true)
	case s.role == chosen:
		l = l.Reverse(true)
	case s.role == link:
		l = l.Foreground(t.pick("25", "117")).Underline(true)
	case s.role == code:
		l = l.Foreground(t.pick("94", "222"))
	case s.role == hit:
		l = l.Foreground(t.pick("130", "222")).Bold(true).Underline(true)
	case s.role == quote:
		l = l.Foreground(t.pick("240", "250")).Italic(true)
	case s.role >= name0:
		c := names[int(s.role-name0)%nameColors]
		l = l.Foreground(t.pick(c[0], c[1]))
	}
	if s.bold {
		l = l.Bold(true)
	}
	if s.italic {
		l = l.Italic(true)
	}
	if s.strike {
		l = l.Strikethrough(true)
	}
	if s.marked {
		l = l.Reverse(true)
	}
	t.made[s] = l
	return l
}

// draw returns a row as the terminal is sent it.
func (t *theme) draw(r row) string {
	var b strings.Builder
	for _, s := range r {
		text := s.text
		if t.ascii {
			text = asASCII(text)
		}
		if s.style == (style{}) || text == "" {
			b.WriteString(text)
			continue
		}
		b.WriteString(t.style(s.style).Render(text))
	}
	return b.String()
}

// nameRole is the colour of a person.
func nameRole(user string) role {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user))
	return name0 + role(h.Sum32()%nameColors)
}

// ascii are signs of ours where there is nothing but ASCII.
var ascii = strings.NewReplacer("│", "|", "─", "-", "├", "+", "┌", ",", "└", "`", "┤", "+", "…", "~", "✓", "+", "•", "*", "·", "-", "›", ">", "↳", ">", "“", `"`, "”", `"`,
	"’", "'", "–", "-", "█", "#", "░", ".", "▲", "^", "▼", "v", "␛", "^")

// asASCII writes what is not ASCII as what comes nearest, in as many columns.
func asASCII(text string) string {
	var b strings.Builder
	for g := displaywidth.StringGraphemes(text); g.Next(); {
		c := g.Value()
		if len(c) == 1 {
			b.WriteString(c)
			continue
		}
		near := ascii.Replace(c)
		if near == c || len(near) != g.Width() {
			near = strings.Repeat("?", g.Width())
		}
		b.WriteString(near)
	}
	return b.String()
}
