package filecrypt_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/filecrypt"
)

func content(size int64) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(size)})
	_, _ = r.Read(b)
	return b
}

func sealed(t testing.TB, f *filecrypt.File, data []byte) (all []byte) {
	t.Helper()
	for n := range f.Chunks() {
		offset, length := f.Clear(n)
		at, size := f.Cipher(n)
		before := len(all)
		var err error
		if all, err = f.Seal(all, data[offset:offset+length], n); err != nil {
			t.Fatal(err)
		}
		if int64(before) != at || int64(len(all)-before) != size || f.At(at) != n || f.At(at+size-1) != n {
			t.Fatalf("chunk %d is %d bytes at %d, and said to be %d at %d", n, len(all)-before, before, size, at)
		}
	}
	if int64(len(all)) != f.Sealed() {
		t.Fatalf("%d bytes sealed, and said to be %d", len(all), f.Sealed())
	}
	return all
}

func opened(f *filecrypt.File, all []byte) (data []byte, err error) {
	for n := range f.Chunks() {
		at, size := f.Cipher(n)
		part, err := f.Open(all[at:at+size], n)
		if err != nil {
			return nil, err
		}
		data = append(data, part...)
	}
	return data, nil
}

func file(t testing.TB, size int64, chunk int) *filecrypt.File {
	t.Helper()
	f, err := filecrypt.New([32]byte{1, 2, 3}, size, chunk)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRoundTrip(t *testing.T) {
	const chunk = filecrypt.MinChunk
	for _, size := range []int64{0, 1, 4096, 4097, chunk - 1, chunk, chunk + 1, 2 * chunk, 2*chunk + 1, 3*chunk - 1, 10*chunk + 17} {
		f, data := file(t, size, chunk), content(size)
		got, err := opened(f, sealed(t, f, data))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: %d came back, %v", size, len(got), err)
		}
	}
}

// TestAlteredFilesAreRefused flips bits, swaps, repeats, cuts and extends.
func TestAlteredFilesAreRefused(t *testing.T) {
	const size = 3*filecrypt.MinChunk + 5
	f := file(t, size, filecrypt.MinChunk)
	all := sealed(t, f, content(size))
	refused := func(what string, f *filecrypt.File, all []byte) {
		t.Helper()
		if _, err := opened(f, all); !errors.Is(err, qpq.Damaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, at := range []int{0, 70000, len(all) - 1} {
		flipped := bytes.Clone(all)
		flipped[at] ^= 1
		refused("a flipped bit", f, flipped)
	}
	const one = filecrypt.MinChunk + filecrypt.Overhead
	swapped := bytes.Clone(all)
	copy(swapped, all[one:2*one])
	copy(swapped[one:], all[:one])
	refused("chunks that were swapped", f, swapped)
	refused("another size class", file(t, 2*filecrypt.MinChunk, filecrypt.MinChunk), all[:2*one]) // without its end
	refused("a smaller size", file(t, size-1, filecrypt.MinChunk), all)                           // its padding is none
	other, err := filecrypt.New([32]byte{9}, size, filecrypt.MinChunk)
	if err != nil {
		t.Fatal(err)
	}
	refused("another key", other, all)
	if _, err := f.Open(all[:one-1], 0); !errors.Is(err, qpq.Damaged) {
		t.Errorf("a short chunk: %v", err)
	}
}

func TestShapes(t *testing.T) {
	for _, c := range []struct {
		size  int64
		chunk int
	}{{-1, filecrypt.Chunk}, {filecrypt.MaxSize + 1, filecrypt.Chunk}, {1, 0}, {1, filecrypt.MinChunk - 1}, {1, filecrypt.MaxChunk + 1}} {
		if _, err := filecrypt.New([32]byte{}, c.size, c.chunk); !errors.Is(err, qpq.Invalid) {
			t.Errorf("%d bytes in chunks of %d: %v", c.size, c.chunk, err)
		}
	}
	f := file(t, 10, filecrypt.Chunk)
	if _, err := f.Seal(nil, make([]byte, 9), 0); !errors.Is(err, qpq.Invalid) {
		t.Errorf("9 bytes of 10: %v", err)
	}
	if _, err := f.Seal(nil, nil, 1); !errors.Is(err, qpq.Invalid) {
		t.Errorf("a chunk behind the last: %v", err)
	}
}

// TestSizeClasses checks what is promised of them: at most 12 % more, few for each power of two, and none that is exceeded.
func TestSizeClasses(t *testing.T) {
	classes := map[int64]bool{}
	for size := int64(1); size < 1<<23; size += 1 + size/1000 {
		padded := filecrypt.Padded(size)
		if padded < size || size > 4096 && float64(padded-size) > 0.12*float64(size) || filecrypt.Padded(padded) != padded {
			t.Fatalf("%d bytes become %d", size, padded)
		}
		if size > 1<<22 {
			classes[padded] = true
		}
	}
	if len(classes) > 33 {
		t.Errorf("%d size classes between 4 and 8 MiB", len(classes))
	}
	for _, limit := range []int64{0, 100, 5000, 1 << 20, 100 << 20, 128 << 20} {
		most := filecrypt.Largest(limit)
		if most == 0 {
			if limit >= 4096+filecrypt.Overhead {
				t.Errorf("nothing fits into %d", limit)
			}
			continue
		}
		if n := file(t, most, filecrypt.Chunk).Sealed(); n > limit {
			t.Errorf("%d bytes are said to fit into %d and take %d", most, limit, n)
		}
		if n := file(t, most+1, filecrypt.Chunk).Sealed(); n <= limit {
			t.Errorf("%d bytes fit into %d too", most+1, limit)
		}
	}
}

func FuzzOpen(f *testing.F) {
	shape := file(f, 70000, filecrypt.MinChunk)
	all := sealed(f, shape, content(70000))
	at, size := shape.Cipher(1)
	f.Add(int64(70000), filecrypt.MinChunk, int64(1), all[at:at+size])
	f.Add(int64(0), filecrypt.Chunk, int64(0), []byte{})
	f.Fuzz(func(t *testing.T, size int64, chunk int, n int64, b []byte) {
		g, err := filecrypt.New([32]byte{1, 2, 3}, size, chunk)
		if err != nil {
			return
		}
		data, err := g.Open(b, n)
		if err != nil {
			return
		}
		again, err := g.Seal(nil, data, n)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("what opens seals as something else: %v", err)
		}
	})
}
