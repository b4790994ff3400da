package editor

import (
	"bytes"
	"unicode/utf8"
)

// code is a key that does something. Zero is text.
type code int

const (
	keyText code = iota
	keyEnter
	keyNewline // a line break within the line
	keyTab
	keyBackspace
	keyDelete
	keyLeft
	keyRight
	keyWordLeft
	keyWordRight
	keyHome
	keyEnd
	keyUp
	keyDown
	keyKillEnd
	keyKillStart
	keyKillWordLeft
	keyKillWordRight
	keyYank
	keyClear
	keyInterrupt
	keyEOF
	keySuspend
)

// key is one key, or text that came together.
type key struct {
	code code
	text string
}

// control are the keys that a terminal sends as one byte. Line feed is what some send for Enter in raw mode.
var control = map[byte]code{
	'\r': keyEnter, '\n': keyEnter, '\t': keyTab, 0x7f: keyBackspace, 0x08: keyBackspace, 0x01: keyHome, 0x02: keyLeft, 0x03: keyInterrupt,
	0x04: keyEOF, 0x05: keyEnd, 0x06: keyRight, 0x0b: keyKillEnd, 0x0c: keyClear, 0x0e: keyDown, 0x10: keyUp, 0x15: keyKillStart, 0x17: keyKillWordLeft,
	0x19: keyYank, 0x1a: keySuspend,
}

// sequences are the keys that a terminal sends as an escape sequence, here without its ESC.
var sequences = map[string]code{
	"[A": keyUp, "[B": keyDown, "[C": keyRight, "[D": keyLeft, "OA": keyUp, "OB": keyDown, "OC": keyRight, "OD": keyLeft,
	"[H": keyHome, "[F": keyEnd, "OH": keyHome, "OF": keyEnd, "[1~": keyHome, "[4~": keyEnd, "[7~": keyHome, "[8~": keyEnd, "[3~": keyDelete,
	"[1;5C": keyWordRight, "[1;5D": keyWordLeft, "[1;3C": keyWordRight, "[1;3D": keyWordLeft, "b": keyWordLeft, "f": keyWordRight,
	"d": keyKillWordRight, "\x7f": keyKillWordLeft, "\r": keyNewline, "\n": keyNewline, "[13;2u": keyNewline,
}

var pasteBegin, pasteEnd = "[200~", []byte("\x1b[201~")

// maxPending bounds what may belong to a sequence whose end did not come yet, in bytes.
const maxPending = 32

// decoder makes keys of bytes. A sequence may come in parts.
type decoder struct {
	pending []byte
	pasting bool
	skipLF  bool // the key before was CR: LF belongs to it
}

func (d *decoder) decode(b []byte) (keys []key) {
	b = append(d.pending, b...)
	for len(b) > 0 {
		k, n := d.next(b)
		if n == 0 {
			break
		}
		b = b[n:]
		if k.code == keyText && k.text == "" {
			continue
		}
		if last := len(keys) - 1; k.code == keyText && last >= 0 && keys[last].code == keyText {
			keys[last].text += k.text
			continue
		}
		keys = append(keys, k)
	}
	d.pending = bytes.Clone(b)
	return keys
}

// next returns the key at the start of b and how many bytes it has, 0 if they are not all there. A key without code and text is nothing.
func (d *decoder) next(b []byte) (key, int) {
	switch {
	case d.pasting:
		return d.paste(b)
	case b[0] == 0x1b:
		return d.escape(b)
	case b[0] == '\n' && d.skipLF:
		d.skipLF = false
		return key{}, 1
	}
	d.skipLF = b[0] == '\r'
	if c, ok := control[b[0]]; ok {
		return key{code: c}, 1
	}
	return text(b)
}

// text returns a character. What is not UTF-8 is taken for Latin-1, other control characters for nothing.
func text(b []byte) (key, int) {
	if !utf8.FullRune(b) {
		return key{}, 0
	}
	r, n := utf8.DecodeRune(b)
	switch {
	case r == utf8.RuneError && n == 1:
		return key{text: string(rune(b[0]))}, 1
	case r < 0x20:
		return key{}, 1
	}
	return key{text: string(r)}, n
}

// paste returns what was pasted, as it comes: line breaks and tabs are text.
func (d *decoder) paste(b []byte) (key, int) {
	if bytes.HasPrefix(b, pasteEnd) {
		d.pasting = false
		return key{}, len(pasteEnd)
	}
	if b[0] == 0x1b && bytes.HasPrefix(pasteEnd, b) {
		return key{}, 0
	}
	switch b[0] {
	case '\r':
		d.skipLF = true
		return key{text: "\n"}, 1
	case '\n':
		again := d.skipLF
		d.skipLF = false
		if again {
			return key{}, 1
		}
		return key{text: "\n"}, 1
	case '\t':
		return key{text: "\t"}, 1
	}
	d.skipLF = false
	return text(b)
}

// escape returns the key that an escape sequence stands for. An ESC that nothing follows is nothing.
func (d *decoder) escape(b []byte) (key, int) {
	n := sequenceLength(b)
	if n == 0 {
		if len(b) > maxPending {
			return key{}, 1
		}
		return key{}, 0
	}
	sequence := string(b[1:n])
	if sequence == pasteBegin {
		d.pasting = true
		return key{}, n
	}
	d.skipLF = sequence == "\r"
	if c, ok := sequences[sequence]; ok {
		return key{code: c}, n
	}
	if sequence != "" && sequence[0] != '[' && sequence[0] != 'O' { // the key by itself, after an Escape that means nothing
		return key{}, 1
	}
	return key{}, n
}

// sequenceLength returns the length of the escape sequence at the start of b, 0 if its end is not there (ECMA-48 section 5.4).
func sequenceLength(b []byte) int {
	switch {
	case len(b) < 2:
		return 0
	case b[1] == 'O':
		if len(b) < 3 {
			return 0
		}
		return 3
	case b[1] != '[':
		return 2
	}
	for i, c := range b[2:] {
		if c < 0x20 || c > 0x3f {
			return 2 + i + 1
		}
	}
	return 0
}
