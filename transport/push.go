package transport

import (
	"context"
	"sync"
)

// pusher writes messages to the push stream of one client. No goroutine waits for messages: one is started when a
// message cannot be queued with the carrier at once, and ends when nothing is left.
type pusher struct {
	conn     *ServerConn
	mu       sync.Mutex
	stream   Stream
	queue    [][]byte
	bytes    int
	writing  bool
	missed   bool
	closed   bool
	finished func()
	group    sync.WaitGroup
}

func (p *pusher) init(c *ServerConn) { p.conn = c }

// push queues a message, and reports whether there was room.
func (p *pusher) push(number uint16, payload []byte) bool {
	if len(payload) > p.conn.server.limits.Frame {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	frame := appendFrame(make([]byte, 0, headerSize+len(payload)), number, payload)
	if !p.writing && p.stream != nil && !p.missed {
		if t, ok := p.stream.(TryWriter); ok {
			if done, err := t.TryWrite(frame); err != nil {
				p.closed = true
				return false
			} else if done {
				return true
			}
		}
	}
	if len(p.queue) > 0 && p.bytes+len(frame) > p.conn.server.config.PushQueue {
		p.missed = true
		return false
	}
	p.queue = append(p.queue, frame)
	p.bytes += len(frame)
	p.start()
	return true
}

// waiting returns how many bytes are queued.
func (p *pusher) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}

// start makes sure that somebody writes. The caller holds the lock.
func (p *pusher) start() {
	if !p.writing {
		p.writing = true
		p.group.Go(p.write)
	}
}

// write writes what is queued until nothing is left.
func (p *pusher) write() {
	for {
		frame, ok := p.next()
		if !ok {
			return
		}
		if err := p.writeFrame(frame); err != nil {
			p.fail(err)
			return
		}
	}
}

// next takes the first message of the queue. When there is none, the writer is done.
func (p *pusher) next() ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 && p.missed {
		p.missed = false
		if lagging := p.conn.server.config.Lagging; lagging != nil {
			return appendFrame(nil, pushMessage, lagging), true
		}
	}
	if len(p.queue) == 0 {
		p.writing, p.queue = false, nil
		if p.finished != nil {
			go p.finished()
		}
		return nil, false
	}
	frame := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	p.bytes -= len(frame)
	return frame, true
}

func (p *pusher) writeFrame(frame []byte) error {
	progress := p.conn.server.limits.Progress
	if p.stream == nil {
		ctx, cancel := context.WithTimeout(context.Background(), progress)
		defer cancel()
		stream, err := p.conn.conn.Open(ctx)
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.stream = stream
		p.mu.Unlock()
	}
	w := watch{stream: p.stream}
	defer w.stop()
	w.frame(len(frame), progress)
	for len(frame) > 0 {
		n, err := p.stream.Write(frame[:min(len(frame), writeChunk)])
		if err != nil {
			return w.why(err)
		}
		frame = frame[n:]
		w.moved(n)
	}
	return nil
}

// fail gives up on a client that does not read: its connection ends, and it will come back and look.
func (p *pusher) fail(err error) {
	p.mu.Lock()
	p.writing, p.closed, p.queue, p.bytes = false, true, nil, 0
	finished := p.finished
	p.mu.Unlock()
	if finished != nil {
		go finished()
		return
	}
	_ = p.conn.conn.Close(codeOf(err), CodeSlow.String())
}

// finish lets nothing more be pushed and calls f once what is queued has been written.
func (p *pusher) finish(f func()) {
	p.mu.Lock()
	already := p.finished != nil
	p.closed = true
	if !already {
		p.finished = f
	}
	writing := p.writing
	p.mu.Unlock()
	if !writing && !already {
		f()
	}
}

// wait waits until nobody writes any more, nor will. The connection has ended.
func (p *pusher) wait() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.group.Wait()
}
