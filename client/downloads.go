package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/filecrypt"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// SaveFile keeps that the file of a message has to be saved at a path, in it where that is a folder, under the name that its sender gave it. Once it
// returns, Run and Transfer fetch it, after a restart too. A download of the message that is under way goes on where it goes.
func (c *Client) SaveFile(id qpq.ChannelID, message Ref, path string) (transfer int64, err error) {
	e, err := c.line(id, message)
	if err != nil {
		return 0, err
	}
	b, once := fileOf(e.Message.Body.Body)
	switch {
	case b == nil:
		return 0, qpq.E(qpq.Invalid, "no-file", fmt.Sprintf("the message %s has no file", message.ID.Short()))
	case once && e.Message.Own:
		return 0, errOwnOnce
	case c.cfg.Files == nil:
		return 0, errNoFiles
	}
	if _, err := c.fileAt(id, b); err != nil {
		return 0, err
	}
	if old, err := c.cfg.Profile.Download(message.Position); err != nil || old != nil && old.State != TransferDone {
		if err == nil {
			transfer = old.ID
		}
		return transfer, err
	}
	t := profile.Transfer{Channel: id, Position: message.Position, Total: int64(b.Size), State: TransferWaiting, Begun: c.cfg.Clock()}
	if t.Path, err = c.cfg.Files.Destination(path, SafeName(b.Name)); err != nil {
		return 0, err
	}
	t.Part = t.Path + "." + message.ID.Short() + ".part"
	target, err := c.cfg.Files.Create(t.Part) // where that cannot be, it is told at once
	if err != nil {
		return 0, err
	}
	if err := target.Close(); err != nil {
		return 0, err
	}
	err = c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.AddTransfer(&t) })
	c.news.tell()
	c.kick()
	return t.ID, err
}

// Saved returns where the file of a message was saved, empty where it was not, and the transfer that is under way, if one is.
func (c *Client) Saved(message Ref) (path string, under *Transfer, err error) {
	s, err := c.cfg.Profile.Download(message.Position)
	if err != nil || s == nil {
		return "", nil, err
	}
	if s.State == TransferDone {
		return s.Path, nil, nil
	}
	return "", new(c.describeTransfer(s)), nil
}

// fileAt returns the shape of a file, if it is at the server of its conversation.
func (c *Client) fileAt(id qpq.ChannelID, b *wire.FileBody) (*filecrypt.File, error) {
	domain, err := c.hub(id)
	if err != nil {
		return nil, err
	}
	if b.Domain != domain {
		return nil, qpq.E(qpq.Unsupported, "other-server", fmt.Sprintf("the file is said to be at %s, and not at the server of the conversation: it cannot be fetched", qpq.Printable(b.Domain)))
	}
	return filecrypt.New(b.Key, int64(min(b.Size, 1<<62)), int(b.Chunk))
}

// downloading is a file that is fetched.
type downloading struct {
	*filecrypt.File
	body            *wire.FileBody
	channel         qpq.ChannelID
	target          Target
	address, digest hash.Hash // of what is there
}

// download fetches a file from where it was interrupted, checks it, and gives it its name.
func (c *Client) download(ctx context.Context, s *profile.Transfer, report func(int64)) error {
	e, err := c.At(s.Position)
	if err != nil {
		return err
	}
	if c.cfg.Files == nil {
		return errNoFiles
	}
	if e == nil || e.Message == nil || e.Message.File() == nil { // what was fetched of it is to be forgotten too
		return errors.Join(qpq.E(qpq.NotFound, "message-gone", "the message of the file is gone"), c.cfg.Files.Remove(s.Part))
	}
	b, once := fileOf(e.Message.Body.Body)
	d := &downloading{body: b, channel: s.Channel}
	if d.File, err = c.fileAt(s.Channel, b); err != nil {
		return err
	}
	if err := c.fetch(ctx, s, d, report); err != nil {
		return err
	}
	if s.Path, err = c.cfg.Files.Move(s.Part, s.Path); err != nil {
		return err
	}
	s.State, s.Problem, s.Part = TransferDone, "", ""
	err = c.cfg.Profile.Change(func(tx *profile.Tx) error {
		if once {
			if err := tx.Wipe(s.Position, Viewed); err != nil {
				return err
			}
		}
		return tx.SetTransfer(*s)
	})
	c.news.tell()
	if err == nil && once {
		c.drop(ctx, s.Channel, b)
	}
	return err
}

