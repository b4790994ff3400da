package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/internal/files"
)

// fileSocket and fileToken are the names of what a daemon keeps in the folder of a profile.
const (
	fileSocket = "daemon.socket"
	fileToken  = "daemon.token"
)

// Socket returns the path of the socket of the daemon of a profile, unless a person names another one.
func Socket(dir string) string { return filepath.Join(dir, fileSocket) }

// Listen returns a socket that only its owner can reach, made as a whole where it was not. One that a process left behind is replaced; it fails
// with qpq.Exists where somebody answers at path, or where there is something else.
func Listen(path string) (net.Listener, error) {
	if err := vacant(path); err != nil {
		return nil, err
	}
	fail := func(err error) (net.Listener, error) {
		return nil, qpq.Wrap(qpq.Unavailable, "socket-unusable", fmt.Sprintf(
			"the socket %s cannot be made: %v: make its folder writable, or name another one with --socket", path, err), err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fail(err)
	}
	l, err := files.Listen(path)
	if errors.Is(err, files.ErrLongPath) {
		return nil, qpq.Wrap(qpq.Invalid, "socket-path", fmt.Sprintf("the path %s cannot be used: %v: name another one with --socket", path, err), err)
	}
	if err != nil {
		return fail(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fail(errors.Join(err, l.Close()))
	}
	return &socket{l, path, info}, nil
}

// vacant fails where a path is not free for a socket.
func vacant(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return qpq.E(qpq.Exists, "not-a-socket", path+" is there and is no socket: name another one with --socket")
	}
	conn, err := net.Dial("unix", path)
	if err != nil && files.Refused(err) {
		return nil // left by a process that was killed
	}
	if err != nil { // it may be that more want to be heard than it has room for
		return qpq.Wrap(qpq.Exists, "socket-taken", fmt.Sprintf("the socket %s is somebody's, it seems: %v: end that process, or name another socket with --socket", path, err), err)
	}
	return errors.Join(conn.Close(), qpq.E(qpq.Exists, "daemon-runs", "a daemon is there already and answers at "+path+": use that one, or end it"))
}

// socket is a listener that removes its file, if that is still its own.
type socket struct {
	*net.UnixListener
	path string
	made fs.FileInfo
}

// Close implements net.Listener.
func (s *socket) Close() error {
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.made) {
		_ = os.Remove(s.path)
	}
	return s.UnixListener.Close()
}

// serveSocket serves the connections of a socket until the daemon leaves.
func (d *Daemon) serveSocket(ctx context.Context, l net.Listener) error {
	d.work.Go(func() {
		<-d.leaving
		_ = l.Close()
	})
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return qpq.Wrap(qpq.Unavailable, "socket-unusable", "the socket takes no more connections: "+err.Error(), err)
		}
		d.work.Go(func() {
			defer conn.Close()
			d.connected(ctx, conn)
		})
	}
}

// connected serves one connection, if it may be served.
func (d *Daemon) connected(ctx context.Context, conn net.Conn) {
	out := newWriter(conn)
	out.stall, out.conn = d.cfg.Stall, conn
	refuse := func(err *qpq.Error) {
		d.cfg.Log.Warn("connection refused", "code", err.Code)
		_ = out.send(&response{id: null, err: err})
	}
	if unix, ok := conn.(*net.UnixConn); ok {
		if err := samePerson(unix); err != nil {
			refuse(qpq.Wrap(qpq.Denied, "other-user", "this daemon belongs to another user of this machine", err))
			return
		}
	}
	select {
	case d.conns <- struct{}{}:
		defer func() { <-d.conns }()
	default:
		refuse(errFull)
		return
	}
	d.serve(ctx, conn, out, "")
}

// errFull is what a connection gets that is one too many.
var errFull = qpq.E(qpq.Unavailable, "too-many-connections", fmt.Sprintf("%d programs are connected already: end one, or try again", maxConns))
