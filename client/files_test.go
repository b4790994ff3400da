package client_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/disk"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/wire"
)

// noise is content that nothing compresses or guesses.
func noise(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)}).Read(b)
	return b
}

// written writes a file, and returns its path.
func written(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	check(t, os.WriteFile(path, data, 0o600))
	return path
}

// friends are two people in a conversation.
func friends(t *testing.T, s *server) (alice, bob *device, id qpq.ChannelID) {
	t.Helper()
	alice, bob = s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	id = must(alice.Direct(t.Context(), bob.user()))
	settle(t, alice, bob)
	return alice, bob, id
}

// attaches sends a file, and returns once the server has its message.
func (d *device) attaches(id qpq.ChannelID, a client.Attachment) {
	d.t.Helper()
	ctx := d.t.Context()
	done, err := d.Transfer(ctx, must(d.SendFile(ctx, id, a)), nil)
	check(d.t, err)
	check(d.t, d.Sync(ctx))
	check(d.t, d.Wait(ctx, id, done.Message))
}

// newest returns the last message of a conversation that is a file.
func (d *device) newest(id qpq.ChannelID) *client.Entry {
	d.t.Helper()
	check(d.t, d.Sync(d.t.Context()))
	list := must(d.FilesOf(id, 1))
	if len(list) != 1 {
		d.t.Fatal("no file came")
	}
	return &list[0]
}

// saves fetches the newest file into a folder, and returns its path.
func (d *device) saves(id qpq.ChannelID, folder string) (string, error) {
	d.t.Helper()
	e := d.newest(id)
	transfer, err := d.SaveFile(id, e.Ref(), folder)
	if err != nil {
		return "", err
	}
	done, err := d.Transfer(d.t.Context(), transfer, nil)
	if err != nil {
		return "", err
	}
	return done.Path, nil
}

// blobs returns the files that the server keeps.
func (s *server) blobs() (list []string) {
	s.t.Helper()
	check(s.t, filepath.WalkDir(s.Path+".files", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			list = append(list, path)
		}
		return err
	}))
	return list
}

func same(t *testing.T, path string, want []byte) {
	t.Helper()
	if got := must(os.ReadFile(path)); !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes that are not the %d that were sent", path, len(got), len(want))
	}
}

func TestFiles(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, id := friends(t, s)
	folder := t.TempDir()
	for i, size := range []int{0, 1, 4097, 256 << 10, 256<<10 + 1, 3 << 20} {
		data := noise(size)
		alice.attaches(id, client.Attachment{Path: written(t, "data.bin", data), Caption: "look"})
		f := bob.newest(id).Message.File()
		if f.Name != "data.bin" || f.Size != int64(size) || f.Caption != "look" || size > 1 && f.MediaType != "application/octet-stream" || f.Once {
			t.Errorf("%+v", f)
		}
		path, err := bob.saves(id, folder)
		check(t, err)
		same(t, path, data)
		if want := filepath.Join(folder, []string{"data.bin", "data (1).bin", "data (2).bin", "data (3).bin", "data (4).bin", "data (5).bin"}[i]); path != want {
			t.Errorf("saved as %s, and nothing is replaced at %s", path, want)
		}
		own, err := alice.saves(id, t.TempDir())
		check(t, err)
		same(t, own, data)
	}
	if list := must(os.ReadDir(folder)); len(list) != 6 {
		t.Errorf("the folder has %v", list)
	}
	for _, d := range []*device{alice, bob} {
		if list := must(d.Transfers()); len(list) != 0 {
			t.Errorf("transfers that are left: %+v", list)
		}
	}
	for _, path := range s.blobs() {
		if data := must(os.ReadFile(path)); bytes.Contains(data, noise(4097)[:64]) {
			t.Error("the server can read a file")
		}
	}
}

