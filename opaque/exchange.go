package opaque

import "crypto/subtle"

// ke2 is the server's message of a login (RFC 9807, sections 6.1 and 6.3.2).
type ke2 struct {
	response     []byte // what the key exchange binds of the next three
	evaluated    []byte
	maskingNonce []byte
	masked       []byte
	nonce        []byte
	keyshare     []byte
	mac          []byte
}

func (s *suite) parseKE2(data []byte) (*ke2, error) {
	n := s.size
	parts, err := split(data, "KE2", n.noe, nonceSize, n.npk+s.envelopeSize(), nonceSize, n.npk, n.nh)
	if err != nil {
		return nil, err
	}
	return &ke2{response: data[:n.noe+nonceSize+n.npk+s.envelopeSize()], evaluated: parts[0], maskingNonce: parts[1],
		masked: parts[2], nonce: parts[3], keyshare: parts[4], mac: parts[5]}, nil
}

// mask hides, or shows again, the server's public key and the envelope (RFC 9807, section 6.3.2.2).
func (s *suite) mask(maskingKey, nonce, data []byte) []byte {
	out := s.expand(maskingKey, len(data), nonce, []byte("CredentialResponsePad"))
	subtle.XORBytes(out, out, data)
	return out
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// pair is a private key of one side and a public key of the other.
type pair struct{ private, public []byte }

// exchange computes the three Diffie-Hellman secrets (RFC 9807, section 6.4.2).
func (s *suite) exchange(pairs [3]pair) ([]byte, error) {
	var ikm []byte
	for _, p := range pairs {
		shared, err := s.ake.diffieHellman(p.private, p.public)
		if err != nil {
			return nil, err
		}
		ikm = append(ikm, shared...)
		clear(shared)
	}
	return ikm, nil
}

// transcript is what both sides derive from the exchange (RFC 9807, section 6.4.2.2).
type transcript struct {
	serverMAC, clientMAC, sessionKey []byte
}

// schedule derives the keys of a login from the Diffie-Hellman secrets, which it wipes.
func (s *suite) schedule(context []byte, ids Identities, ke1 []byte, m *ke2, dh []byte) *transcript {
	preamble := concat([]byte("OPAQUEv1-"), vector(context), vector(ids.Client), ke1, vector(ids.Server), m.response, m.nonce, m.keyshare)
	hash := s.digest(preamble)
	prk := s.extract(dh)
	clear(dh)
	handshake := s.deriveSecret(prk, "HandshakeSecret", hash)
	t := &transcript{sessionKey: s.deriveSecret(prk, "SessionKey", hash)}
	serverKey := s.deriveSecret(handshake, "ServerMAC", nil)
	clientKey := s.deriveSecret(handshake, "ClientMAC", nil)
	t.serverMAC = s.mac(serverKey, hash)
	t.clientMAC = s.mac(clientKey, s.digest(preamble, t.serverMAC))
	for _, secret := range [][]byte{prk, handshake, serverKey, clientKey} {
		clear(secret)
	}
	return t
}
