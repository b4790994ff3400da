package transcript

import (
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
)

// Writer writes an archive.
type Writer struct {
	w      io.Writer
	rand   io.Reader
	user   qpq.UserID
	device qpq.DeviceID
	head   [32]byte
	n      uint64
}

// NewWriter begins an archive; the device of h signs it at its end. rand makes salts.
func NewWriter(w io.Writer, rand io.Reader, h Header, user qpq.UserID, device qpq.DeviceID) (*Writer, error) {
	h.Format, h.User, h.Device = Format, user.String(), device.String()
	line, err := encode(h)
	if err != nil {
		return nil, err
	}
	if len(line) > maxHeader {
		return nil, qpq.E(qpq.TooLarge, "transcript-header", fmt.Sprintf("the header of the transcript would have %d bytes", len(line)))
	}
	return &Writer{w: w, rand: rand, user: user, device: device, head: digest(labelHeader, line)}, writeLine(w, line)
}

// Add writes an entry, or, where it is to be redacted, no more than that there is one.
func (w *Writer) Add(e Entry, redact bool) error {
	raw, err := encode(e)
	if err != nil {
		return err
	}
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(w.rand, salt); err != nil {
		return err
	}
	w.n++
	l := Line{Number: w.n, salt: salt, raw: raw}
	w.head = link(w.head, l.Commitment())
	if redact {
		l.Redact()
	}
	line := l.bytes()
	if len(line) > maxLine {
		return qpq.E(qpq.TooLarge, "transcript-line", fmt.Sprintf("the entry %s has %d bytes in the transcript, more than are read again", e.ID, len(line)))
	}
	return writeLine(w.w, line)
}

// Seal signs and ends the archive.
func (w *Writer) Seal(now time.Time, sign func(identity.Transcript) (identity.Signature, error)) error {
	now = now.UTC().Truncate(time.Second)
	sig, err := sign(identity.Transcript{User: w.user, Device: w.device, Entries: w.n, Head: w.head, Time: now})
	if err != nil {
		return err
	}
	line, err := encode(seal{w.n, now, w.head[:], sig[:]})
	if err != nil {
		return err
	}
	return writeLine(w.w, line)
}

func writeLine(w io.Writer, line []byte) error {
	_, err := w.Write(append(line, '\n'))
	return err
}

// Line is an entry of an archive as it stands there.
type Line struct {
	Number   uint64 // from 1
	Redacted bool
	Entry    Entry // zero where it is redacted

	salt, raw  []byte
	commitment [32]byte // where it is redacted
}

// Commitment returns the hash that stands for the line in the chain.
func (l *Line) Commitment() [32]byte {
	if l.Redacted {
		return l.commitment
	}
	return digest(labelEntry, l.salt, l.raw)
}

// Redact removes all but the commitment.
func (l *Line) Redact() {
	l.commitment, l.Redacted = l.Commitment(), true
	l.Entry, l.salt, l.raw = Entry{}, nil, nil
}

// bytes returns the one form of the line.
func (l *Line) bytes() []byte {
	if l.Redacted {
		return fmt.Appendf(nil, `{"n":%d,"redacted":"%s"}`, l.Number, base64.StdEncoding.EncodeToString(l.commitment[:]))
	}
	return fmt.Appendf(nil, `{"n":%d,"salt":"%s","entry":%s}`, l.Number, base64.StdEncoding.EncodeToString(l.salt), l.raw)
}
