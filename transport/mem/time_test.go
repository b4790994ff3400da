package mem_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/mem"
)

// The times that transport.Limits promise when they are zero, and how long a server lets clients go by themselves.
const (
	progress   = 20 * time.Second
	leastRate  = 32 << 10 // bytes a second
	clientIdle = 5 * time.Second
	serverIdle = 15 * time.Second
	linger     = time.Second
)

// clock is a server and one client of it, in a bubble whose time moves when nothing else does.
type clock struct {
	*testing.T
	server *transport.Server
	conn   transport.Conn // the client's end
	there  *transport.ServerConn
	room   time.Duration // for how long a request waits for room
	began  time.Time
	ended  time.Time // when the handler was told of the end

	transfer transport.Transfer // of the latest call
}

func (c *clock) Open(there *transport.ServerConn) (any, error) {
	c.there = there
	return nil, nil
}

func (c *clock) Closed(*transport.ServerConn) { c.ended = time.Now() }

// Call takes as many seconds as the method says, and replies as many bytes as the request says.
func (c *clock) Call(ctx context.Context, _ *transport.ServerConn, method uint16, request []byte) (uint16, []byte) {
	select {
	case <-time.After(time.Duration(method) * time.Second):
	case <-ctx.Done():
		return 1, nil
	}
	if len(request) != 4 {
		return 0, nil
	}
	return 0, make([]byte, binary.LittleEndian.Uint32(request))
}

func (c *clock) admit(_ *transport.ServerConn, t transport.Transfer, _ uint16, _ int) (func(), uint16, []byte) {
	time.Sleep(c.room)
	c.transfer = t
	return func() {}, 0, nil
}

// pace fails the test unless so many bytes of what is under way have moved, in such a time.
func (c *clock) pace(bytes int, over time.Duration) {
	c.Helper()
	synctest.Wait()
	if b, o := c.transfer.Pace(); b != bytes || o != over {
		c.Errorf("%d bytes have moved in %v, want %d in %v", b, o, bytes, over)
	}
}

// bubble runs a test against a server of its own.
func bubble(t *testing.T, name string, test func(c *clock)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := &clock{T: t, began: time.Now()}
			c.server = transport.NewServer(transport.ServerConfig{Handler: c, Admit: c.admit, PushQueue: 1 << 10, Lagging: []byte("lagging")})
			client, server := mem.Pipe("client", "server")
			c.conn = client
			c.server.ServeConn(context.Background(), server)
			synctest.Wait()
			test(c)
			_ = client.Close(transport.CodeDone, "")
			synctest.Wait()
		})
	})
}

// at fails the test unless so much time has passed since the bubble began.
func (c *clock) at(want time.Duration, what string) {
	c.Helper()
	if got := time.Since(c.began); got != want {
		c.Errorf("%s after %v, want %v", what, got, want)
	}
}

func (c *clock) lane() transport.Stream {
	c.Helper()
	s, err := c.conn.Open(context.Background())
	if err != nil {
		c.Fatal(err)
	}
	return s
}

func (c *clock) write(s transport.Stream, b []byte) {
	c.Helper()
	if _, err := s.Write(b); err != nil {
		c.Fatal(err)
	}
}

// gone waits until the server gives a stream up, and returns its code, or CodeDone where it ended the stream in order.
func (c *clock) gone(s transport.Stream) transport.Code {
	_, err := io.Copy(io.Discard, struct{ io.Reader }{s})
	var closed transport.Closed
	errors.As(err, &closed)
	return closed.Code
}

// trickle moves half of the least that a frame has to move, until the server gives the stream up, at the time it should.
func (c *clock) trickle(s transport.Stream, until time.Duration, move func([]byte) error) {
	c.Helper()
	moved := make(chan error)
	go func() {
		for {
			time.Sleep(time.Second)
			if err := move(make([]byte, leastRate/2)); err != nil {
				moved <- err
				return
			}
		}
	}()
	<-s.(transport.Abandoned).Context().Done()
	c.at(until, "given up")
	if err := <-moved; !errors.Is(err, transport.Closed{Code: transport.CodeSlow}) {
		c.Errorf("told %v", err)
	}
}

