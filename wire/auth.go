package wire

import "github.com/quicproquo/qpq"

// OPAQUEContext returns the context of an OPAQUE exchange (RFC 9807, section 6.4). It binds a login to its connection by
// the TLS exporter (identity.ExporterLabel), which is empty where the transport has none: whoever passes on the messages of a
// login between two connections gains nothing.
func OPAQUEContext(exporter []byte) []byte {
	return append([]byte("quicproquo-v1"), exporter...)
}

// OPAQUEIdentities returns the identities that both sides bind into OPAQUE's envelope and key exchange.
// The credential identifier is the user's normalised name alone.
func OPAQUEIdentities(user qpq.UserID) (client, server []byte) {
	return []byte(user.String()), []byte(user.Domain)
}
