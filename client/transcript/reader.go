package transcript

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
)

// Result is an archive that is whole, and what its signature says.
type Result struct {
	Header   Header
	User     qpq.UserID // who exported it
	Device   *identity.DeviceCertificate
	States   []*identity.AccountState // of the account, as in the header: at least one
	Entries  uint64
	Redacted uint64
	Time     time.Time // when it was exported, by its own word
}

// Verify reads an archive, gives each of its entries to f, and checks all that can be checked without knowing the account that exported it: that
// the account certified the device, and the device signed just these entries in this order. Whether the account is that of the person it
// names, others have to know. It fails with qpq.Damaged and CodeDamaged, or with qpq.Denied and CodeAltered; what f was given counts only where it succeeds. f may be nil.
func Verify(r io.Reader, f func(*Line) error) (*Result, error) {
	v := &reader{in: bufio.NewReaderSize(r, 64<<10)}
	if err := v.header(); err != nil {
		return nil, err
	}
	for {
		line, err := v.line(maxLine)
		if err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(line, []byte(`{"n":`)) {
			return v.seal(line)
		}
		l, err := v.entry(line)
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		if err := f(l); err != nil {
			return nil, err
		}
	}
}

// Redact copies an archive, but for the entries for which which returns true: of those only the commitments stay. It checks what Verify
// does; where it fails what was written is no archive.
func Redact(w io.Writer, r io.Reader, which func(*Line) bool) (*Result, error) {
	out := bufio.NewWriterSize(w, 64<<10)
	v := &reader{in: bufio.NewReaderSize(r, 64<<10), copied: out}
	if err := v.header(); err != nil {
		return nil, err
	}
	for {
		line, err := v.line(maxLine)
		if err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(line, []byte(`{"n":`)) {
			result, err := v.seal(line)
			return result, errors.Join(err, out.Flush())
		}
		l, err := v.entry(line)
		if err != nil {
			return nil, err
		}
		if !l.Redacted && which(l) {
			l.Redact()
			v.result.Redacted++
		}
		if err := writeLine(out, l.bytes()); err != nil {
			return nil, err
		}
	}
}

// reader reads an archive line by line.
type reader struct {
	in     *bufio.Reader
	copied io.Writer // takes header and seal; nil for nowhere
	number int       // of the line that was read last
	head   [32]byte
	result Result
}

// line returns the next line without its break. It is valid until the next call.
func (r *reader) line(most int) ([]byte, error) {
	r.number++
	var long []byte
	for {
		part, err := r.in.ReadSlice('\n')
		if len(long)+len(part) > most+1 {
			return nil, damaged(r.number, "it is longer than %d bytes", most)
		}
		switch {
		case err == bufio.ErrBufferFull:
			long = append(long, part...)
			continue
		case err == io.EOF && len(long)+len(part) == 0:
			return nil, damaged(r.number, "it is missing")
		case err == io.EOF:
			return nil, damaged(r.number, "it has no end")
		case err != nil:
			return nil, err
		}
		if long != nil {
			part = append(long, part...)
		}
		part = part[:len(part)-1]
		if i := bytes.IndexFunc(part, func(c rune) bool { return c < ' ' || c > '~' }); i >= 0 {
			return nil, damaged(r.number, "it has a byte at %d that belongs into none", i)
		}
		return part, nil
	}
}

func (r *reader) copy(line []byte) error {
	if r.copied == nil {
		return nil
	}
	return writeLine(r.copied, bytes.Clone(line))
}

// header reads the first line, and who made the archive.
func (r *reader) header() error {
	line, err := r.line(maxHeader)
	if err != nil {
		return err
	}
	var format struct {
		Format int `json:"qpq-transcript"`
	}
	if err := json.Unmarshal(line, &format); err != nil || format.Format == 0 {
		return damaged(1, "it does not say that it is one")
	}
	if format.Format != Format {
		return qpq.E(qpq.Unsupported, "transcript-format", fmt.Sprintf("the transcript is of format %d, and this release reads format %d: install a newer one", format.Format, Format))
	}
	h := &r.result.Header
	if err := json.Unmarshal(line, h); err != nil {
		return damaged(1, "%v", err)
	}
	r.head = digest(labelHeader, line)
	if err := r.copy(line); err != nil {
		return err
	}
	return r.signer()
}

