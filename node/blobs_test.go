package node

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// blobOf is something to upload: size bytes and their address.
func blobOf(size int) (data []byte, address [32]byte) {
	data = make([]byte, size)
	rand.Read(data)
	return data, sha256.Sum256(data)
}

// upload sends a blob in parts of 100 bytes.
func (x *room) upload(m member, data []byte, once bool) (address [32]byte) {
	x.t.Helper()
	address = sha256.Sum256(data)
	at := call(m.line, wire.BlobCreate{Channel: x.id, Blob: address, Size: uint64(len(data)), Once: once}).Offset
	for at < uint64(len(data)) {
		q := wire.BlobWrite{Channel: x.id, Blob: address, Offset: at, Data: data[at:min(at+100, uint64(len(data)))]}
		r := call(m.line, q)
		if r.Complete != (r.Offset == uint64(len(data))) {
			x.t.Fatalf("%+v", r)
		}
		at = r.Offset
	}
	return address
}

func (x *room) read(address [32]byte, length uint32) wire.BlobRead {
	return wire.BlobRead{Channel: x.id, Blob: address, Length: length}
}

func TestBlobs(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.Blob, c.Limits.BlobQuota = 1000, 12000 })
	alice, bob, eve := r.join("alice"), r.join("bob"), r.join("eve")
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, bob)))
	data, address := blobOf(450)
	refused(eve.line, wire.BlobCreate{Channel: x.id, Blob: address, Size: 450}, qpq.NotFound, wire.CodeChannelUnknown)
	refused(alice.line, wire.BlobCreate{Channel: x.id, Blob: address, Size: 1001}, qpq.TooLarge, wire.CodeBlobTooLarge)
	refused(alice.line, wire.BlobWrite{Channel: x.id, Blob: address, Data: data[:10]}, qpq.NotFound, wire.CodeBlobUnknown)

	call(alice.line, wire.BlobCreate{Channel: x.id, Blob: address, Size: 450})
	call(alice.line, wire.BlobWrite{Channel: x.id, Blob: address, Data: data[:10]})
	refused(alice.line, wire.BlobWrite{Channel: x.id, Blob: address, Data: data[:10]}, qpq.Conflict, wire.CodeBlobOffset)
	refused(bob.line, x.read(address, 10), qpq.NotFound, wire.CodeBlobUnknown)
	x.upload(alice, data, false)
	whole := call(bob.line, x.read(address, 1000))
	if whole.Size != 450 || !bytes.Equal(whole.Data, data) {
		t.Errorf("bob reads %d of %d bytes", len(whole.Data), whole.Size)
	}
	part := call(bob.line, wire.BlobRead{Channel: x.id, Blob: address, Offset: 440, Length: 100})
	if !bytes.Equal(part.Data, data[440:]) {
		t.Errorf("the end is %d bytes", len(part.Data))
	}
	if past := call(bob.line, wire.BlobRead{Channel: x.id, Blob: address, Offset: 1 << 62, Length: 100}); len(past.Data) != 0 {
		t.Errorf("behind the end are %d bytes", len(past.Data))
	}
	refused(eve.line, x.read(address, 10), qpq.NotFound, wire.CodeChannelUnknown)
	usage := call(alice.line, wire.BlobUsage{})
	if usage != (wire.BlobUsageReply{Largest: 1000, Quota: 12000, Used: 450 + 4096, Overhead: 4096}) {
		t.Errorf("%+v", usage)
	}
	more, _ := blobOf(300)
	x.upload(alice, more, false)
	_, third := blobOf(300)
	refused(alice.line, wire.BlobCreate{Channel: x.id, Blob: third, Size: 300}, qpq.Exhausted, wire.CodeBlobQuota)

	wrong, _ := blobOf(50)
	call(bob.line, wire.BlobCreate{Channel: x.id, Blob: address32(wrong, 1), Size: 50})
	refused(bob.line, wire.BlobWrite{Channel: x.id, Blob: address32(wrong, 1), Data: wrong}, qpq.Invalid, wire.CodeBlobCorrupt)
	refused(bob.line, wire.BlobWrite{Channel: x.id, Blob: address32(wrong, 1), Data: wrong}, qpq.NotFound, wire.CodeBlobUnknown)

	x.take(alice, x.commit(wire.Claim{Slot: 2, Parent: 1, Removed: []qpq.UserID{bob.user}, Rekeys: true}))
	for slot := uint64(3); slot < 24; slot++ { // until no branch is left in which bob is a member
		x.take(alice, x.commit(wire.Claim{Slot: slot, Parent: slot - 1}))
	}
	refused(bob.line, x.read(address, 10), qpq.NotFound, wire.CodeChannelUnknown)
	refused(eve.line, wire.BlobDrop{Channel: x.id, Blob: sha256.Sum256(more)}, qpq.NotFound, wire.CodeBlobUnknown)
	call(alice.line, wire.BlobDrop{Channel: x.id, Blob: address})
	refused(alice.line, x.read(address, 10), qpq.NotFound, wire.CodeBlobUnknown)
}

