package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
)

// BlobID names a blob: SHA-256 of its bytes, and the channel that it belongs to.
type BlobID struct {
	Channel qpq.ChannelID
	Hash    [32]byte
}

// Contents keeps the bytes of blobs, which the store only counts. It is safe for concurrent use on different blobs; the store makes
// no two calls at once on one, but for ReadAt.
type Contents interface {
	// Append puts data at an offset of a blob that is not complete, in place of all that was there from it on. It returns how many bytes
	// are durable then; where fewer were there than the offset, it adds nothing and returns how many.
	Append(b BlobID, offset int64, data []byte) (end int64, err error)
	// Complete makes readable what was appended, for good, and may be repeated. It fails with Invalid and code "blob-corrupt" where its hash
	// is another, and with NotFound where nothing was appended.
	Complete(b BlobID) error
	// ReadAt reads as io.ReaderAt of a complete blob. It fails with NotFound where there is none.
	ReadAt(b BlobID, p []byte, offset int64) (int, error)
	// Remove drops a blob, complete or not, if there is one.
	Remove(b BlobID) error
	// Each calls f with every blob, complete or not, until it fails.
	Each(f func(BlobID) error) error
}

// BlobRules say how long blobs stay.
type BlobRules struct {
	Quota  int64         // bytes that the blobs of an account may have, each counting BlobOverhead more
	Unused time.Duration // how long an upload stays that nobody goes on with, and a blob that no message refers to
	Grace  time.Duration // how long a blob stays once no inbox needs its message any more
	Look   time.Duration // how often it is looked whether one does
	Taken  time.Duration // how long a blob to be read once stays for the device that read it to its end
}

// BlobOverhead is what each blob counts for besides its bytes, so that there are not too many.
const BlobOverhead = 4 << 10

// Uploader is who calls for a blob.
type Uploader struct {
	Account string
	Device  qpq.DeviceID
}

var (
	errBlob    = qpq.E(qpq.NotFound, "blob-unknown", "there is no such file at the server: it was never sent whole, its time is over, or it was to be read once and was")
	errOther   = qpq.E(qpq.Exists, "blob-exists", "another file has this address already")
	noContents = qpq.E(qpq.Unsupported, "no-blobs", "this server keeps no files")
	overSize   = qpq.E(qpq.Invalid, "blob-size", "more bytes came than the file was said to have")
)

// blob is a blob's row.
type blob struct {
	id             BlobID
	account        string
	size, stored   int64
	complete, once int64
	taker, message []byte
	expires, due   int64
}

// CreateBlob begins an upload, or goes on with one, and returns how many bytes are durable. It fails with NotFound and "channel-unknown"
// unless the device is on the channel's roster; with Exhausted and "blob-quota" where the account has no room; and with Exists and
// "blob-exists" where another blob has the address.
func (s *Store) CreateBlob(ctx context.Context, id BlobID, by Uploader, size int64, once bool, r BlobRules, now time.Time) (offset int64, complete bool, err error) {
	if s.contents == nil {
		return 0, false, noContents
	}
	defer s.blobs.lock(id)()
	err = s.update(ctx, "begin an upload", func(tx Tx) error {
		if err := needDevice(tx, id.Channel, by); err != nil {
			return err
		}
		b, found, err := readBlob(tx, id)
		switch {
		case err != nil:
			return err
		case found && (b.account != by.Account || b.size != size || b.once != flag(once)):
			return errOther
		case found:
			offset, complete = b.stored, b.complete != 0
			if !complete {
				err = exec(tx, moveBlob, id.Channel[:], id.Hash[:], b.stored, millis(now.Add(r.Unused)))
			}
			return err
		}
		offset, complete = 0, false
		if err := fits(tx, by.Account, size, r.Quota); err != nil {
			return err
		}
		return exec(tx, insertBlob, by.Account, id.Channel[:], id.Hash[:], size, flag(once), millis(now), millis(now.Add(r.Unused)))
	})
	if err == nil && !complete && offset == size { // it was cut off before it was complete
		return s.completeBlob(ctx, id, r, now)
	}
	return offset, complete, err
}

// fits fails unless an account has room for a blob.
func fits(tx Tx, account string, size, quota int64) error {
	used, err := blobUsage(tx, account)
	if err == nil && used+size+BlobOverhead > quota {
		err = qpq.E(qpq.Exhausted, "blob-quota", fmt.Sprintf("the files of this account take %d bytes at the server, %d are allowed, and this one has %d: "+
			"wait until others have fetched what was sent, or delete something", used, quota, size))
	}
	return err
}

