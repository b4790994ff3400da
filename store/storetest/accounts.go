package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

func testMeta(t *testing.T, e store.Engine) {
	_, err := store.Open(t.Context(), e, store.Config{Now: Epoch})
	wantKind(t, err, qpq.Invalid, "no-domain")
	s := Open(t, e)
	m, err := s.Meta(t.Context())
	ok(t, err)
	if m.Domain != Domain || !m.Created.Equal(Epoch) || m.Schema < 1 {
		t.Errorf("meta is %+v", m)
	}
	later := store.Config{Domain: Domain, Now: Epoch.Add(time.Hour)}
	again, err := store.Open(t.Context(), e, later)
	ok(t, err)
	if m2, err := again.Meta(t.Context()); err != nil || m2 != m {
		t.Errorf("meta after the second start is %+v, %v, want %+v", m2, err, m)
	}
	if again, err = store.Open(t.Context(), e, store.Config{Now: Epoch}); err != nil || again.Domain() != Domain {
		t.Errorf("a domain left out became %q, %v", again.Domain(), err)
	}
	_, err = store.Open(t.Context(), e, store.Config{Domain: "other.org", Now: Epoch})
	wantKind(t, err, qpq.Invalid, "domain-changed")
	for _, domain := range []string{Domain, "other.org"} {
		if !strings.Contains(err.Error(), domain) {
			t.Errorf("the error %q does not name %s", err, domain)
		}
	}
}

func testRegister(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	_, err := s.Account(ctx, "alice")
	wantKind(t, err, qpq.NotFound, "no-account")

	a, err := s.Register(ctx, registration("alice"))
	ok(t, err)
	want := store.Account{Name: "alice", Admin: true, Record: store.Record("record of alice"), Created: Epoch}
	if d := cmp.Diff(want, a); d != "" {
		t.Errorf("the first account (-want +got):\n%s", d)
	}
	got, err := s.Account(ctx, "alice")
	ok(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the account read back (-want +got):\n%s", d)
	}
	b, err := s.Register(ctx, registration("bob"))
	ok(t, err)
	if b.Admin {
		t.Error("the second account is an administrator")
	}
	_, err = s.Register(ctx, registration("alice"))
	wantKind(t, err, qpq.Exists, "name-taken")
	if n, err := s.CountAccounts(ctx); n != 2 || err != nil {
		t.Errorf("%d accounts, %v", n, err)
	}

	// What fails at its last step leaves nothing.
	carol := registration("carol")
	carol.Vault = []store.VaultItem{{Name: "vault", Version: 7, Value: []byte("x")}}
	_, err = s.Register(ctx, carol)
	wantKind(t, err, qpq.Conflict, "vault-moved")
	_, err = s.Account(ctx, "carol")
	wantKind(t, err, qpq.NotFound, "no-account")
	register(t, s, "carol")
}

func testTombstone(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	register(t, s, "alice")
	later := Epoch.Add(time.Hour)
	_, err := s.DeleteAccount(ctx, "alice", later, month)
	ok(t, err)
	_, err = s.Account(ctx, "alice")
	wantKind(t, err, qpq.NotFound, "account-erased")
	_, err = s.Register(ctx, registration("alice"))
	wantKind(t, err, qpq.Exists, "name-taken")
	_, err = s.DeleteAccount(ctx, "alice", later, month)
	wantKind(t, err, qpq.NotFound, "no-account")
	wantKind(t, s.ChangeAccount(ctx, store.AccountChange{Name: "alice"}), qpq.NotFound, "account-erased")
	_, err = s.LatestState(ctx, "alice")
	wantKind(t, err, qpq.NotFound, "no-account")

	// The first registrant was the administrator; nobody inherits that.
	b, err := s.Register(ctx, registration("bob"))
	if err != nil || b.Admin {
		t.Errorf("bob: %+v, %v", b, err)
	}
}

// testErasureIsComplete fills every table, erases, and looks for the account in all of them.
func testErasureIsComplete(t *testing.T, e store.Engine) {
	s, ctx := openWith(t, e, contents(t)), t.Context()
	for _, name := range []string{"alice", "bob"} {
		register(t, s, name)
		ok(t, s.AddKeyPackages(ctx, name, qpq.DeviceID{1}, []store.KeyPackage{{Ref: []byte(name), Expires: Epoch.Add(time.Hour)}}, many))
	}
	ch := newChannel(t, s, 1, "alice", "bob")
	ch.say(1, "alice", "hello")
	for _, name := range []string{"alice", "bob"} {
		upload(t, s, newFile(ch, name, 100))
	}

	tables := accountTables(t, e)
	if len(tables) < 9 {
		t.Fatalf("only %v have a column account", tables)
	}
	count := func(table, name string) (n int64) {
		ok(t, e.View(ctx, func(tx store.Tx) error {
			return tx.Query(func(r store.Row) error { return r.Scan(&n) }, `SELECT count(*) FROM `+table+` WHERE account = $1`, name)
		}))
		return n
	}
	for _, table := range tables {
		if count(table, "alice") == 0 && table != "leaving" { // which the erasure itself fills
			t.Errorf("the test puts nothing into %s", table)
		}
	}
	_, err := s.DeleteAccount(ctx, "alice", Epoch, month)
	ok(t, err)
	for _, table := range tables {
		if n := count(table, "alice"); n != 0 {
			t.Errorf("%d rows of alice are left in %s", n, table)
		}
		if count(table, "bob") == 0 && table != "leaving" {
			t.Errorf("bob lost rows of %s", table)
		}
	}
}

