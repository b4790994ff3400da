package opaque_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/quicproquo/qpq/opaque"
)

// config stretches nothing, so that tests are fast; one test has the real cost.
var config = opaque.Configuration{Context: []byte("test"), KSF: opaque.Identity}

var ids = opaque.Identities{Client: []byte("alice"), Server: []byte("example.org")}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newServer(t testing.TB, c opaque.Configuration) *opaque.Server {
	return opaque.NewServer(c, must(opaque.NewServerSetup(c))(t))
}

func register(t testing.TB, c opaque.Configuration, s *opaque.Server, password string) *opaque.Registered {
	t.Helper()
	r, request, err := opaque.StartRegistration(c, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	response := must(s.RegistrationResponse(request, []byte("alice")))(t)
	return must(r.Finish(response, ids))(t)
}

// login runs a login and returns what both sides say.
func login(t testing.TB, c opaque.Configuration, s *opaque.Server, record []byte, password string) (*opaque.LoggedIn, []byte, error) {
	t.Helper()
	l, ke1, err := opaque.StartLogin(c, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	state, ke2, err := s.StartLogin(record, ke1, []byte("alice"), ids)
	if err != nil {
		t.Fatal(err)
	}
	result, err := l.Finish(ke2, ids)
	if err != nil {
		return nil, nil, err
	}
	key, err := state.Finish(result.KE3)
	return result, key, err
}

func TestLogin(t *testing.T) {
	s := newServer(t, config)
	r := register(t, config, s, "secret")
	result, key, err := login(t, config, s, r.Record, "secret")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(key, result.SessionKey) || !bytes.Equal(r.ExportKey, result.ExportKey) || !bytes.Equal(r.ServerPublicKey, result.ServerPublicKey) {
		t.Error("the sides disagree")
	}
	again, _, err := login(t, config, s, r.Record, "secret")
	if err != nil || bytes.Equal(again.SessionKey, result.SessionKey) {
		t.Errorf("a second login: %v, or the same session key", err)
	}
	if _, _, err := login(t, config, s, r.Record, "Secret"); !errors.Is(err, opaque.ErrPassword) {
		t.Errorf("wrong password: %v", err)
	}
}

// TestRealCost runs the key-stretching function that is used in production.
func TestRealCost(t *testing.T) {
	c := opaque.Configuration{Context: []byte("test")}
	s := newServer(t, c)
	r := register(t, c, s, "secret")
	if _, _, err := login(t, c, s, r.Record, "secret"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := login(t, config, s, r.Record, "secret"); !errors.Is(err, opaque.ErrPassword) {
		t.Errorf("with another key-stretching function: %v", err)
	}
}

// TestUnknownUser shows that the answer for a name that is not registered has the same form, is steady
// for the name, and fails like a wrong password.
func TestUnknownUser(t *testing.T) {
	s := newServer(t, config)
	r := register(t, config, s, "secret")
	l, ke1, err := opaque.StartLogin(config, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	_, known, err := s.StartLogin(r.Record, ke1, []byte("alice"), ids)
	if err != nil {
		t.Fatal(err)
	}
	_, unknown, err := s.StartLogin(nil, ke1, []byte("alice"), ids)
	if err != nil || len(unknown) != len(known) {
		t.Fatalf("%d bytes where a known name gives %d: %v", len(unknown), len(known), err)
	}
	if !bytes.Equal(unknown[:32], known[:32]) {
		t.Error("the evaluated element tells whether the name is known")
	}
	_, again, err := s.StartLogin(nil, ke1, []byte("alice"), ids)
	if err != nil || bytes.Equal(again[32:64], unknown[32:64]) {
		t.Errorf("the masking nonce repeats: %v", err)
	}
	if _, err := l.Finish(unknown, ids); !errors.Is(err, opaque.ErrPassword) {
		t.Errorf("login of an unknown name: %v", err)
	}
}

// TestTampering changes each byte of each message.
func TestTampering(t *testing.T) {
	s := newServer(t, config)
	r := register(t, config, s, "secret")
	l, ke1, err := opaque.StartLogin(config, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	state, ke2, err := s.StartLogin(r.Record, ke1, []byte("alice"), ids)
	if err != nil {
		t.Fatal(err)
	}
	saved := state.Marshal()
	result := must(l.Finish(ke2, ids))(t)
	for i := range result.KE3 {
		bad := bytes.Clone(result.KE3)
		bad[i] ^= 1
		again := must(opaque.ParseServerLogin(config, saved))(t)
		if _, err := again.Finish(bad); !errors.Is(err, opaque.ErrPassword) {
			t.Fatalf("KE3 with byte %d changed: %v", i, err)
		}
	}
	for i := range ke2 {
		l, ke1, err := opaque.StartLogin(config, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		_, ke2, err := s.StartLogin(r.Record, ke1, []byte("alice"), ids)
		if err != nil {
			t.Fatal(err)
		}
		ke2[i] ^= 1
		if _, err := l.Finish(ke2, ids); !errors.Is(err, opaque.ErrPassword) && !errors.Is(err, opaque.ErrMessage) {
			t.Fatalf("KE2 with byte %d changed: %v", i, err)
		}
	}
}

func TestOtherIdentities(t *testing.T) {
	s := newServer(t, config)
	r := register(t, config, s, "secret")
	for _, other := range []opaque.Identities{{}, {Client: ids.Client}, {Client: []byte("bob"), Server: ids.Server}} {
		l, ke1, err := opaque.StartLogin(config, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		_, ke2, err := s.StartLogin(r.Record, ke1, []byte("alice"), ids)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Finish(ke2, other); !errors.Is(err, opaque.ErrPassword) {
			t.Errorf("identities %q and %q: %v", other.Client, other.Server, err)
		}
	}
}

func TestUsedTwice(t *testing.T) {
	s := newServer(t, config)
	r, request, err := opaque.StartRegistration(config, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	response := must(s.RegistrationResponse(request, []byte("alice")))(t)
	record := must(r.Finish(response, ids))(t).Record
	if _, err := r.Finish(response, ids); !errors.Is(err, opaque.ErrState) {
		t.Errorf("registration: %v", err)
	}
	l, ke1, err := opaque.StartLogin(config, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	state, ke2, err := s.StartLogin(record, ke1, []byte("alice"), ids)
	if err != nil {
		t.Fatal(err)
	}
	result := must(l.Finish(ke2, ids))(t)
	if _, err := l.Finish(ke2, ids); !errors.Is(err, opaque.ErrState) {
		t.Errorf("client: %v", err)
	}
	must(state.Finish(result.KE3))(t)
	if _, err := state.Finish(result.KE3); !errors.Is(err, opaque.ErrState) {
		t.Errorf("server: %v", err)
	}
}

// TestBadPoints gives the identity, points off the curve and points in a second encoding where a point is
// expected.
func TestBadPoints(t *testing.T) {
	s := newServer(t, config)
	identity := make([]byte, 32)
	notCanonical := bytes.Repeat([]byte{0xff}, 32)
	negative := append([]byte{1}, make([]byte, 31)...)
	for name, bad := range map[string][]byte{"identity": identity, "not canonical": notCanonical, "negative": negative, "short": identity[:31]} {
		if _, err := s.RegistrationResponse(bad, []byte("alice")); !errors.Is(err, opaque.ErrMessage) {
			t.Errorf("%s as a request: %v", name, err)
		}
		_, ke1, err := opaque.StartLogin(config, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		blinded := append(bytes.Clone(bad), ke1[32:]...)
		if _, _, err := s.StartLogin(nil, blinded, []byte("alice"), ids); !errors.Is(err, opaque.ErrMessage) {
			t.Errorf("%s in KE1: %v", name, err)
		}
		keyshare := append(bytes.Clone(ke1[:64]), bad...)
		if _, _, err := s.StartLogin(nil, keyshare, []byte("alice"), ids); !errors.Is(err, opaque.ErrMessage) {
			t.Errorf("%s as a key share: %v", name, err)
		}
		r, _, err := opaque.StartRegistration(config, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Finish(append(bytes.Clone(bad), make([]byte, 32)...), ids); !errors.Is(err, opaque.ErrMessage) {
			t.Errorf("%s in a response: %v", name, err)
		}
		if err := s.CheckRecord(append(bytes.Clone(bad), make([]byte, 160)...)); !errors.Is(err, opaque.ErrMessage) {
			t.Errorf("%s in a record: %v", name, err)
		}
	}
}

func TestSetup(t *testing.T) {
	setup := must(opaque.NewServerSetup(config))(t)
	encoded := setup.Marshal()
	if len(encoded) != 128 {
		t.Fatalf("%d bytes", len(encoded))
	}
	s := opaque.NewServer(config, setup)
	r := register(t, config, s, "secret")
	again := must(opaque.ParseServerSetup(config, encoded))(t)
	if _, _, err := login(t, config, opaque.NewServer(config, again), r.Record, "secret"); err != nil {
		t.Errorf("after parsing the setup: %v", err)
	}
	for n := range encoded {
		if _, err := opaque.ParseServerSetup(config, encoded[:n]); !errors.Is(err, opaque.ErrMessage) {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
	}
	zero := bytes.Clone(encoded)
	clear(zero[64:96])
	if _, err := opaque.ParseServerSetup(config, zero); !errors.Is(err, opaque.ErrMessage) {
		t.Errorf("private key zero: %v", err)
	}
}

// TestSecretsDoNotPrint looks for secrets in everything that fmt, slog and JSON make of the states, also
// where they are fields that nobody exported.
func TestSecretsDoNotPrint(t *testing.T) {
	setup := must(opaque.NewServerSetup(config))(t)
	s := opaque.NewServer(config, setup)
	reg, _, err := opaque.StartRegistration(config, []byte("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	l, ke1, err := opaque.StartLogin(config, []byte("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	state, _, err := s.StartLogin(nil, ke1, []byte("alice"), ids)
	if err != nil {
		t.Fatal(err)
	}
	var secrets [][]byte
	for _, b := range [][]byte{setup.Marshal(), state.Marshal(), []byte("hunter2")} {
		secrets = append(secrets, b[:min(len(b), 7)])
	}
	for _, v := range []any{setup, *setup, s, reg, *reg, l, *l, state, *state} {
		nested := struct{ inner any }{v}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v, "nested", nested)
		encoded, _ := json.Marshal(v)
		var deep struct {
			setup opaque.ServerSetup
			login opaque.ClientLogin
		}
		deep.setup, deep.login = *setup, *l
		out := fmt.Sprintf("%v %+v %#v %s %q %x %v %+v %s %#v", v, v, v, v, v, v, nested, nested, deep, deep) + log.String() + string(encoded)
		for _, secret := range secrets {
			for _, form := range []string{string(secret), fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprint(secret), "[]")} {
				if strings.Contains(out, form) {
					t.Errorf("%T shows a secret in %.200s", v, out)
				}
			}
		}
	}
}

func FuzzServer(f *testing.F) {
	s := newServer(f, config)
	r := register(f, config, s, "secret")
	_, ke1, err := opaque.StartLogin(config, []byte("secret"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ke1)
	f.Add(r.Record)
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _, _ = s.StartLogin(nil, data, []byte("alice"), ids)
		_, _, _ = s.StartLogin(data, ke1, []byte("alice"), ids)
		_, _ = s.RegistrationResponse(data, []byte("alice"))
		_ = s.CheckRecord(data)
		_, _ = opaque.ParseServerSetup(config, data)
		if state, err := opaque.ParseServerLogin(config, data); err == nil {
			_, _ = state.Finish(data)
		}
	})
}

func FuzzClient(f *testing.F) {
	s := newServer(f, config)
	r := register(f, config, s, "secret")
	_, ke1, err := opaque.StartLogin(config, []byte("secret"))
	if err != nil {
		f.Fatal(err)
	}
	_, ke2, err := s.StartLogin(r.Record, ke1, []byte("alice"), ids)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ke2)
	f.Fuzz(func(t *testing.T, data []byte) {
		l, _, err := opaque.StartLogin(config, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Finish(data, ids); err == nil {
			t.Fatal("a forged KE2 was accepted")
		}
		reg, _, err := opaque.StartRegistration(config, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = reg.Finish(data, ids)
	})
}

func BenchmarkLogin(b *testing.B) {
	s := newServer(b, config)
	r := register(b, config, s, "secret")
	b.Run("client", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := login(b, config, s, r.Record, "secret"); err != nil {
				b.Fatal(err)
			}
		}
	})
	_, ke1, err := opaque.StartLogin(config, []byte("secret"))
	if err != nil {
		b.Fatal(err)
	}
	for name, record := range map[string][]byte{"server, known": r.Record, "server, unknown": nil} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := s.StartLogin(record, ke1, []byte("alice"), ids); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func Example() {
	c := opaque.Configuration{Context: []byte("example-v1"), KSF: opaque.Identity} // leave KSF out, to be safe
	setup, _ := opaque.NewServerSetup(c)
	server := opaque.NewServer(c, setup)
	names := opaque.Identities{Client: []byte("alice"), Server: []byte("example.org")}

	registration, request, _ := opaque.StartRegistration(c, []byte("correct horse"))
	response, _ := server.RegistrationResponse(request, []byte("alice"))
	registered, _ := registration.Finish(response, names) // the server stores registered.Record

	login, ke1, _ := opaque.StartLogin(c, []byte("correct horse"))
	state, ke2, _ := server.StartLogin(registered.Record, ke1, []byte("alice"), names)
	client, err := login.Finish(ke2, names)
	if err != nil {
		fmt.Println("wrong password")
		return
	}
	key, _ := state.Finish(client.KE3)
	fmt.Println("same session key:", bytes.Equal(key, client.SessionKey))
	fmt.Println("same export key:", bytes.Equal(registered.ExportKey, client.ExportKey))
	// Output:
	// same session key: true
	// same export key: true
}