// told reads past the push stream to the end of the connection.
func (c *clock) told(want transport.Code) {
	c.Helper()
	for {
		if _, err := c.conn.Accept(context.Background()); err != nil {
			if !errors.Is(err, transport.Closed{Code: want}) {
				c.Errorf("told %v, want %v", err, want)
			}
			return
		}
	}
}

// request is a frame.
func request(method uint16, payload ...byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint16(b, method)
	return append(append(b, 0, 0), payload...)
}

// reply asks for so many bytes.
func reply(n uint32) []byte { return request(0, binary.LittleEndian.AppendUint32(nil, n)...) }

// promise is all of a header of a request of method 0.
func promise(n uint32) []byte { return append(promised(n), 0, 0, 0, 0) }

// promised is the header of a request of so many bytes.
func promised(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n)[:4:4] }

func TestTimeOfLanes(t *testing.T) {
	bubble(t, "a lane without a call ends", func(c *clock) {
		if code := c.gone(c.lane()); code != transport.CodeSlow {
			c.Errorf("code %v", code)
		}
		c.at(serverIdle, "given up")
	})
	bubble(t, "a client ends its lane before the server does", func(c *clock) {
		s := transport.NewSession(c.conn, transport.SessionConfig{})
		for _, rest := range []time.Duration{clientIdle - 1, clientIdle, clientIdle + 1, serverIdle - 1, serverIdle, serverIdle + 1, time.Hour} {
			if _, _, err := s.Call(context.Background(), 0, nil); err != nil {
				c.Fatalf("the call before a rest of %v: %v", rest, err)
			}
			time.Sleep(rest)
		}
		_ = s.Close()
	})
	bubble(t, "half a header is no call", func(c *clock) {
		s := c.lane()
		c.write(s, promised(1)[:3])
		if code := c.gone(s); code != transport.CodeSlow {
			c.Errorf("code %v", code)
		}
		c.at(serverIdle, "given up")
	})
	bubble(t, "half a request ends the lane", func(c *clock) {
		s := c.lane()
		time.Sleep(10 * time.Second)
		c.write(s, request(0, make([]byte, 100)...)[:50])
		if code := c.gone(s); code != transport.CodeSlow {
			c.Errorf("code %v", code)
		}
		c.at(10*time.Second+progress, "given up")
	})
	bubble(t, "a byte now and then is no progress", func(c *clock) {
		s := c.lane()
		c.write(s, promise(1<<20))
		for range 19 {
			time.Sleep(time.Second)
			c.write(s, []byte{0})
		}
		if code := c.gone(s); code != transport.CodeSlow {
			c.Errorf("code %v", code)
		}
		c.at(progress, "given up")
	})
	bubble(t, "16 KiB in time is progress", func(c *clock) {
		s := c.lane()
		c.write(s, promise(64<<10))
		time.Sleep(progress - 1)
		c.write(s, make([]byte, 16<<10))
		synctest.Wait()
		time.Sleep(time.Second) // it has 20 and 2
		c.write(s, make([]byte, 48<<10))
		if _, err := io.ReadFull(s, make([]byte, 8)); err != nil {
			c.Errorf("no reply: %v", err)
		}
		c.at(progress+time.Second-1, "answered")
	})
	bubble(t, "waiting for room is not the time of a request", func(c *clock) {
		c.room = progress - 1
		s := c.lane()
		c.write(s, append(promise(64<<10), make([]byte, 16<<10)...))
		time.Sleep(c.room + progress - 1)
		c.write(s, make([]byte, 16<<10))
		synctest.Wait()
		time.Sleep(2 * time.Second)
		c.write(s, make([]byte, 32<<10))
		if _, err := io.ReadFull(s, make([]byte, 8)); err != nil {
			c.Errorf("no reply: %v", err)
		}
		c.at(2*progress+2*time.Second-2, "answered") // 1 ns before the end
	})
	const minute = 60 * leastRate // bytes
	bubble(t, "a request at the least rate arrives", func(c *clock) {
		s := c.lane()
		c.write(s, promise(minute))
		for range 60 {
			time.Sleep(time.Second)
			c.write(s, make([]byte, leastRate))
			synctest.Wait()
		}
		if _, err := io.ReadFull(s, make([]byte, 8)); err != nil {
			c.Errorf("no reply: %v", err)
		}
		c.at(time.Minute, "answered")
	})
	bubble(t, "progress below the least rate ends the lane", func(c *clock) {
		s := c.lane()
		c.write(s, promise(minute))
		c.trickle(s, progress+time.Minute, func(b []byte) error {
			_, err := s.Write(b)
			return err
		})
	})
	bubble(t, "a reply that is read below the least rate ends the lane", func(c *clock) {
		s := c.lane()
		c.write(s, reply(minute))
		c.trickle(s, progress+time.Minute, func(b []byte) error {
			_, err := io.ReadFull(s, b)
			return err
		})
	})
	bubble(t, "a request that is given up ends, though it moves", func(c *clock) {
		c.room = 5 * time.Second // does not count
		s := c.lane()
		c.write(s, append(promise(1<<20), make([]byte, 16<<10)...))
		time.Sleep(c.room + 3*time.Second)
		c.write(s, make([]byte, 64<<10))
		c.pace(80<<10, 3*time.Second)
		c.transfer.GiveUp()
		if code := c.gone(s); code != transport.CodeSlow {
			c.Errorf("code %v", code)
		}
		c.at(c.room+3*time.Second, "given up")
	})
	bubble(t, "a reply that is given up ends", func(c *clock) {
		s := c.lane()
		c.write(s, reply(1<<20))
		time.Sleep(4 * time.Second)
		c.pace(8+192<<10, 4*time.Second) // the next 64 KiB fill the window
		c.transfer.GiveUp()
		<-s.(transport.Abandoned).Context().Done()
		c.at(4*time.Second, "given up")
	})
	bubble(t, "a call that is carried out is not given up, nor what comes after it", func(c *clock) {
		s := c.lane()
		c.write(s, request(10))
		time.Sleep(5 * time.Second)
		c.pace(0, 0)
		c.transfer.GiveUp()
		if _, err := io.ReadFull(s, make([]byte, 8)); err != nil {
			c.Errorf("no reply: %v", err)
		}
		c.at(10*time.Second, "answered")
		c.write(s, promise(64<<10))
		time.Sleep(progress - 1)
		c.write(s, make([]byte, 64<<10))
		if _, err := io.ReadFull(s, make([]byte, 8)); err != nil {
			c.Errorf("no further reply: %v", err)
		}
	})
	bubble(t, "the time of a request ends with it", func(c *clock) {
		s := c.lane()
		c.write(s, reply(1<<10))
		if _, err := io.ReadFull(s, make([]byte, 8+1<<10)); err != nil {
			c.Error(err)
		}
		time.Sleep(serverIdle - 1)
		c.write(s, request(3600))
		if _, err := io.ReadFull(s, make([]byte, 8)); err != nil {
			c.Errorf("no reply: %v", err)
		}
		c.at(serverIdle-1+time.Hour, "answered")
	})
	bubble(t, "a reply that is read in time arrives", func(c *clock) {
		s := c.lane()
		c.write(s, reply(1<<20))
		time.Sleep(progress - 1)
		if _, err := io.ReadFull(s, make([]byte, 8+(1<<20))); err != nil {
			c.Error(err)
		}
	})
	bubble(t, "a reply that nobody reads ends the lane", func(c *clock) {
		s := c.lane()
		c.write(s, reply(1<<20))
		time.Sleep(progress)
		synctest.Wait()
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, transport.Closed{Code: transport.CodeSlow}) {
			c.Errorf("after its time: %v", err)
		}
	})
	bubble(t, "a call takes as long as it takes", func(c *clock) {
		s := transport.NewSession(c.conn, transport.SessionConfig{})
		if _, _, err := s.Call(context.Background(), 3600, nil); err != nil {
			c.Error(err)
		}
		c.at(time.Hour, "answered")
		_ = s.Close()
	})
	bubble(t, "or as long as the caller waits", func(c *clock) {
		s := transport.NewSession(c.conn, transport.SessionConfig{})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, _, err := s.Call(ctx, 3600, nil); !errors.Is(err, context.DeadlineExceeded) || !transport.Sent(err) {
			c.Error(err)
		}
		c.at(time.Minute, "given up")
		_ = s.Close()
	})
}

