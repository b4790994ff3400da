package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// Bounds of what one message may hold.
const (
	maxMessage = 1 << 20 // bytes
	maxBatch   = 100     // requests
	maxID      = 256     // bytes of an id
)

// request is one call of JSON-RPC 2.0.
type request struct {
	id      json.RawMessage            // as it came, without spaces; nil for a notification, which gets no answer
	method  string                     // as it came
	params  map[string]json.RawMessage // without the answers
	answers map[string]wire.Secret     // to questions that the command asks
	invalid error                      // why it can be answered with nothing but this; id is "null" where it is not known
}

// null is the id of answers to what has none that could be read.
var null = json.RawMessage("null")

// answersParam is the parameter that holds answers to questions. No command has one of that name.
const answersParam = "answers"

// parse reads one message: a request, or a batch of them. What is no JSON, and a batch that is empty or too large, is an error; each request
// says for itself whether it is valid.
func parse(text []byte) (list []request, batch bool, err error) {
	text = bytes.TrimSpace(text)
	switch {
	case !utf8.Valid(text):
		return nil, false, errParse("it is not text in UTF-8")
	case !json.Valid(text):
		return nil, false, errParse("it is no JSON value")
	case text[0] != '[':
		return []request{parseRequest(text)}, false, nil
	}
	var all []json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, false, errParse("it is no list of requests")
	}
	if len(all) == 0 || len(all) > maxBatch {
		return nil, false, errRequest(fmt.Sprintf("a batch has between 1 and %d requests, and this one %d", maxBatch, len(all)))
	}
	for _, raw := range all {
		list = append(list, parseRequest(raw))
	}
	return list, true, nil
}

// parseRequest reads a JSON value. Names count as they are written: "Method" is no "method".
func parseRequest(raw json.RawMessage) (r request) {
	r.id = null
	refuse := func(err error) request {
		r.invalid = err
		return r
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return refuse(errRequest("a request is a JSON object"))
	}
	id, named := fields["id"]
	if named {
		known, ok := parseID(id)
		if !ok {
			return refuse(errRequest(fmt.Sprintf("an id is a text or a number, in up to %d bytes", maxID)))
		}
		r.id = known
	}
	var version string
	if json.Unmarshal(fields["jsonrpc"], &version) != nil || version != "2.0" {
		return refuse(errRequest(`a request says "jsonrpc": "2.0"`))
	}
	if json.Unmarshal(fields["method"], &r.method) != nil || r.method == "" {
		return refuse(errRequest("method is missing, or no text"))
	}
	if !named { // from here on it is a valid notification: whatever becomes of it, nobody is answered
		r.id = nil
	}
	if params := string(fields["params"]); params != "" && params != "null" && params != "[]" { // some libraries write these for none
		if json.Unmarshal(fields["params"], &r.params) != nil || r.params == nil {
			return refuse(errParams(r.method + ": params is a JSON object: parameters go by their names, see rpc.discover"))
		}
	}
	return r.takeAnswers()
}

// takeAnswers takes the answers out of the parameters.
func (r request) takeAnswers() request {
	raw, given := r.params[answersParam]
	if !given {
		return r
	}
	delete(r.params, answersParam)
	var texts map[string]*string
	if json.Unmarshal(raw, &texts) != nil {
		r.invalid = errParams(r.method + ": answers is a JSON object of texts")
		return r
	}
	r.answers = map[string]wire.Secret{}
	for question, text := range texts {
		if text == nil {
			r.invalid = errParams(r.method + ": answers is a JSON object of texts")
			return r
		}
		r.answers[question] = wire.NewSecret(*text)
	}
	return r
}

// parseID returns an id without spaces, and whether it is one.
func parseID(raw json.RawMessage) (json.RawMessage, bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || len(raw) > maxID {
		return nil, false
	}
	switch c := raw[0]; {
	case c == '"', c == '-', '0' <= c && c <= '9', c == 'n':
		return bytes.Clone(raw), true
	}
	return nil, false
}

// Codes of JSON-RPC 2.0. Other errors of this project have codeKind less their kind.
const (
	codeParse    = -32700
	codeRequest  = -32600
	codeMethod   = -32601
	codeParams   = -32602
	codeInternal = -32603
	codeKind     = -32000
)

// protocolError is an error of the protocol itself.
type protocolError struct {
	code int
	err  *qpq.Error
}

// Error implements error.
func (e *protocolError) Error() string { return e.err.Error() }

// Unwrap has errors.As find the error with its kind and code.
func (e *protocolError) Unwrap() error { return e.err }

func errParse(why string) error {
	return &protocolError{codeParse, qpq.E(qpq.Invalid, "parse", "that message cannot be read: "+why)}
}

func errRequest(why string) error {
	return &protocolError{codeRequest, qpq.E(qpq.Invalid, "request", "that is no request: "+why)}
}

func errParams(why string) error {
	return &protocolError{codeParams, qpq.E(qpq.Invalid, "usage", why)}
}
