package hpke

import (
	"bytes"
	"fmt"
	"io"
)

// curve is Diffie-Hellman on a Montgomery curve (RFC 7748).
type curve interface {
	size() int
	clamp(priv []byte)
	// public appends the public key of a clamped private key to dst.
	public(dst, priv []byte) []byte
	// shared appends the shared secret to dst and reports false if it is zero.
	shared(dst, priv, pub []byte) ([]byte, bool)
	lowOrder(pub []byte) bool
}

// dhkem is DHKEM (RFC 9180 section 4.1) and the key schedule it feeds.
type dhkem struct {
	id    KEM
	kdf   KDF
	curve curve
	label []byte // suite_id of the KEM
	schedule
}

func newDHKEM(id KEM, own KDF, c curve, kdf KDF, aead AEAD) Suite {
	k := &dhkem{
		id:       id,
		kdf:      own,
		curve:    c,
		label:    appendUint16([]byte("KEM"), uint16(id)),
		schedule: newSchedule(id, kdf, aead),
	}
	n := c.size()
	return Suite{sizes: sizes{enc: n, pk: n, sk: n}, kdf: kdf, kem: k}
}

func (k *dhkem) check(pub []byte) error {
	if k.curve.lowOrder(pub) {
		return fmt.Errorf("%w: point of low order", ErrPublicKey)
	}
	return nil
}

func (k *dhkem) derive(ikm []byte) (*KeyPair, error) {
	prk := labeledExtract(k.kdf, nil, k.label, "dkp_prk", ikm)
	defer clear(prk)
	return k.pair(labeledExpand(k.kdf, prk, k.label, "sk", nil, k.curve.size()), nil), nil
}

func (k *dhkem) parse(priv, pub []byte) (*KeyPair, error) {
	if len(priv) != k.curve.size() {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrPrivateKey, len(priv), k.curve.size())
	}
	return k.pair(bytes.Clone(priv), bytes.Clone(pub)), nil
}

// pair owns its arguments. A nil pub is computed.
func (k *dhkem) pair(priv, pub []byte) *KeyPair {
	k.curve.clamp(priv)
	if pub == nil {
		pub = k.curve.public(make([]byte, 0, k.curve.size()), priv)
	}
	return newKeyPair(k.id, priv, pub, nil)
}

func (k *dhkem) sender(rand io.Reader, pub []byte, info Info) ([]byte, sender, error) {
	ephemeral, enc, err := ephemeralKey(rand, k.curve)
	if err != nil {
		return nil, nil, err
	}
	defer clear(ephemeral)
	ctx, err := k.agree(ephemeral, pub, enc, pub, info)
	return enc, ctx, err
}

func ephemeralKey(rand io.Reader, c curve) (priv, pub []byte, err error) {
	priv = make([]byte, c.size())
	if _, err := io.ReadFull(rand, priv); err != nil {
		return nil, nil, fmt.Errorf("draw ephemeral key: %w", err)
	}
	c.clamp(priv)
	return priv, c.public(make([]byte, 0, c.size()), priv), nil
}

func (k *dhkem) recipient(pair *KeyPair, enc []byte, info Info) (recipient, error) {
	priv, err := pair.of(k.id)
	if err != nil {
		return nil, err
	}
	return k.agree(priv.raw, enc, enc, pair.pub, info)
}

// agree is ExtractAndExpand on the shared secret of priv and peer, followed by the key schedule.
func (k *dhkem) agree(priv, peer, enc, recipient []byte, info Info) (*context, error) {
	var buf [56]byte
	dh, ok := k.curve.shared(buf[:0], priv, peer)
	defer clear(buf[:])
	if !ok {
		return nil, fmt.Errorf("%w: point of low order", ErrPublicKey)
	}
	prk := labeledExtract(k.kdf, nil, k.label, "eae_prk", dh)
	shared := labeledExpand(k.kdf, prk, k.label, "shared_secret", join(make([]byte, 0, 2*len(enc)), [][]byte{enc, recipient}), k.kdf.Size())
	defer clear(prk)
	defer clear(shared)
	return k.context(shared, info), nil
}