func TestTimeOfPushes(t *testing.T) {
	bubble(t, "a client that never reads is closed", func(c *clock) {
		for queued := 0; c.there.Push(make([]byte, 1<<10)); synctest.Wait() {
			if queued++; queued > 1000 {
				c.Fatal("1 MB was queued")
			}
		}
		<-c.conn.Done()
		c.at(progress, "closed")
		c.told(transport.CodeSlow)
		synctest.Wait()
		if c.ended.Sub(c.began) != progress {
			c.Errorf("the handler was told after %v", c.ended.Sub(c.began))
		}
	})
	bubble(t, "what waits is counted until it is read", func(c *clock) {
		const all = 2 << 20
		if c.there.Push(make([]byte, all)); c.there.Waiting() > all+8 {
			c.Errorf("%d bytes wait", c.there.Waiting())
		}
		synctest.Wait()
		if n := c.there.Waiting(); n != 0 { // it is being written
			c.Errorf("%d bytes wait of a push that is on its way", n)
		}
		c.there.Push([]byte("more"))
		if n := c.there.Waiting(); n != 8+4 {
			c.Errorf("%d bytes wait, with their header, want 12", n)
		}
		s := transport.NewSession(c.conn, transport.SessionConfig{Push: func([]byte) {}})
		synctest.Wait()
		if n := c.there.Waiting(); n != 0 {
			c.Errorf("%d bytes wait when all was read", n)
		}
		_ = s.Close()
	})
	bubble(t, "a client that reads in time is told what it missed", func(c *clock) {
		for c.there.Push(make([]byte, 1<<10)) {
			synctest.Wait()
		}
		time.Sleep(progress - 1)
		var last []byte
		s := transport.NewSession(c.conn, transport.SessionConfig{Push: func(b []byte) { last = b }})
		synctest.Wait()
		if string(last) != "lagging" {
			c.Errorf("the last that came is %q", last)
		}
		time.Sleep(time.Hour)
		if !c.there.Push([]byte("news")) {
			c.Error("no room although all was read")
		}
		synctest.Wait()
		if string(last) != "news" {
			c.Errorf("then came %q", last)
		}
		_ = s.Close()
	})
}

