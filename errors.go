package qpq

import "errors"

// Kind says which of a small closed set of things went wrong. It is the only part of an error that
// programs decide on; it survives the wire. Kinds are errors themselves:
//
//	if errors.Is(err, qpq.NotFound) { … }
type Kind uint16

// The kinds. Their numbers are on the wire and never change meaning.
const (
	Internal     Kind = 1  // a fault of the side that answers; details stay in its log
	Invalid      Kind = 2  // the request can never succeed as it stands
	Denied       Kind = 3  // the caller is known and may not, or failed to prove who it is
	NotFound     Kind = 4  // what was named does not exist, or the caller may not learn that it does
	Exists       Kind = 5  // what was to be made is there already, and differs
	Conflict     Kind = 6  // a compare-and-swap lost: read again and retry
	StaleEpoch   Kind = 7  // the conversation moved on: catch up and retry
	TooLarge     Kind = 8  // over a size limit
	RateLimited  Kind = 9  // too many attempts: wait and retry
	Unavailable  Kind = 10 // not now: network, shutdown or overload; retrying is right
	Exhausted    Kind = 11 // a quota or a disk is full
	Unsupported  Kind = 12 // this version does not know the method, suite or format
	Unauthorized Kind = 13 // the connection has not been authenticated
	Damaged      Kind = 14 // stored data failed its check: it was altered or the disk is bad
)

var kindNames = map[Kind]string{
	Internal: "internal error", Invalid: "invalid", Denied: "denied", NotFound: "not found",
	Exists: "already exists", Conflict: "conflict", StaleEpoch: "stale epoch", TooLarge: "too large",
	RateLimited: "rate limited", Unavailable: "unavailable", Exhausted: "quota exhausted",
	Unsupported: "unsupported", Unauthorized: "not authenticated", Damaged: "damaged",
}

// Error implements error, so that a Kind can be the target of errors.Is.
func (k Kind) Error() string { return k.String() }

// String returns the kind in words.
func (k Kind) String() string {
	if s, ok := kindNames[k]; ok {
		return s
	}
	return "unknown error"
}

// Error is an error that may cross the wire: what kind it is, a stable machine-readable code, and a
// sentence that is safe to show to whoever caused it.
type Error struct {
	Kind Kind
	Code string // stable, lower-case, hyphenated: "name-taken"
	Text string // says what was tried, what is wrong and what to do; never internals or secrets
	Err  error  // what caused it, for the local log; never sent
}

// E returns an *Error of the given kind, code and text.
func E(kind Kind, code, text string) *Error { return &Error{Kind: kind, Code: code, Text: text} }

// Wrap returns an *Error like E that keeps its cause for the local log.
func Wrap(kind Kind, code, text string, cause error) *Error {
	return &Error{Kind: kind, Code: code, Text: text, Err: cause}
}

// Error implements error: the text alone, which is safe to show.
func (e *Error) Error() string {
	if e.Text == "" {
		return e.Kind.String()
	}
	return e.Text
}

// Unwrap makes errors.Is see both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// KindOf returns the kind of err: that of the outermost *Error or Kind in its chain, Internal if
// there is none, and zero for nil.
func KindOf(err error) Kind {
	if err == nil {
		return 0
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	return Internal
}

// CodeOf returns the stable code of err, empty if it has none.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
