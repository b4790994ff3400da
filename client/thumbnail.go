package client

import (
	"bytes"
	"image"
	"image/color"
	_ "image/gif" // pictures that thumbnails are made of
	"image/jpeg"
	_ "image/png"
	"io"
)

// Bounds of pictures that thumbnails are made of, in bytes: of their files, and about what decoding one takes, whatever it says of itself.
const (
	thumbnailSource = 64 << 20
	thumbnailMemory = 100 << 20
)

// Bounds of thumbnails.
const (
	thumbnailEdge  = 320
	thumbnailBytes = 32 << 10
)

// thumbnail returns a small JPEG of a picture, without anything else that the file says; nil where it is none, or too large to look at.
func thumbnail(r io.ReaderAt, size int64) []byte {
	if size > thumbnailSource {
		return nil
	}
	shape, _, err := image.DecodeConfig(io.NewSectionReader(r, 0, size))
	held := jpegShapeOf(io.NewSectionReader(r, 0, size))
	if err != nil || shape.Width < 1 || shape.Height < 1 || int64(shape.Width)*int64(shape.Height) > thumbnailMemory/held.pixel(shape.ColorModel) {
		return nil
	}
	picture, _, err := image.Decode(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil
	}
	small := shrink(picture, thumbnailEdge)
	if held.orientation != 1 {
		small = turned{small, held.orientation}
	}
	for quality := 75; quality > 0; quality -= 20 {
		var b bytes.Buffer
		if jpeg.Encode(&b, small, &jpeg.Options{Quality: quality}) == nil && b.Len() <= thumbnailBytes {
			return b.Bytes()
		}
	}
	return nil
}

// pixel returns how many bytes the decoder takes for a pixel, at most.
func (s jpegShape) pixel(model color.Model) int64 {
	if !s.jpeg {
		if model == color.RGBA64Model || model == color.NRGBA64Model {
			return 8
		}
		return 4
	}
	const coefficient = 4 // of which there is one for each pixel and component of a progressive JPEG, until all are there
	components, bytes := int64(3), int64(3)
	switch model {
	case color.CMYKModel:
		components, bytes = 4, 4+4 // the components, and then the picture that is made of them
	case color.RGBAModel:
		bytes = 3 + 4
	}
	if s.progressive {
		bytes += components * coefficient
	}
	return bytes
}

// shrink returns a picture whose edges are no longer than edge, each pixel the mean of those that it stands for, on white.
func shrink(p image.Image, edge int) image.Image {
	from := p.Bounds()
	longest := max(from.Dx(), from.Dy(), edge)
	width, height := max(1, from.Dx()*edge/longest), max(1, from.Dy()*edge/longest)
	to := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			block := image.Rect(x*from.Dx()/width, y*from.Dy()/height, (x+1)*from.Dx()/width, (y+1)*from.Dy()/height).Add(from.Min)
			to.SetRGBA(x, y, mean(p, block))
		}
	}
	return to
}

func mean(p image.Image, block image.Rectangle) color.RGBA {
	var r, g, b, n uint64
	stepX, stepY := 1+block.Dx()/8, 1+block.Dy()/8 // of large blocks a grid of pixels will do
	for y := block.Min.Y; y < block.Max.Y; y += stepY {
		for x := block.Min.X; x < block.Max.X; x += stepX {
			pr, pg, pb, pa := p.At(x, y).RGBA() // premultiplied
			white := uint64(0xffff - pa)
			r, g, b, n = r+uint64(pr)+white, g+uint64(pg)+white, b+uint64(pb)+white, n+1
		}
	}
	return color.RGBA{uint8(r / n >> 8), uint8(g / n >> 8), uint8(b / n >> 8), 255}
}