// TestFilesGoOnAfterAKill interrupts both ways in the middle, and goes on with new processes over the same profiles.
func TestFilesGoOnAfterAKill(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, id := friends(t, s)
	data := noise(5 << 20)
	ctx := t.Context()
	cut := func(d *device, transfer int64) (at int64) {
		t.Helper()
		ctx, cancel := context.WithCancel(ctx)
		_, err := d.Transfer(ctx, transfer, func(done, total int64) {
			if at = done; done > total/3 {
				cancel()
			}
		})
		if err == nil || at == 0 {
			t.Fatalf("%v at %d: nothing was interrupted", err, at)
		}
		d.reopen(s.dial)
		if list := must(d.Transfers()); len(list) != 1 || list[0].State != client.TransferWaiting || list[0].ID != transfer {
			t.Fatalf("after a restart: %+v", list)
		}
		return at
	}
	goesOn := func(d *device, transfer, from int64) *client.Transfer {
		t.Helper()
		first := int64(-1)
		done, err := d.Transfer(ctx, transfer, func(done, _ int64) {
			if first < 0 {
				first = done
			}
		})
		check(t, err)
		if first < from {
			t.Errorf("it begins anew at %d, where %d bytes were there", first, from)
		}
		return done
	}
	up := must(alice.SendFile(ctx, id, client.Attachment{Path: written(t, "large.bin", data)}))
	at := cut(alice, up)
	if len(must(bob.FilesOf(id, 1))) != 0 {
		t.Error("the message was sent before the file")
	}
	message := goesOn(alice, up, at).Message
	check(t, alice.Sync(ctx))
	check(t, alice.Wait(ctx, id, message))

	folder := t.TempDir()
	down := must(bob.SaveFile(id, bob.newest(id).Ref(), folder))
	at = cut(bob, down)
	parts := must(filepath.Glob(filepath.Join(folder, "*.part")))
	if len(parts) != 1 {
		t.Fatalf("in the folder: %v", parts)
	}
	check(t, os.WriteFile(parts[0], append(must(os.ReadFile(parts[0])), "torn"...), 0o600))
	path := goesOn(bob, down, at).Path
	same(t, path, data)
}

// TestADamagedPartIsFetchedAnew: a disk may lose what was not synced.
func TestADamagedPartIsFetchedAnew(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, id := friends(t, s)
	data := noise(2 << 20)
	alice.attaches(id, client.Attachment{Path: written(t, "x", data)})
	folder := t.TempDir()
	down := must(bob.SaveFile(id, bob.newest(id).Ref(), folder))
	part := must(filepath.Glob(filepath.Join(folder, "*.part")))[0]
	check(t, os.WriteFile(part, make([]byte, 1<<20), 0o600))
	done, err := bob.Transfer(t.Context(), down, nil)
	check(t, err)
	same(t, done.Path, data)
}

// TestTheServerCannotAlterFiles flips one byte in each part of a blob.
func TestTheServerCannotAlterFiles(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, id := friends(t, s)
	alice.attaches(id, client.Attachment{Path: written(t, "x", noise(700<<10))})
	blob := s.blobs()[0]
	whole := must(os.ReadFile(blob))
	for _, at := range []int{0, 300 << 10, len(whole) - 1} {
		bad := bytes.Clone(whole)
		bad[at] ^= 0x80
		check(t, os.WriteFile(blob, bad, 0o600))
		folder := t.TempDir()
		_, err := bob.saves(id, folder)
		wants(t, err, qpq.Damaged, "file-tampered")
		under := must(bob.Transfers())
		if len(under) != 1 || under[0].State != client.TransferStopped || !strings.Contains(under[0].Problem, "altered") {
			t.Errorf("%+v", under)
		}
		if list := must(filepath.Glob(filepath.Join(folder, "x"))); len(list) != 0 {
			t.Errorf("it was saved: %v", list)
		}
		check(t, bob.CancelTransfer(t.Context(), under[0].ID))
		if list := must(os.ReadDir(folder)); len(list) != 0 {
			t.Errorf("left behind: %v", list)
		}
	}
	check(t, os.WriteFile(blob, whole[:len(whole)/2], 0o600))
	_, err := bob.saves(id, t.TempDir())
	wants(t, err, qpq.NotFound, wire.CodeBlobUnknown)
}

// TestAnUploadThatNeverEnds: the server takes all parts of a file, and always wants the first one next.
func TestAnUploadThatNeverEnds(t *testing.T) {
	s := newServer(t, nil)
	alice, _, id := friends(t, s)
	calls := 0
	alice.reopen(s.lying(lies{wire.BlobWrite{}.Method().Ordinal: func() (uint16, []byte) {
		if calls++; calls == 100 {
			alice.Close()
		}
		return reply(wire.BlobWriteReply{})()
	}}))
	up := must(alice.SendFile(t.Context(), id, client.Attachment{Path: written(t, "x", noise(1000))}))
	_, err := alice.Transfer(t.Context(), up, nil)
	wants(t, err, qpq.Damaged, "upload-stuck")
}

