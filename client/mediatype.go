package client

import (
	"bytes"
	"unicode/utf8"
)

// sniffed is how many bytes at the beginning of a file tell what it is.
const sniffed = 512

// signatures are what files begin with, at an offset.
var signatures = []struct {
	offset    int
	bytes     string
	mediaType string
}{
	{0, "\xff\xd8\xff", "image/jpeg"},
	{0, "\x89PNG\r\n\x1a\n", "image/png"},
	{0, "GIF87a", "image/gif"},
	{0, "GIF89a", "image/gif"},
	{8, "WEBP", "image/webp"},
	{0, "BM", "image/bmp"},
	{0, "II*\x00", "image/tiff"},
	{0, "MM\x00*", "image/tiff"},
	{4, "ftypheic", "image/heic"},
	{4, "ftypavif", "image/avif"},
	{4, "ftypM4A", "audio/mp4"},
	{4, "ftypqt", "video/quicktime"},
	{4, "ftyp", "video/mp4"},
	{0, "\x1aE\xdf\xa3", "video/webm"},
	{8, "AVI ", "video/x-msvideo"},
	{8, "WAVE", "audio/wav"},
	{0, "ID3", "audio/mpeg"},
	{0, "\xff\xfb", "audio/mpeg"},
	{0, "OggS", "audio/ogg"},
	{0, "fLaC", "audio/flac"},
	{0, "%PDF-", "application/pdf"},
	{0, "PK\x03\x04", "application/zip"},
	{0, "\x1f\x8b", "application/gzip"},
	{0, "BZh", "application/x-bzip2"},
	{0, "\xfd7zXZ\x00", "application/x-xz"},
	{0, "(\xb5/\xfd", "application/zstd"},
	{0, "7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"},
	{0, "Rar!\x1a\x07", "application/vnd.rar"},
	{257, "ustar", "application/x-tar"},
	{0, "SQLite format 3\x00", "application/vnd.sqlite3"},
	{0, "\x7fELF", "application/x-executable"},
	{0, "MZ", "application/vnd.microsoft.portable-executable"},
	{0, "\x00asm", "application/wasm"},
}

// mediaType says what a file is by its first bytes, whatever its name says.
func mediaType(head []byte) string {
	head = head[:min(len(head), sniffed)]
	for _, s := range signatures {
		if len(head) >= s.offset && bytes.HasPrefix(head[s.offset:], []byte(s.bytes)) {
			return s.mediaType
		}
	}
	if len(head) > 0 && plain(head) {
		return textType(head)
	}
	return "application/octet-stream"
}

// textType tells texts apart that browsers would act on.
func textType(head []byte) string {
	begin := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n"))
	for _, s := range []struct{ prefix, mediaType string }{
		{"<!doctype html", "text/html"}, {"<html", "text/html"}, {"<svg", "image/svg+xml"}, {"<?xml", "text/xml"},
	} {
		if bytes.HasPrefix(begin, []byte(s.prefix)) {
			return s.mediaType
		}
	}
	return "text/plain"
}

// plain reports whether bytes are text in UTF-8, the last character of which may be cut off.
func plain(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return !utf8.FullRune(b)
		}
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' && r != '\f' && r != 0x1b {
			return false
		}
		b = b[n:]
	}
	return true
}
