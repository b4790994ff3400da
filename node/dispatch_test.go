package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/mls/frame"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/wire"
)

// TestAccess calls every method of the contract on connections that proved nothing, the password, a
// device, and an administrator's device. What a method asks for in the contract is what it must get; what
// it gets past that is its own affair.
func TestAccess(t *testing.T) {
	r := newRig(t, nil)
	alice, bob := newPerson("alice"), newPerson("bob")
	admin := r.dial()
	call(admin, alice.registration(admin, wire.Secret{}))
	admin.authenticate(alice, alice.device)
	device := r.dial()
	call(device, bob.registration(device, wire.Secret{}))
	device.authenticate(bob, bob.device)
	password := r.dial()
	password.login(bob)
	lines := map[string]*line{"nothing": r.dial(), "password": password, "device": device, "admin": admin}
	passes := map[wire.Access]map[string]bool{
		wire.AccessPublic:   {"nothing": true, "password": true, "device": true, "admin": true},
		wire.AccessPassword: {"password": true},
		wire.AccessDevice:   {"device": true, "admin": true},
		wire.AccessEither:   {"password": true, "device": true, "admin": true},
		wire.AccessAdmin:    {"admin": true},
	}
	for _, m := range wire.Methods() {
		for proved, l := range lines {
			_, reply := r.dispatch(t.Context(), l.c, m.Ordinal, []byte("no message"))
			e := must(wire.Unmarshal[wire.Error](reply))
			err := wire.DecodeError(e.Kind, reply)
			admitted := qpq.CodeOf(err) == "malformed-message"
			switch {
			case m.Planned:
				if !errors.Is(err, qpq.Unsupported) {
					t.Errorf("%s is planned and answers %v", m.Name, err)
				}
			case admitted != passes[m.Access][proved]:
				t.Errorf("%s with %s: %v (%s)", m.Name, proved, err, qpq.CodeOf(err))
			case !admitted && !errors.Is(err, qpq.Unauthorized) && !errors.Is(err, qpq.Denied):
				t.Errorf("%s with %s: %v", m.Name, proved, err)
			}
		}
	}
}

func TestUnknownMethodsAndAccessAreRefused(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	for _, ordinal := range []uint16{uint16(len(wire.Methods())), 999, 65535} {
		status, reply := r.dispatch(t.Context(), l.c, ordinal, nil)
		if err := wire.DecodeError(status, reply); !errors.Is(err, qpq.Unsupported) {
			t.Errorf("method %d: %v", ordinal, err)
		}
	}
	if err := l.c.allow(wire.Access(99), time.Now()); err == nil {
		t.Error("an access that nobody knows is granted")
	}
	delete(r.methods, 0)
	if r.checkRules() == nil {
		t.Error("a method without a handler was not noticed")
	}
}

func TestOversizedRequests(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	for _, m := range wire.Methods() {
		rule, ok := rules[m.Name]
		if !ok || m.Access != wire.AccessPublic {
			continue
		}
		status, reply := r.dispatch(t.Context(), l.c, m.Ordinal, make([]byte, rule.size+1))
		if err := wire.DecodeError(status, reply); !errors.Is(err, qpq.TooLarge) {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}

func TestPanicCostsItsCall(t *testing.T) {
	var out bytes.Buffer
	r := newRig(t, func(c *Config) { c.Log = slog.New(slog.NewJSONHandler(&out, nil)) })
	delete(r.methods, 0)
	r.methods.Add(wire.Handle(func(context.Context, *conn, wire.Ping) (wire.PingReply, error) { panic("a secret of ours") }))
	l := r.dial()
	refused(l, wire.Ping{}, qpq.Internal, "internal")
	call(l, wire.ServerInfo{})
	if !strings.Contains(out.String(), "a secret of ours") || !strings.Contains(out.String(), "dispatch_test.go") {
		t.Errorf("the log does not say where the panic was: %s", out.String())
	}
}

func TestInternalErrorsStayInside(t *testing.T) {
	r := newRig(t, nil)
	delete(r.methods, 0)
	r.methods.Add(wire.Handle(func(context.Context, *conn, wire.Ping) (wire.PingReply, error) {
		return wire.PingReply{}, errors.New("path /data/secret")
	}))
	l := r.dial()
	_, err := wire.Call(t.Context(), l, wire.Ping{})
	if !errors.Is(err, qpq.Internal) || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

func TestRateLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Limits.AddressRate, c.Limits.AccountRate, c.Limits.Burst = 10, 10, 20 })
		l := r.dial()
		for range 200 {
			call(l, wire.Ping{})
		}
		refused(l, wire.Ping{}, qpq.RateLimited, "rate-limited")
		refused(r.dialFrom("192.0.2.1:2000"), wire.Ping{}, qpq.RateLimited, "rate-limited")
		call(r.dialFrom("192.0.2.2:1000"), wire.Ping{})
		time.Sleep(100 * time.Millisecond)
		call(l, wire.Ping{})
		refused(l, wire.Ping{}, qpq.RateLimited, "rate-limited")

		time.Sleep(time.Minute) // accounts pay for themselves, wherever they come from
		alice := l.register("alice")
		for range 199 {
			r.dispatch(t.Context(), l.c, 0, nil)
		}
		other := r.dialFrom("192.0.2.3:1")
		call(other, wire.Ping{})
		time.Sleep(time.Minute)
		other.authenticate(alice, alice.device)
		for range 200 {
			call(other, wire.Ping{})
		}
		refused(other, wire.Ping{}, qpq.RateLimited, "rate-limited")
	})
}

