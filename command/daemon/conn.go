package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// writer writes messages, each in a line.
type writer struct {
	stall time.Duration // how long a write may take; zero for no bound
	conn  net.Conn      // whose deadline that is

	turn chan struct{} // has room for one, who uses the fields below
	w    io.Writer
	err  error // the first one: half a line may be out
}

func newWriter(w io.Writer) *writer { return &writer{w: w, turn: make(chan struct{}, 1)} }

func (w *writer) send(v any) error {
	line, err := encode(v)
	if err != nil {
		return err
	}
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	if w.err != nil {
		return w.err
	}
	if w.conn != nil {
		_ = w.conn.SetWriteDeadline(time.Now().Add(w.stall))
	}
	_, w.err = w.w.Write(append(line, '\n'))
	return w.err
}

// errTooLong is what a line over the bound is.
var errTooLong = errRequest(fmt.Sprintf("a line has up to %d bytes", maxMessage))

// nextLine returns the next line without its end. It skips one that is too long, and says so.
func nextLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	long := false
	for {
		piece, err := r.ReadSlice('\n')
		if long = long || len(line)+len(piece) > maxMessage+1; long {
			line = nil
		} else {
			line = append(line, piece...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case long && (err == nil || errors.Is(err, io.EOF)):
			return nil, errTooLong
		case len(line) > 0 && errors.Is(err, io.EOF):
			err = nil
		}
		return line, err
	}
}

// read gives lines to f until they end, or ctx is done.
func read(ctx context.Context, in io.Reader, f func([]byte, error)) {
	type item struct {
		line []byte
		err  error
	}
	lines := make(chan item)
	go func() { // ends with in, which may be a terminal's: nobody waits for it
		defer close(lines)
		for r := bufio.NewReaderSize(in, 1<<16); ; {
			line, err := nextLine(r)
			if err != nil && !errors.Is(err, errTooLong) {
				return
			}
			select {
			case lines <- item{line, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case i, more := <-lines:
			if !more {
				return
			}
			f(i.line, i.err)
		case <-ctx.Done():
			return
		}
	}
}

// serve answers lines until they end, or the daemon does, or nobody takes the answers. Paths in them begin at a folder, or are whole where that
// is empty.
func (d *Daemon) serve(ctx context.Context, in io.Reader, out *writer, folder string) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errGone)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	send := func(v any) error {
		err := out.send(v)
		if err != nil {
			cancel(errGone)
		}
		return err
	}
	s := d.session(ctx, send)
	s.folder = folder
	answer := func(v any) {
		if v != nil {
			_ = send(v)
		}
	}
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-d.leaving:
			s.wind(errLeaves, true)
			stop()
		case <-over:
		}
	})
	read(reading, in, func(line []byte, err error) {
		switch {
		case err != nil:
			answer(&response{id: null, err: err})
		case len(line) > 0 && string(line) != "\n" && string(line) != "\r\n":
			s.message(line, answer)
			clear(line) // it may hold a password
		}
	})
	s.wind(errGone, false) // the lines have ended: what has an end is answered still
	s.work.Wait()
	close(over)
	watching.Wait()
}
