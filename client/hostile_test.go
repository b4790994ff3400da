package client_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// lies are what a hostile server answers to methods, by ordinal, instead of what the real one would.
type lies map[uint16]func() (status uint16, payload []byte)

func answer(v any) func() (uint16, []byte) {
	return func() (uint16, []byte) {
		switch v := v.(type) {
		case error:
			return wire.EncodeError(v)
		case wire.AccountLookupReply:
			return 0, must(wire.Marshal(v))
		case wire.AuthenticateReply:
			return 0, must(wire.Marshal(v))
		}
		panic("unknown lie")
	}
}

// lying is a dialer that leads to a server which lies.
func (s *server) lying(l lies) client.Dialer {
	return func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
		conn, err := s.dial(ctx, address, verify)
		return lyingConn{conn, l}, err
	}
}

type lyingConn struct {
	transport.Conn
	lies lies
}

func (c lyingConn) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Open(ctx)
	return &lyingStream{Stream: s, lies: c.lies}, err
}

type lyingStream struct {
	transport.Stream
	lies  lies
	reply []byte
}

func (s *lyingStream) Write(b []byte) (int, error) {
	if len(b) >= 8 {
		if lie := s.lies[binary.LittleEndian.Uint16(b[4:])]; lie != nil {
			status, payload := lie()
			s.reply = binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
			s.reply = binary.LittleEndian.AppendUint16(s.reply, status)
			s.reply = append(append(s.reply, 0, 0), payload...)
			return len(b), nil
		}
	}
	return s.Stream.Write(b)
}

func (s *lyingStream) Read(b []byte) (int, error) {
	if len(s.reply) > 0 {
		n := copy(b, s.reply)
		s.reply = s.reply[n:]
		return n, nil
	}
	return s.Stream.Read(b)
}

var (
	lookup       = wire.AccountLookup{}.Method().Ordinal
	authenticate = wire.Authenticate{}.Method().Ordinal
)

func TestAServerThatShowsNoAccount(t *testing.T) {
	s := newServer(t, nil)
	s.device(t).register("alice")
	d := s.device(t)
	d.reopen(s.lying(lies{lookup: answer(wire.AccountLookupReply{})}))
	_, err := d.Login(t.Context(), "alice", with(secret), "")
	wants(t, err, qpq.Invalid, "bad-chain")
}

func TestAServerThatCountsWrongly(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	d.register("alice")
	for _, counter := range []uint64{0, 1 << 63, 1<<62 + 1} {
		d.reopen(s.lying(lies{authenticate: answer(wire.AuthenticateReply{Counter: counter, Stale: true, StateVersion: 1, KeysVersion: 1})}))
		_, err := d.Whoami(t.Context())
		wants(t, err, qpq.Invalid, "bad-counter")
	}
	d.reopen(s.dial)
	_, err := d.Whoami(t.Context()) // nothing of it was believed
	check(t, err)
}

// TestAServerThatForgetsARevocation shows yesterday's state, with a device that was revoked since, and makes the person log in
// again by refusing the device.
func TestAServerThatForgetsARevocation(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	stolen, err := second.Login(t.Context(), "alice", with(secret), "stolen")
	check(t, err)
	second.close()
	s.Stop()
	yesterday := filepath.Join(t.TempDir(), "qpq.db")
	check(t, sqlite.Copy(s.Path, yesterday))
	s.Start()
	check(t, first.RevokeDevice(t.Context(), stolen.Device, with(secret)))
	known := must(first.profile.Account()).State
	s.Stop()
	s.Path = yesterday
	s.Start()
	refuse := qpq.E(qpq.Denied, wire.CodeDeviceUnknown, "who are you?")
	first.reopen(s.lying(lies{authenticate: answer(refuse)}))
	_, err = first.Login(t.Context(), "alice", with(secret), "again")
	wants(t, err, qpq.Damaged, "rolled-back")
	if state := must(first.profile.Contact(known.User)); state == nil || state.Version != known.Version {
		t.Errorf("the profile knows %+v", state)
	}
	second.open(s.dial)
}

