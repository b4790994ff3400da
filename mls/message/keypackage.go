package message

import "github.com/quicproquo/qpq/mls/internal/codec"

// KeyPackage is what a client publishes so that others can add it to groups (RFC 9420, section 10).
type KeyPackage struct {
	Version     ProtocolVersion
	CipherSuite CipherSuite
	InitKey     []byte
	LeafNode    *LeafNode
	Extensions  Extensions
	Signature   []byte
}

// Append appends the encoding of k to b.
func (k *KeyPackage) Append(b []byte) []byte { return codec.AppendVec(k.AppendTBS(b), k.Signature) }

// AppendTBS appends KeyPackageTBS, what the signature covers.
func (k *KeyPackage) AppendTBS(b []byte) []byte {
	b = codec.AppendUint16(b, uint16(k.Version))
	b = codec.AppendUint16(b, uint16(k.CipherSuite))
	b = codec.AppendVec(b, k.InitKey)
	b = k.LeafNode.Append(b)
	return k.Extensions.Append(b)
}

func decodeKeyPackage(d *codec.Decoder) *KeyPackage {
	k := &KeyPackage{
		Version:     ProtocolVersion(d.Uint16()),
		CipherSuite: CipherSuite(d.Uint16()),
		InitKey:     d.Vec(),
		LeafNode:    DecodeLeafNode(d),
		Extensions:  decodeExtensions(d),
		Signature:   d.Vec(),
	}
	if k.Version != MLS10 {
		d.Fail("key package of protocol version %d", k.Version)
	}
	return k
}

// IsLastResort reports whether k is marked for use more than once, by the component of
// draft-ietf-mls-extensions or by the extension that came before it.
func (k *KeyPackage) IsLastResort() bool {
	if _, ok := k.Extensions.Find(ExtensionLastResort); ok {
		return true
	}
	data, ok := k.Extensions.Find(ExtensionAppDataDictionary)
	if !ok {
		return false
	}
	dict, err := UnmarshalAppDataDictionary(data)
	_, marked := dict.Find(ComponentLastResortKeyPackage)
	return err == nil && marked
}

// UnmarshalKeyPackage decodes a key package that is not wrapped in an MLSMessage.
func UnmarshalKeyPackage(data []byte) (*KeyPackage, error) {
	return whole(data, "key package", decodeKeyPackage)
}
