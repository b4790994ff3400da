package client_test

import (
	"bytes"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/quicproquo/qpq/client"
)

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