func TestTextOfServersIsPrintable(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	d.reopen(s.lying(lies{wire.ServerInfo{}.Method().Ordinal: answer(qpq.E(qpq.Denied, "x\x1b[2J", "\x1b]52;c;aGk=\x07all\r\nis \u009bwell"))}))
	_, err := d.Whoami(t.Context())
	if err == nil || strings.ContainsAny(err.Error()+qpq.CodeOf(err), "\x1b\x07\r\u009b") || !strings.Contains(err.Error(), "all is well") {
		t.Errorf("got %q", err)
	}
}

// steal returns a connection authenticated with the key of a device, by whoever copied its profile.
func (s *server) steal(t *testing.T, d *device) *transport.Session {
	t.Helper()
	a := must(d.profile.Account())
	conn, err := s.Dial(t.Context(), "", nil)
	check(t, err)
	x := transport.NewSession(conn, transport.SessionConfig{})
	t.Cleanup(func() { _ = x.Close() })
	challenge, err := wire.Call(t.Context(), x, wire.AuthChallenge{})
	check(t, err)
	statement := identity.Session{Domain: domain, User: a.User, Device: a.Device.ID(), Counter: a.Counter + 1, Nonce: challenge.Nonce}
	_, err = wire.Call(t.Context(), x, wire.Authenticate{User: a.User, Device: a.Device.ID(), Counter: a.Counter + 1, Signature: must(a.Device.SignSession(statement))})
	check(t, err)
	return x
}

func TestJunkInTheVaultStopsNoRevocation(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	stolen, err := second.Login(t.Context(), "alice", with(secret), "stolen")
	check(t, err)
	check(t, first.VaultPut(t.Context(), "contacts", []byte("bob"), 0))
	x := s.steal(t, second)
	keys, err := wire.Call(t.Context(), x, wire.VaultKeysGet{})
	check(t, err)
	_, err = wire.Call(t.Context(), x, wire.VaultPut{Item: wire.VaultItem{Name: "x", Version: 1, Sealed: []byte("junk")}, KeysVersion: keys.Keys.Version})
	check(t, err)
	check(t, first.RevokeDevice(t.Context(), stolen.Device, with(secret)))
	if !first.noticed("vault-item-lost") {
		t.Errorf("notices: %v", first.notices)
	}
	if content, _, err := first.VaultGet(t.Context(), "contacts"); err != nil || string(content) != "bob" {
		t.Errorf("the rest of the vault: %q, %v", content, err)
	}
}

// TestNewDevicesAreToldOnce: by whatever call the device is learnt of, and also where the first one to learn cannot tell.
func TestNewDevicesAreToldOnce(t *testing.T) {
	s := newServer(t, nil)
	first := s.device(t)
	first.register("alice")
	first.close()
	_, err := s.device(t).Login(t.Context(), "alice", with(secret), "second")
	check(t, err)
	h, err := profile.OpenHome(first.dir, nil)
	check(t, err)
	p, err := h.Open()
	check(t, err)
	silent := client.New(client.Config{Profile: p, Dial: s.dial, Server: domain}) // shell completion, for instance
	_, err = silent.Devices(t.Context())
	check(t, err)
	check(t, silent.Close())
	check(t, p.Close())
	check(t, h.Close())
	first.open(s.dial)
	_, err = first.Devices(t.Context())
	check(t, err)
	if !first.noticed("device-added") {
		t.Error("nobody was told")
	}
	first.notices = nil
	first.reopen(s.dial)
	_, err = first.Devices(t.Context())
	check(t, err)
	if first.noticed("device-added") {
		t.Error("told twice")
	}
}

func TestTheProfileKeepsWhatIsNewer(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	d.register("alice")
	old := must(d.profile.Account()).State
	_, err := s.device(t).Login(t.Context(), "alice", with(secret), "")
	check(t, err)
	_, err = d.Devices(t.Context())
	check(t, err)
	check(t, d.profile.SetState(old)) // an answer that came late
	if v := must(d.profile.Account()).State.Version; v != 2 {
		t.Errorf("version %d", v)
	}
}
