package opaque

import (
	"bytes"
	"fmt"
	"io"

	"github.com/cloudflare/circl/oprf"
)

// ServerSetup is the long-term secret of a server: whoever has it and a record can guess the record's
// password offline. If it is lost, nobody can log in. It cannot be printed.
type ServerSetup struct {
	secret func() *setup // behind a function, where fmt does not look
}

type setup struct {
	suite      *suite
	oprfSeed   []byte
	private    []byte
	public     []byte
	fakePublic []byte // stands in for the public key of those who are not registered
}

// NewServerSetup makes the secrets of a new server.
func NewServerSetup(config Configuration) (*ServerSetup, error) {
	c := config.filled()
	seed, err := c.random(c.suite.size.nh)
	if err != nil {
		return nil, err
	}
	keySeed, err := c.random(2 * seedSize)
	if err != nil {
		return nil, err
	}
	defer clear(keySeed)
	private, _, err := c.suite.deriveKeyPair(keySeed[:seedSize])
	if err != nil {
		return nil, err
	}
	_, fake, err := c.suite.deriveKeyPair(keySeed[seedSize:])
	if err != nil {
		return nil, err
	}
	return newServerSetup(c.suite, seed, private, fake)
}

func newServerSetup(s *suite, oprfSeed, private, fakePublic []byte) (*ServerSetup, error) {
	public, err := s.ake.public(private)
	if err != nil {
		return nil, err
	}
	v := &setup{s, oprfSeed, private, public, fakePublic}
	return &ServerSetup{func() *setup { return v }}, nil
}

// Marshal returns the encoding of the setup, a secret: the OPRF seed (64 bytes), the private key (32) and
// the public key that stands in for unknown clients' (32).
func (s *ServerSetup) Marshal() []byte {
	v := s.secret()
	return concat(v.oprfSeed, v.private, v.fakePublic)
}

// ParseServerSetup decodes what Marshal returned.
func ParseServerSetup(config Configuration, data []byte) (*ServerSetup, error) {
	s := config.filled().suite
	parts, err := split(data, "server setup", s.size.nh, s.size.nsk, s.size.npk)
	if err != nil {
		return nil, err
	}
	if g, ok := s.ake.(primeGroup); ok {
		if _, err := decodeElement(g.suite.Group(), parts[2]); err != nil {
			return nil, err
		}
	}
	return newServerSetup(s, bytes.Clone(parts[0]), bytes.Clone(parts[1]), bytes.Clone(parts[2]))
}

// PublicKey returns the server's public key.
func (s *ServerSetup) PublicKey() []byte { return bytes.Clone(s.secret().public) }

// Format keeps the secrets out of logs.
func (s ServerSetup) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[OPAQUE server setup]") }

// MarshalText keeps the secrets out of logs.
func (s ServerSetup) MarshalText() ([]byte, error) { return []byte("[OPAQUE server setup]"), nil }

// Server answers clients. It may be used by many goroutines at once.
type Server struct {
	c     *Configuration
	setup *ServerSetup
}

// NewServer returns a server with the given secrets.
func NewServer(config Configuration, s *ServerSetup) *Server { return &Server{config.filled(), s} }

// WithContext returns the same server for logins with another Context: one that binds them to a connection, for instance.
func (s *Server) WithContext(context []byte) *Server {
	c := *s.c
	c.Context = context
	return &Server{&c, s.setup}
}

// evaluate computes the OPRF for one credential (RFC 9807, sections 5.2.2 and 6.3.2.2).
func (s *Server) evaluate(blinded, credentialID []byte) ([]byte, error) {
	suite, v := s.c.suite, s.setup.secret()
	e, err := suite.element(blinded)
	if err != nil {
		return nil, err
	}
	seed := suite.expand(v.oprfSeed, seedSize, credentialID, []byte("OprfKey"))
	defer clear(seed)
	key, err := oprf.DeriveKey(suite.oprf, oprf.BaseMode, seed, []byte("OPAQUE-DeriveKeyPair"))
	if err != nil {
		return nil, fmt.Errorf("derive the key of a credential: %w", err)
	}
	out, err := oprf.NewServer(suite.oprf, key).Evaluate(&oprf.EvaluationRequest{Elements: []oprf.Blinded{e}})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	return encodeElement(out.Elements[0]), nil
}

// RegistrationResponse answers a registration request. credentialID names the account, always in the same
// form.
func (s *Server) RegistrationResponse(request, credentialID []byte) ([]byte, error) {
	evaluated, err := s.evaluate(request, credentialID)
	if err != nil {
		return nil, err
	}
	return concat(evaluated, s.setup.secret().public), nil
}

// CheckRecord verifies the form of a record that a client wants stored.
func (s *Server) CheckRecord(record []byte) error {
	_, err := s.record(record)
	return err
}

// record is what a client left at registration (RFC 9807, section 5.1).
type record struct{ public, maskingKey, envelope []byte }

