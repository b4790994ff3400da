package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/folder"
)

var blobRules = store.BlobRules{Quota: 1 << 20, Unused: 24 * time.Hour, Grace: 7 * 24 * time.Hour, Look: time.Hour, Taken: time.Hour}

func contents(t testing.TB) *folder.Folder {
	t.Helper()
	f, err := folder.Open(t.TempDir())
	ok(t, err)
	return f
}

// file is something to upload.
type file struct {
	id   store.BlobID
	by   store.Uploader
	data []byte
	once bool
}

func newFile(ch *channel, account string, size int) file {
	r := rand.New(rand.NewPCG(uint64(size), uint64(len(account))+uint64(account[0])))
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return file{store.BlobID{Channel: ch.id, Hash: sha256.Sum256(data)}, store.Uploader{Account: account, Device: qpq.DeviceID{1}}, data, false}
}

// send uploads as a client does, from wherever the server is, by pieces of 40 bytes.
func (f file) send(ctx context.Context, s *store.Store) error {
	for {
		at, complete, err := s.CreateBlob(ctx, f.id, f.by, int64(len(f.data)), f.once, blobRules, Epoch)
		for err == nil && !complete {
			piece := f.data[at:min(at+40, int64(len(f.data)))]
			at, complete, err = s.WriteBlob(ctx, f.id, f.by, at, piece, blobRules, Epoch)
		}
		if qpq.CodeOf(err) != "blob-offset" {
			return err
		}
	}
}

func upload(t testing.TB, s *store.Store, f file) {
	t.Helper()
	ok(t, f.send(t.Context(), s))
}

// read returns all of a file.
func (f file) read(ctx context.Context, s *store.Store, account string) ([]byte, error) {
	p := make([]byte, len(f.data)+10)
	n, size, err := s.ReadBlob(ctx, f.id, store.Uploader{Account: account, Device: qpq.DeviceID{1}}, 0, p, blobRules, Epoch)
	if err == nil && size != int64(len(f.data)) {
		err = fmt.Errorf("the server says %d bytes, and it has %d", size, len(f.data))
	}
	return p[:n], err
}

func (f file) want(t *testing.T, s *store.Store, account string) {
	t.Helper()
	got, err := f.read(t.Context(), s, account)
	ok(t, err)
	if !bytes.Equal(got, f.data) {
		t.Fatalf("%s reads %d bytes that are not those of the file", account, len(got))
	}
}

func (f file) gone(t *testing.T, s *store.Store, account string) {
	t.Helper()
	_, err := f.read(t.Context(), s, account)
	wantKind(t, err, qpq.NotFound, "blob-unknown")
}

// left returns how many blobs have contents.
func left(t testing.TB, c store.Contents) (n int) {
	t.Helper()
	ok(t, c.Each(func(store.BlobID) error { n++; return nil }))
	return n
}

