package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "github.com/ncruces/go-sqlite3/driver" // makes the database that ejabberd wants to find
)

// archive is where ejabberd keeps accounts and messages.
type archive int

const (
	postgresArchive archive = iota
	sqliteArchive
)

func ejabberdPeer(name string, where archive) peer {
	p := peer{name: name, ack: "stream management (XEP-0198) of the sender's connection, asked for with each message",
		source:   "docs.ejabberd.im, mod_mam and mod_stream_mgmt",
		programs: []string{"erl", "ejabberdctl", "strace"},
		version:  func(string) string { return debian("ejabberd") },
		open:     func(s site) server { return &ejabberd{site: s, where: where} }}
	switch where {
	case postgresArchive:
		p.what = "XMPP over TLS, archive of both sides on PostgreSQL"
		p.durable = "after the sender's copy is committed with synchronous_commit; the receiver's copy has a commit of its own, which the acknowledgement does not wait for"
		p.programs = append(p.programs, "initdb", "postgres", "psql", "createdb")
		p.version = func(string) string { return debian("ejabberd") + " with PostgreSQL " + debian("postgresql-15") }
	case sqliteArchive:
		p.what = "XMPP over TLS, archive of both sides on SQLite"
		p.durable = "after the sender's copy is committed to a rollback journal with synchronous full, SQLite's default; the receiver's copy has a commit of its own"
	}
	return p
}

// debian returns the version of an installed package.
func debian(name string) string {
	v, err := output(context.Background(), "", "dpkg-query", "-W", "-f=${Version}", name)
	if err != nil {
		return "of unknown version"
	}
	return v
}

// ejabberd is run without ejabberdctl and without a name for its Erlang node, so that it shares nothing with another on this machine.
type ejabberd struct {
	site
	where    archive
	port     int
	database postgres
}

const ejabberdSettings = `hosts: [localhost]
loglevel: error
certfiles: [%[1]s/both.pem]
listen:
  - {port: %[2]d, ip: "127.0.0.1", module: ejabberd_c2s, tls: true, backlog: 4096, shaper: none}
auth_method: [sql]
auth_password_format: plain
default_db: sql
%[3]s
modules:
  mod_disco: {}
  mod_mam: {default: always, db_type: sql}
  mod_offline: {db_type: sql}
  mod_ping: {}
  mod_roster: {}
  mod_stream_mgmt: {}
`

func (e *ejabberd) settings() []string {
	list := []string{"modules disco, mam (default: always), offline, ping, roster, stream_mgmt; tls: true; shaper: none; SASL PLAIN on passwords in SQL",
		"erl +K true +P 250000 +Q 65536, as ejabberdctl starts it, without a node name"}
	if e.where == postgresArchive {
		return append(list, "PostgreSQL: a cluster of its own by initdb, all settings stock (fsync on, synchronous_commit on), loopback TCP; ejabberd's pool of 10 connections")
	}
	return append(list, "SQLite: ejabberd's own, stock")
}

