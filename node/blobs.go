package node

import (
	"context"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// How long blobs stay that nobody uses, and those that are to be read once, for the device that did; and how often it is looked whether
// an inbox needs one still.
const (
	blobUnused = day
	blobTaken  = time.Hour
	blobLook   = time.Hour
)

func (s *Server) blobRules() store.BlobRules {
	return store.BlobRules{Quota: int64(s.limits.BlobQuota), Unused: blobUnused, Grace: s.limits.BlobGrace, Look: blobLook, Taken: blobTaken}
}

func uploader(c *conn) store.Uploader {
	user, device := c.who()
	return store.Uploader{Account: user.Name, Device: device}
}

// diskReserve is what uploads leave of the disk, in bytes: messages and accounts are on it too.
const diskReserve = 256 << 20

// hasDisk fails where so many bytes more would take what the rest of the server needs.
func (s *Server) hasDisk(size int64) error {
	if s.cfg.FreeDisk == nil {
		return nil
	}
	free, err := s.cfg.FreeDisk()
	if err == nil && int64(min(free, 1<<62)) < size+diskReserve {
		err = qpq.E(qpq.Exhausted, "disk-full", "the server has no room for files now: try again later, or ask who runs it to make room")
	}
	return err
}

func (s *Server) blobUsage(ctx context.Context, c *conn, _ wire.BlobUsage) (wire.BlobUsageReply, error) {
	used, err := s.cfg.Store.BlobUsage(ctx, uploader(c).Account)
	return wire.BlobUsageReply{Largest: uint64(s.limits.Blob), Quota: uint64(s.limits.BlobQuota), Used: uint64(used), Overhead: store.BlobOverhead}, contract(err)
}

func (s *Server) blobCreate(ctx context.Context, c *conn, q wire.BlobCreate) (wire.BlobCreateReply, error) {
	if q.Size > uint64(s.limits.Blob) {
		return wire.BlobCreateReply{}, qpq.E(qpq.TooLarge, wire.CodeBlobTooLarge, fmt.Sprintf("the file has %d bytes as it is sent, and this server takes at most %d", q.Size, s.limits.Blob))
	}
	if err := s.hasDisk(int64(q.Size)); err != nil {
		return wire.BlobCreateReply{}, err
	}
	offset, complete, err := s.cfg.Store.CreateBlob(ctx, store.BlobID{Channel: q.Channel, Hash: q.Blob}, uploader(c), int64(q.Size), q.Once, s.blobRules(), now())
	return wire.BlobCreateReply{Offset: uint64(offset), Complete: complete}, contract(err)
}

func (s *Server) blobWrite(ctx context.Context, c *conn, q wire.BlobWrite) (wire.BlobWriteReply, error) {
	if err := s.hasDisk(int64(len(q.Data))); err != nil {
		return wire.BlobWriteReply{}, err
	}
	offset := int64(min(q.Offset, maxSlot))
	end, complete, err := s.cfg.Store.WriteBlob(ctx, store.BlobID{Channel: q.Channel, Hash: q.Blob}, uploader(c), offset, q.Data, s.blobRules(), now())
	return wire.BlobWriteReply{Offset: uint64(end), Complete: complete}, contract(err)
}

func (s *Server) blobRead(ctx context.Context, c *conn, q wire.BlobRead) (wire.BlobReadReply, error) {
	p := make([]byte, q.Length)
	offset := int64(min(q.Offset, maxSlot))
	n, size, err := s.cfg.Store.ReadBlob(ctx, store.BlobID{Channel: q.Channel, Hash: q.Blob}, uploader(c), offset, p, s.blobRules(), now())
	return wire.BlobReadReply{Size: uint64(size), Data: p[:n]}, contract(err)
}

func (s *Server) blobDrop(ctx context.Context, c *conn, q wire.BlobDrop) (wire.BlobDropReply, error) {
	return wire.BlobDropReply{}, contract(s.cfg.Store.DropBlob(ctx, store.BlobID{Channel: q.Channel, Hash: q.Blob}, uploader(c)))
}

// blobsOf returns the addresses of the blobs that a message refers to.
func blobsOf(q wire.Send) (list [][32]byte, err error) {
	for _, b := range q.Blobs {
		if len(b) != 32 {
			return nil, qpq.E(qpq.Invalid, "bad-field", fmt.Sprintf("the field blobs has an address of %d bytes, and all have 32", len(b)))
		}
		list = append(list, [32]byte(b))
	}
	return list, nil
}

// sweepBlobs drops the blobs that nobody needs any more.
func (s *Server) sweepBlobs(ctx context.Context, now time.Time) error {
	for {
		removed, more, err := s.cfg.Store.SweepBlobs(ctx, s.blobRules(), now, sweepBatch)
		s.metrics.swept.Add(float64(removed))
		if err != nil || !more {
			return err
		}
	}
}
