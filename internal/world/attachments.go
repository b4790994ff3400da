package world

import (
	"bytes"
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

func init() {
	actions["file"] = sendFile
	actions["file-once"] = sendFileOnce
	actions["fetch"] = fetch
}

// contentOf is what is in a file of some name, wherever there is one.
func contentOf(name string) []byte {
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(h.Sum64(), 0))
	b := make([]byte, r.IntN(3000)+1)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func sendFile(ctx context.Context, d *Device, args []string) error { return d.file(ctx, args, filing) }

func sendFileOnce(ctx context.Context, d *Device, args []string) error {
	return d.file(ctx, args, filingOnce)
}

// file sends a file, and waits a while for the hub to accept its message.
func (d *Device) file(ctx context.Context, args []string, kind kind) error {
	return d.within(args[0], func(r *running, c *chat, id qpq.ChannelID) error {
		path := filepath.Join(d.folder, args[1])
		if err := os.WriteFile(path, contentOf(args[1]), 0o600); err != nil {
			return err
		}
		m := c.sending(d, kind, args[1], nil)
		transfer, err := r.SendFile(ctx, id, client.Attachment{Path: path, Once: kind == filingOnce})
		if err != nil {
			c.notSent(m, outcomeOf(d, err))
			return err
		}
		return d.unlessOpen(ctx, r, func(ctx context.Context) error {
			t, err := r.Transfer(ctx, transfer, nil)
			if err != nil {
				return err
			}
			if d.disk.Dead() {
				return errOff
			}
			c.queued(m, t.Message)
			return d.await(ctx, r, c, m)
		})
	})
}

// fetch saves a file that somebody sent.
func fetch(ctx context.Context, d *Device, args []string) error {
	return d.within(args[0], func(r *running, c *chat, id qpq.ChannelID) error {
		files := func(m *client.Message) bool { return m.File() != nil && !(m.Own && m.Kind == client.KindViewOnce) }
		m, ref, err := d.choose(c, args[1], files)
		if err != nil {
			return err
		}
		return d.unlessOpen(ctx, r, func(ctx context.Context) error { return d.save(ctx, r, c, id, m, ref) })
	})
}

// save saves the file of a message, and looks whether it is the one that was sent.
func (d *Device) save(ctx context.Context, r *running, c *chat, id qpq.ChannelID, m *message, ref client.Ref) error {
	if m.kind == filingOnce {
		d.viewing(m, false)
	}
	transfer, err := r.SaveFile(id, ref, d.folder)
	if err != nil {
		return err
	}
	t, err := r.Transfer(ctx, transfer, nil)
	if err != nil || d.disk.Dead() {
		return errors.Join(err)
	}
	if m.kind == filingOnce {
		d.viewing(m, true)
	}
	content, err := os.ReadFile(t.Path)
	if err != nil || !bytes.Equal(content, contentOf(m.text)) {
		d.w.fail("%s: %s saved %s of %s, and it is not what was sent: %d bytes, %v", c.name, d.name, m.text, m.from.name, len(content), err)
	}
	return nil
}
