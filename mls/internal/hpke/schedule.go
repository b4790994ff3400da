package hpke

// schedule is what the key schedule of a ciphersuite (RFC 9180 section 5.1) needs in base mode.
type schedule struct {
	kdf       KDF
	aead      AEAD
	label     []byte // suite_id
	pskIDHash []byte
}

func newSchedule(id KEM, kdf KDF, aead AEAD) schedule {
	label := appendUint16([]byte("HPKE"), uint16(id), uint16(kdf), uint16(aead))
	return schedule{kdf: kdf, aead: aead, label: label, pskIDHash: labeledExtract(kdf, nil, label, "psk_id_hash", nil)}
}

// context is the encryption context of a single message: it derives what is asked of it, and is used up by it.
type context struct {
	*schedule
	secret []byte
	hashes []byte // key_schedule_context
}

func (s *schedule) info(raw []byte) Info {
	return Info{raw, labeledExtract(s.kdf, nil, s.label, "info_hash", raw)}
}

func (s *schedule) context(shared []byte, info Info) *context {
	hashes := make([]byte, 1, 1+2*maxSize)
	hashes[0] = 0 // mode_base
	hashes = append(hashes, s.pskIDHash...)
	hashes = append(hashes, info.hash...)
	return &context{schedule: s, secret: labeledExtract(s.kdf, shared, s.label, "secret", nil), hashes: hashes}
}

// Seal encrypts with sequence number zero. The context cannot be used again.
func (c *context) Seal(aad, plaintext []byte) ([]byte, error) {
	key, nonce := c.keys()
	defer clear(key)
	return c.aead.Seal(key, nonce, aad, plaintext)
}

// Open decrypts the message of sequence number zero. The context cannot be used again.
func (c *context) Open(aad, ciphertext []byte) ([]byte, error) {
	key, nonce := c.keys()
	defer clear(key)
	return c.aead.Open(key, nonce, aad, ciphertext)
}

// Export derives a secret of n bytes. The context cannot be used again.
func (c *context) Export(exporterContext string, n int) ([]byte, error) {
	exp := c.expand("exp", c.kdf.Size())
	defer clear(exp)
	defer clear(c.secret)
	return labeledExpand(c.kdf, exp, c.label, "sec", []byte(exporterContext), n), nil
}

func (c *context) keys() (key, nonce []byte) {
	defer clear(c.secret)
	return c.expand("key", c.aead.KeySize()), c.expand("base_nonce", NonceSize)
}

func (c *context) expand(label string, n int) []byte {
	return labeledExpand(c.kdf, c.secret, c.label, label, c.hashes, n)
}

// labeledExtract and labeledExpand are of RFC 9180 section 4.
func labeledExtract(kdf KDF, salt, suiteID []byte, label string, ikm []byte) []byte {
	return kdf.Extract(salt, []byte("HPKE-v1"), suiteID, []byte(label), ikm)
}

func labeledExpand(kdf KDF, prk, suiteID []byte, label string, info []byte, n int) []byte {
	return kdf.Expand(prk, n, []byte{byte(n >> 8), byte(n)}, []byte("HPKE-v1"), suiteID, []byte(label), info)
}

func appendUint16(dst []byte, values ...uint16) []byte {
	for _, v := range values {
		dst = append(dst, byte(v>>8), byte(v))
	}
	return dst
}
