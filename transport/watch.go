package transport

import (
	"sync"
	"sync/atomic"
	"time"
)

// watch gives up a stream that stands still. To say what time there is costs hardly anything, which is why it is not a
// deadline of the stream: the timer is moved only when it fires too early, or would fire too late.
type watch struct {
	until atomic.Int64 // nanoseconds since began; 0 is no bound
	fired atomic.Bool

	progress time.Duration // for how long the frame under way may stand still
	end      atomic.Int64  // when it has to be over, as until
	start    atomic.Int64  // when it began, as until; 0 where none is under way
	count    atomic.Int64  // bytes of it that have moved

	mu     sync.Mutex
	stream Stream // nil once the watch was stopped
	timer  *time.Timer
	armed  int64 // what the timer is set to; 0 where it is not set
}

// began is what watches count from.
var began = time.Now()

// errSlow says that a stream stood still.
var errSlow = Closed{CodeSlow}

// within bounds how long the stream may stand still from now on.
func (w *watch) within(d time.Duration) { w.by(time.Since(began) + d) }

// leastRate is how many bytes a second of a frame have to come, or to be taken, beyond the progress time: what is held for a
// frame is not held for hours.
const leastRate = 32 << 10

// frame says that n bytes of a frame begin. They have to move within the progress time, and to end in the time that they have.
func (w *watch) frame(n int, progress time.Duration) {
	now := time.Since(began)
	w.progress = progress
	w.end.Store(int64(now + progress + time.Duration(n)*time.Second/leastRate))
	w.count.Store(0)
	w.start.Store(int64(now))
	w.moved(0)
}

// moved says that the frame did not stand still, and how many more bytes of it have moved.
func (w *watch) moved(n int) {
	w.count.Add(int64(n))
	w.by(min(time.Since(began)+w.progress, time.Duration(w.end.Load())))
}

// pause waits for what the peer is not to blame for.
func (w *watch) pause(wait func()) {
	from, start := time.Since(began), w.start.Load()
	w.off()
	wait()
	waited := int64(time.Since(began) - from)
	w.end.Add(waited)
	w.start.Store(start + waited)
	w.moved(0)
}

// pace returns how many bytes of the frame under way have moved, in what time; zero time where none is under way.
func (w *watch) pace() (bytes int, over time.Duration) {
	start := w.start.Load()
	if start == 0 {
		return 0, 0
	}
	return int(w.count.Load()), time.Since(began) - time.Duration(start)
}

// hasten ends the time of the frame under way. It never blocks. What moves at the same moment may get it another progress time.
func (w *watch) hasten() {
	now := int64(time.Since(began))
	w.end.Store(now)
	if until := w.until.Load(); until != 0 && until > now && w.until.CompareAndSwap(until, now) {
		w.arm(now)
	}
}

// by says when the stream is given up, unless it is told otherwise.
func (w *watch) by(d time.Duration) {
	until := int64(d)
	before := w.until.Swap(until)
	if before == 0 || until < before {
		w.arm(until)
	}
}

// off lifts the bound: no frame is under way.
func (w *watch) off() {
	w.until.Store(0)
	w.start.Store(0)
}

// stop ends the watch, for good. The runtime may keep a stopped timer for long, but not the stream and what it holds.
func (w *watch) stop() {
	w.off()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.stream = nil
}

func (w *watch) arm(until int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed != 0 && w.armed <= until {
		return // it fires early enough, and then looks again
	}
	w.set(until)
}

// set sets the timer. The caller holds the lock.
func (w *watch) set(until int64) {
	w.armed = until
	left := time.Duration(until) - time.Since(began)
	if w.timer == nil {
		w.timer = time.AfterFunc(left, w.look)
	} else {
		w.timer.Reset(left)
	}
}

// look gives the stream up, if its time is over.
func (w *watch) look() {
	w.mu.Lock()
	w.armed = 0
	until := w.until.Load()
	if until != 0 && until > int64(time.Since(began)) {
		w.set(until)
		until = 0
	}
	stream := w.stream
	w.mu.Unlock()
	if until != 0 && stream != nil {
		w.fired.Store(true)
		stream.Reset(CodeSlow)
	}
}

// why returns the error of a stream, errSlow where the watch gave it up.
func (w *watch) why(err error) error {
	if err != nil && w.fired.Load() {
		return errSlow
	}
	return err
}
