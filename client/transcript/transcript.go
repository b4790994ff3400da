// Package transcript is the format of exported conversations: an archive in lines of JSON, of which each can be redacted, and nothing else can be
// changed, without it showing. It reads and writes, and knows neither files nor clocks; docs/transcripts.md describes the format.
//
// An archive is a header, entries, and a seal. Each entry has a random salt, and the SHA-256 of both is its commitment. A chain of hashes goes
// from the header over all commitments, and the device that exported the conversation signs its head and length. Of an entry that is
// redacted only the commitment stays: the chain and the signature are what they were, and of what it said nothing can be learnt or guessed.
package transcript

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/quicproquo/qpq"
)

// Format is the number of the format that is written. What has another one is not read.
const Format = 1

// Bounds of lines, in bytes.
const (
	maxHeader = 32 << 20
	maxLine   = 4 << 20
)

const saltSize = 32

// What is hashed, by purpose.
const (
	labelHeader = "quicproquo transcript header v1"
	labelEntry  = "quicproquo transcript entry v1"
	labelLink   = "quicproquo transcript link v1"
)

// Header says what an archive is of, and who made it.
type Header struct {
	Format       int      `json:"qpq-transcript"`
	Conversation string   `json:"conversation"` // its id
	Name         string   `json:"name"`         // as the exporter had it
	Members      []string `json:"members"`      // when it was exported
	User         string   `json:"user"`         // who exported it
	Device       string   `json:"device"`       // the id of the device that signs
	States       [][]byte `json:"states"`       // of the account, each following the one before; the device is one of the last
	After        string   `json:"after,omitempty"`
	Before       string   `json:"before,omitempty"`   // the part of the conversation that was asked for; empty for all
	LeftOut      int      `json:"left-out,omitempty"` // messages that are to disappear, or to be viewed once
}

// Entry is one thing that happened. Message is what counts; the other fields say the same so that it can be read.
type Entry struct {
	Type    string    `json:"type"` // "message" or "notice"
	Time    time.Time `json:"time"` // when the hub took it, as the exporter was told
	ID      string    `json:"id,omitempty"`
	Sender  string    `json:"sender,omitempty"`
	Device  string    `json:"device,omitempty"`
	Kind    string    `json:"kind,omitempty"`
	Gone    string    `json:"gone,omitempty"`   // why it has no content: "deleted", "viewed"
	Target  *Ref      `json:"target,omitempty"` // which message it answers or changes
	Text    string    `json:"text,omitempty"`
	Removed bool      `json:"removed,omitempty"` // of a reaction: it takes the emoji off
	File    *File     `json:"file,omitempty"`
	Code    string    `json:"code,omitempty"`    // of a notice
	Message []byte    `json:"message,omitempty"` // the wire.Message that was sent
}

// Ref names a message.
type Ref struct {
	Sender string `json:"sender"`
	ID     string `json:"id"`
}

// File is a file that a message refers to.
type File struct {
	Name      string `json:"name"`
	MediaType string `json:"media-type,omitempty"`
	Size      uint64 `json:"size"`
	SHA256    []byte `json:"sha256"`
}

// seal is the last line.
type seal struct {
	Entries   uint64    `json:"entries"`
	Time      time.Time `json:"time"`
	Head      []byte    `json:"head"`
	Signature []byte    `json:"signature"`
}

// Codes of what is wrong with an archive.
const (
	CodeDamaged = "transcript-damaged" // it is not whole, or no archive at all
	CodeAltered = "transcript-altered" // it is whole, and not what was signed
)

func damaged(line int, format string, args ...any) error {
	return qpq.E(qpq.Damaged, CodeDamaged, fmt.Sprintf("line %d of the transcript cannot be read: %s: it was cut off or damaged, or is no transcript", line, fmt.Sprintf(format, args...)))
}

func altered(format string, args ...any) error {
	return qpq.E(qpq.Denied, CodeAltered, "the transcript is not what was signed: "+fmt.Sprintf(format, args...))
}

// digest hashes some parts under a label.
func digest(label string, parts ...[]byte) (sum [32]byte) {
	h := sha256.New()
	h.Write([]byte(label))
	h.Write([]byte{0})
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// link returns the head of a chain after one more commitment.
func link(head, commitment [32]byte) [32]byte { return digest(labelLink, head[:], commitment[:]) }

// encode returns a value as JSON in ASCII, which no terminal and no encoding changes.
func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if bytes.IndexFunc(b, func(r rune) bool { return r >= utf8.RuneSelf || r == 0x7f }) < 0 {
		return b, nil
	}
	out := make([]byte, 0, len(b)+len(b)/2)
	for _, r := range string(b) {
		switch {
		case r < 0x7f:
			out = append(out, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out, nil
}
