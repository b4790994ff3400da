package client_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"slices"
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

// held returns a JPEG that says how it was held, in Exif.
func held(t testing.TB, p image.Image, orientation uint16, order binary.AppendByteOrder) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, p, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	exif := []byte("Exif\x00\x00MM\x00*")
	if order == binary.LittleEndian {
		exif = []byte("Exif\x00\x00II*\x00")
	}
	exif = order.AppendUint32(exif, 8)
	exif = order.AppendUint16(exif, 2)
	for _, e := range [][2]uint16{{0x0103, 6}, {0x0112, orientation}} { // of one SHORT each
		exif = order.AppendUint16(order.AppendUint16(exif, e[0]), 3)
		exif = order.AppendUint16(order.AppendUint16(order.AppendUint32(exif, 1), e[1]), 0)
	}
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(exif)+2))
	return slices.Concat(b.Bytes()[:2], segment, exif, b.Bytes()[2:])
}

// TestThumbnailsAreUpright, however the camera was held.
func TestThumbnailsAreUpright(t *testing.T) {
	p := image.NewRGBA(image.Rect(0, 0, 64, 32))
	for y := range 32 {
		for x := range 64 {
			p.SetRGBA(x, y, color.RGBA{uint8(x * 4), uint8(y * 8), 0, 255}) // red to the right, green downwards
		}
	}
	// Where the corners of the picture are that is stored: top left, and top right.
	for orientation, want := range map[uint16]struct {
		size, dark, red image.Point
	}{
		0: {image.Pt(64, 32), image.Pt(0, 0), image.Pt(63, 0)}, 1: {image.Pt(64, 32), image.Pt(0, 0), image.Pt(63, 0)}, 9: {image.Pt(64, 32), image.Pt(0, 0), image.Pt(63, 0)},
		2: {image.Pt(64, 32), image.Pt(63, 0), image.Pt(0, 0)}, 3: {image.Pt(64, 32), image.Pt(63, 31), image.Pt(0, 31)}, 4: {image.Pt(64, 32), image.Pt(0, 31), image.Pt(63, 31)},
		5: {image.Pt(32, 64), image.Pt(0, 0), image.Pt(0, 63)}, 6: {image.Pt(32, 64), image.Pt(31, 0), image.Pt(31, 63)},
		7: {image.Pt(32, 64), image.Pt(31, 63), image.Pt(31, 0)}, 8: {image.Pt(32, 64), image.Pt(0, 63), image.Pt(0, 0)},
	} {
		for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
			data := held(t, p, orientation, order)
			made, err := jpeg.Decode(bytes.NewReader(client.Thumbnail(bytes.NewReader(data), int64(len(data)))))
			check(t, err)
			at := func(p image.Point) (red, green uint32) {
				red, green, _, _ = made.At(p.X, p.Y).RGBA()
				return red >> 8, green >> 8
			}
			darkRed, darkGreen := at(want.dark)
			red, green := at(want.red)
			if made.Bounds().Size() != want.size || darkRed > 64 || darkGreen > 64 || red < 192 || green > 64 {
				t.Errorf("orientation %d, %v: %v, the corners are %d %d and %d %d", orientation, order, made.Bounds(), darkRed, darkGreen, red, green)
			}
		}
	}
}

// What a JPEG begins with: markers of frames (ITU-T T.81, B.1.1.3).
const (
	baseline    = 0xc0
	progressive = 0xc2
)

// blank returns a JPEG of black blocks of 8 by 8, of so many components, in one pass or as the first of several. before is what stands before its frame.
func blank(frame byte, width, height, components int, before ...byte) []byte {
	b := append([]byte{0xff, 0xd8}, before...)
	if components == 4 {
		b = append(append(b, 0xff, 0xee, 0, 14), "Adobe\x00\x64\x00\x00\x00\x00\x00"...) // CMYK
	}
	b = append(b, 0xff, frame, 0, byte(8+3*components), 8, byte(height>>8), byte(height), byte(width>>8), byte(width), byte(components))
	scan := []byte{0xff, 0xda, 0, byte(6 + 2*components), byte(components)}
	for i := range components {
		b = append(b, byte(i), 0x11, 0)
		scan = append(scan, byte(i), 0)
	}
	b = append(append(b, 0xff, 0xdb, 0, 67, 0), bytes.Repeat([]byte{1}, 64)...) // quantization
	for _, class := range []byte{0, 0x10} {                                     // one code, of a bit: as the block before, and nothing more of this one
		b = append(append(b, 0xff, 0xc4, 0, 20, class, 1), make([]byte, 16)...)
	}
	last, bits := byte(0), components*width*height/64
	if frame == baseline {
		last, bits = 63, 2*bits
	}
	b = append(append(b, scan...), 0, last, 0)
	return append(append(b, make([]byte, bits/8+1)...), 0xff, 0xd9)
}

// TestPicturesAreNotDecodedWithoutBound: a progressive JPEG takes five times as much memory, whatever stands before what says that it is one, and one for
// printing twice as much.
func TestPicturesAreNotDecodedWithoutBound(t *testing.T) {
	restart, comment := []byte{0xff, 0xd0, 0xff, 0xfe, 0, 6, 0xff, 0xc0, 0, 2}, []byte{0xff, 0xfe, 0, 4, 0xff, 0xc0}
	for _, v := range []struct {
		name string
		data []byte
		want bool
	}{
		{"progressive, small", blank(progressive, 2400, 2400, 1), true},
		{"progressive, large", blank(progressive, 3200, 2400, 1), false},
		{"after a stray byte", blank(progressive, 3200, 2400, 1, 0), false},
		{"after stray bytes that look like a marker", blank(progressive, 3200, 2400, 1, 0xff, 0), false},
		{"after what ends a part of a picture", blank(progressive, 3200, 2400, 1, restart...), false},
		{"after a comment that looks like a frame", blank(progressive, 3200, 2400, 1, comment...), false},
		{"baseline of that size", blank(baseline, 3200, 2400, 1), true},
		{"for printing, small", blank(baseline, 3200, 3200, 4), true},
		{"for printing, large", blank(baseline, 4000, 4000, 4), false},
		{"for printing, progressive", blank(progressive, 2400, 2400, 4), false},
	} {
		if _, err := jpeg.DecodeConfig(bytes.NewReader(v.data)); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
		if made := client.Thumbnail(bytes.NewReader(v.data), int64(len(v.data))); (made != nil) != v.want {
			t.Errorf("%s: there is a thumbnail of %d bytes", v.name, len(made))
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
		func(b *bytes.Buffer) error { _, err := b.Write(held(f, small, 6, binary.LittleEndian)); return err },
		func(b *bytes.Buffer) error { _, err := b.Write(blank(progressive, 64, 32, 1)); return err },
		func(b *bytes.Buffer) error { _, err := b.Write(blank(baseline, 64, 32, 4, 0)); return err },
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
