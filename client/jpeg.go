package client

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"io"
)

// jpegShape is what decoders do not tell of a picture: whether it is a JPEG, whether that may come in several passes, all of which have to be kept until
// the last one, and how it was held (Exif 2.32, 4.6.4: 1 to 8, where 1 is upright).
type jpegShape struct {
	jpeg        bool
	progressive bool
	orientation int
}

// Markers of JPEG (ITU-T T.81, B.1.1.3).
const (
	jpegSOF0 = 0xc0 // baseline
	jpegSOF1 = 0xc1 // sequential as well
	jpegRST0 = 0xd0 // up to RST7
	jpegSOI  = 0xd8
	jpegSOS  = 0xda
	jpegAPP1 = 0xe1
)

// jpegShapeOf reads up to where the picture begins, or to what does not follow the standard: decoders make something of that too, and not all of them the same.
// A JPEG counts as one of several passes until its frame says otherwise. Of a picture of another kind the shape is zero, but upright.
func jpegShapeOf(r io.Reader) jpegShape {
	shape := jpegShape{orientation: 1}
	in := bufio.NewReader(r)
	var start [2]byte
	if _, err := io.ReadFull(in, start[:]); err != nil || start != [2]byte{0xff, jpegSOI} {
		return shape
	}
	shape.jpeg, shape.progressive = true, true
	for {
		marker, length, ok := jpegSegment(in)
		if !ok {
			return shape
		}
		segment := make([]byte, length)
		if _, err := io.ReadFull(in, segment); err != nil {
			return shape
		}
		if marker == jpegSOF0 || marker == jpegSOF1 {
			shape.progressive = false // decoders refuse another frame
		}
		if tiff, ok := bytes.CutPrefix(segment, []byte("Exif\x00\x00")); ok && marker == jpegAPP1 {
			shape.orientation = orientationOf(tiff)
		}
	}
}

// jpegSegment reads a marker, and the length of what belongs to it. It reports false where the picture begins, and where no such marker is.
func jpegSegment(in *bufio.Reader) (marker byte, length int, ok bool) {
	fill, err := in.ReadByte()
	for marker = 0xff; err == nil && marker == 0xff; {
		marker, err = in.ReadByte()
	}
	if err != nil || fill != 0xff || marker < jpegSOF0 || marker >= jpegRST0 && marker <= jpegSOS { // of these none has a length but SOS
		return 0, 0, false
	}
	var b [2]byte
	_, err = io.ReadFull(in, b[:])
	length = int(binary.BigEndian.Uint16(b[:])) - len(b)
	return marker, length, err == nil && length >= 0
}

// orientationOf returns the tag of this name in the first directory of a TIFF, 1 where there is none.
func orientationOf(tiff []byte) int {
	const upright, tag, size = 1, 0x0112, 12
	if len(tiff) < 8 {
		return upright
	}
	var order binary.ByteOrder = binary.BigEndian
	if string(tiff[:2]) == "II" {
		order = binary.LittleEndian
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return upright
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < size {
			return upright
		}
		if order.Uint16(entries) == tag {
			if v := int(order.Uint16(entries[8:])); v >= 1 && v <= 8 {
				return v
			}
			return upright
		}
		entries = entries[size:]
	}
	return upright
}

// turned is a picture as it was held: an orientation says where its first row and column are.
type turned struct {
	image.Image
	orientation int
}

// Bounds implements image.Image.
func (t turned) Bounds() image.Rectangle {
	b := t.Image.Bounds()
	if t.orientation >= 5 {
		return image.Rect(0, 0, b.Dy(), b.Dx())
	}
	return image.Rect(0, 0, b.Dx(), b.Dy())
}

// At implements image.Image.
func (t turned) At(x, y int) color.Color {
	b := t.Image.Bounds()
	if t.orientation >= 5 {
		x, y = y, x
	}
	switch t.orientation {
	case 2, 3, 7, 8:
		x = b.Dx() - 1 - x
	}
	switch t.orientation {
	case 3, 4, 6, 7:
		y = b.Dy() - 1 - y
	}
	return t.Image.At(b.Min.X+x, b.Min.Y+y)
}