// TestManyMembersCost: what goes to many accounts costs more of the rate, 1 for each 64 of them.
func TestManyMembersCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Limits.AccountRate, c.Limits.Burst = 10, 20 })
		alice := r.join("alice")
		few, many := r.create(alice, nil), r.create(alice, nil)
		many.take(alice, many.commit(wire.Claim{Slot: 1, Roles: r.crowd(191)}))
		typing := func(x *room, epoch uint64) wire.SendEphemeral {
			return wire.SendEphemeral{Channel: x.id, Payload: private(x.id, epoch, frame.Application, nil, "typing")}
		}
		calls := map[string]func() error{
			"few":         func() error { _, err := wire.Call(t.Context(), alice.line, few.message("x", 0)); return err },
			"many":        func() error { _, err := wire.Call(t.Context(), alice.line, many.message("x", 1)); return err },
			"few typing":  func() error { _, err := wire.Call(t.Context(), alice.line, typing(few, 0)); return err },
			"many typing": func() error { _, err := wire.Call(t.Context(), alice.line, typing(many, 1)); return err },
		}
		for what, want := range map[string]int{"few": 200, "many": 50, "few typing": 200, "many typing": 50} {
			time.Sleep(time.Minute)
			n := 0
			for calls[what]() == nil {
				n++
			}
			if n != want {
				t.Errorf("%s: %d calls, want %d", what, n, want)
			}
		}
	})
}

func TestAddressesShareTheirNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1", "[::ffff:192.0.2.1]:5": "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:5": "2001:db8:1:2::/64", "[fe80::1%eth0]:5": "fe80::/64",
	} {
		if got := addressKey(must(net.ResolveUDPAddr("udp", in))); got != want {
			t.Errorf("%s counts as %s, want %s", in, got, want)
		}
	}
	if addressKey(nil) == "" || addressKey(&net.UnixAddr{Name: "x", Net: "unix"}) != "unix" {
		t.Error("peers without an address")
	}
}

func TestBucketsAreBounded(t *testing.T) {
	b := newBuckets(time.Second, 10*time.Second)
	now := time.Now()
	for i := range maxBuckets + 500 {
		b.take(string(rune(i+0x10000)), 1, now)
	}
	if len(b.earned) > maxBuckets {
		t.Errorf("%d buckets", len(b.earned))
	}
	b.sweep(now.Add(time.Minute))
	if len(b.earned) != 0 {
		t.Errorf("%d buckets that owe nothing are kept", len(b.earned))
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.Connections, c.Limits.AddressConnections = 3, 2 })
	from := func(s string) net.Addr { return must(net.ResolveUDPAddr("udp", s)) }
	a, err := r.connect(&line{}, from("192.0.2.1:1"))
	check(t, err)
	r.dialFrom("192.0.2.1:2")
	if _, err := r.connect(&line{}, from("192.0.2.1:3")); !errors.Is(err, qpq.Unavailable) {
		t.Errorf("a third connection of one address: %v", err)
	}
	r.dialFrom("192.0.2.2:1")
	if _, err := r.connect(&line{}, from("192.0.2.3:1")); !errors.Is(err, qpq.Unavailable) {
		t.Errorf("a fourth connection: %v", err)
	}
	r.disconnect(a)
	b := r.dialFrom("192.0.2.1:3")
	b.register("alice")
	b.hangUp()
	r.dialFrom("192.0.2.1:4").hangUp()
	r.sessions.mu.Lock()
	defer r.sessions.mu.Unlock()
	if len(r.sessions.accounts)+len(r.sessions.names) != 0 || len(r.sessions.all) != 2 || len(r.sessions.addresses) != 2 {
		t.Errorf("what is left of closed connections: %v %v %v", r.sessions.accounts, r.sessions.names, r.sessions.addresses)
	}
}