// WriteBlob appends to an upload and returns how many bytes are durable: fewer than before where some were lost. It fails with Conflict and
// "blob-offset" unless the offset is what is durable, and with Invalid and "blob-corrupt" where all bytes are there and the hash is not
// that of the address: then the upload is gone.
func (s *Store) WriteBlob(ctx context.Context, id BlobID, by Uploader, offset int64, data []byte, r BlobRules, now time.Time) (end int64, complete bool, err error) {
	if s.contents == nil {
		return 0, false, noContents
	}
	defer s.blobs.lock(id)()
	var b blob
	err = s.view(ctx, "go on with an upload", func(tx Tx) (err error) {
		b, err = ownBlob(tx, id, by)
		return err
	})
	switch {
	case err != nil:
		return 0, false, err
	case b.complete != 0:
		return b.size, true, nil
	case offset != b.stored:
		return 0, false, qpq.E(qpq.Conflict, "blob-offset", fmt.Sprintf("the upload goes on at byte %d", b.stored))
	case int64(len(data)) > b.size-offset:
		return 0, false, overSize
	}
	if end, err = s.contents.Append(id, offset, data); err != nil {
		return 0, false, fmt.Errorf("go on with an upload: %w", err)
	}
	err = s.update(ctx, "go on with an upload", func(tx Tx) error {
		return must(tx, errBlob, moveBlob, id.Channel[:], id.Hash[:], end, millis(now.Add(r.Unused)))
	})
	if err == nil && end == b.size {
		return s.completeBlob(ctx, id, r, now)
	}
	return end, false, err
}

// completeBlob makes a blob complete whose bytes are all there. The caller holds its lock.
func (s *Store) completeBlob(ctx context.Context, id BlobID, r BlobRules, now time.Time) (end int64, complete bool, err error) {
	err = s.contents.Complete(id)
	switch {
	case errors.Is(err, qpq.NotFound): // lost
		return 0, false, s.update(ctx, "begin an upload anew", func(tx Tx) error {
			return must(tx, errBlob, moveBlob, id.Channel[:], id.Hash[:], int64(0), millis(now.Add(r.Unused)))
		})
	case qpq.CodeOf(err) == "blob-corrupt":
		return 0, false, errors.Join(err, s.forgetBlob(ctx, id))
	case err != nil:
		return 0, false, fmt.Errorf("end an upload: %w", err)
	}
	err = s.update(ctx, "end an upload", func(tx Tx) error {
		found, err := one(tx, into{&end}, finishBlob, id.Channel[:], id.Hash[:], millis(now.Add(r.Unused)))
		if err == nil && !found {
			err = errBlob
		}
		return err
	})
	return end, err == nil, err
}

// forgetBlob drops row and contents. The caller holds the lock.
func (s *Store) forgetBlob(ctx context.Context, id BlobID) error {
	err := s.update(ctx, "drop a file", func(tx Tx) error { return exec(tx, deleteBlob, id.Channel[:], id.Hash[:]) })
	if err != nil {
		return err
	}
	return s.contents.Remove(id)
}

// ReadBlob reads a part of a complete blob as a device of a member, and returns the size of the whole. Who reads a blob to its end that is to
// be read once, and did not upload it, takes it: nobody else reads it from then on, and soon it is gone. It fails with NotFound and
// "channel-unknown" or "blob-unknown".
func (s *Store) ReadBlob(ctx context.Context, id BlobID, by Uploader, offset int64, p []byte, r BlobRules, now time.Time) (n int, size int64, err error) {
	if s.contents == nil {
		return 0, 0, noContents
	}
	var b blob
	err = s.view(ctx, "read a file", func(tx Tx) error {
		if err := needDevice(tx, id.Channel, by); err != nil {
			return err
		}
		b, err = completeOf(tx, id, by)
		return err
	})
	if err == nil && b.once != 0 && b.account != by.Account && offset+int64(len(p)) >= b.size {
		err = s.takeBlob(ctx, id, by, r, now)
	}
	if err != nil {
		return 0, 0, err
	}
	p = p[:max(0, min(int64(len(p)), b.size-offset))]
	if len(p) == 0 {
		return 0, b.size, nil
	}
	n, err = s.contents.ReadAt(id, p, offset)
	if n == len(p) {
		err = nil
	}
	if errors.Is(err, qpq.NotFound) {
		return 0, 0, errors.Join(errBlob, s.forgetLost(ctx, id))
	}
	return n, b.size, err
}

// forgetLost drops the row of a complete blob whose contents are lost: whoever has it may upload it anew. That may have happened since they were missed.
func (s *Store) forgetLost(ctx context.Context, id BlobID) error {
	defer s.blobs.lock(id)()
	var b blob
	found := false
	err := s.view(ctx, "look for a file", func(tx Tx) (err error) {
		b, found, err = readBlob(tx, id)
		return err
	})
	if err != nil || !found || b.complete == 0 || s.whole(b) {
		return err
	}
	return s.forgetBlob(ctx, id)
}

