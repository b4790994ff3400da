package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

func prosodyPeer() peer {
	return peer{name: "prosody", what: "XMPP over TLS, internal archive of both sides",
		durable:  "after it is written to the archive's files of both sides; nothing is synced, so that a loss of power loses what the system had not written",
		ack:      "stream management (XEP-0198) of the sender's connection, asked for with each message",
		source:   "prosody.im/doc/storage, util/datamanager.lua",
		programs: []string{"prosody", "strace"},
		version:  func(string) string { return debian("prosody") },
		open:     func(s site) server { return &prosody{site: s} }}
}

type prosody struct {
	site
	port int
}

const prosodySettings = `run_as_root = true
daemonize = false
pidfile = "%[1]s/prosody.pid"
data_path = "%[1]s/data"
log = { error = "%[1]s/prosody.err" }
interfaces = { "127.0.0.1" }
c2s_ports = {}
s2s_ports = {}
c2s_direct_tls_ports = { %[2]d }
c2s_direct_tls_ssl = { key = "%[1]s/key.pem", certificate = "%[1]s/certificate.pem" }
ssl = { key = "%[1]s/key.pem", certificate = "%[1]s/certificate.pem" }
modules_enabled = { "disco", "mam", "offline", "ping", "roster", "saslauth", "smacks", "tls" }
modules_disabled = { "s2s" }
authentication = "internal_plain"
storage = "internal"
default_archive_policy = true
archive_expires_after = "never"
max_archive_query_results = 100000
storage_archive_item_limit = 10000000
VirtualHost "localhost"
`

func (p *prosody) settings() []string {
	return []string{"modules disco, mam, offline, ping, roster, saslauth, smacks, tls; storage internal; default_archive_policy true; SASL PLAIN on internal accounts; direct TLS",
		"storage_archive_item_limit and max_archive_query_results raised, archive_expires_after never, so that nothing is dropped or left out"}
}

func (p *prosody) prepare(context.Context) (err error) {
	if p.port, err = freePort(); err != nil {
		return err
	}
	if err := p.certify(); err != nil {
		return err
	}
	accounts := p.path("data/localhost/accounts")
	if err := os.MkdirAll(accounts, 0o700); err != nil {
		return err
	}
	for i := range p.users {
		account := fmt.Appendf(nil, "return { [\"password\"] = %q; };\n", xmppPassword)
		if err := os.WriteFile(filepath.Join(accounts, fmt.Sprintf("user%d.dat", i)), account, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(p.path("prosody.cfg.lua"), fmt.Appendf(nil, prosodySettings, p.dir, p.port), 0o600)
}

func (p *prosody) start(context.Context) (*processes, error) {
	all := &processes{}
	if err := all.run(job{dir: p.dir, args: []string{"prosody", "-F", "--config", p.path("prosody.cfg.lua")}}); err != nil {
		return nil, err
	}
	return all, nil
}

func (p *prosody) client(ctx context.Context, n int, received func(stamp)) (client, error) {
	c, err := dialXMPP(ctx, p.port, n, received)
	if err != nil {
		return nil, err
	}
	return c, nil
}
