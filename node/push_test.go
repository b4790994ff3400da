package node

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/quicproquo/qpq/mls/frame"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// TestWhoLagsLooks: mallory fills what waits to be pushed to bob, so that the hint of alice's message finds no room. Once bob reads
// again he is told to look.
func TestWhoLagsLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		n := networks["mem"](r)
		r.listen(n)
		conn, err := n.dial(t.Context())
		check(t, err)
		reads := make(chan struct{})
		read := sync.OnceFunc(func() { close(reads) })
		defer read()
		var last wire.PushEvent
		s := transport.NewSession(conn, transport.SessionConfig{Push: func(b []byte) {
			<-reads
			last = must(wire.Unmarshal[wire.Push](b)).Event
		}})
		t.Cleanup(func() { _ = s.Close() })
		l := &line{r: r, over: s, secret: must(s.Peer().Exporter("", 32))}
		p := l.register("bob")
		bob := member{l, p, p.device}
		alice, mallory := r.join("alice"), r.join("mallory")
		x := r.create(alice, nil)
		x.take(alice, x.commit(add(1, 0, mallory, bob)))
		for _, size := range []int{4000, 1} {
			typing := wire.SendEphemeral{Channel: x.id, Payload: private(x.id, 1, frame.Application, nil, string(make([]byte, size)))}
			for lost := counted(r.metrics.pushesLost); counted(r.metrics.pushesLost) == lost; synctest.Wait() {
				call(mallory.line, typing)
			}
		}
		lost := counted(r.metrics.pushesLost)
		x.say(alice, "read me", 1)
		if counted(r.metrics.pushesLost) == lost {
			t.Error("the hint found room: this shows nothing")
		}
		read()
		synctest.Wait()
		if last != (wire.InboxPush{}) {
			t.Errorf("the last that bob is told is %T", last)
		}
	})
}