func (s *Server) record(data []byte) (*record, error) {
	suite := s.c.suite
	parts, err := split(data, "record", suite.size.npk, suite.size.nh, suite.envelopeSize())
	if err != nil {
		return nil, err
	}
	if g, ok := suite.ake.(primeGroup); ok {
		if _, err := decodeElement(g.suite.Group(), parts[0]); err != nil {
			return nil, err
		}
	}
	return &record{parts[0], parts[1], parts[2]}, nil
}

// fakeRecord stands in for the record of somebody who is not registered: always the same for a name
// (RFC 9807, section 10.9).
func (s *Server) fakeRecord(credentialID []byte) []byte {
	suite, v := s.c.suite, s.setup.secret()
	masking := suite.expand(v.oprfSeed, suite.size.nh, credentialID, []byte("FakeMaskingKey"))
	return concat(v.fakePublic, masking, make([]byte, suite.envelopeSize()))
}

// ServerLogin is a login between its two steps at the server. It is used once and cannot be printed.
type ServerLogin struct {
	secret func() *serverLogin
}

type serverLogin struct{ clientMAC, sessionKey []byte }

func newServerLogin(clientMAC, sessionKey []byte) *ServerLogin {
	v := &serverLogin{clientMAC, sessionKey}
	return &ServerLogin{func() *serverLogin { return v }}
}

// StartLogin answers a client's message KE1 with KE2. A nil record stands for a name that is not registered:
// the answer looks the same, takes the same steps, and the login will fail.
func (s *Server) StartLogin(stored, ke1, credentialID []byte, ids Identities) (*ServerLogin, []byte, error) {
	c, suite, v := s.c, s.c.suite, s.setup.secret()
	if err := c.checkIdentities(ids); err != nil {
		return nil, nil, err
	}
	parts, err := split(ke1, "KE1", suite.size.noe, nonceSize, suite.size.npk)
	if err != nil {
		return nil, nil, err
	}
	used := s.fakeRecord(credentialID)
	if stored != nil {
		used = stored
	}
	rec, err := s.record(used)
	if err != nil {
		return nil, nil, err
	}
	random, err := c.random(2*nonceSize + seedSize)
	if err != nil {
		return nil, nil, err
	}
	maskingNonce, nonce, seed := random[:nonceSize], random[nonceSize:2*nonceSize], random[2*nonceSize:]
	m, private, err := s.respond(parts[0], credentialID, rec, maskingNonce, nonce, seed)
	if err != nil {
		return nil, nil, err
	}
	defer clear(private)
	dh, err := suite.exchange([3]pair{{private, parts[2]}, {v.private, parts[2]}, {private, rec.public}})
	if err != nil {
		return nil, nil, err
	}
	t := suite.schedule(c.Context, ids.filled(rec.public, v.public), ke1, m, dh)
	return newServerLogin(t.clientMAC, t.sessionKey), concat(m.response, m.nonce, m.keyshare, t.serverMAC), nil
}

// respond makes KE2 but for its MAC, and the private part of its key share.
func (s *Server) respond(blinded, credentialID []byte, rec *record, maskingNonce, nonce, seed []byte) (*ke2, []byte, error) {
	evaluated, err := s.evaluate(blinded, credentialID)
	if err != nil {
		return nil, nil, err
	}
	masked := s.c.suite.mask(rec.maskingKey, maskingNonce, concat(s.setup.secret().public, rec.envelope))
	private, public, err := s.c.suite.deriveKeyPair(seed)
	if err != nil {
		return nil, nil, err
	}
	return &ke2{response: concat(evaluated, maskingNonce, masked), nonce: nonce, keyshare: public}, private, nil
}

// Finish takes the client's message KE3 and returns the session key, or ErrPassword.
func (l *ServerLogin) Finish(ke3 []byte) ([]byte, error) {
	v := l.secret()
	if v.clientMAC == nil {
		return nil, ErrState
	}
	expected := v.clientMAC
	v.clientMAC = nil
	if !equal(expected, ke3) {
		clear(v.sessionKey)
		return nil, ErrPassword
	}
	return v.sessionKey, nil
}

// Marshal returns the encoding of the state, a secret, so that it can be kept elsewhere between the steps.
func (l *ServerLogin) Marshal() []byte {
	v := l.secret()
	return concat(v.clientMAC, v.sessionKey)
}

// ParseServerLogin decodes what Marshal returned.
func ParseServerLogin(config Configuration, data []byte) (*ServerLogin, error) {
	n := config.filled().suite.size.nh
	parts, err := split(data, "server login", n, n)
	if err != nil {
		return nil, err
	}
	return newServerLogin(bytes.Clone(parts[0]), bytes.Clone(parts[1])), nil
}

// Format keeps the keys out of logs.
func (l ServerLogin) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[OPAQUE login]") }

// MarshalText keeps the keys out of logs.
func (l ServerLogin) MarshalText() ([]byte, error) { return []byte("[OPAQUE login]"), nil }
