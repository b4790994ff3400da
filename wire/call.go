package wire

import (
	"context"

	"github.com/quicproquo/qpq"
)

// Method is a line of the contract: what the number in a lane's frame stands for.
type Method struct {
	Ordinal    uint16
	Name       string // as in the schema: "loginStart"
	Access     Access // what the connection must have proved
	Idempotent bool   // may be repeated after a lost connection
	Planned    bool   // no server answers it yet; it may still change
}

// Methods returns all methods in the order of their ordinals.
func Methods() []Method { return append([]Method(nil), methods[:]...) }

// Request is a request whose reply is an R. Only this package implements it.
type Request[R any] interface {
	Method() Method
	reply(R)
}

// Caller sends one request on a lane and returns what came back: a session of package transport. An
// error says that no reply came.
type Caller interface {
	Call(ctx context.Context, method uint16, request []byte) (status uint16, reply []byte, err error)
}

// Call sends a request and returns its reply, or the error that the server answered with.
func Call[Q Request[R], R any, PQ Value[Q], PR Value[R]](ctx context.Context, c Caller, q Q) (R, error) {
	var zero R
	b, err := Marshal[Q, PQ](q)
	if err != nil {
		return zero, err
	}
	status, reply, err := c.Call(ctx, q.Method().Ordinal, b)
	if err != nil {
		return zero, err
	}
	if status != 0 {
		return zero, DecodeError(status, reply)
	}
	return Unmarshal[R, PR](reply)
}

// Handler answers one method for callers of type S, a server's connection.
type Handler[S any] struct {
	Method Method
	serve  func(ctx context.Context, caller S, request []byte) ([]byte, error)
}

// Handle makes a Handler of a function; the function's types say which method it answers.
func Handle[S any, Q Request[R], R any, PQ Value[Q], PR Value[R]](f func(context.Context, S, Q) (R, error)) Handler[S] {
	var q Q
	return Handler[S]{Method: q.Method(), serve: func(ctx context.Context, caller S, request []byte) ([]byte, error) {
		q, err := Unmarshal[Q, PQ](request)
		if err != nil {
			return nil, err
		}
		r, err := f(ctx, caller, q)
		if err != nil {
			return nil, err
		}
		return Marshal[R, PR](r)
	}}
}

// Serve decodes a request, has it answered, and returns the encoded reply. What it fails with is for
// [EncodeError]; the caller of Serve checks h.Method.Access before and logs after.
func (h Handler[S]) Serve(ctx context.Context, caller S, request []byte) ([]byte, error) {
	return h.serve(ctx, caller, request)
}

// Table holds a server's handlers by ordinal.
type Table[S any] map[uint16]Handler[S]

// Add puts handlers into the table, each once.
func (t Table[S]) Add(handlers ...Handler[S]) {
	for _, h := range handlers {
		if _, ok := t[h.Method.Ordinal]; ok {
			panic("wire: two handlers for " + h.Method.Name)
		}
		t[h.Method.Ordinal] = h
	}
}

// Missing returns the methods without a handler that are not merely planned.
func (t Table[S]) Missing() []Method {
	var out []Method
	for _, m := range methods {
		if _, ok := t[m.Ordinal]; !ok && !m.Planned {
			out = append(out, m)
		}
	}
	return out
}

// Find returns the handler for an ordinal; it fails with qpq.Unsupported.
func (t Table[S]) Find(ordinal uint16) (Handler[S], error) {
	h, ok := t[ordinal]
	if !ok {
		return h, qpq.E(qpq.Unsupported, "unknown-method",
			"the server does not know this method: one of the two sides is older and needs an upgrade")
	}
	return h, nil
}