// address32 is an address that is not that of the data.
func address32(data []byte, off byte) [32]byte {
	h := sha256.Sum256(data)
	h[0] += off
	return h
}

// TestBlobsLiveWithTheirMessage: what was acknowledged by all stays for a week, what nobody refers to for a day.
func TestBlobsLiveWithTheirMessage(t *testing.T) {
	r := newRig(t, nil)
	alice, bob := r.join("alice"), r.join("bob")
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, bob)))
	data, address := blobOf(200)
	q := x.message("a file", 1)
	q.Blobs = [][]byte{address[:]}
	refused(alice.line, q, qpq.NotFound, wire.CodeBlobUnknown)
	q.Blobs = [][]byte{{1}}
	refused(alice.line, q, qpq.Invalid, "bad-field")
	q.Blobs = [][]byte{address[:]}
	x.upload(alice, data, false)
	other, _ := blobOf(100)
	unused := x.upload(bob, other, false)
	call(alice.line, q)
	begin := time.Now()
	r.sweepOnce(t.Context(), begin.Add(25*time.Hour))
	refused(alice.line, x.read(unused, 1), qpq.NotFound, wire.CodeBlobUnknown)
	for _, m := range []member{alice, bob} {
		call(m.line, wire.InboxAck{Sequence: call(m.line, wire.InboxFetch{}).Head})
	}
	r.sweepOnce(t.Context(), begin.Add(27*time.Hour)) // the week begins
	r.sweepOnce(t.Context(), begin.Add(27*time.Hour+7*day-time.Second))
	call(bob.line, x.read(address, 1))
	r.sweepOnce(t.Context(), begin.Add(27*time.Hour+7*day+time.Second))
	refused(bob.line, x.read(address, 1), qpq.NotFound, wire.CodeBlobUnknown)
}

// TestBlobsOfADeletedAccountGo with their bytes.
func TestBlobsOfADeletedAccountGo(t *testing.T) {
	r := newRig(t, nil)
	alice, bob := r.join("alice"), r.join("bob")
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, bob)))
	theirs, _ := blobOf(100)
	gone := x.upload(bob, theirs, false)
	mine, _ := blobOf(200)
	kept := x.upload(alice, mine, false)
	bob.line.login(bob.person)
	call(bob.line, wire.AccountDelete{User: bob.user})
	refused(alice.line, x.read(gone, 1), qpq.NotFound, wire.CodeBlobUnknown)
	r.sweepOnce(t.Context(), time.Now())
	call(alice.line, x.read(kept, 1))
	files := 0
	check(t, filepath.WalkDir(filepath.Join(r.dir, "files"), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files++
		}
		return err
	}))
	if files != 1 {
		t.Errorf("%d files are left", files)
	}
}

// TestBlobsLeaveRoomOnTheDisk for what else is on it.
func TestBlobsLeaveRoomOnTheDisk(t *testing.T) {
	free := uint64(diskReserve + 1000)
	r := newRig(t, func(c *Config) { c.FreeDisk = func() (uint64, error) { return free, nil } })
	alice := r.join("alice")
	x := r.create(alice, nil)
	data, address := blobOf(1000)
	large := wire.BlobCreate{Channel: x.id, Blob: address32(data, 1), Size: 1001}
	refused(alice.line, large, qpq.Exhausted, "disk-full")
	call(alice.line, wire.BlobCreate{Channel: x.id, Blob: address, Size: 1000})
	free -= 900
	refused(alice.line, wire.BlobWrite{Channel: x.id, Blob: address, Data: data[:101]}, qpq.Exhausted, "disk-full")
	call(alice.line, wire.BlobWrite{Channel: x.id, Blob: address, Data: data[:100]})
}

func TestBlobsReadOnce(t *testing.T) {
	r := newRig(t, nil)
	alice, bob, carol := r.join("alice"), r.join("bob"), r.join("carol")
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, bob, carol)))
	data, _ := blobOf(200)
	address := x.upload(alice, data, true)
	call(carol.line, x.read(address, 199)) // not to its end
	call(bob.line, x.read(address, 200))
	call(bob.line, x.read(address, 200)) // the answer may have been lost
	refused(carol.line, x.read(address, 200), qpq.NotFound, wire.CodeBlobUnknown)
	call(bob.line, wire.BlobDrop{Channel: x.id, Blob: address})
	for _, m := range []member{alice, bob, carol} {
		refused(m.line, x.read(address, 200), qpq.NotFound, wire.CodeBlobUnknown)
	}
}
