package wire_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

var alice = qpq.UserID{Name: "alice", Domain: "example.org"}

// loop is a Caller that serves a table directly, as a server does behind a transport.
type loop wire.Table[string]

func (l loop) Call(ctx context.Context, method uint16, request []byte) (uint16, []byte, error) {
	h, err := wire.Table[string](l).Find(method)
	if err == nil {
		var reply []byte
		if reply, err = h.Serve(ctx, "caller", request); err == nil {
			return 0, reply, nil
		}
	}
	status, payload := wire.EncodeError(err)
	return status, payload, nil
}

func TestCall(t *testing.T) {
	table := wire.Table[string]{}
	table.Add(
		wire.Handle(func(_ context.Context, caller string, q wire.LoginStart) (wire.LoginStartReply, error) {
			if caller != "caller" || q.User != alice {
				t.Errorf("served %q, %v", caller, q)
			}
			return wire.LoginStartReply{KE2: bytes.Repeat(q.KE1[:1], 320)}, nil
		}),
		wire.Handle(func(context.Context, string, wire.LoginFinish) (wire.LoginFinishReply, error) {
			return wire.LoginFinishReply{}, qpq.Wrap(qpq.Denied, wire.CodeLoginFailed, "no", errors.New("private detail"))
		}),
	)
	ctx := context.Background()
	reply, err := wire.Call(ctx, loop(table), wire.LoginStart{User: alice, KE1: bytes.Repeat([]byte{7}, 96)})
	if err != nil || !bytes.Equal(reply.KE2, bytes.Repeat([]byte{7}, 320)) {
		t.Fatalf("LoginStart: %v, %v", reply, err)
	}
	_, err = wire.Call(ctx, loop(table), wire.LoginFinish{KE3: make([]byte, 64)})
	if !errors.Is(err, qpq.Denied) || qpq.CodeOf(err) != wire.CodeLoginFailed || err.Error() != "no" {
		t.Errorf("LoginFinish: %v", err)
	}
	if _, err = wire.Call(ctx, loop(table), wire.Ping{}); !errors.Is(err, qpq.Unsupported) {
		t.Errorf("Ping without a handler: %v", err)
	}
	if _, err = wire.Call(ctx, loop(table), wire.LoginStart{User: alice}); !errors.Is(err, qpq.Invalid) {
		t.Errorf("LoginStart without KE1: %v", err)
	}
	if n := len(table.Missing()); n == 0 || n >= len(wire.Methods())-2 {
		t.Errorf("%d methods missing of %d", n, len(wire.Methods()))
	}
}

func TestHeader(t *testing.T) {
	good, err := wire.Marshal(wire.Ping{Data: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"two segments": func(b []byte) []byte { b[0] = 1; return b },
		"more words":   func(b []byte) []byte { b[4]++; return b },
		"fewer words":  func(b []byte) []byte { b[4]--; return b },
		"half a word":  func(b []byte) []byte { return b[:len(b)-4] },
		"a word more":  func(b []byte) []byte { return append(b, make([]byte, 8)...) },
		"nothing":      func([]byte) []byte { return nil },
	} {
		if _, err := wire.Unmarshal[wire.Ping](change(bytes.Clone(good))); qpq.CodeOf(err) != "malformed-message" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMessage(t *testing.T) {
	m := wire.Message{
		ID: [16]byte{1}, Sent: time.UnixMilli(1700000000123).UTC(), ExpireSeconds: 60,
		Body: wire.ReplyBody{Target: wire.MessageRef{Sender: alice, ID: [16]byte{2}}, Text: "ja", Mentions: []qpq.UserID{alice}},
	}
	b, err := wire.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.Unmarshal[wire.Message](b)
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("got %+v, %v", got, err)
	}
}
