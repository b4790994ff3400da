package wire_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// TestOtherImplementation has Cap'n Proto's own tool read what Marshal writes, and Unmarshal read what
// the tool writes.
func TestOtherImplementation(t *testing.T) {
	if _, err := exec.LookPath("capnp"); err != nil {
		t.Skip("the tool capnp is not installed: scripts/setup installs it")
	}
	want := wire.KeyPackagesClaim{User: alice, Suites: []uint16{1, 0xf001}, Devices: []qpq.DeviceID{{1: 0x41, 15: 0x42}}, After: 7}
	b, err := wire.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	text := capnp(t, "decode", b)
	for _, part := range []string{`user = "alice@example.org"`, "suites = [1, 61441]", "after = 7"} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the tool read %s, without %s", text, part)
		}
	}
	got, err := wire.Unmarshal[wire.KeyPackagesClaim](capnp(t, "encode", text))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the tool wrote %+v, %v", got, err)
	}
}

func capnp(t *testing.T, command string, in []byte) []byte {
	cmd := exec.Command("capnp", command, "keypackages.capnp", "KeyPackagesClaim")
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("capnp %s: %v", command, err)
	}
	return out
}

func TestSizes(t *testing.T) {
	page := wire.BlobReadReply{Size: 1 << 40, Data: bytes.Repeat([]byte{7}, 1<<20)}
	b, err := wire.Marshal(page)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.Unmarshal[wire.BlobReadReply](b); err != nil || !reflect.DeepEqual(got, page) {
		t.Errorf("a page of 1 MiB: %v", err)
	}
	var rows wire.InboxFetchReply
	for i := range 1024 {
		rows.Rows = append(rows.Rows, wire.InboxRow{Sequence: uint64(i), Payload: make([]byte, 512)})
	}
	if b, err = wire.Marshal(rows); err != nil {
		t.Fatal(err)
	}
	if got, err := wire.Unmarshal[wire.InboxFetchReply](b); err != nil || !reflect.DeepEqual(got, rows) {
		t.Errorf("1024 rows: %v", err)
	}
	for i := range rows.Rows {
		rows.Rows[i].Payload = make([]byte, 9000)
	}
	if _, err = wire.Marshal(rows); qpq.KindOf(err) != qpq.TooLarge {
		t.Errorf("9 MiB: %v", err)
	}
	if _, err = wire.Unmarshal[wire.InboxFetchReply](make([]byte, wire.MaxMessage+8)); qpq.KindOf(err) != qpq.TooLarge {
		t.Errorf("an oversized message: %v", err)
	}
}

func TestRefused(t *testing.T) {
	upper := wire.LoginStart{User: qpq.UserID{Name: "Alice", Domain: "example.org"}, KE1: make([]byte, 96)}
	if _, err := wire.Marshal(upper); qpq.CodeOf(err) != "not-normalised" {
		t.Errorf("a name in capitals: %v", err)
	}
	for what, v := range map[string]error{
		"UTF-8":    marshalErr(wire.ServerInfo{Client: "\xff"}),
		"NUL":      marshalErr(wire.ServerInfo{Client: "a\x00"}),
		"long":     marshalErr(wire.ServerInfo{Client: strings.Repeat("x", 129)}),
		"counter":  marshalErr(wire.Authenticate{User: alice}),
		"no user":  marshalErr(wire.Authenticate{Counter: 1}),
		"no token": marshalErr(wire.TokenCreateReply{}),
		"role":     marshalErr(wire.Member{User: alice, Role: 9}),
	} {
		if qpq.KindOf(v) != qpq.Invalid {
			t.Errorf("%s: %v", what, v)
		}
	}
}

func marshalErr[T any, P wire.Value[T]](v T) error {
	_, err := wire.Marshal[T, P](v)
	return err
}

func TestSecret(t *testing.T) {
	q := wire.RegisterStart{Token: wire.NewSecret("hush-hush")}
	if out := fmt.Sprintf("%v %+v %#v %s %x", q, q, q, q.Token, q.Token); strings.Contains(out, "hush") || strings.Contains(out, "68757368") {
		t.Errorf("a token was printed: %s", out)
	}
	if q.Token.Reveal() != "hush-hush" {
		t.Error("a token is lost")
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		in   error
		kind qpq.Kind
		text string
	}{
		{fmt.Errorf("open /var/lib/secret: %w", qpq.NotFound), qpq.NotFound, "not found"},
		{fmt.Errorf("sql: broken"), qpq.Internal, "the server failed to answer; its log says why"},
		{&qpq.Error{Kind: 0, Text: "odd"}, qpq.Internal, "odd"},
		{qpq.E(qpq.Exists, wire.CodeNameTaken, strings.Repeat("é", 600)), qpq.Exists, strings.Repeat("é", 512)},
	} {
		status, payload := wire.EncodeError(tt.in)
		err := wire.DecodeError(status, payload)
		if status != uint16(tt.kind) || qpq.KindOf(err) != tt.kind || err.Error() != tt.text {
			t.Errorf("%v: status %d, %v", tt.in, status, err)
		}
	}
	payload, err := wire.Marshal(wire.Error{Kind: uint16(qpq.Denied), Code: "no\nway", Text: "no\n2026-11-27 12:04  ab3de7gh bob: \x1b[31mhi\u009b2J\t\u202e"})
	if err != nil {
		t.Fatal(err)
	}
	if err := wire.DecodeError(uint16(qpq.Denied), payload); err.Error() != "no 2026-11-27 12:04 ab3de7gh bob: [31mhi2J" || qpq.CodeOf(err) != "no way" {
		t.Errorf("what a hostile server says becomes %q, %q", err, qpq.CodeOf(err))
	}
	if err := wire.DecodeError(3, nil); qpq.KindOf(err) != qpq.Internal {
		t.Errorf("an empty payload: %v", err)
	}
}
