package transport

import (
	"crypto/tls"
	"net"
)

// ServerTLS returns a copy of c for a carrier over TLS: version 1.3, and no protocol but ALPN. It gives out no tickets: no client of ours
// resumes a session, and each ticket costs a connection what it takes to make, to send and to keep until it was acknowledged.
func ServerTLS(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.SessionTicketsDisabled = true
	c.NextProtos = []string{ALPN}
	c.MinVersion = tls.VersionTLS13
	return c
}

// ClientTLS is ServerTLS for who connects to an address, "host:port". If c names no server, it is the host.
func ClientTLS(c *tls.Config, address string) *tls.Config {
	c = ServerTLS(c)
	if host, _, err := net.SplitHostPort(address); err == nil && c.ServerName == "" {
		c.ServerName = host
	}
	return c
}

// TLSPeer returns what the state of a carrier over TLS tells of the other end.
func TLSPeer(carrier string, address net.Addr, state tls.ConnectionState) Peer {
	p := Peer{Carrier: carrier, Address: address, Export: state.ExportKeyingMaterial}
	for _, cert := range state.PeerCertificates {
		p.Certificates = append(p.Certificates, cert.Raw)
	}
	return p
}
