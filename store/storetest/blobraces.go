package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

// testBlobsPutOff: a sweep goes on behind blobs that are not to go yet, however many there are.
func testBlobsPutOff(t *testing.T, e store.Engine) {
	c := contents(t)
	s := openWith(t, e, c)
	register(t, s, "alice")
	register(t, s, "bob")
	ch := newChannel(t, s, 1, "alice", "bob")
	const day = 24 * time.Hour
	for i := range 6 {
		f := newFile(ch, "alice", 100+i)
		upload(t, s, f)
		if i == 5 {
			break // nobody refers to the last one
		}
		m := ch.message(byte(1+i), "alice", "a file")
		m.Blobs, m.BlobLook = [][32]byte{f.id.Hash}, blobRules.Look
		_, err := s.Send(t.Context(), m)
		ok(t, err)
	}
	calls, removed := 0, int64(0)
	for more := true; more; calls++ {
		n, again, err := s.SweepBlobs(t.Context(), blobRules, Epoch.Add(day), 2)
		ok(t, err)
		removed, more = removed+n, again
	}
	if removed != 1 || calls != 4 || left(t, c) != 5 { // the last call finds nothing
		t.Errorf("%d went with %d calls", removed, calls)
	}
}

// interrupted does something between a read of contents and whoever takes its result.
type interrupted struct {
	store.Contents
	between func()
}

func (i *interrupted) ReadAt(b store.BlobID, p []byte, offset int64) (int, error) {
	f := i.between
	if i.between = nil; f == nil {
		return i.Contents.ReadAt(b, p, offset)
	}
	if err := i.Contents.Remove(b); err != nil {
		return 0, err
	}
	n, err := i.Contents.ReadAt(b, p, offset)
	f()
	return n, err
}

// testBlobsMissed: contents that somebody missed, and that were uploaded anew before they are forgotten, are not.
func testBlobsMissed(t *testing.T, e store.Engine) {
	c := &interrupted{Contents: contents(t)}
	s := openWith(t, e, c)
	register(t, s, "alice")
	ch := newChannel(t, s, 1, "alice")
	f := newFile(ch, "alice", 100)
	upload(t, s, f)
	c.between = func() {
		ctx := context.WithoutCancel(t.Context())
		ok(t, s.DropBlob(ctx, f.id, f.by))
		ok(t, f.send(ctx, s))
	}
	_, err := f.read(t.Context(), s, "alice")
	wantKind(t, err, qpq.NotFound, "blob-unknown")
	f.want(t, s, "alice")
}
