package daemon

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// response answers a request: with a result or an error.
type response struct {
	id     json.RawMessage
	result any
	err    error
	shown  []any  // by a command that failed afterwards
	then   func() // is done once the answer is on its way; nil for nothing
}

// MarshalJSON implements json.Marshaler.
func (r *response) MarshalJSON() ([]byte, error) {
	type message struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Result  any             `json:"result,omitempty"`
		Error   *failure        `json:"error,omitempty"`
	}
	m := message{Version: "2.0", ID: r.id, Result: r.result}
	if r.err != nil {
		m.Result, m.Error = nil, failed(r.err)
		m.Error.Data.Shown = r.shown
	} else if m.Result == nil {
		m.Result = struct{}{}
	}
	return encode(m)
}

// failure is an error for programs.
type failure struct {
	Code    int         `json:"code"`
	Message string      `json:"message"`
	Data    failureData `json:"data"`
}

type failureData struct {
	Kind  string `json:"kind"`
	Code  string `json:"code,omitempty"` // stable
	Shown []any  `json:"shown,omitempty"`
}

func failed(err error) *failure {
	f := &failure{Message: err.Error(), Data: failureData{Kind: qpq.KindOf(err).String(), Code: qpq.CodeOf(err)}}
	var protocol *protocolError
	switch kind := qpq.KindOf(err); {
	case errors.As(err, &protocol):
		f.Code = protocol.code
	case qpq.CodeOf(err) == "usage":
		f.Code = codeParams
	case kind == qpq.Internal:
		f.Code = codeInternal
	default:
		f.Code = codeKind - int(kind)
	}
	return f
}

// notification tells a program what it did not ask for, or a part of what it did.
type notification struct {
	Version string `json:"jsonrpc"`
	Method  string `json:"method"`
	Params  any    `json:"params"`
}

func notify(method string, params any) notification { return notification{"2.0", method, params} }

// encode returns a value as one line of JSON, without its end. Terminals can show it: people look at answers with curl, and at lines as they come.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return command.Legible(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), err
}