func TestTimeOfShutdown(t *testing.T) {
	shutdown := func(c *clock, within time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		return c.server.Shutdown(ctx)
	}
	bubble(t, "an idle client goes at once", func(c *clock) {
		s := transport.NewSession(c.conn, transport.SessionConfig{})
		if err := shutdown(c, 10*time.Second); err != nil {
			c.Error(err)
		}
		c.at(0, "shut down")
		_ = s.Close()
	})
	bubble(t, "a client that stays is closed", func(c *clock) {
		if err := shutdown(c, 10*time.Second); err != nil {
			c.Error(err)
		}
		c.at(linger, "shut down")
		c.told(transport.CodeDraining)
	})
	bubble(t, "a call under way ends, and its client goes", func(c *clock) {
		s := transport.NewSession(c.conn, transport.SessionConfig{})
		called := make(chan error, 1)
		go func() {
			_, _, err := s.Call(context.Background(), 7, nil)
			called <- err
		}()
		synctest.Wait()
		if err := shutdown(c, 10*time.Second); err != nil {
			c.Error(err)
		}
		c.at(7*time.Second, "shut down")
		if err := <-called; err != nil {
			c.Errorf("the call: %v", err)
		}
		_ = s.Close()
	})
	bubble(t, "a call that takes too long is cut off", func(c *clock) {
		s := transport.NewSession(c.conn, transport.SessionConfig{})
		called := make(chan error, 1)
		go func() {
			_, _, err := s.Call(context.Background(), 60, nil)
			called <- err
		}()
		synctest.Wait()
		if err := shutdown(c, 10*time.Second); !errors.Is(err, context.DeadlineExceeded) {
			c.Error(err)
		}
		c.at(10*time.Second, "shut down")
		if err := <-called; !transport.Sent(err) {
			c.Errorf("the call: %v", err)
		}
		_ = s.Close()
	})
}
