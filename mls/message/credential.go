package message

import (
	"bytes"
	"slices"

	"github.com/quicproquo/qpq/mls/internal/codec"
)

// CredentialType is the code point of a kind of credential (RFC 9420, section 17.5).
type CredentialType uint16

// The credential types.
const (
	CredentialBasic CredentialType = 1
	CredentialX509  CredentialType = 2
)

// Credential says who a member is (RFC 9420, section 5.3). Whether it is true is for the
// application to decide.
type Credential struct {
	Type         CredentialType
	Identity     []byte   // of a basic credential
	Certificates [][]byte // of an X.509 credential: DER, the member's own first
	Data         []byte   // of any other type: its content, an opaque vector
}

// BasicCredential returns a credential that is a bare identity.
func BasicCredential(identity []byte) Credential {
	return Credential{Type: CredentialBasic, Identity: identity}
}

// X509Credential returns a credential that is a chain of DER certificates, the member's own first.
func X509Credential(chain ...[]byte) Credential {
	return Credential{Type: CredentialX509, Certificates: chain}
}

// Append appends the encoding of c to b.
func (c Credential) Append(b []byte) []byte {
	b = codec.AppendUint16(b, uint16(c.Type))
	switch c.Type {
	case CredentialBasic:
		return codec.AppendVec(b, c.Identity)
	case CredentialX509:
		start := len(b)
		b = codec.OpenVec(b)
		for _, one := range c.Certificates {
			b = codec.AppendVec(b, one)
		}
		return codec.CloseVec(b, start)
	default:
		return codec.AppendVec(b, c.Data)
	}
}

func decodeCredential(d *codec.Decoder) Credential {
	c := Credential{Type: CredentialType(d.Uint16())}
	switch c.Type {
	case CredentialBasic:
		c.Identity = d.Vec()
	case CredentialX509:
		c.Certificates = codec.List(d, (*codec.Decoder).Vec)
	default:
		c.Data = d.Vec()
	}
	return c
}

// Equal reports whether both credentials are the same.
func (c Credential) Equal(other Credential) bool {
	return c.Type == other.Type && bytes.Equal(c.Identity, other.Identity) && bytes.Equal(c.Data, other.Data) &&
		slices.EqualFunc(c.Certificates, other.Certificates, bytes.Equal)
}
