package node

import (
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

func TestLinkADevice(t *testing.T) {
	r := newRig(t, nil)
	e := r.dial()
	alice := e.register("alice")
	code := must(identity.NewLinkCode(rand.Reader))
	at := code.Rendezvous()
	call(e, wire.LinkCreate{Rendezvous: at})

	n, d := r.dial(), newDevice()
	request := d.request(alice.user)
	sealed := must(code.SealRequest(rand.Reader, request))
	call(n, wire.LinkOffer{Rendezvous: at, Sealed: sealed})
	call(n, wire.LinkOffer{Rendezvous: at, Sealed: sealed}) // a repetition
	refused(r.dial(), wire.LinkOffer{Rendezvous: at, Sealed: []byte("another")}, qpq.Exists, wire.CodeLinkTaken)
	if pushed := e.pushed(); len(pushed) == 0 || pushed[0] != (wire.LinkPush{Rendezvous: at}) {
		t.Errorf("pushed %v", pushed)
	}

	taken := must(code.OpenRequest(alice.user, call(e, wire.LinkTake{Rendezvous: at}).Sealed))
	alice.publish(e, e.login(alice), identity.Change{Add: []*identity.DeviceRequest{taken}})
	answer := must(code.SealAnswer(rand.Reader, sealed, alice.state()))
	refused(n, wire.LinkAnswer{Rendezvous: at, Sealed: answer}, qpq.Unauthorized, wire.CodeDeviceNeeded)
	call(e, wire.LinkAnswer{Rendezvous: at, Sealed: answer})
	call(e, wire.LinkAnswer{Rendezvous: at, Sealed: answer})
	for range 2 { // it stays
		must(code.OpenAnswer(sealed, request, call(n, wire.LinkWait{Rendezvous: at}).Sealed))
	}
	n.authenticate(alice, d)
	keys := call(n, wire.VaultKeysGet{}).Keys
	if key, err := d.key.OpenVault(alice.state(), keys.WrapFor(d.key.ID())); err != nil || !key.Equal(alice.vault) {
		t.Errorf("the vault on the new device: %v", err)
	}
}

func TestLinkWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		e := r.dial()
		e.register("alice")
		at := [16]byte{7}
		call(e, wire.LinkCreate{Rendezvous: at})
		start := time.Now()
		if got := call(e, wire.LinkTake{Rendezvous: at, WaitSeconds: 5}); got.Sealed != nil || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %s", got, time.Since(start))
		}
		if call(e, wire.LinkTake{Rendezvous: at, WaitSeconds: 65535}); time.Since(start) != 65*time.Second {
			t.Errorf("a poll of %s", time.Since(start)-5*time.Second)
		}
		got := make(chan []byte)
		go func() { got <- call(e, wire.LinkTake{Rendezvous: at, WaitSeconds: 60}).Sealed }()
		synctest.Wait()
		call(r.dial(), wire.LinkOffer{Rendezvous: at, Sealed: []byte("offer")})
		if sealed := <-got; string(sealed) != "offer" || time.Since(start) != 65*time.Second {
			t.Errorf("%q after %s", sealed, time.Since(start))
		}
		call(e, wire.LinkCreate{Rendezvous: [16]byte{8}}) // ends the first
		refused(r.dial(), wire.LinkWait{Rendezvous: at, WaitSeconds: 1}, qpq.NotFound, wire.CodeLinkUnknown)
		time.Sleep(10 * time.Minute)
		refused(r.dial(), wire.LinkOffer{Rendezvous: [16]byte{8}, Sealed: []byte("x")}, qpq.NotFound, wire.CodeLinkUnknown)
		r.sweepOnce(t.Context(), time.Now())
		if n := len(r.links.open) + len(r.links.owners); n != 0 {
			t.Errorf("%d rendezvous are kept after their time", n)
		}
	})
}

func TestLinkWaitersAreWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		e := r.dial()
		e.register("alice")
		call(e, wire.LinkCreate{Rendezvous: [16]byte{1}})
		n := r.dial()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			refused(n, wire.LinkWait{Rendezvous: [16]byte{1}, WaitSeconds: 60}, qpq.NotFound, wire.CodeLinkUnknown)
		}()
		synctest.Wait()
		start := time.Now()
		r.links.forget("alice")
		<-ended
		if time.Since(start) != 0 {
			t.Errorf("woken after %s", time.Since(start))
		}
	})
}

func TestLinkBelongsToItsAccount(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.Links = 2 })
	a, b, c := r.dial(), r.dial(), r.dial()
	a.register("alice")
	b.register("bob")
	c.register("carol")
	at := [16]byte{1}
	call(a, wire.LinkCreate{Rendezvous: at})
	call(a, wire.LinkCreate{Rendezvous: at})
	refused(b, wire.LinkCreate{Rendezvous: at}, qpq.Exists, wire.CodeLinkTaken)
	call(r.dial(), wire.LinkOffer{Rendezvous: at, Sealed: []byte("x")})
	refused(b, wire.LinkTake{Rendezvous: at}, qpq.NotFound, wire.CodeLinkUnknown)
	refused(b, wire.LinkAnswer{Rendezvous: at, Sealed: []byte("x")}, qpq.NotFound, wire.CodeLinkUnknown)
	call(b, wire.LinkCreate{Rendezvous: [16]byte{2}})
	refused(c, wire.LinkCreate{Rendezvous: [16]byte{3}}, qpq.Unavailable, "too-many-links")
}
