package wire

import "github.com/quicproquo/qpq"

// OPAQUEContext is the context of every OPAQUE exchange (RFC 9807, section 6.4).
const OPAQUEContext = "quicproquo-v1"

// OPAQUEIdentities returns the identities that both sides bind into OPAQUE's envelope and key exchange.
// The credential identifier is the user's normalised name alone.
func OPAQUEIdentities(user qpq.UserID) (client, server []byte) {
	return []byte(user.String()), []byte(user.Domain)
}