// fetch has all of a file in its part, checked and durable. Where what was there from an earlier try turns out to be damaged, it begins anew, once.
func (c *Client) fetch(ctx context.Context, s *profile.Transfer, d *downloading, report func(int64)) (err error) {
	if d.target, err = c.cfg.Files.Create(s.Part); err != nil {
		return err
	}
	defer d.target.Close()
	begun, err := d.resume()
	if err != nil {
		return err
	}
	err = c.fetchFrom(ctx, d, begun, report)
	if qpq.CodeOf(err) == errNotTheFile.Code && begun > 0 {
		if _, err = d.begin(0); err == nil {
			err = c.fetchFrom(ctx, d, 0, report)
		}
	}
	return err
}

// resume returns from which chunk to go on. What is there is read, for the hashes of the whole.
func (d *downloading) resume() (n int64, err error) {
	size, err := d.target.Size()
	if err != nil {
		return 0, err
	}
	if n, err = d.begin(size / int64(d.body.Chunk)); err != nil {
		return 0, err
	}
	for i := range n {
		offset, length := d.Clear(i)
		data := make([]byte, length)
		if k, err := d.target.ReadAt(data, offset); int64(k) < length {
			return 0, unreadable("what was fetched before", err)
		}
		sealed, err := d.Seal(nil, data, i)
		if err != nil {
			return 0, err
		}
		d.address.Write(sealed)
		d.digest.Write(data)
	}
	return n, nil
}

// begin cuts off what is not a whole chunk.
func (d *downloading) begin(chunks int64) (n int64, err error) {
	n = min(chunks, d.Chunks())
	offset, _ := d.Clear(n)
	d.address, d.digest = sha256.New(), sha256.New()
	return n, d.target.Truncate(offset)
}

// errNotTheFile says that all chunks are right, and the whole is not.
var errNotTheFile = qpq.E(qpq.Damaged, "file-differs", "the file is not the one that its message says: its sender's program is faulty, or the disk here is")

func (c *Client) fetchFrom(ctx context.Context, d *downloading, n int64, report func(int64)) error {
	for n < d.Chunks() {
		offset, _ := d.Clear(n)
		report(offset)
		count, err := c.fetchSome(ctx, d, n)
		if err != nil {
			return err
		}
		n += count
	}
	if [32]byte(d.address.Sum(nil)) != d.body.Blob || [32]byte(d.digest.Sum(nil)) != d.body.Digest {
		return errNotTheFile
	}
	report(d.Size())
	return d.target.Sync()
}

// fetchSome fetches as many chunks as one call does, from a number on.
func (c *Client) fetchSome(ctx context.Context, d *downloading, n int64) (count int64, err error) {
	begin, length := d.Cipher(n)
	for count = 1; n+count < d.Chunks(); count++ {
		_, more := d.Cipher(n + count)
		if length+more > together {
			break
		}
		length += more
	}
	r, err := steadily(ctx, c, wire.BlobRead{Channel: d.channel, Blob: d.body.Blob, Offset: uint64(begin), Length: uint32(length)})
	if qpq.CodeOf(err) == wire.CodeBlobUnknown {
		return 0, qpq.Wrap(qpq.NotFound, wire.CodeBlobUnknown, "the file is no longer at the server: its time is over, or it was to be viewed once and somebody did: ask for it again", err)
	}
	if err != nil {
		return 0, err
	}
	if int64(len(r.Data)) != length || r.Size != uint64(d.Sealed()) {
		return 0, errTampered
	}
	for i, data := n, r.Data; i < n+count; i++ {
		_, length := d.Cipher(i)
		if err := d.take(i, data[:length]); err != nil {
			return 0, err
		}
		data = data[length:]
	}
	return count, nil
}

var errTampered = qpq.E(qpq.Damaged, "file-tampered", "the file is not what its sender encrypted: it was altered or damaged at the server, or on the way")

// take checks a chunk, and writes it.
func (d *downloading) take(n int64, sealed []byte) error {
	data, err := d.Open(sealed, n)
	if err != nil {
		return err
	}
	offset, _ := d.Clear(n)
	if len(data) > 0 {
		if _, err := d.target.WriteAt(data, offset); err != nil {
			return unwritable(err)
		}
	}
	d.address.Write(sealed)
	d.digest.Write(data)
	return nil
}

func unwritable(cause error) error {
	return qpq.Wrap(qpq.Exhausted, "file-unusable", "the file cannot be written: make room on the disk", cause)
}