func (e *ejabberd) prepare(ctx context.Context) error {
	var err error
	if e.port, err = freePort(); err != nil {
		return err
	}
	if err := e.certify(); err != nil {
		return err
	}
	users := fmt.Sprintf("INSERT INTO users (username, password) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i < %d) SELECT 'user' || i, '%s' FROM n",
		e.users-1, xmppPassword)
	var where string
	if e.where == postgresArchive {
		where, err = e.onPostgres(ctx, users)
	} else {
		where, err = e.onSQLite(ctx, users)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(e.path("ejabberd.yml"), fmt.Appendf(nil, ejabberdSettings, e.dir, e.port, where), 0o600)
}

const ejabberdSchemas = "/usr/share/ejabberd/sql/"

func (e *ejabberd) onPostgres(ctx context.Context, users string) (string, error) {
	e.database = postgres{dir: e.path("postgresql")}
	if err := e.database.prepare(ctx); err != nil {
		return "", err
	}
	p := &processes{}
	defer p.stop()
	if err := e.database.start(ctx, p); err != nil {
		return "", err
	}
	schema, err := os.ReadFile(ejabberdSchemas + "pg.sql")
	if err == nil {
		err = e.database.execute(ctx, string(schema)+";\n"+users+";\n")
	}
	return fmt.Sprintf("sql_type: pgsql\nsql_server: \"127.0.0.1\"\nsql_port: %d\nsql_database: postgres\nsql_username: postgres\nsql_password: none", e.database.port), err
}

func (e *ejabberd) onSQLite(ctx context.Context, users string) (_ string, err error) {
	path := e.path("ejabberd.db")
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	schema, err := os.ReadFile(ejabberdSchemas + "lite.sql")
	if err != nil {
		return "", err
	}
	for _, statements := range []string{string(schema), users} {
		if _, err := db.ExecContext(ctx, statements); err != nil {
			return "", err
		}
	}
	return "sql_type: sqlite\nsql_database: " + path, nil
}

func (e *ejabberd) start(ctx context.Context) (*processes, error) {
	p := &processes{}
	if e.where == postgresArchive {
		if err := e.database.start(ctx, p); err != nil {
			p.stop()
			return nil, err
		}
	}
	code, err := ejabberdCode()
	if err == nil {
		args := append([]string{"erl", "+K", "true", "+P", "250000", "+Q", "65536", "-noinput", "-noshell"}, code...)
		args = append(args, "-mnesia", "dir", `"`+e.path("mnesia")+`"`, "-ejabberd", "quiet", "true", "-s", "ejabberd")
		err = p.run(job{dir: e.dir, args: args, env: []string{"EJABBERD_CONFIG_PATH=" + e.path("ejabberd.yml"), "EJABBERD_LOG_PATH=" + e.path("ejabberd.log"),
			"HOME=" + e.dir, "ERL_CRASH_DUMP=/dev/null"}})
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// ejabberdCode returns the flags that make Erlang find ejabberd, which Debian puts beside Erlang's own libraries.
func ejabberdCode() ([]string, error) {
	found, err := filepath.Glob("/usr/lib/*/ejabberd-*/ebin/ejabberd.app")
	if err == nil && len(found) == 0 {
		err = errors.New("there is no /usr/lib/*/ejabberd-*/ebin")
	}
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(found[len(found)-1])
	return []string{"-env", "ERL_LIBS", filepath.Dir(filepath.Dir(dir)), "-pa", dir}, nil
}

func (e *ejabberd) client(ctx context.Context, n int, received func(stamp)) (client, error) {
	c, err := dialXMPP(ctx, e.port, n, received)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// postgres is a cluster in a folder, on a port of loopback that lets in whoever can reach it.
type postgres struct {
	dir  string
	port int
}

// postgresUser is who runs it, where this program is root, which PostgreSQL refuses to be.
const postgresUser = "postgres"

func (d *postgres) prepare(ctx context.Context) (err error) {
	if d.port, err = freePort(); err != nil {
		return err
	}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		uid, gid, err := ids(postgresUser)
		if err == nil {
			err = os.Chown(d.dir, int(uid), int(gid))
		}
		if err != nil {
			return err
		}
	}
	_, err = output(ctx, postgresUser, "initdb", "-D", filepath.Join(d.dir, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions")
	return err
}

// start returns when statements are taken.
func (d *postgres) start(ctx context.Context, p *processes) error {
	err := p.run(job{dir: d.dir, as: postgresUser, args: []string{"postgres", "-D", filepath.Join(d.dir, "data"), "-p", fmt.Sprint(d.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="}})
	if err != nil {
		return err
	}
	return until(ctx, p, func() error { return d.execute(ctx, "SELECT 1") })
}

// execute runs statements by psql.
func (d *postgres) execute(ctx context.Context, statements string) error {
	script, err := os.CreateTemp(filepath.Dir(d.dir), "*.sql")
	if err != nil {
		return err
	}
	defer os.Remove(script.Name())
	_, err = script.WriteString(statements)
	if err := errors.Join(err, script.Close()); err != nil {
		return err
	}
	_, err = output(ctx, "", "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", fmt.Sprint(d.port), "-U", "postgres", "-d", "postgres", "-f", script.Name())
	if err != nil && strings.Contains(err.Error(), "Connection refused") {
		return errors.New("PostgreSQL does not listen yet")
	}
	return err
}
