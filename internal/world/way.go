package world

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

// way is what the datagrams of one socket of a device pass, to the server and back.
type way struct {
	device   string
	gone     bool // the socket is not there any more; guarded by the network
	up, down *road
}

func newWay(n *datagrams, device string, number int) *way {
	name := fnv.New64a()
	name.Write([]byte(device))
	w := &way{device: device}
	build := func(direction uint64) *road {
		return &road{
			rand:    rand.New(rand.NewPCG(n.w.seed, name.Sum64()+uint64(number)<<1+direction)),
			passes:  func() bool { return n.passes(w) },
			weather: n.w.weather,
		}
	}
	w.up, w.down = build(0), build(1)
	return w
}

// road is one direction of a way. What becomes of a datagram follows from the seed, by how many came before it.
type road struct {
	passes  func() bool
	weather func() Weather

	mu   sync.Mutex
	rand *rand.Rand
}

// carry delivers a datagram, sooner or later or never.
func (r *road) carry(deliver func()) {
	lost, delay := r.draw(r.weather())
	if lost || !r.passes() {
		return
	}
	if delay == 0 {
		deliver()
		return
	}
	time.AfterFunc(delay, func() {
		if r.passes() { // still
			deliver()
		}
	})
}

func (r *road) draw(w Weather) (lost bool, delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost = r.rand.Float64() < w.Loss
	return lost, w.delay(r.rand)
}

// delay draws how long something is on its way. Most of it comes soon.
func (w Weather) delay(r *rand.Rand) time.Duration {
	if w.Delay <= 0 {
		return 0
	}
	d := time.Duration(r.Int64N(int64(w.Delay)))
	if r.IntN(4) > 0 {
		d /= 10
	}
	return d
}
