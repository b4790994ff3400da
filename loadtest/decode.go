package loadtest

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// mostHistogram is how many bytes a histogram of ours has at most once it is unpacked.
const mostHistogram = 1 << 20

// decode reads what encode wrote. What is not of our bounds is refused before the library sees it, which takes any: it would look for room
// for them without end.
func decode(s string) (*hdr.Histogram, error) {
	if err := checkBounds(s); err != nil {
		return nil, fmt.Errorf("latencies that cannot be read: %w", err)
	}
	h, err := hdr.Decode([]byte(s))
	if err != nil {
		return nil, fmt.Errorf("latencies that cannot be read: %w", err)
	}
	return h, nil
}

// checkBounds reads the head of a histogram (HdrHistogram's V2: a cookie and a length, then packed the same, an offset, digits, least and
// greatest value, a ratio, and the counts).
func checkBounds(s string) error {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return err
	}
	if len(b) < 8 {
		return io.ErrUnexpectedEOF
	}
	packed, err := zlib.NewReader(bytes.NewReader(b[8:]))
	if err != nil {
		return err
	}
	all, err := io.ReadAll(io.LimitReader(packed, mostHistogram+1))
	if err != nil {
		return err
	}
	const head = 40
	if len(all) < head || len(all) > mostHistogram {
		return fmt.Errorf("it has %d bytes", len(all))
	}
	got := binary.BigEndian.Uint32(all[12:])
	least, most := binary.BigEndian.Uint64(all[16:]), binary.BigEndian.Uint64(all[24:])
	if got != digits && got != sliceDigits || least != 1 || most != uint64(longest) {
		return fmt.Errorf("it counts %d to %d by %d digits, as no other here does", least, most, got)
	}
	return nil
}