func TestLimitsAreToldBeforeTheUpload(t *testing.T) {
	s := newServer(t, func(c *node.Config) { c.Limits.Blob, c.Limits.BlobQuota = 1<<20, 3<<20/2 })
	alice, _, id := friends(t, s)
	ctx := t.Context()
	_, err := alice.SendFile(ctx, id, client.Attachment{Path: written(t, "x", noise(1<<20))})
	wants(t, err, qpq.TooLarge, "file-too-large")
	room := must(alice.Room(ctx))
	if room.Largest < 900<<10 || room.Largest >= 1<<20 {
		t.Errorf("the largest file has %d bytes", room.Largest)
	}
	alice.attaches(id, client.Attachment{Path: written(t, "x", noise(int(room.Largest)))})
	_, err = alice.SendFile(ctx, id, client.Attachment{Path: written(t, "y", noise(700<<10))})
	wants(t, err, qpq.Exhausted, wire.CodeBlobQuota)
	if n := len(must(alice.Transfers())); n != 0 {
		t.Errorf("%d transfers were begun", n)
	}
	_, err = alice.SendFile(ctx, id, client.Attachment{Path: t.TempDir()})
	wants(t, err, qpq.Invalid, "not-a-file")
	_, err = alice.SendFile(ctx, id, client.Attachment{Path: filepath.Join(t.TempDir(), "none")})
	wants(t, err, qpq.NotFound, "file-unknown")
	_, err = alice.SendFile(ctx, id, client.Attachment{Path: "relative"})
	wants(t, err, qpq.Invalid, "relative-path")
}

// TestAFileThatChangesIsNotSent: what was read first is sent, or nothing.
func TestAFileThatChangesIsNotSent(t *testing.T) {
	s := newServer(t, nil)
	alice, _, id := friends(t, s)
	data := noise(2 << 20)
	path := written(t, "x", data)
	transfer := must(alice.SendFile(t.Context(), id, client.Attachment{Path: path}))
	data[1<<20]++
	check(t, os.WriteFile(path, data, 0o600))
	_, err := alice.Transfer(t.Context(), transfer, nil)
	wants(t, err, qpq.Conflict, "file-changed")
	check(t, os.Remove(path))
	_, err = alice.Transfer(t.Context(), transfer, nil)
	wants(t, err, qpq.NotFound, "file-unknown")
	check(t, alice.CancelTransfer(t.Context(), transfer))
	_, err = alice.Transfer(t.Context(), transfer, nil)
	wants(t, err, qpq.NotFound, "transfer-unknown")
	if n := len(s.blobs()); n != 0 {
		t.Errorf("the server keeps %d files of a transfer that was cancelled", n)
	}
}

// TestRunMovesFiles: what waits goes on beside everything else.
func TestRunMovesFiles(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, id := friends(t, s)
	data := noise(1 << 20)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for _, d := range []*device{alice, bob} {
		go func() { ended <- d.Run(ctx) }()
	}
	_ = must(alice.SendFile(ctx, id, client.Attachment{Path: written(t, "x", data)}))
	var e *client.Entry
	for entry, err := range bob.Entries(ctx, 0) {
		check(t, err)
		if entry.Message != nil && entry.Message.Kind == client.KindFile {
			e = &entry
			break
		}
	}
	folder := t.TempDir()
	_ = must(bob.SaveFile(id, e.Ref(), folder))
	for {
		news := bob.News()
		path, _, err := bob.Saved(e.Ref())
		check(t, err)
		if path != "" {
			same(t, path, data)
			bob.eventually("saved")
			if told := bob.notice("saved"); told != "x was saved as "+path {
				t.Errorf("bob was told that %s", told)
			}
			break
		}
		<-news
	}
	cancel()
	check(t, errors.Join(<-ended, <-ended))
}

// TestAllWhoWaitSeeHowFarItIs, whoever moves the file.
func TestAllWhoWaitSeeHowFarItIs(t *testing.T) {
	s := newServer(t, nil)
	alice, _, id := friends(t, s)
	transfer := must(alice.SendFile(t.Context(), id, client.Attachment{Path: written(t, "x", noise(3<<20))}))
	begun, joined := make(chan struct{}), make(chan struct{})
	var once sync.Once
	ended := make(chan error, 1)
	go func() {
		_, err := alice.Transfer(t.Context(), transfer, func(int64, int64) {
			once.Do(func() { close(begun); <-joined })
		})
		ended <- err
	}()
	<-begun
	seen := make(chan int64, 100)
	go func() {
		_, err := alice.Transfer(t.Context(), transfer, func(done, _ int64) { seen <- done })
		close(seen)
		ended <- err
	}()
	for { // until the second one is there: it takes part in what goes on, and moves nothing
		if list := must(alice.Transfers()); len(list) == 1 && alice.Waiting(transfer) == 2 {
			break
		}
		runtime.Gosched()
	}
	close(joined)
	check(t, errors.Join(<-ended, <-ended))
	last := int64(-1)
	for done := range seen {
		last = done
	}
	if last != 3<<20 {
		t.Errorf("the second one saw it go up to %d", last)
	}
}

