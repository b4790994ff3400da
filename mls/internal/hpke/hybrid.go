package hpke

import (
	"bytes"
	"crypto/mlkem"
	"crypto/sha3"
	"fmt"
	"io"
)

// hybrid is MLKEM768-X25519, also known as X-Wing (draft-ietf-hpke-pq), and the key schedule it feeds. It is the standard
// library's ML-KEM beside our X25519, which takes a quarter off the time that crypto/hpke needs to seal.
type hybrid struct{ schedule }

const (
	pqPublicSize = mlkem.EncapsulationKeySize768
	pqEncSize    = mlkem.CiphertextSize768
	dhSize       = 32
	hybridSeed   = 32
	hybridLabel  = `\./` + `/^\`
)

// hybridKey is what a seed expands to.
type hybridKey struct {
	pq *mlkem.DecapsulationKey768
	dh [dhSize]byte // clamped
}

func newHybrid(kdf KDF, aead AEAD) Suite {
	k := &hybrid{newSchedule(MLKEM768X25519, kdf, aead)}
	return Suite{sizes: sizes{enc: pqEncSize + dhSize, pk: pqPublicSize + dhSize, sk: hybridSeed}, kdf: kdf, kem: k}
}

// check accepts what can be encapsulated to, at a fraction of the cost of parsing, which expands the key's matrix: every
// coefficient is below q (FIPS 203 section 7.2), and the X25519 key is not of low order.
func (*hybrid) check(pub []byte) error {
	const q, rho = 3329, 32
	t := pub[:pqPublicSize-rho]
	for ; len(t) >= 3; t = t[3:] { // two coefficients of twelve bits, little-endian
		if uint16(t[0])|uint16(t[1]&0x0f)<<8 >= q || uint16(t[1])>>4|uint16(t[2])<<4 >= q {
			return fmt.Errorf("%w: ML-KEM coefficient out of range", ErrPublicKey)
		}
	}
	if (curve25519{}).lowOrder(pub[pqPublicSize:]) {
		return fmt.Errorf("%w: point of low order", ErrPublicKey)
	}
	return nil
}

// derive is LabeledDerive of SHAKE256 to a seed.
func (k *hybrid) derive(ikm []byte) (*KeyPair, error) {
	const label = "DeriveKeyPair"
	h := sha3.NewSHAKE256()
	h.Write(ikm)
	h.Write(appendUint16([]byte("HPKE-v1KEM"), uint16(MLKEM768X25519), uint16(len(label))))
	h.Write(appendUint16([]byte(label), hybridSeed))
	seed := make([]byte, hybridSeed)
	h.Read(seed)
	return k.expand(seed)
}

func (k *hybrid) parse(priv, pub []byte) (*KeyPair, error) {
	if len(priv) != hybridSeed {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrPrivateKey, len(priv), hybridSeed)
	}
	pair, err := k.expand(bytes.Clone(priv))
	if err == nil && pub != nil && !bytes.Equal(pair.pub, pub) {
		return nil, fmt.Errorf("%w: of another public key", ErrPrivateKey)
	}
	return pair, err
}

// expand owns the seed.
func (*hybrid) expand(seed []byte) (*KeyPair, error) {
	expanded := sha3.SumSHAKE256(seed, mlkem.SeedSize+dhSize)
	defer clear(expanded)
	pq, err := mlkem.NewDecapsulationKey768(expanded[:mlkem.SeedSize])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPrivateKey, err)
	}
	key := &hybridKey{pq: pq, dh: [dhSize]byte(expanded[mlkem.SeedSize:])}
	curve25519{}.clamp(key.dh[:])
	pub := append(make([]byte, 0, pqPublicSize+dhSize), pq.EncapsulationKey().Bytes()...)
	return newKeyPair(MLKEM768X25519, seed, curve25519{}.public(pub, key.dh[:]), key), nil
}

func (k *hybrid) sender(rand io.Reader, pub []byte, info Info) ([]byte, sender, error) {
	pq, err := mlkem.NewEncapsulationKey768(pub[:pqPublicSize])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrPublicKey, err)
	}
	ephemeral, dhEnc, err := ephemeralKey(rand, curve25519{})
	if err != nil {
		return nil, nil, err
	}
	defer clear(ephemeral)
	pqShared, enc := pq.Encapsulate()
	ctx, err := k.combine(pqShared, ephemeral, pub[pqPublicSize:], dhEnc, pub[pqPublicSize:], info)
	return append(enc, dhEnc...), ctx, err
}

func (k *hybrid) recipient(pair *KeyPair, enc []byte, info Info) (recipient, error) {
	priv, err := pair.of(MLKEM768X25519)
	if err != nil {
		return nil, err
	}
	key := priv.parsed.(*hybridKey)
	pqShared, err := key.pq.Decapsulate(enc[:pqEncSize])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPublicKey, err)
	}
	dhEnc := enc[pqEncSize:]
	return k.combine(pqShared, key.dh[:], dhEnc, dhEnc, pair.pub[pqPublicSize:], info)
}

// combine hashes both shared secrets with the classical half of the transcript, and starts the key schedule.
func (k *hybrid) combine(pqShared, priv, peer, enc, recipient []byte, info Info) (*context, error) {
	defer clear(pqShared)
	var buf [5 * dhSize]byte
	defer clear(buf[:])
	input, ok := curve25519{}.shared(append(buf[:0], pqShared...), priv, peer)
	if !ok {
		return nil, fmt.Errorf("%w: point of low order", ErrPublicKey)
	}
	shared := sha3.Sum256(append(append(append(input, enc...), recipient...), hybridLabel...))
	defer clear(shared[:])
	return k.context(shared[:], info), nil
}
