package hpke

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// AEAD is an authenticated cipher by its number in the HPKE registry of IANA.
type AEAD uint16

// The ciphers of RFC 9180 section 7.3.
const (
	AES128GCM        AEAD = 1
	AES256GCM        AEAD = 2
	ChaCha20Poly1305 AEAD = 3
)

// Nonce and tag lengths in bytes, the same for all of them.
const (
	NonceSize = 12
	Overhead  = 16
)

// KeySize returns the key's length, Nk.
func (a AEAD) KeySize() int {
	if a == AES128GCM {
		return 16
	}
	return 32
}

// Seal encrypts and authenticates. It returns [ErrLength] for a key or nonce of the wrong length.
func (a AEAD) Seal(key, nonce, aad, plaintext []byte) ([]byte, error) {
	c, err := a.cipher(key, nonce)
	if err != nil {
		return nil, err
	}
	return c.Seal(nil, nonce, plaintext, aad), nil
}

// Open is the inverse of Seal. It returns [ErrOpen] if the ciphertext does not authenticate.
func (a AEAD) Open(key, nonce, aad, ciphertext []byte) ([]byte, error) {
	c, err := a.cipher(key, nonce)
	if err != nil {
		return nil, err
	}
	plaintext, err := c.Open(nil, nonce, ciphertext, aad)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

func (a AEAD) cipher(key, nonce []byte) (cipher.AEAD, error) {
	if len(key) != a.KeySize() || len(nonce) != NonceSize {
		return nil, fmt.Errorf("%w: AEAD key of %d and nonce of %d bytes", ErrLength, len(key), len(nonce))
	}
	if a == ChaCha20Poly1305 {
		return chacha20poly1305.New(key)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
