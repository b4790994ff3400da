package wire

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/quicproquo/qpq"
)

// Codes that servers answer with, for programs to decide on. They never change meaning.
const (
	CodeNameTaken          = "name-taken"          // Exists: register under another name
	CodeRegistrationClosed = "registration-closed" // Denied: nobody may sign up
	CodeTokenRequired      = "token-required"      // Denied: signing up takes a registration token
	CodeTokenInvalid       = "token-invalid"       // Denied: unknown, spent, expired or revoked
	CodeLoginFailed        = "login-failed"        // Denied: wrong password or unknown user, never which
	CodeTooManyAttempts    = "too-many-attempts"   // RateLimited: the attempt budget of a name or address
	CodePasswordNeeded     = "password-needed"     // Unauthorized: the method takes a proof of the password
	CodeDeviceNeeded       = "device-needed"       // Unauthorized: the method takes a device's authentication
	CodeAdminNeeded        = "admin-needed"        // Denied: the method is for administrators
	CodeNoChallenge        = "no-challenge"        // Invalid: authenticate without authChallenge, or twice
	CodeNoStart            = "no-start"            // Invalid: a finish without its start on this connection
	CodeDeviceUnknown      = "device-unknown"      // Denied: no such user or device, revoked, or a bad signature
	CodeVersionConflict    = "version-conflict"    // Conflict: the account state moved on
	CodeVaultConflict      = "vault-conflict"      // Conflict: the vault's keys or an item moved on
	CodeBadState           = "bad-state"           // Invalid: the account state does not follow its predecessor
	CodeBadKeys            = "bad-keys"            // Invalid: the vault's keys do not fit the account state
	CodeUserUnknown        = "user-unknown"        // NotFound
	CodeNoKeyPackage       = "no-key-package"      // NotFound: no device has one of the suites asked for
	CodeLinkUnknown        = "link-unknown"        // NotFound: no such rendezvous, or it ended
	CodeLinkTaken          = "link-taken"          // Exists: another device made its offer first
	CodeWrongDomain        = "wrong-domain"        // NotFound: the user's home is another server
	CodeDraining           = "draining"            // Unavailable: the server is stopping
	CodeChannelUnknown     = "channel-unknown"     // NotFound: no such channel, or the account is no member
	CodeStaleSlot          = "stale-slot"          // StaleEpoch: another commit came first, or the parent is too old
	CodeTooManyCommits     = "too-many-commits"    // RateLimited: the account took 256 slots in a row: somebody else must take one
	CodeStaleEpoch         = "stale-epoch"         // StaleEpoch: the message was encrypted for an epoch that is over
	CodeRoleNeeded         = "role-needed"         // Denied: the account's role does not allow what the claim says
	CodeDirect             = "direct"              // Denied: a direct conversation has its two accounts
	CodeBadClaim           = "bad-claim"           // Invalid: the claim does not fit the roster, or the commit
	CodeChunksMissing      = "chunks-missing"      // Conflict: the hub lacks chunks of the manifest: send all
	CodeGroupGone          = "group-gone"          // NotFound: the hub keeps no group state after this slot any more
	CodeMessageIDReused    = "message-id-reused"   // Exists: another message has this id
	CodeBadMessage         = "bad-message"         // Invalid: no MLS message of this group, or not one that belongs here
	CodeChannelExists      = "channel-exists"      // Exists: another channel has this id
	CodeChannelFull        = "channel-full"        // TooLarge: more devices or accounts than a channel may have
	CodeDeviceGone         = "device-gone"         // NotFound: the claim adds a device that its account has no more: look it up again
	CodeHandshakeTooLarge  = "handshake-too-large" // TooLarge: a commit, welcome or group state is larger than what it does explains
	CodeBlobUnknown        = "blob-unknown"        // NotFound: no such complete blob of this channel, or it was read once
	CodeBlobTooLarge       = "blob-too-large"      // TooLarge: larger than the server takes
	CodeBlobQuota          = "blob-quota"          // Exhausted: the account has no room for it
	CodeBlobOffset         = "blob-offset"         // Conflict: the upload goes on elsewhere: ask blobCreate
	CodeBlobCorrupt        = "blob-corrupt"        // Invalid: what arrived has another hash; the upload is gone
	CodePayloadTooLarge    = "payload-too-large"   // TooLarge: the message is larger than policy or server allow
)

// EncodeError returns the status and payload of a reply that says err. What is no *qpq.Error, and
// every cause, stays behind: the peer learns kind, code and text alone.
func EncodeError(err error) (status uint16, payload []byte) {
	var safe *qpq.Error
	if !errors.As(err, &safe) {
		kind := qpq.KindOf(err)
		safe = qpq.E(kind, "", kind.String())
		if kind == qpq.Internal {
			safe.Code, safe.Text = "internal", "the server failed to answer; its log says why"
		}
	}
	if !known(safe.Kind) {
		safe = qpq.E(qpq.Internal, safe.Code, safe.Text) // never status 0, which is success
	}
	e := Error{Kind: uint16(safe.Kind), Code: cut(safe.Code, 64), Text: cut(safe.Text, 1024)}
	payload, err = Marshal(e)
	if err != nil {
		panic("wire: an error could not be encoded: " + err.Error())
	}
	return e.Kind, payload
}

// DecodeError returns the error that a reply with a status other than 0 says. It is always a
// *qpq.Error, whose text is one printable line: qpq.Internal where the payload cannot be read or the kind is unknown.
func DecodeError(status uint16, payload []byte) error {
	e, err := Unmarshal[Error](payload)
	if err != nil || e.Kind != status {
		return qpq.Wrap(qpq.Internal, "bad-error", "the server failed, and its answer could not be read", err)
	}
	kind := qpq.Kind(status)
	if !known(kind) {
		kind = qpq.Internal
	}
	return qpq.E(kind, qpq.OneLine(e.Code), qpq.OneLine(e.Text))
}

func known(k qpq.Kind) bool { return k.String() != qpq.Kind(0).String() }

// cut returns the longest valid prefix of s within n bytes, without what no text may hold.
func cut(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
