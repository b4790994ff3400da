package identity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
)

func passwordKey(export byte, recovery *RecoveryCode) *PasswordKey {
	return must(NewPasswordKey(alice, bytes.Repeat([]byte{export}, 64), recovery))
}

func TestPassword(t *testing.T) {
	a := newAccount("alice")
	r := &stream{name: "nonces"}
	code := must(NewRecoveryCode(r))
	for _, recovery := range []*RecoveryCode{nil, code} {
		p := passwordKey(1, recovery)
		sealed, wrap := must(p.SealAccount(r, a.key)), must(p.WrapVault(a.vault))
		if len(sealed) != SealedAccountSize || len(wrap) != WrapSize {
			t.Errorf("sizes %d and %d", len(sealed), len(wrap))
		}
		if key, err := passwordKey(1, recovery).OpenAccount(a.state, sealed); err != nil || !key.Equal(a.key) {
			t.Errorf("OpenAccount: %v", err)
		}
		if vault, err := passwordKey(1, recovery).OpenVault(a.state, wrap); err != nil || !vault.Equal(a.vault) {
			t.Errorf("OpenVault: %v", err)
		}
		wrong := []*PasswordKey{passwordKey(2, recovery), passwordKey(1, must(NewRecoveryCode(r)))}
		for _, w := range wrong {
			_, err := w.OpenAccount(a.state, sealed)
			wantKind(t, "OpenAccount", err, qpq.Denied, "wrong-seal")
			_, err = w.OpenVault(a.state, wrap)
			wantKind(t, "OpenVault", err, qpq.Denied, "not-for-this-key")
		}
	}
	p := passwordKey(1, nil)
	other := must(p.sealItem(r, labelAccountSeal, p.accountInfo(a.state.Key), make([]byte, 32)))
	_, err := p.OpenAccount(a.state, other)
	wantKind(t, "another key in the seal", err, qpq.Denied, "wrong-account-key")
	if _, err := NewPasswordKey(alice, make([]byte, 32), nil); err == nil {
		t.Error("a short export key makes a password key")
	}
}

// TestPasswordChange: a device that was offline opens its own wrap of the same vault, old or new.
func TestPasswordChange(t *testing.T) {
	a := newAccount("alice")
	old := must(a.vault.WrapFor(a.state.Devices[0].Request()))
	sealed := must(passwordKey(1, nil).WrapVault(a.vault))
	vault := must(passwordKey(1, nil).OpenVault(a.state, sealed))
	for _, wrap := range [][]byte{old, must(vault.WrapFor(a.state.Devices[0].Request()))} {
		if got, err := a.device.OpenVault(a.state, wrap); err != nil || !got.Equal(a.vault) {
			t.Errorf("the device opens its wrap: %v", err)
		}
	}
}

// TestForeignVault: a server wraps a vault key of its own to a device.
func TestForeignVault(t *testing.T) {
	a := newAccount("alice")
	own := must(NewVaultKey(&stream{name: "the server's"}))
	_, err := a.device.OpenVault(a.state, must(own.WrapFor(a.state.Devices[0].Request())))
	wantKind(t, "foreign vault", err, qpq.Denied, "wrong-vault-key")
	_, err = passwordKey(1, nil).OpenVault(a.state, must(passwordKey(1, nil).WrapVault(own)))
	wantKind(t, "foreign vault by password", err, qpq.Denied, "wrong-vault-key")
	_, err = newDevice("other").OpenVault(a.state, must(a.vault.WrapFor(a.state.Devices[0].Request())))
	wantKind(t, "another's wrap", err, qpq.Denied, "not-for-this-key")
}

func TestItems(t *testing.T) {
	a := newAccount("alice")
	r := &stream{name: "nonces"}
	bob := qpq.UserID{Name: "bob", Domain: "example.org"}
	for _, n := range []int{0, 1, 251, 252, 253, 5000, 100000} {
		plain := bytes.Repeat([]byte{'x'}, n)
		sealed := must(a.vault.Seal(r, alice, "contacts", 4, plain))
		got, err := a.vault.Open(alice, "contacts", 4, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if n > 300 && len(sealed) > n+n/8+64 {
			t.Errorf("%d bytes were padded to %d", n, len(sealed))
		}
		_, err = a.vault.Open(bob, "contacts", 4, sealed)
		wantKind(t, "other user", err, qpq.Denied, "wrong-seal")
		_, err = a.vault.Open(alice, "settings", 4, sealed)
		wantKind(t, "other item", err, qpq.Denied, "wrong-seal")
		_, err = a.vault.Open(alice, "contacts", 5, sealed)
		wantKind(t, "older version", err, qpq.Denied, "wrong-seal")
	}
	one, two := must(a.vault.Seal(r, alice, "c", 1, []byte("a"))), must(a.vault.Seal(r, alice, "c", 1, []byte("longer")))
	if len(one) != len(two) {
		t.Error("short items tell their length")
	}
	_, err := a.vault.Open(alice, "c", 1, one[:20])
	wantKind(t, "short", err, qpq.Invalid, "malformed-seal")
}

func TestSealTo(t *testing.T) {
	a := newAccount("alice")
	sealed := must(SealTo(a.state, "access key", "channel 1", []byte("hello")))
	if got, err := a.vault.OpenSealed(alice, "access key", "channel 1", sealed); err != nil || string(got) != "hello" {
		t.Errorf("OpenSealed: %q, %v", got, err)
	}
	_, err := a.vault.OpenSealed(alice, "access key", "channel 2", sealed)
	wantKind(t, "other context", err, qpq.Denied, "not-for-this-key")
}

// TestUnprintable writes every secret in every way there is, and looks for its bytes.
func TestUnprintable(t *testing.T) {
	r := &stream{name: "secrets"}
	a := newAccount("alice")
	secrets := map[string]struct {
		value any
		bytes []byte
	}{
		"account":  {a.key, a.key.b},
		"device":   {a.device, a.device.b[1:33]},
		"vault":    {a.vault, a.vault.b},
		"password": {passwordKey(1, nil), passwordKey(1, nil).b},
		"recovery": {must(NewRecoveryCode(r)), nil},
		"link":     {must(NewLinkCode(r)), nil},
	}
	for name, s := range secrets {
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s.value)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s.value)
		out := log.String()
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			out += fmt.Sprintf(verb, s.value)
		}
		for _, form := range []string{"%x", "%d", "%v"} {
			if len(s.bytes) > 0 && strings.Contains(out, strings.Trim(fmt.Sprintf(form, s.bytes), "[]")) {
				t.Errorf("%s was printed", name)
			}
		}
		if strings.Count(out, redacted) < 7 {
			t.Errorf("%s: %s", name, out)
		}
		if b, err := json.Marshal(s.value); err == nil {
			t.Errorf("%s as JSON: %s", name, b)
		}
	}
	a.key.Wipe()
	if !bytes.Equal(a.key.b, make([]byte, 32)) {
		t.Error("a wiped key is still there")
	}
}