// signer reads the account and the device of the header.
func (r *reader) signer() error {
	h := &r.result.Header
	var last *identity.AccountState
	for _, b := range h.States {
		s, err := identity.ParseAccountState(b)
		if err == nil && last != nil {
			err = identity.CheckNext(last, s)
		}
		if err != nil {
			return altered("the account in its header is not valid: %v", err)
		}
		r.result.States = append(r.result.States, s)
		last = s
	}
	if last == nil {
		return damaged(1, "it names no account")
	}
	r.result.User = last.User
	for _, d := range last.Devices {
		if d.ID().String() == h.Device {
			r.result.Device = d
		}
	}
	if r.result.Device == nil || h.User != last.User.String() {
		return altered("the device %q of %q is none of the account in its header", qpq.Printable(h.Device), qpq.Printable(h.User))
	}
	return nil
}

// entry reads a line with an entry, and goes on with the chain.
func (r *reader) entry(line []byte) (*Line, error) {
	var v struct {
		N        uint64          `json:"n"`
		Salt     *string         `json:"salt"`
		Entry    json.RawMessage `json:"entry"`
		Redacted *string         `json:"redacted"`
	}
	if err := json.Unmarshal(line, &v); err != nil {
		return nil, damaged(r.number, "%v", err)
	}
	l := &Line{Number: v.N, raw: v.Entry}
	var err error
	switch {
	case v.Redacted != nil:
		var b []byte
		if b, err = base64.StdEncoding.Strict().DecodeString(*v.Redacted); err == nil && len(b) != len(l.commitment) {
			err = fmt.Errorf("a commitment of %d bytes", len(b))
		}
		l.Redacted = true
		copy(l.commitment[:], b)
	case v.Salt != nil:
		if l.salt, err = base64.StdEncoding.Strict().DecodeString(*v.Salt); err == nil && len(l.salt) != saltSize {
			err = fmt.Errorf("a salt of %d bytes", len(l.salt))
		}
		if err == nil {
			err = json.Unmarshal(v.Entry, &l.Entry)
		}
	default:
		err = errors.New("it has neither an entry nor what is left of one")
	}
	if err != nil {
		return nil, damaged(r.number, "%v", err)
	}
	if !bytes.Equal(l.bytes(), line) {
		return nil, damaged(r.number, "it is not written as lines are")
	}
	if l.Number != r.result.Entries+1 {
		return nil, altered("entry %d is followed by entry %d", r.result.Entries, l.Number)
	}
	r.result.Entries++
	if l.Redacted {
		r.result.Redacted++
	}
	r.head = link(r.head, l.Commitment())
	return l, nil
}

// seal reads the last line, and checks what it says of all others.
func (r *reader) seal(line []byte) (*Result, error) {
	var s seal
	if err := json.Unmarshal(line, &s); err != nil {
		return nil, damaged(r.number, "%v", err)
	}
	s.Time = s.Time.UTC().Truncate(time.Second) // the one form of it
	if again, err := encode(s); err != nil || !bytes.Equal(again, line) || len(s.Signature) != len(identity.Signature{}) {
		return nil, damaged(r.number, "it is not written as the last line is")
	}
	if err := r.copy(line); err != nil {
		return nil, err
	}
	if _, err := r.in.ReadByte(); err == nil {
		return nil, damaged(r.number+1, "it comes after the end")
	} else if err != io.EOF {
		return nil, err
	}
	switch {
	case s.Entries != r.result.Entries:
		return nil, altered("it has %d entries, and %d were signed", r.result.Entries, s.Entries)
	case !bytes.Equal(s.Head, r.head[:]):
		return nil, altered("an entry or the header was changed, left out, added or moved")
	}
	signed := identity.Transcript{User: r.result.User, Device: r.result.Device.ID(), Entries: s.Entries, Head: r.head, Time: s.Time}
	if err := identity.VerifyTranscript(r.result.Device, signed, identity.Signature(s.Signature)); err != nil {
		return nil, altered("the signature is wrong")
	}
	r.result.Time = s.Time
	return &r.result, nil
}