func testBlobs(t *testing.T, e store.Engine) {
	c := contents(t)
	s, ctx := openWith(t, e, c), t.Context()
	for _, name := range []string{"alice", "bob", "carol"} {
		register(t, s, name)
	}
	ch := newChannel(t, s, 1, "alice", "bob")
	f := newFile(ch, "alice", 100)
	size := int64(len(f.data))

	stranger := f
	stranger.by.Account = "carol"
	wantKind(t, stranger.send(ctx, s), qpq.NotFound, "channel-unknown")
	other := f
	other.by.Device = qpq.DeviceID{9} // not on the roster
	wantKind(t, other.send(ctx, s), qpq.NotFound, "channel-unknown")

	_, _, err := s.CreateBlob(ctx, f.id, f.by, size, false, blobRules, Epoch)
	ok(t, err)
	f.gone(t, s, "bob") // not complete
	end, complete, err := s.WriteBlob(ctx, f.id, f.by, 0, f.data[:40], blobRules, Epoch)
	if err != nil || end != 40 || complete {
		t.Fatalf("%d, %t, %v", end, complete, err)
	}
	_, _, err = s.WriteBlob(ctx, f.id, f.by, 0, f.data[:40], blobRules, Epoch)
	wantKind(t, err, qpq.Conflict, "blob-offset")
	_, _, err = s.WriteBlob(ctx, f.id, f.by, 40, f.data, blobRules, Epoch)
	wantKind(t, err, qpq.Invalid, "blob-size")
	_, _, err = s.WriteBlob(ctx, f.id, store.Uploader{Account: "bob", Device: qpq.DeviceID{1}}, 40, f.data[40:], blobRules, Epoch)
	wantKind(t, err, qpq.NotFound, "blob-unknown")
	_, _, err = s.CreateBlob(ctx, f.id, f.by, size+1, false, blobRules, Epoch)
	wantKind(t, err, qpq.Exists, "blob-exists")
	at, _, err := s.CreateBlob(ctx, f.id, f.by, size, false, blobRules, Epoch)
	if err != nil || at != 40 {
		t.Fatalf("the upload goes on at %d, %v", at, err)
	}
	upload(t, s, f)
	upload(t, s, f) // again
	f.want(t, s, "bob")
	_, err = f.read(ctx, s, "carol")
	wantKind(t, err, qpq.NotFound, "channel-unknown")

	wrong := newFile(ch, "alice", 90)
	wrong.data = append([]byte("x"), wrong.data[1:]...)
	wantKind(t, wrong.send(ctx, s), qpq.Invalid, "blob-corrupt")
	if n := left(t, c); n != 1 {
		t.Errorf("%d files are left after a corrupt upload", n)
	}
	used, err := s.BlobUsage(ctx, "alice")
	if err != nil || used != size+store.BlobOverhead {
		t.Errorf("alice uses %d, %v", used, err)
	}
	wantKind(t, newFile(ch, "alice", 1<<20-5000).send(ctx, s), qpq.Exhausted, "blob-quota")

	wantKind(t, s.DropBlob(ctx, f.id, store.Uploader{Account: "bob", Device: qpq.DeviceID{1}}), qpq.NotFound, "blob-unknown")
	ok(t, s.DropBlob(ctx, f.id, f.by))
	ok(t, s.DropBlob(ctx, f.id, f.by))
	f.gone(t, s, "bob")
	if n := left(t, c); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

// testBlobsGo: a blob stays until no inbox needs its message, and for a while then.
func testBlobsGo(t *testing.T, e store.Engine) {
	c := contents(t)
	s, ctx := openWith(t, e, c), t.Context()
	register(t, s, "alice")
	register(t, s, "bob")
	ch := newChannel(t, s, 1, "alice", "bob")
	sweep := func(after time.Duration, want int64) {
		t.Helper()
		n, more, err := s.SweepBlobs(ctx, blobRules, Epoch.Add(after), 100)
		if err != nil || n != want || more {
			t.Fatalf("after %v %d went, %v, want %d", after, n, err, want)
		}
	}
	const day = 24 * time.Hour
	idle, unused, used, old := newFile(ch, "alice", 100), newFile(ch, "alice", 101), newFile(ch, "alice", 102), newFile(ch, "alice", 103)
	_, _, err := s.CreateBlob(ctx, idle.id, idle.by, 100, false, blobRules, Epoch)
	ok(t, err)
	m := ch.message(1, "alice", "a file")
	m.Blobs, m.BlobLook = [][32]byte{unused.id.Hash}, blobRules.Look
	_, err = s.Send(ctx, m)
	wantKind(t, err, qpq.NotFound, "blob-unknown") // before it is there
	for _, f := range []file{unused, used, old} {
		upload(t, s, f)
	}
	theirs := ch.message(2, "bob", "that of alice")
	theirs.Blobs = [][32]byte{used.id.Hash}
	_, err = s.Send(ctx, theirs)
	wantKind(t, err, qpq.NotFound, "blob-unknown") // only who uploaded it refers to it
	m.Blobs = [][32]byte{used.id.Hash}
	sent, err := s.Send(ctx, m)
	ok(t, err)
	if sent.Sequence != 1 {
		t.Errorf("messages that were refused took numbers: %d", sent.Sequence)
	}
	m = ch.message(3, "alice", "another")
	m.Blobs, m.BlobLook = [][32]byte{old.id.Hash}, blobRules.Look
	_, err = s.Send(ctx, m)
	ok(t, err)

	sweep(day-time.Millisecond, 0)
	sweep(day, 2) // what was not gone on with, and what nobody refers to
	idle.gone(t, s, "bob")
	unused.gone(t, s, "bob")
	acknowledge(t, s, "alice", 1, 2, Epoch)
	sweep(2*day, 0)
	acknowledge(t, s, "bob", 1, 1, Epoch)
	sweep(3*day, 0) // the grace begins
	sweep(10*day-time.Millisecond, 0)
	used.want(t, s, "bob")
	sweep(10*day, 1)
	used.gone(t, s, "bob")
	old.want(t, s, "bob") // whose message bob did not fetch
	sweep(month-time.Millisecond, 0)
	sweep(month, 1)
	if n := left(t, c); n != 0 {
		t.Errorf("%d files are left", n)
	}

	brief := newFile(ch, "alice", 106) // in a conversation whose messages wait for no longer than a minute
	upload(t, s, brief)
	m = ch.message(4, "alice", "soon gone")
	m.Blobs, m.BlobLook, m.BlobLeast, m.Retention = [][32]byte{brief.id.Hash}, blobRules.Look, day, time.Minute
	_, err = s.Send(ctx, m)
	ok(t, err)
	sweep(day-time.Millisecond, 0)
	brief.want(t, s, "bob")
	sweep(day, 1)

	lost, orphan := newFile(ch, "alice", 104), newFile(ch, "alice", 105)
	upload(t, s, lost)
	ok(t, c.Remove(lost.id))
	lost.gone(t, s, "bob")
	if used, err := s.BlobUsage(ctx, "alice"); err != nil || used != 0 {
		t.Errorf("a row without contents counts for %d, %v", used, err)
	}
	_, err = c.Append(orphan.id, 0, orphan.data)
	ok(t, err)
	upload(t, s, old)
	if n, err := s.SweepContents(ctx); err != nil || n != 1 {
		t.Errorf("of contents without a row %d went, %v", n, err)
	}
	old.want(t, s, "alice")
}

// testBlobsOnce: the first other device that reads to the end takes a blob, and may read it again until it is gone.
func testBlobsOnce(t *testing.T, e store.Engine) {
	c := contents(t)
	s, ctx := openWith(t, e, c), t.Context()
	for _, name := range []string{"alice", "bob", "carol"} {
		register(t, s, name)
	}
	ch := newChannel(t, s, 1, "alice", "bob", "carol")
	f := newFile(ch, "alice", 100)
	f.once = true
	upload(t, s, f)
	f.want(t, s, "alice") // who uploaded it does not count
	p := make([]byte, 99)
	_, _, err := s.ReadBlob(ctx, f.id, store.Uploader{Account: "carol", Device: qpq.DeviceID{1}}, 0, p, blobRules, Epoch)
	ok(t, err)
	f.want(t, s, "bob")
	f.want(t, s, "bob") // the answer may have been lost
	f.gone(t, s, "carol")
	wantKind(t, s.DropBlob(ctx, f.id, store.Uploader{Account: "carol", Device: qpq.DeviceID{1}}), qpq.NotFound, "blob-unknown")
	ok(t, s.DropBlob(ctx, f.id, store.Uploader{Account: "bob", Device: qpq.DeviceID{1}}))
	f.gone(t, s, "bob")
	f.gone(t, s, "alice")

	g := newFile(ch, "alice", 101)
	g.once = true
	upload(t, s, g)
	g.want(t, s, "bob")
	if n, _, err := s.SweepBlobs(ctx, blobRules, Epoch.Add(time.Hour), 100); err != nil || n != 1 || left(t, c) != 0 {
		t.Errorf("of what was taken and not dropped %d went, %v", n, err)
	}
}

// killed fails engine and contents from some operation on: the process is gone, before the operation, or after it and before anybody knew.
type killed struct {
	store.Engine
	store.Contents
	left  int
	after bool
}

var errKilled = errors.New("killed")

func (k *killed) do(f func() error) error {
	if k.left--; k.left < 0 && !(k.left == -1 && k.after) {
		return errKilled
	}
	err := f()
	if k.left < 0 {
		return errKilled
	}
	return err
}

func (k *killed) Update(ctx context.Context, f func(store.Tx) error) error {
	return k.do(func() error { return k.Engine.Update(ctx, f) })
}

func (k *killed) Append(b store.BlobID, offset int64, data []byte) (end int64, err error) {
	err = k.do(func() (err error) {
		end, err = k.Contents.Append(b, offset, data)
		return err
	})
	return end, err
}

func (k *killed) Complete(b store.BlobID) error {
	return k.do(func() error { return k.Contents.Complete(b) })
}

func (k *killed) Remove(b store.BlobID) error {
	return k.do(func() error { return k.Contents.Remove(b) })
}

// testBlobsSurviveKills kills uploads and removals at each of their operations. The next process goes on, and nothing is left behind.
func testBlobsSurviveKills(t *testing.T, e store.Engine) {
	c := contents(t)
	s, ctx := openWith(t, e, c), t.Context()
	register(t, s, "alice")
	ch := newChannel(t, s, 1, "alice")
	kills := 0
	for step := range 40 {
		f := newFile(ch, "alice", 100+step/2)
		k := &killed{Engine: e, Contents: c, left: 1 + step/2, after: step%2 == 1} // the store itself is opened by one
		dying := openWith(t, k, k)
		err := f.send(ctx, dying)
		if err == nil {
			err = dying.DropBlob(ctx, f.id, f.by)
		}
		if err == nil {
			break
		}
		if kills++; !errors.Is(err, errKilled) {
			t.Fatalf("killed at %d: %v", step, err)
		}
		_, err = s.SweepContents(ctx)
		ok(t, err)
		upload(t, s, f)
		f.want(t, s, "alice")
		ok(t, s.DropBlob(ctx, f.id, f.by))
		if n := left(t, c); n != 0 {
			t.Fatalf("killed at %d: %d files are left", step, n)
		}
	}
	if kills < 16 {
		t.Errorf("only %d kills", kills)
	}
}
