package loadtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/filecrypt"
	"github.com/quicproquo/qpq/wire"
)

// The series of files.
const (
	seriesUploaded   = "uploaded"   // all of it is durable at the server
	seriesDownloaded = "downloaded" // and decrypted, by the one it was sent to
)

// piece is how many bytes one call carries at most, as in qpq.
const piece = 1 << 20

// file is a file as it is sent. Key and digest do not travel: both ends are in this process, and only the blob loads the server.
type file struct {
	owner  *person
	blob   [32]byte
	key    [32]byte
	size   int64 // in the clear
	sealed int64
	digest [32]byte
}

// exchangeFiles has pairs send each other files.
func (r *runner) exchangeFiles(ctx context.Context) error {
	r.byTurns(ctx, func(ctx context.Context, s *seat, due time.Time) { s.sendFile(ctx, due) })
	return nil
}

// sendFile has a member upload a file that was due at a time, and send a message about it.
func (s *seat) sendFile(ctx context.Context, due time.Time) {
	fleet := s.person.fleet
	f, data, err := s.newFile(int64(fleet.plan.FileSize), fleet.plan.Opaque)
	if err != nil {
		fleet.record.fail("encrypt file", err)
		return
	}
	if err := s.upload(ctx, f, data); err != nil {
		fleet.record.fail("upload", err)
		return
	}
	fleet.record.note(seriesUploaded, time.Since(due), f.sealed)
	s.send(ctx, due, f)
}

// newFile makes a file by chance, and what is sent of it: encrypted, or opaque from the beginning.
func (s *seat) newFile(size int64, opaque bool) (*file, []byte, error) {
	f := &file{owner: s.person, size: size}
	data := make([]byte, size)
	rand.Read(data)
	if opaque {
		f.blob, f.sealed = sha256.Sum256(data), size
		return f, data, nil
	}
	f.digest = sha256.Sum256(data)
	rand.Read(f.key[:])
	c, err := filecrypt.New(f.key, size, filecrypt.Chunk)
	if err != nil {
		return nil, nil, err
	}
	f.sealed = c.Sealed()
	sealed := make([]byte, 0, f.sealed)
	for n := range c.Chunks() {
		offset, length := c.Clear(n)
		if sealed, err = c.Seal(sealed, data[min(offset, size):min(offset+length, size)], n); err != nil {
			return nil, nil, err
		}
	}
	f.blob = sha256.Sum256(sealed)
	return f, sealed, nil
}

// upload hands a file to the server.
func (s *seat) upload(ctx context.Context, f *file, data []byte) error {
	at, err := wire.Call(ctx, s.person, wire.BlobCreate{Channel: s.room.id, Blob: f.blob, Size: uint64(f.sealed)})
	if err != nil {
		return err
	}
	for offset, complete := at.Offset, at.Complete; !complete; {
		if offset >= uint64(len(data)) {
			return qpq.E(qpq.Damaged, "bad-upload", "the server has all of a file, and does not call it complete")
		}
		r, err := wire.Call(ctx, s.person, wire.BlobWrite{Channel: s.room.id, Blob: f.blob, Offset: offset, Data: data[offset:min(offset+piece, uint64(len(data)))]})
		if err != nil {
			return err
		}
		if r.Offset <= offset && !r.Complete {
			return qpq.E(qpq.Damaged, "bad-upload", "the server takes bytes of a file and does not get on with it")
		}
		offset, complete = r.Offset, r.Complete
	}
	return nil
}

// download fetches and checks a file that was sent to a member, and has its owner give it up, so that quotas last.
func (s *seat) download(f *file, due time.Time) {
	ctx, record := context.Background(), s.person.fleet.record
	data := make([]byte, 0, f.sealed)
	for int64(len(data)) < f.sealed {
		r, err := wire.Call(ctx, s.person, wire.BlobRead{Channel: s.room.id, Blob: f.blob, Offset: uint64(len(data)), Length: piece})
		if err == nil && len(r.Data) == 0 {
			err = qpq.E(qpq.Damaged, "bad-download", "the server gives nothing of a file that has more")
		}
		if err != nil {
			record.fail("download", err)
			return
		}
		data = append(data, r.Data...)
	}
	if err := f.check(data); err != nil {
		record.fail("download", err)
		return
	}
	record.note(seriesDownloaded, time.Since(due), f.sealed)
	if _, err := wire.Call(ctx, f.owner, wire.BlobDrop{Channel: s.room.id, Blob: f.blob}); err != nil {
		record.fail("drop file", err)
	}
}

// check decrypts a file and compares it with what was sent.
func (f *file) check(data []byte) error {
	other := qpq.E(qpq.Damaged, "other-file", "a file came back as something else than was sent")
	if f.key == [32]byte{} {
		if sha256.Sum256(data) != f.blob {
			return other
		}
		return nil
	}
	c, err := filecrypt.New(f.key, f.size, filecrypt.Chunk)
	if err != nil {
		return err
	}
	digest := sha256.New()
	for n := range c.Chunks() {
		offset, length := c.Cipher(n)
		clear, err := c.Open(data[offset:offset+length], n)
		if err != nil {
			return err
		}
		digest.Write(clear)
	}
	if [32]byte(digest.Sum(nil)) != f.digest {
		return other
	}
	return nil
}