// accountTables asks the schema, in either backend's words, which tables have a column account.
func accountTables(t *testing.T, e store.Engine) (tables []string) {
	t.Helper()
	read := func(query string) error {
		return e.View(t.Context(), func(tx store.Tx) error {
			tables = nil
			return tx.Query(func(r store.Row) error {
				var name string
				err := r.Scan(&name)
				tables = append(tables, name)
				return err
			}, query)
		})
	}
	err := read(`SELECT m.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' AND c.name = 'account'`)
	if err != nil {
		err = read(`SELECT table_name::text FROM information_schema.columns WHERE column_name = 'account' AND table_schema = current_schema()`)
	}
	ok(t, err)
	return tables
}

func testChangeAccount(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	register(t, s, "alice")
	second := device(2)
	ok(t, s.ChangeAccount(ctx, store.AccountChange{
		Name: "alice", State: &store.AccountState{Version: 2, Hash: []byte("h2"), State: []byte("s2")}, Enrol: &second,
		Vault: []store.VaultItem{{Name: "wrap/2", Value: []byte("w")}}, MaxDevices: 2, Now: Epoch,
	}))

	// A change that fails at any step changes nothing.
	third := device(3)
	before := snapshot(t, s, "alice")
	for _, c := range []struct {
		change store.AccountChange
		kind   qpq.Kind
		code   string
	}{
		{store.AccountChange{State: &store.AccountState{Version: 2}}, qpq.Conflict, "state-moved"},
		{store.AccountChange{State: &store.AccountState{Version: 4}}, qpq.Conflict, "state-moved"},
		{store.AccountChange{Enrol: &second}, qpq.Exists, "device-enrolled"},
		{store.AccountChange{Enrol: &third, MaxDevices: 2}, qpq.Exhausted, "too-many-devices"},
		{store.AccountChange{Revoke: []qpq.DeviceID{{9}}}, qpq.NotFound, "no-device"},
		{store.AccountChange{Certificates: map[qpq.DeviceID][]byte{{9}: {1}}}, qpq.NotFound, "no-device"},
		{store.AccountChange{Revoke: []qpq.DeviceID{{2}}, Certificates: map[qpq.DeviceID][]byte{{2}: {1}}}, qpq.NotFound, "no-device"},
		{store.AccountChange{Vault: []store.VaultItem{{Name: "account-key", Version: 1, Value: []byte("new")}, {Name: "vault", Version: 2, Value: []byte("y")}}}, qpq.Conflict, "vault-moved"},
	} {
		c.change.Name, c.change.Record, c.change.Now = "alice", store.Record("new"), Epoch
		wantKind(t, s.ChangeAccount(ctx, c.change), c.kind, c.code)
		if d := cmp.Diff(before, snapshot(t, s, "alice")); d != "" {
			t.Fatalf("%s changed something:\n%s", c.code, d)
		}
	}
}

// testRevocation revokes with rotation: a new state, new certificates, a new vault, no access for the device.
func testRevocation(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	register(t, s, "alice")
	second, third := device(2), device(3)
	ok(t, s.ChangeAccount(ctx, store.AccountChange{
		Name: "alice", Enrol: &second, Vault: []store.VaultItem{{Name: "wrap/2", Value: []byte("w")}}, MaxDevices: 2, Now: Epoch,
	}))
	ok(t, s.ChangeAccount(ctx, store.AccountChange{
		Name: "alice", Record: store.Record("r3"), State: &store.AccountState{Version: 2, Hash: []byte("h3"), State: []byte("s3")},
		Revoke: []qpq.DeviceID{{2}}, Certificates: map[qpq.DeviceID][]byte{{1}: []byte("c3")}, Now: Epoch.Add(time.Minute),
		Vault: []store.VaultItem{{Name: "wrap/2", Version: 1}, {Name: "vault", Version: 1, Value: []byte("v3")}},
	}))
	after := snapshot(t, s, "alice")
	if string(after.Account.Record) != "r3" || len(after.States) != 2 || string(after.Devices[0].Certificate) != "c3" ||
		!after.Devices[1].Revoked.Equal(Epoch.Add(time.Minute)) || len(after.Vault) != 2 || after.Vault[1].Version != 2 {
		t.Errorf("after the revocation: %+v", after)
	}
	ok(t, s.ChangeAccount(ctx, store.AccountChange{Name: "alice", Enrol: &third, MaxDevices: 2, Now: Epoch})) // revoked ones do not count
}

// state is all that the contract tells of one account.
type state struct {
	Account store.Account
	States  []store.AccountState
	Devices []store.Device
	Vault   []store.VaultItem
}

func snapshot(t *testing.T, s *store.Store, name string) (st state) {
	t.Helper()
	var err error
	st.Account, err = s.Account(t.Context(), name)
	ok(t, err)
	st.States, err = s.States(t.Context(), name, 1, 1000)
	ok(t, err)
	st.Devices, err = s.Devices(t.Context(), name)
	ok(t, err)
	st.Vault, err = s.Vault(t.Context(), name)
	ok(t, err)
	return st
}
