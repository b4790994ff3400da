package client

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/filecrypt"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// Files is how a client reaches files. Its paths are whatever the program and its people call them by, and are kept in the profile: they mean the
// same thing after a restart. Package disk has one for the files of a machine.
type Files interface {
	// Open opens a file to be read.
	Open(path string) (Source, error)
	// Destination returns the path of a file of some name that is to be saved at a path: within that, where it is a folder.
	Destination(path, name string) (string, error)
	// Create opens a file to be written, with what it has already.
	Create(path string) (Target, error)
	// Move gives a file its final path, durably, or one near that where it is taken: it never replaces a file. It returns the path.
	Move(from, to string) (string, error)
	// Remove removes a file, if there is one.
	Remove(path string) error
}

// Source is a file to be sent.
type Source interface {
	io.ReaderAt
	io.Closer
	Size() (int64, error)
}

// Target is a file that is written.
type Target interface {
	Source
	io.WriterAt
	Truncate(size int64) error
	Sync() error
}

// File is what a message says of a file. Nothing of it is certain but its size, once the file was fetched.
type File struct {
	Name      string // harmless as the name of a file
	Size      int64
	MediaType string // of its content, as the sender's program says
	Caption   string
	Thumbnail []byte // a small JPEG, or nothing
	Once      bool   // to be viewed once
}

// File returns what a message says of a file, nil where it is none, or is gone.
func (m *Message) File() *File {
	b, once := fileOf(m.Body.Body)
	if b == nil {
		return nil
	}
	return &File{Name: SafeName(b.Name), Size: int64(min(b.Size, filecrypt.MaxSize)), MediaType: qpq.Printable(b.MediaType), Caption: b.Caption, Thumbnail: b.Thumbnail, Once: once}
}

// fileOf returns the file of a message, nil for none.
func fileOf(body wire.MessageBody) (b *wire.FileBody, once bool) {
	switch v := body.(type) {
	case wire.FileBody:
		return &v, false
	case wire.ViewOnceBody:
		return v.File, true
	}
	return nil, false
}

// blobsOf returns the addresses of the blobs that a message that waits refers to.
func blobsOf(o profile.Outgoing) [][]byte {
	if o.Kind != KindFile && o.Kind != KindViewOnce {
		return nil
	}
	m, err := wire.Unmarshal[wire.Message](o.Content)
	if err != nil {
		return nil
	}
	b, _ := fileOf(m.Body)
	if b == nil {
		return nil
	}
	return [][]byte{b.Blob[:]}
}

// Room is how much a server takes.
type Room struct {
	Largest int64 // bytes of one file
	Left    int64 // bytes of all, as they are sent: encrypted and padded
}

// Room asks the server how much it takes.
func (c *Client) Room(ctx context.Context) (Room, error) {
	r, err := call(ctx, c, wire.BlobUsage{})
	if err != nil {
		return Room{}, err
	}
	left := int64(min(r.Quota, 1<<62)) - int64(min(r.Used, 1<<62)) - int64(r.Overhead)
	return Room{filecrypt.Largest(int64(min(r.Largest, 1<<62))), max(0, left)}, nil
}

// Attachment is a file to be sent.
type Attachment struct {
	Path    string // of Config.Files
	Name    string // as receivers see it; empty is that of Path
	Caption string
	Once    bool // to be viewed once
}

// SendFile reads a file, and keeps that it has to be sent: once it returns, Run and Transfer send it, after a restart too. The message comes once the
// file is at the server. Where that can be asked, a file that is too large, or for which there is no room, is refused before it is read.
func (c *Client) SendFile(ctx context.Context, id qpq.ChannelID, a Attachment) (transfer int64, err error) {
	if _, _, err := c.maySend(id); err != nil {
		return 0, err
	}
	if len(a.Caption) > maxText {
		return 0, checkText(a.Caption)
	}
	domain, err := c.hub(id)
	if err != nil {
		return 0, err
	}
	source, err := c.openFile(a.Path)
	if err != nil {
		return 0, err
	}
	defer source.Close()
	size, err := source.Size()
	if err != nil {
		return 0, err
	}
	name := a.Name
	if name == "" {
		name = filepath.Base(a.Path)
	}
	if err := c.fits(ctx, name, size); err != nil {
		return 0, err
	}
	b := wire.FileBody{Domain: domain, Size: uint64(size), Chunk: filecrypt.Chunk, Name: SafeName(name), Caption: a.Caption}
	t := profile.Transfer{Channel: id, Upload: true, Path: a.Path, Total: size, State: profile.TransferWaiting, Begun: c.cfg.Clock()}
	if t.Pieces, err = read(ctx, source, &b, !a.Once); err != nil {
		return 0, fmt.Errorf("read %s: %w", a.Path, err)
	}
	if t.Content, err = wire.Marshal(wire.Message{Body: bodyOf(b, a.Once)}); err != nil {
		return 0, err
	}
	if err := c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.AddTransfer(&t) }); err != nil {
		return 0, err
	}
	c.news.tell()
	c.kick()
	return t.ID, nil
}