// takeBlob notes who read a blob to its end.
func (s *Store) takeBlob(ctx context.Context, id BlobID, by Uploader, r BlobRules, now time.Time) error {
	return s.update(ctx, "take a file", func(tx Tx) error {
		b, err := completeOf(tx, id, by)
		if err != nil || b.taker != nil {
			return err
		}
		until := millis(now.Add(r.Taken))
		return exec(tx, takeBlob, id.Channel[:], id.Hash[:], by.taker(), until)
	})
}

func (u Uploader) taker() []byte { return append([]byte(u.Account+"\x00"), u.Device[:]...) }

// DropBlob drops a blob of the account, or one that its device took. It succeeds where there is none.
func (s *Store) DropBlob(ctx context.Context, id BlobID, by Uploader) error {
	if s.contents == nil {
		return noContents
	}
	defer s.blobs.lock(id)()
	found, may := false, false
	err := s.view(ctx, "drop a file", func(tx Tx) error {
		b, ok, err := readBlob(tx, id)
		found, may = ok, b.account == by.Account || string(b.taker) == string(by.taker())
		return err
	})
	if err != nil || !found {
		return err
	}
	if !may {
		return errBlob
	}
	return s.forgetBlob(ctx, id)
}

// BlobUsage returns how many bytes of its quota an account uses.
func (s *Store) BlobUsage(ctx context.Context, account string) (used int64, err error) {
	err = s.view(ctx, "count files", func(tx Tx) (err error) {
		used, err = blobUsage(tx, account)
		return err
	})
	return used, err
}

func blobUsage(tx Tx, account string) (used int64, err error) {
	_, err = one(tx, into{&used}, sumBlobs, account, int64(BlobOverhead))
	return used, err
}

// refer has blobs live as long as a message that its sender uploaded them for. It fails with NotFound and "blob-unknown" for those that are
// not complete, or another's.
func refer(tx Tx, m Message, until time.Time) error {
	if least := m.Now.Add(m.BlobLeast); until.Before(least) {
		until = least
	}
	look := m.Now.Add(m.BlobLook)
	if look.After(until) {
		look = until
	}
	for _, hash := range m.Blobs {
		err := must(tx, errBlob, referBlob, m.Channel[:], hash[:], m.Account, m.ID[:], millis(until), millis(look))
		if err != nil {
			return err
		}
	}
	return nil
}

// needDevice fails with NotFound unless a device is on the roster of a channel.
func needDevice(tx Tx, id qpq.ChannelID, by Uploader) error {
	var devices []byte
	_, err := one(tx, into{&devices}, selectMember, id[:], by.Account)
	if err == nil && !slices.Contains(decodeDevices(devices), by.Device) {
		err = noChannel
	}
	return err
}

func readBlob(tx Tx, id BlobID) (b blob, found bool, err error) {
	b.id = id
	found, err = one(tx, into{&b.account, &b.size, &b.stored, &b.complete, &b.once, &b.taker, &b.message, &b.expires, &b.due}, selectBlob, id.Channel[:], id.Hash[:])
	return b, found, err
}

// ownBlob returns a blob that a member uploads.
func ownBlob(tx Tx, id BlobID, by Uploader) (blob, error) {
	if err := needDevice(tx, id.Channel, by); err != nil {
		return blob{}, err
	}
	b, found, err := readBlob(tx, id)
	if err == nil && (!found || b.account != by.Account) {
		err = errBlob
	}
	return b, err
}

// completeOf returns a complete blob that a member may read.
func completeOf(tx Tx, id BlobID, by Uploader) (blob, error) {
	b, found, err := readBlob(tx, id)
	if err == nil && (!found || b.complete == 0 || b.taker != nil && b.account != by.Account && string(b.taker) != string(by.taker())) {
		err = errBlob
	}
	return b, err
}

const (
	blobColumns = `account, size, stored, complete, once, taker, message, expires, due`
	selectBlob  = `SELECT ` + blobColumns + ` FROM blobs WHERE channel = $1 AND blob = $2`
	insertBlob  = `INSERT INTO blobs (account, channel, blob, size, stored, complete, once, taker, message, created, expires, due)
		VALUES ($1, $2, $3, $4, 0, 0, $5, NULL, NULL, $6, 0, $7)`
	moveBlob   = `UPDATE blobs SET stored = $3, due = $4 WHERE channel = $1 AND blob = $2 AND complete = 0`
	finishBlob = `UPDATE blobs SET complete = 1, due = $3 WHERE channel = $1 AND blob = $2 RETURNING size`
	deleteBlob = `DELETE FROM blobs WHERE channel = $1 AND blob = $2`
	takeBlob   = `UPDATE blobs SET taker = $3, expires = $4, due = $4 WHERE channel = $1 AND blob = $2`
	sumBlobs   = `SELECT coalesce(sum(size + $2), 0) FROM blobs WHERE account = $1`
	referBlob  = `UPDATE blobs SET message = $4, expires = $5, due = $6
		WHERE channel = $1 AND blob = $2 AND account = $3 AND complete = 1 AND taker IS NULL`
)
