package node

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/mls/frame"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// slow is a client over a network that reads no push before it is let.
type slow struct {
	member
	read   func()
	pushes chan wire.PushEvent
}

// joinSlow signs somebody up who is such a client.
func (r *rig) joinSlow(n network, name string) slow {
	r.t.Helper()
	conn, err := n.dial(r.t.Context())
	check(r.t, err)
	reads, pushes := make(chan struct{}), make(chan wire.PushEvent, 100_000)
	s := transport.NewSession(conn, transport.SessionConfig{Push: func(b []byte) {
		<-reads
		pushes <- must(wire.Unmarshal[wire.Push](b)).Event
	}})
	read := sync.OnceFunc(func() { close(reads) })
	r.t.Cleanup(func() { read(); _ = s.Close() })
	secret, err := s.Peer().Exporter(identity.ExporterLabel, 32)
	check(r.t, err)
	l := &line{r: r, over: s, secret: secret}
	p := l.register(name)
	return slow{member{l, p, p.device}, read, pushes}
}

// fill has ephemeral messages wait for somebody, until no more of them are let in.
func (r *rig) fill(s slow, x *room) {
	r.t.Helper()
	typing := wire.EphemeralPush{Channel: x.id, Payload: private(x.id, 1, frame.Application, nil, string(make([]byte, 4000)))}
	for lost := 0; lost < 1000; {
		before := counted(r.metrics.pushesLost)
		if r.pushAccount(s.user.Name, nil, typing); counted(r.metrics.pushesLost) > before {
			lost++
		} else {
			lost = 0
		}
	}
}

// TestRowsLeaveRoomForWhatIsRare: somebody who says much to a slow device does not keep it from learning that its account has changed.
func TestRowsLeaveRoomForWhatIsRare(t *testing.T) {
	overAll(t, func(t *testing.T, r *rig, n network) {
		r.listen(n)
		bob, mallory := r.joinSlow(n, "bob"), r.join("mallory")
		x := r.create(mallory, nil)
		x.take(mallory, x.commit(add(1, 0, bob.member)))
		r.fill(bob, x)
		lost := counted(r.metrics.pushesLost)
		for range 30 {
			x.say(mallory, string(make([]byte, 4000)), 1)
		}
		r.enrol(bob.person)
		if n := counted(r.metrics.pushesLost) - lost; n > 0 {
			t.Errorf("%v pushes found no room", n)
		}
		bob.read()
		for p := range bob.pushes {
			if p == (wire.AccountPush{User: bob.user, Version: 2}) {
				break
			}
			if p == (wire.InboxPush{}) {
				t.Fatal("pushes were left out")
			}
		}
	})
}

// slowRig is a server with a room in which alice speaks, and bob reads slowly what is pushed.
func slowRig(t *testing.T) (r *rig, bob slow, alice member, x *room) {
	t.Helper()
	r = newRig(t, nil)
	n := networks["mem"](r)
	r.listen(n)
	bob, alice = r.joinSlow(n, "bob"), r.join("alice")
	x = r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, bob.member)))
	return r, bob, alice, x
}

// TestRowsAreLeftOut of pushes to who reads slowly, and come with them again once all is read.
func TestRowsAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, bob, alice, x := slowRig(t)
		x.say(alice, "with a row", 1)
		for fills, lags := 0, false; !lags; fills++ {
			if fills == 1000 {
				t.Fatal("nothing makes it lag")
			}
			r.fill(bob, x)
			synctest.Wait() // until whoever writes has taken what the carrier takes
			for c := range r.sessions.of("bob") {
				lags = c.lags()
			}
		}
		x.say(alice, "without", 1)
		bob.read()
		synctest.Wait()
		x.say(alice, "with a row", 1)
		synctest.Wait()
		var rows []bool
		for range len(bob.pushes) {
			if p, ok := (<-bob.pushes).(wire.InboxPush); ok {
				rows = append(rows, p.Row != nil)
			}
		}
		if want := []bool{false, true, false, true}; !slices.Equal(rows, want) { // the first one tells of the commit
			t.Errorf("there are rows %v, not %v", rows, want)
		}
	})
}

// TestWhoLagsLooks: so much waits to be pushed to bob that the hint of alice's message finds no room. Once he reads again he is told to look.
func TestWhoLagsLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, bob, alice, x := slowRig(t)
		r.fill(bob, x)
		for said, lost := 0, false; !lost; said++ { // whoever writes may take some first
			if said == 100 {
				t.Fatal("all hints find room: this shows nothing")
			}
			for before := counted(r.metrics.pushesLost); counted(r.metrics.pushesLost) == before; {
				r.announce([]store.Notice{{Account: "bob", Seq: 1}}, nil)
			}
			before := counted(r.metrics.pushesLost)
			x.say(alice, "read me", 1)
			lost = counted(r.metrics.pushesLost) > before
		}
		bob.read()
		synctest.Wait()
		var last wire.PushEvent
		for range len(bob.pushes) {
			last = <-bob.pushes
		}
		if last != (wire.InboxPush{}) {
			t.Errorf("the last that bob is told is %T", last)
		}
	})
}