func TestViewOnce(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, id := friends(t, s)
	ctx := t.Context()
	data := noise(300 << 10)
	alice.attaches(id, client.Attachment{Path: written(t, "secret.bin", data), Once: true})
	placeholder := func(d *device) {
		t.Helper()
		m := d.newest(id).Message
		if m.Gone != client.Viewed || m.Kind != client.KindViewOnce || m.Body.Body != nil || m.File() != nil || m.Text != "" {
			t.Errorf("%s still has %+v", d.user(), m)
		}
	}
	placeholder(alice)
	e := bob.newest(id)
	if f := e.Message.File(); f == nil || !f.Once || f.Thumbnail != nil {
		t.Errorf("%+v", e.Message.File())
	}
	if len(s.blobs()) != 1 {
		t.Error("the server does not have it")
	}
	path, err := bob.saves(id, t.TempDir())
	check(t, err)
	same(t, path, data)
	placeholder(bob)
	if left := s.blobs(); len(left) != 0 {
		t.Errorf("the server still has %v", left)
	}
	_, err = bob.SaveFile(id, e.Ref(), t.TempDir())
	wants(t, err, qpq.NotFound, "message-gone")

	m := must(alice.SendOnce(ctx, id, "the password is swordfish"))
	check(t, alice.Sync(ctx))
	check(t, alice.Wait(ctx, id, m))
	placeholder(alice)
	e = bob.newest(id)
	broken := errors.New("the screen broke")
	if err := bob.ViewText(id, e.Ref(), func(string) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	seen := ""
	check(t, bob.ViewText(id, e.Ref(), func(text string) error { seen = text; return nil }))
	if seen != "the password is swordfish" {
		t.Errorf("bob saw %q", seen)
	}
	placeholder(bob)
	wants(t, bob.ViewText(id, e.Ref(), func(string) error { return nil }), qpq.NotFound, "message-gone")
	bob.reopen(s.dial)
	placeholder(bob)
}

// TestAFileOfADeletedMessageIsGone, at the server too, and a download that waits for it ends.
func TestAFileOfADeletedMessageIsGone(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, id := friends(t, s)
	alice.attaches(id, client.Attachment{Path: written(t, "x", noise(1000))})
	down := must(bob.SaveFile(id, bob.newest(id).Ref(), t.TempDir()))
	_ = must(alice.DeleteMessage(t.Context(), id, alice.newest(id).Ref()))
	if left := s.blobs(); len(left) != 0 {
		t.Errorf("the server still has %v", left)
	}
	_, err := bob.Transfer(t.Context(), down, nil)
	wants(t, err, qpq.NotFound, wire.CodeBlobUnknown)
	settle(t, alice, bob)
	_, err = bob.Transfer(t.Context(), down, nil)
	wants(t, err, qpq.NotFound, "message-gone")
}

// TestPartsOfDeletedMessagesAreGone: bob has a part of a file, in the clear, when its message is deleted.
func TestPartsOfDeletedMessagesAreGone(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, id := friends(t, s)
	alice.attaches(id, client.Attachment{Path: written(t, "x", noise(700<<10))})
	blob := s.blobs()[0]
	bad := must(os.ReadFile(blob))
	bad[len(bad)-1] ^= 1
	check(t, os.WriteFile(blob, bad, 0o600))
	stopped, waits := t.TempDir(), t.TempDir()
	_, err := bob.saves(id, stopped)
	wants(t, err, qpq.Damaged, "file-tampered")
	if list := must(os.ReadDir(stopped)); len(list) != 1 || must(list[0].Info()).Size() == 0 {
		t.Fatalf("there is no part: %v", list)
	}
	alice.attaches(id, client.Attachment{Path: written(t, "y", noise(1000))})
	settle(t, bob)
	must(bob.SaveFile(id, bob.newest(id).Ref(), waits))
	must(alice.DeleteMessage(t.Context(), id, alice.newest(id).Ref()))
	for _, e := range must(alice.FilesOf(id, 10)) {
		if e.Message.Gone == client.There {
			must(alice.DeleteMessage(t.Context(), id, e.Ref()))
		}
	}
	settle(t, alice, bob)
	_ = bob.MoveFiles(t.Context()) // it says that messages are gone
	for _, folder := range []string{stopped, waits} {
		if list := must(os.ReadDir(folder)); len(list) != 0 {
			t.Errorf("%v is left", list)
		}
	}
}

func TestSafeNames(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt": "a.txt", "../../etc/passwd": "passwd", `C:\Windows\x.dll`: "x.dll", "/": "file", "": "file", "..": "file", ".bashrc": "bashrc", "a\x1b[31m\n": "a_[31m_",
		"con": "_con", "NUL.txt": "_NUL.txt", "com1.tar.gz": "_com1.tar.gz", "common": "common", "x. .": "x", "a<b>:c": "a_b__c", "ünï.txt": "ünï.txt", "exe.\u202egpj": "exe._gpj",
		strings.Repeat("ä", 200) + ".jpeg": strings.Repeat("ä", 97) + ".jpeg", "x." + strings.Repeat("y", 300): "x." + strings.Repeat("y", 198),
	} {
		if got := client.SafeName(name); got != want {
			t.Errorf("%q becomes %q, not %q", name, got, want)
		}
	}
}

// FuzzSafeName: whatever a name is, what is made of it is one, and is safe.
func FuzzSafeName(f *testing.F) {
	for _, name := range []string{"a.txt", "../x", `\\server\share`, "CON.", strings.Repeat("ä", 300), "\u202e", "a\xff"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		safe := client.SafeName(name)
		if safe == "" || len(safe) > 201 || strings.ContainsAny(safe, "/\\\x00\n") || safe[0] == '.' || qpq.Printable(safe) != safe || filepath.Base(safe) != safe || client.SafeName(safe) != safe {
			t.Errorf("%q becomes %q, and that %q", name, safe, client.SafeName(safe))
		}
	})
}

// TestFilesThatLie: a file of another server is not fetched, nor one whose shape is none.
func TestFilesThatLie(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, id := friends(t, s)
	ctx := t.Context()
	alice.attaches(id, client.Attachment{Path: written(t, "x", noise(1000))})
	honest := alice.newest(id).Message.Body.Body.(wire.FileBody)
	for _, c := range []struct {
		lie  func(*wire.FileBody)
		kind qpq.Kind
		code string
	}{
		{func(b *wire.FileBody) { b.Domain = "elsewhere.org" }, qpq.Unsupported, "other-server"},
		{func(b *wire.FileBody) { b.Chunk = 0 }, qpq.Invalid, "bad-file"},
		{func(b *wire.FileBody) { b.Size = 1 << 63 }, qpq.Invalid, "bad-file"},
		{func(b *wire.FileBody) { b.Size = 1 << 30 }, qpq.Damaged, "file-tampered"},
		{func(b *wire.FileBody) { b.Size-- }, qpq.Damaged, "file-tampered"},
		{func(b *wire.FileBody) { b.Key[0]++ }, qpq.Damaged, "file-tampered"},
		{func(b *wire.FileBody) { b.Digest[0]++ }, qpq.Damaged, "file-differs"},
		{func(b *wire.FileBody) { b.Name = "../../y" }, 0, ""},
	} {
		lie := honest
		c.lie(&lie)
		_ = must(alice.Send(ctx, id, lie))
		check(t, alice.Sync(ctx))
		folder := t.TempDir()
		path, err := bob.saves(id, folder)
		if c.kind != 0 {
			wants(t, err, c.kind, c.code)
		} else if check(t, err); path != filepath.Join(folder, "y") {
			t.Errorf("saved as %s", path)
		}
	}
}

// TestNothingIsReplacedOnDisk moves files to names that are taken.
// TestALinkInPlaceOfAPartLeadsNowhere: somebody else who writes to the folder puts a link where the file is to grow.
func TestALinkInPlaceOfAPartLeadsNowhere(t *testing.T) {
	folder := t.TempDir()
	other := written(t, "diary", []byte("dear diary"))
	part := filepath.Join(folder, "x.part")
	check(t, os.Symlink(other, part))
	if f, err := (disk.Files{}).Create(part); qpq.CodeOf(err) != "file-unusable" {
		t.Errorf("%v, %v", f, err)
	}
	same(t, other, []byte("dear diary"))
}

func TestNothingIsReplacedOnDisk(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		check(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	to := write("a.tar.gz", "first")
	for i, want := range []string{"a.tar (1).gz", "a.tar (2).gz"} {
		placed, err := disk.Files{}.Move(write("part", hex.EncodeToString([]byte{byte(i)})), to)
		if err != nil || filepath.Base(placed) != want {
			t.Errorf("%s, %v", placed, err)
		}
	}
	same(t, to, []byte("first"))
	twin := filepath.Join(folder, "twin")
	check(t, os.Link(to, twin)) // a move that was cut off
	if placed, err := (disk.Files{}).Move(twin, to); err != nil || placed != to {
		t.Errorf("%s, %v", placed, err)
	}
}