func TestLogTellsNoNames(t *testing.T) {
	for _, names := range []bool{false, true} {
		var out bytes.Buffer
		r := newRig(t, func(c *Config) {
			c.LogNames = names
			c.Log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		l := r.dialFrom("198.51.100.7:1")
		alice := l.register("alice")
		l.login(alice)
		refused(l, wire.AccountLookup{User: newPerson("bob").user}, qpq.NotFound, wire.CodeUserUnknown)
		log := out.String()
		for _, name := range []string{"alice", "198.51.100.7"} {
			if strings.Contains(log, name) != names {
				t.Errorf("names %v: %q in the log\n%s", names, name, log)
			}
		}
		if strings.Contains(log, "bob") || strings.Contains(log, alice.password) {
			t.Errorf("the log tells too much:\n%s", log)
		}
		var first struct{ Method, Address string }
		if err := json.Unmarshal([]byte(strings.SplitN(log, "\n", 2)[0]), &first); err != nil || first.Method != "registerStart" || first.Address == "" {
			t.Errorf("%+v %v", first, err)
		}
	}
}

// TestEveryCallIsLogged: who called what, and how it ended.
func TestEveryCallIsLogged(t *testing.T) {
	var out bytes.Buffer
	r := newRig(t, func(c *Config) {
		c.LogNames = true
		c.Log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	l := r.dial()
	refused(l, wire.DevicesList{}, qpq.Unauthorized, wire.CodeDeviceNeeded)
	l.register("alice")
	call(l, wire.DevicesList{})
	type entry struct{ Method, Address, User, Kind, Code string }
	var entries []entry
	for d := json.NewDecoder(&out); d.More(); {
		var e entry
		if check(t, d.Decode(&e)); e.Method == "devicesList" {
			entries = append(entries, e)
		}
	}
	want := []entry{
		{"devicesList", "192.0.2.1", "", qpq.Unauthorized.String(), wire.CodeDeviceNeeded},
		{"devicesList", "192.0.2.1", "alice@" + domain, "", ""},
	}
	if !slices.Equal(entries, want) {
		t.Errorf("logged %+v, want %+v", entries, want)
	}
}

func TestStatusPages(t *testing.T) {
	r := newRig(t, nil)
	call(r.dial(), wire.Ping{})
	page := func(path string) (int, string) {
		w := httptest.NewRecorder()
		r.status().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, w.Body.String()
	}
	if code, body := page("/metrics"); code != 200 || !strings.Contains(body, `qpq_calls_total{kind="0",method="ping"} 1`) || !strings.Contains(body, "qpq_connections 1") {
		t.Errorf("%d\n%s", code, body)
	}
	for _, path := range []string{"/health", "/ready"} {
		if code, body := page(path); code != 200 || body != "ok\n" {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	close(r.drained)
	if code, _ := page("/ready"); code != 503 {
		t.Errorf("a draining server is ready: %d", code)
	}
	if code, _ := page("/health"); code != 200 {
		t.Errorf("a draining server is ill: %d", code)
	}
	refused(r.dialAnyway(), wire.Ping{}, qpq.Unavailable, wire.CodeDraining)
}

// dialAnyway is dial for a server that takes no connections any more.
func (r *rig) dialAnyway() *line {
	l := &line{r: r}
	l.c = &conn{session: l, address: "x"}
	return l
}

// FuzzDispatch sends arbitrary bytes to every method, on connections with all rights and with none. No
// panic may happen, contained or not, and every answer must be readable.
func FuzzDispatch(f *testing.F) {
	r := newRig(f, nil)
	l := r.dial()
	alice := l.register("alice")
	nobody := r.dial()
	seed := func(method uint16, b []byte, err error) {
		check(f, err)
		f.Add(method, b)
	}
	_, ke1, _ := opaque.StartLogin(l.opaque(), []byte("x"))
	add := func(m wire.Method, b []byte, err error) { seed(m.Ordinal, b, err) }
	b, err := wire.Marshal(wire.Ping{Data: []byte("x")})
	add(wire.Ping{}.Method(), b, err)
	b, err = wire.Marshal(wire.LoginStart{User: alice.user, KE1: ke1})
	add(wire.LoginStart{}.Method(), b, err)
	b, err = wire.Marshal(wire.AccountPublish{State: alice.state().Bytes(), Keys: &alice.keys})
	add(wire.AccountPublish{}.Method(), b, err)
	b, err = wire.Marshal(put("x", 1, 1, "x"))
	add(wire.VaultPut{}.Method(), b, err)
	b, err = wire.Marshal(wire.KeyPackagesUpload{Packages: []wire.KeyPackage{keyPackage(1, "x")}})
	add(wire.KeyPackagesUpload{}.Method(), b, err)
	f.Fuzz(func(t *testing.T, method uint16, request []byte) {
		for _, c := range []*conn{l.c, nobody.c} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			status, reply := r.dispatch(ctx, c, method, request)
			cancel()
			if status == 0 {
				continue
			}
			if err := wire.DecodeError(status, reply); errors.Is(err, qpq.Internal) {
				t.Errorf("method %d: %v", method, err)
			}
		}
	})
}
