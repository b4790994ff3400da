package qpq_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
)

func TestIDs(t *testing.T) {
	d := qpq.DeviceID{1, 2, 0xff}
	if got, err := qpq.ParseDeviceID(d.String()); err != nil || got != d {
		t.Errorf("ParseDeviceID = %v, %v", got, err)
	}
	c := qpq.ChannelID{15: 9}
	if got, err := qpq.ParseChannelID(c.String()); err != nil || got != c {
		t.Errorf("ParseChannelID = %v, %v", got, err)
	}
	for _, bad := range []string{"", "00", "zz", d.String() + "00", d.String()[1:]} {
		if _, err := qpq.ParseDeviceID(bad); !errors.Is(err, qpq.Invalid) {
			t.Errorf("ParseDeviceID(%q): %v", bad, err)
		}
	}
	if len(d.Short()) != 8 || d.IsZero() || !(qpq.DeviceID{}).IsZero() {
		t.Error("Short or IsZero")
	}
}

func TestErrors(t *testing.T) {
	err := fmt.Errorf("while testing: %w", qpq.Wrap(qpq.Exists, "name-taken", "that name is taken", io.EOF))
	if !errors.Is(err, qpq.Exists) || !errors.Is(err, io.EOF) || errors.Is(err, qpq.Denied) {
		t.Error("errors.Is")
	}
	if qpq.KindOf(err) != qpq.Exists || qpq.CodeOf(err) != "name-taken" {
		t.Errorf("kind %v, code %q", qpq.KindOf(err), qpq.CodeOf(err))
	}
	if qpq.KindOf(nil) != 0 || qpq.KindOf(io.EOF) != qpq.Internal || qpq.KindOf(fmt.Errorf("x: %w", qpq.TooLarge)) != qpq.TooLarge {
		t.Error("KindOf")
	}
}

func FuzzIDs(f *testing.F) {
	f.Add(qpq.DeviceID{1, 2, 0xff}.String())
	f.Add("k3xm7q2a")
	f.Add("é")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := qpq.ParseDeviceID(s)
		if err == nil && d.String() != strings.ToLower(s) {
			t.Errorf("%q is read, and written as %s", s, d)
		}
		c, other := qpq.ParseChannelID(s)
		if (err == nil) != (other == nil) || c != qpq.ChannelID(d) {
			t.Errorf("%q is a device's id or a channel's, and not both: %v, %v", s, err, other)
		}
	})
}
