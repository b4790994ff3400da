package main

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/store"
)

// lowDisk is how little free space is worth a warning, in bytes.
const lowDisk = 512 << 20

// risks says what about a server is worth a second thought, a sentence each. meta is nil where there is no store.
func risks(s *settings, home *node.Home, c *node.Certificate, meta *store.Meta, now time.Time) (list []string) {
	add := func(holds bool, format string, args ...any) {
		if holds {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	reached := s.listen
	if loopback(s.listen) && s.websocket != "" {
		reached = s.websocket
	}
	public := !loopback(reached)
	add(s.registration == "open" && public, "anybody who reaches %s can sign up: --registration token asks for a token", reached)
	add(s.domain == "localhost" && public, "the domain is localhost, and others can connect: choose the server's name with --domain before anybody signs up")
	add(c.Own() && realDomain(s.domain), "the certificate for %s is self-signed: people must compare its fingerprint at first contact; --tls-cert takes one of a certificate authority", s.domain)
	add(c.Own() && s.websocket != "", "browsers cannot come in by --websocket: they refuse a certificate that is self-signed; --tls-cert takes one of a certificate authority")
	add(c.NewKey() && meta != nil && meta.Created.Before(now.Add(-time.Minute)), "the server's key was lost and a new one made: everybody who knew the old fingerprint is going to be refused by their client, until they accept the new one")
	if !c.Own() {
		err := c.Check(s.domain, now)
		add(err != nil, "%v", err)
	}
	for _, path := range home.Exposed(s.tlsKey) {
		add(true, "others on this machine can read %s: chmod it to 600, or 700 for a directory", path)
	}
	free, err := home.FreeDisk()
	add(err == nil && free < lowDisk, "the disk of %s has only %d MiB left", home.Dir(), free>>20)
	if err := checkClock(meta, now); err != nil {
		add(true, "the clock: %v", err)
	}
	add(s.metrics != "" && !loopback(s.metrics), "metrics on %s can be read by others: listen on 127.0.0.1", s.metrics)
	add(!s.redactLogs, "the log holds names and addresses of people (--redact-logs=false)")
	add(isRoot(), "the server runs as root: give it a user of its own")
	return list
}

// loopback reports whether only this machine reaches an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// realDomain reports whether a domain is one that a certificate authority could vouch for.
func realDomain(domain string) bool {
	if net.ParseIP(strings.Trim(domain, "[]")) != nil || !strings.Contains(domain, ".") {
		return false
	}
	for _, private := range []string{".local", ".localhost", ".internal", ".home.arpa", ".test", ".lan"} {
		if strings.HasSuffix(domain, private) {
			return false
		}
	}
	return true
}
