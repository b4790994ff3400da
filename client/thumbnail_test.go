package client_test

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/quicproquo/qpq/client"
)

func picture(width, height int) image.Image {
	p := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			p.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), uint8(x * y), 255})
		}
	}
	return p
}

func TestThumbnails(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, id := friends(t, s)
	var b bytes.Buffer
	check(t, png.Encode(&b, picture(1200, 700)))
	alice.attaches(id, client.Attachment{Path: written(t, "not.a.picture.by.name", b.Bytes())})
	f := bob.newest(id).Message.File()
	small, err := jpeg.Decode(bytes.NewReader(f.Thumbnail))
	check(t, err)
	if f.MediaType != "image/png" || small.Bounds().Dx() != 320 || small.Bounds().Dy() != 186 || len(f.Thumbnail) > 32<<10 {
		t.Errorf("%s, %v, %d bytes", f.MediaType, small.Bounds(), len(f.Thumbnail))
	}
	// What says that it has 50,000 times 50,000 pixels is not looked at: 10 GB of memory would be.
	bomb := bytes.Clone(b.Bytes())
	copy(bomb[16:24], []byte{0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50})
	alice.attaches(id, client.Attachment{Path: written(t, "bomb.png", bomb)})
	alice.attaches(id, client.Attachment{Path: written(t, "cut.png", b.Bytes()[:b.Len()/2])})
	_ = bob.newest(id)
	for _, e := range must(bob.FilesOf(id, 2)) {
		if f := e.Message.File(); f.Thumbnail != nil {
			t.Errorf("%s has a thumbnail", f.Name)
		}
	}
}

func TestMediaTypes(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, id := friends(t, s)
	for want, head := range map[string]string{
		"text/plain": "hällo\n", "text/html": " <!DOCTYPE html>", "image/svg+xml": "<svg xmlns=", "application/pdf": "%PDF-1.7", "application/zip": "PK\x03\x04xyz",
		"video/mp4": "\x00\x00\x00\x18ftypisom", "audio/flac": "fLaC", "application/octet-stream": "\x00\x01\x02",
	} {
		alice.attaches(id, client.Attachment{Path: written(t, "x.jpg", []byte(head))})
		if got := bob.newest(id).Message.File().MediaType; got != want {
			t.Errorf("%q is %s, not %s", head, got, want)
		}
	}
}

// FuzzThumbnail: whatever a file is, a thumbnail is a small JPEG or none, and the type has a form.
func FuzzThumbnail(f *testing.F) {
	small := picture(40, 30)
	for _, encode := range []func(*bytes.Buffer) error{
		func(b *bytes.Buffer) error { return png.Encode(b, small) },
		func(b *bytes.Buffer) error { return jpeg.Encode(b, small, nil) },
		func(b *bytes.Buffer) error { return gif.Encode(b, small, nil) },
	} {
		var b bytes.Buffer
		if err := encode(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if kind := client.MediaType(data); bytes.Count([]byte(kind), []byte("/")) != 1 || len(kind) > 127 {
			t.Errorf("its type is %q", kind)
		}
		if shape, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil && shape.Width*shape.Height > 1<<20 {
			return // takes its time, and no more memory than a picture of that size does
		}
		made := client.Thumbnail(bytes.NewReader(data), int64(len(data)))
		if made == nil {
			return
		}
		shape, err := jpeg.DecodeConfig(bytes.NewReader(made))
		if err != nil || len(made) > 32<<10 || shape.Width > 320 || shape.Height > 320 {
			t.Errorf("%d bytes, %dx%d, %v", len(made), shape.Width, shape.Height, err)
		}
	})
}