// read finds all that the message of a file says of it, with a preview if one is wanted, and what its upload has to know.
func read(ctx context.Context, source Source, b *wire.FileBody, preview bool) (pieces []byte, err error) {
	if pieces, err = measure(ctx, source, b); err != nil {
		return nil, err
	}
	head := make([]byte, min(b.Size, sniffed))
	if _, err := source.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, unreadable("the file", err)
	}
	b.MediaType = mediaType(head)
	if preview && strings.HasPrefix(b.MediaType, "image/") {
		b.Thumbnail = thumbnail(source, int64(b.Size))
	}
	return pieces, nil
}

func bodyOf(b wire.FileBody, once bool) wire.MessageBody {
	if once {
		return wire.ViewOnceBody{File: &b}
	}
	return b
}

// fits fails where the server says that it will not take a file.
func (c *Client) fits(ctx context.Context, name string, size int64) error {
	if size > filecrypt.MaxSize {
		return qpq.E(qpq.TooLarge, "file-too-large", fmt.Sprintf("%s has %d bytes, and no file may have more than %d", name, size, int64(filecrypt.MaxSize)))
	}
	room, err := c.Room(ctx)
	if temporary(err) {
		return nil // it is told once it can be
	}
	if err != nil {
		return err
	}
	f, err := filecrypt.New([32]byte{}, size, filecrypt.Chunk)
	switch {
	case err != nil:
		return err
	case size > room.Largest:
		return qpq.E(qpq.TooLarge, "file-too-large", fmt.Sprintf("%s has %d bytes, and this server takes files of at most %d bytes: send it in parts, or in another way", name, size, room.Largest))
	case f.Sealed() > room.Left:
		return qpq.E(qpq.Exhausted, wire.CodeBlobQuota, fmt.Sprintf("%s takes %d bytes as it is sent, and this account has room for %d bytes more at the server: "+
			"cancel transfers, delete files that you sent, or wait: the server drops a file some days after others have its message", name, f.Sealed(), room.Left))
	}
	return nil
}

// measure reads a whole file: it gives it a key, and finds what its message and its upload have to know.
func measure(ctx context.Context, source io.ReaderAt, b *wire.FileBody) (pieces []byte, err error) {
	if _, err := io.ReadFull(random, b.Key[:]); err != nil {
		return nil, err
	}
	f, err := filecrypt.New(b.Key, int64(b.Size), int(b.Chunk))
	if err != nil {
		return nil, err
	}
	address, digest := sha256.New(), sha256.New()
	data, sealed := make([]byte, b.Chunk), []byte(nil)
	for n := range f.Chunks() {
		if ctx.Err() != nil {
			return nil, errGivenUp
		}
		offset, length := f.Clear(n)
		if k, err := source.ReadAt(data[:length], offset); int64(k) < length {
			return nil, unreadable("the file", err)
		}
		piece := sha256.Sum256(data[:length])
		pieces = append(pieces, piece[:]...)
		digest.Write(data[:length])
		if sealed, err = f.Seal(sealed[:0], data[:length], n); err != nil {
			return nil, err
		}
		address.Write(sealed)
	}
	b.Blob, b.Digest = [32]byte(address.Sum(nil)), [32]byte(digest.Sum(nil))
	return pieces, nil
}

var errGivenUp = qpq.E(qpq.Unavailable, "cancelled", "given up on request")

func unreadable(what string, cause error) error {
	return qpq.Wrap(qpq.Damaged, "file-unusable", what+" cannot be read to its end: it changes, or its disk is bad", cause)
}

// openFile opens a file to be sent.
func (c *Client) openFile(path string) (Source, error) {
	if c.cfg.Files == nil {
		return nil, errNoFiles
	}
	return c.cfg.Files.Open(path)
}

var errNoFiles = qpq.E(qpq.Unsupported, "no-files", "this program reaches no files")

// hub returns the domain of the server of a conversation.
func (c *Client) hub(id qpq.ChannelID) (string, error) {
	ch, err := c.cfg.Profile.Channel(id)
	if err != nil || ch == nil {
		return "", err
	}
	founding, err := wire.Unmarshal[wire.Founding](ch.Founding)
	return founding.Domain, err
}

// FilesOf returns up to limit messages of a conversation that are files or to be viewed once, the newest first.
func (c *Client) FilesOf(id qpq.ChannelID, limit int) ([]Entry, error) {
	return c.read(c.cfg.Profile.Files(id, limit))
}
