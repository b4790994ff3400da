package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/filecrypt"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// together is how many bytes are sent or fetched by one call, at most.
const together = 1 << 20

// uploading is a file that is read once more, to be sent.
type uploading struct {
	*filecrypt.File
	source Source
	path   string
	pieces []byte
}

// upload sends a file from where the server is, and then queues its message.
func (c *Client) upload(ctx context.Context, s *profile.Transfer, report func(int64)) error {
	m, err := wire.Unmarshal[wire.Message](s.Content)
	if err != nil {
		return err
	}
	b, once := fileOf(m.Body)
	if b == nil {
		return qpq.E(qpq.Damaged, "profile-damaged", "a transfer has no file")
	}
	u := &uploading{path: s.Path, pieces: s.Pieces}
	if u.File, err = filecrypt.New(b.Key, int64(b.Size), int(b.Chunk)); err != nil {
		return err
	}
	if u.source, err = c.openFile(s.Path); err != nil {
		return err
	}
	defer u.source.Close()
	if size, err := u.source.Size(); err != nil || size != u.Size() {
		return u.changed(err)
	}
	if err := c.send(ctx, s.Channel, b, once, u, report); err != nil {
		return err
	}
	return c.queueFile(s, m.Body)
}

// send sends what the server has not, until the blob is complete.
func (c *Client) send(ctx context.Context, id qpq.ChannelID, b *wire.FileBody, once bool, u *uploading, report func(int64)) error {
	for restarts := 0; ; restarts++ {
		at, err := steadily(ctx, c, wire.BlobCreate{Channel: id, Blob: b.Blob, Size: uint64(u.Sealed()), Once: once})
		if err != nil {
			return err
		}
		offset, complete := int64(min(at.Offset, uint64(u.Sealed()))), at.Complete
		for !complete {
			report(u.progress(offset))
			data, err := u.part(offset)
			if err != nil {
				return err
			}
			r, err := steadily(ctx, c, wire.BlobWrite{Channel: id, Blob: b.Blob, Offset: uint64(offset), Data: data})
			if qpq.CodeOf(err) == wire.CodeBlobOffset && restarts < steadyTries { // an answer was lost
				break
			}
			if err != nil {
				return err
			}
			end := int64(min(r.Offset, uint64(u.Sealed())))
			if !r.Complete && end <= offset { // it lost something: no server does so for ever
				if restarts++; restarts > steadyTries {
					return errNoProgress
				}
			}
			offset, complete = end, r.Complete
		}
		if complete {
			report(u.Size())
			return nil
		}
	}
}

var errNoProgress = qpq.E(qpq.Damaged, "upload-stuck", "the server takes the file again and again, and keeps nothing of it: ask who runs it, and go on with the transfer later")

// progress returns about how many bytes of a file so many encrypted ones are.
func (u *uploading) progress(sealed int64) int64 {
	offset, _ := u.Clear(u.At(sealed))
	return offset
}

// part returns encrypted bytes from an offset on.
func (u *uploading) part(offset int64) (data []byte, err error) {
	for n := u.At(offset); n < u.Chunks(); n++ {
		begin, length := u.Cipher(n)
		if len(data) > 0 && int64(len(data))+length > together {
			break
		}
		sealed, err := u.seal(n)
		if err != nil {
			return nil, err
		}
		data = append(data, sealed[max(0, offset-begin):]...)
	}
	return data, nil
}

// seal reads and encrypts a chunk: the bytes that were read when the transfer began, and no others.
func (u *uploading) seal(n int64) ([]byte, error) {
	offset, length := u.Clear(n)
	data := make([]byte, length)
	if k, err := u.source.ReadAt(data, offset); int64(k) < length {
		return nil, u.changed(err)
	}
	piece := sha256.Sum256(data)
	if int64(len(u.pieces)) < (n+1)*sha256.Size || !bytes.Equal(piece[:], u.pieces[n*sha256.Size:(n+1)*sha256.Size]) {
		return nil, u.changed(nil)
	}
	return u.Seal(nil, data, n)
}

func (u *uploading) changed(cause error) error {
	return qpq.Wrap(qpq.Conflict, "file-changed", fmt.Sprintf("%s has changed since it was to be sent: cancel the transfer, and send it again", u.path), cause)
}

// queueFile queues the message of a file that is at the server. The transfer ends with it.
func (c *Client) queueFile(s *profile.Transfer, body wire.MessageBody) error {
	e, m, err := c.compose(s.Channel, body)
	if err != nil {
		return err
	}
	err = c.cfg.Profile.Change(func(tx *profile.Tx) error {
		if err := addQueued(tx, e, m); err != nil {
			return err
		}
		return tx.DropTransfer(s.ID)
	})
	if err != nil {
		return err
	}
	c.transfers.became(s.ID, m.ID)
	c.news.tell()
	c.kick()
	return nil
}
