// Package filecrypt encrypts files in chunks, so that any part of one can be sent, resumed and checked by itself (docs/protocol.md, section 13.1).
//
// It is the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár, 2015) over AES-256-GCM: the nonce of a chunk is its number and whether
// it is the last one, so that none can be left out, moved, or put at the end.
package filecrypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/quicproquo/qpq"
)

const (
	// Chunk is how many bytes of a file one chunk has, as a rule.
	Chunk = 256 << 10
	// MinChunk and MaxChunk are the bounds of what others may choose.
	MinChunk, MaxChunk = 64 << 10, 512 << 10
	// Overhead is how much longer a chunk is once it is sealed.
	Overhead = 16
	// MaxSize is the most bytes that a file has.
	MaxSize = 1 << 40
	// smallest is the size class of small files.
	smallest = 4 << 10
)

// File is a file's key and shape. It is safe for concurrent use.
type File struct {
	aead   cipher.AEAD
	size   int64
	padded int64
	chunk  int64
}

// New returns a file of so many bytes in the clear, in chunks of so many. It fails with qpq.Invalid where there can be none such.
func New(key [32]byte, size int64, chunk int) (*File, error) {
	if size < 0 || size > MaxSize || chunk < MinChunk || chunk > MaxChunk {
		return nil, qpq.E(qpq.Invalid, "bad-file", fmt.Sprintf("a file of %d bytes in chunks of %d bytes cannot be", size, chunk))
	}
	k, err := hkdf.Key(sha256.New, key[:], nil, "quicproquo file v1", 32)
	if err != nil {
		return nil, err
	}
	defer clear(k)
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &File{aead, size, Padded(size), int64(chunk)}, err
}

// Padded returns the size class of a file: what its length says to whoever sees it encrypted (Padmé, from "Reducing Metadata Leakage from
// Encrypted Files and Communication with PURBs", section 4).
func Padded(size int64) int64 {
	if size <= smallest {
		return smallest
	}
	e := bits.Len64(uint64(size)) - 1
	low := int64(1)<<(e-bits.Len(uint(e))) - 1
	return (size + low) &^ low
}

// Largest returns the most bytes that a file has in the clear which has so many sealed, in chunks of the usual size; 0 where there is none.
func Largest(sealed int64) int64 {
	low, high := int64(0), min(sealed, MaxSize)
	for low < high { // sizes grow with what is in them
		middle := (low + high + 1) / 2
		if sealedSize(Padded(middle), Chunk) <= sealed {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low
}

func sealedSize(padded, chunk int64) int64 { return padded + Overhead*((padded+chunk-1)/chunk) }

// Size returns how many bytes the file has in the clear.
func (f *File) Size() int64 { return f.size }

// Sealed returns how many bytes it has encrypted.
func (f *File) Sealed() int64 { return sealedSize(f.padded, f.chunk) }

// Chunks returns how many chunks it has.
func (f *File) Chunks() int64 { return (f.padded + f.chunk - 1) / f.chunk }

// Clear returns where the bytes of a chunk are in the file in the clear; the last chunks may have none.
func (f *File) Clear(n int64) (offset, length int64) {
	offset = min(n*f.chunk, f.size)
	return offset, min(f.chunk, f.size-offset)
}

// Cipher returns where a chunk is in the encrypted file.
func (f *File) Cipher(n int64) (offset, length int64) {
	return n * (f.chunk + Overhead), f.length(n) + Overhead
}

// length returns how many bytes a chunk has before it is sealed, padding included.
func (f *File) length(n int64) int64 { return max(0, min(f.chunk, f.padded-n*f.chunk)) }

// At returns in which chunk a byte of the encrypted file is.
func (f *File) At(offset int64) (n int64) { return offset / (f.chunk + Overhead) }

func (f *File) nonce(n int64) []byte {
	b := make([]byte, f.aead.NonceSize())
	binary.BigEndian.PutUint32(b[7:], uint32(n))
	if n == f.Chunks()-1 {
		b[11] = 1
	}
	return b
}

// Seal appends chunk n, encrypted, to dst. data is what the file has there, as Clear says. Who seals a chunk twice seals the same bytes, or
// gives them away.
func (f *File) Seal(dst, data []byte, n int64) ([]byte, error) {
	if _, length := f.Clear(n); n < 0 || n >= f.Chunks() || int64(len(data)) != length {
		return nil, qpq.E(qpq.Invalid, "bad-file", fmt.Sprintf("chunk %d of a file does not have %d bytes", n, len(data)))
	}
	padded := make([]byte, f.length(n), f.length(n)+Overhead)
	copy(padded, data)
	return append(dst, f.aead.Seal(padded[:0], f.nonce(n), padded, nil)...), nil
}

// Open returns what chunk n has of the file in the clear. It fails with qpq.Damaged and code "file-tampered" where that is not what was sealed.
func (f *File) Open(sealed []byte, n int64) ([]byte, error) {
	if n < 0 || n >= f.Chunks() || int64(len(sealed)) != f.length(n)+Overhead {
		return nil, tampered
	}
	data, err := f.aead.Open(nil, f.nonce(n), sealed, nil)
	if err != nil {
		return nil, tampered
	}
	_, length := f.Clear(n)
	for _, b := range data[length:] {
		if b != 0 {
			return nil, tampered
		}
	}
	return data[:length], nil
}

var tampered = qpq.E(qpq.Damaged, "file-tampered", "the file is not what its sender encrypted: it was altered or damaged at the server, or on the way")
