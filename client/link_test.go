package client_test

import (
	"context"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

func TestLink(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	linking, err := first.LinkStart(t.Context())
	check(t, err)
	type result struct {
		w   *client.Whoami
		err error
	}
	joined := make(chan result, 1)
	go func() {
		w, err := second.LinkJoin(t.Context(), "alice", linking.Code, "second", func(qpq.DeviceID) {})
		joined <- result{w, err}
	}()
	request, err := linking.Wait(t.Context())
	check(t, err)
	wants(t, linking.Approve(t.Context(), with("wrong password")), qpq.Denied, wire.CodeLoginFailed)
	check(t, linking.Approve(t.Context(), with(secret)))
	r := <-joined
	check(t, r.err)
	if r.w.Device != request.ID() || r.w.Devices != 2 || r.w.Name != "second" {
		t.Errorf("whoami: %+v", r.w)
	}
	other := s.device(t)
	_, err = other.LinkJoin(t.Context(), "alice", must(identity.NewLinkCode(strings.NewReader(strings.Repeat("x", 64)))), "", func(qpq.DeviceID) {})
	wants(t, err, qpq.NotFound, wire.CodeLinkUnknown)
	_, err = other.Whoami(t.Context())
	wants(t, err, qpq.NotFound, "not-signed-in")
}

func TestAnInterruptedLinkGoesOn(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	linking, err := first.LinkStart(t.Context())
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	joined := make(chan error, 1)
	go func() {
		_, err := second.LinkJoin(ctx, "alice", linking.Code, "second", func(qpq.DeviceID) {})
		joined <- err
	}()
	_, err = linking.Wait(t.Context())
	check(t, err)
	cancel()
	wants(t, <-joined, qpq.Unavailable, "cancelled")
	second.reopen(s.dial)
	check(t, linking.Approve(t.Context(), with(secret)))
	w, err := second.Whoami(t.Context())
	check(t, err)
	if w.Devices != 2 {
		t.Errorf("whoami: %+v", w)
	}
}
