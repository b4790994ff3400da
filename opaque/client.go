package opaque

import (
	"bytes"
	"fmt"
	"io"

	"github.com/cloudflare/circl/oprf"
)

// oblivious is the client's side of the OPRF (RFC 9497, base mode): the server computes a function of
// the password without seeing it.
type oblivious struct {
	client oprf.Client
	state  *oprf.FinalizeData
}

// drawBlind returns a random scalar other than zero. It hashes to the field, because the group of circl does
// not take a source of randomness.
func (c *Configuration) drawBlind() (oprf.Blind, error) {
	g := c.suite.oprf.Group()
	if c.blind != nil {
		blind := g.NewScalar()
		return blind, blind.UnmarshalBinary(c.blind)
	}
	for {
		b, err := c.random(64)
		if err != nil {
			return nil, err
		}
		blind := g.HashToScalar(b, []byte("OPAQUE blind"))
		clear(b)
		if !blind.IsZero() {
			return blind, nil
		}
	}
}

// blindPassword returns the password in a form that tells the server nothing.
func (c *Configuration) blindPassword(password []byte) (*oblivious, []byte, error) {
	blind, err := c.drawBlind()
	if err != nil {
		return nil, nil, err
	}
	o := &oblivious{client: oprf.NewClient(c.suite.oprf)}
	state, request, err := o.client.DeterministicBlind([][]byte{password}, []oprf.Blind{blind})
	if err != nil {
		return nil, nil, fmt.Errorf("blind the password: %w", err)
	}
	o.state = state
	return o, encodeElement(request.Elements[0]), nil
}

// randomizedPassword finishes the OPRF and stretches its output (RFC 9807, sections 5.2.3 and 6.3.2.2).
func (c *Configuration) randomizedPassword(o *oblivious, evaluated []byte) ([]byte, error) {
	e, err := c.suite.element(evaluated)
	if err != nil {
		return nil, err
	}
	outputs, err := o.client.Finalize(o.state, &oprf.Evaluation{Elements: []oprf.Evaluated{e}})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	stretched := c.KSF(outputs[0])
	ikm := concat(outputs[0], stretched)
	defer clear(ikm)
	defer clear(stretched)
	defer clear(outputs[0])
	return c.suite.extract(ikm), nil
}

// keys are what a randomized password and an envelope's nonce lead to (RFC 9807, section 4.1.2).
type keys struct {
	export, tag     []byte
	private, public []byte
}

// open derives the keys of an envelope, and the tag that it must carry.
func (s *suite) openKeys(randomized, nonce, serverPublic []byte, ids Identities) (*keys, error) {
	k := &keys{export: s.expand(randomized, s.size.nh, nonce, []byte("ExportKey"))}
	auth := s.expand(randomized, s.size.nh, nonce, []byte("AuthKey"))
	seed := s.expand(randomized, seedSize, nonce, []byte("PrivateKey"))
	defer clear(auth)
	defer clear(seed)
	var err error
	if k.private, k.public, err = s.deriveKeyPair(seed); err != nil {
		return nil, err
	}
	ids = ids.filled(k.public, serverPublic)
	k.tag = s.mac(auth, nonce, serverPublic, vector(ids.Server), vector(ids.Client))
	return k, nil
}

// filled returns the identities with public keys in place of those that are not given.
func (ids Identities) filled(client, server []byte) Identities {
	if ids.Client == nil {
		ids.Client = client
	}
	if ids.Server == nil {
		ids.Server = server
	}
	return ids
}

// ClientRegistration is a registration between its two steps at the client. It is used once and cannot be
// printed.
type ClientRegistration struct {
	secret func() *clientRegistration // behind a function, where fmt does not look
}

type clientRegistration struct {
	c *Configuration
	o *oblivious
}

// Registered is what a client has after a registration.
type Registered struct {
	Record          []byte // for the server to store
	ExportKey       []byte // secret; the server cannot know it
	ServerPublicKey []byte
}

// StartRegistration starts to register a password. The request goes to the server.
func StartRegistration(config Configuration, password []byte) (state *ClientRegistration, request []byte, err error) {
	c := config.filled()
	o, request, err := c.blindPassword(password)
	r := &clientRegistration{c, o}
	return &ClientRegistration{func() *clientRegistration { return r }}, request, err
}

// Finish takes the server's response and returns the record for it to store.
func (s *ClientRegistration) Finish(response []byte, ids Identities) (*Registered, error) {
	return s.secret().finish(response, ids)
}

func (r *clientRegistration) finish(response []byte, ids Identities) (*Registered, error) {
	if r.o == nil {
		return nil, ErrState
	}
	c, s := r.c, r.c.suite
	if err := c.checkIdentities(ids); err != nil {
		return nil, err
	}
	parts, err := split(response, "registration response", s.size.noe, s.size.npk)
	if err != nil {
		return nil, err
	}
	randomized, err := c.randomizedPassword(r.o, parts[0])
	if err != nil {
		return nil, err
	}
	r.o = nil
	defer clear(randomized)
	nonce, err := c.random(nonceSize)
	if err != nil {
		return nil, err
	}
	k, err := s.openKeys(randomized, nonce, parts[1], ids)
	if err != nil {
		return nil, err
	}
	defer clear(k.private)
	masking := s.expand(randomized, s.size.nh, []byte("MaskingKey"))
	return &Registered{Record: concat(k.public, masking, nonce, k.tag), ExportKey: k.export, ServerPublicKey: bytes.Clone(parts[1])}, nil
}

// Format keeps the password out of logs.
func (s ClientRegistration) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "[OPAQUE registration]")
}

// ClientLogin is a login between its two steps at the client. It is used once and cannot be printed.
type ClientLogin struct {
	secret func() *clientLogin // behind a function, where fmt does not look
}

type clientLogin struct {
	c        *Configuration
	o        *oblivious
	ke1      []byte
	keyshare []byte // private
}

// LoggedIn is what a client has after a login.
type LoggedIn struct {
	KE3             []byte // for the server
	SessionKey      []byte // secret; shared with the server
	ExportKey       []byte // secret; the same as at registration, and the server cannot know it
	ServerPublicKey []byte
}

// StartLogin starts a login. The message KE1 goes to the server.
func StartLogin(config Configuration, password []byte) (state *ClientLogin, ke1 []byte, err error) {
	c := config.filled()
	o, blinded, err := c.blindPassword(password)
	if err != nil {
		return nil, nil, err
	}
	nonce, err := c.random(nonceSize)
	if err != nil {
		return nil, nil, err
	}
	seed, err := c.random(seedSize)
	if err != nil {
		return nil, nil, err
	}
	private, public, err := c.suite.deriveKeyPair(seed)
	clear(seed)
	if err != nil {
		return nil, nil, err
	}
	l := &clientLogin{c: c, o: o, ke1: concat(blinded, nonce, public), keyshare: private}
	return &ClientLogin{func() *clientLogin { return l }}, bytes.Clone(l.ke1), nil
}

// Finish takes the server's message KE2 and returns KE3 for it. ErrPassword means that the password is
// wrong or the name unknown; then nothing is to be sent.
func (l *ClientLogin) Finish(ke2 []byte, ids Identities) (*LoggedIn, error) {
	state := l.secret()
	if state.o == nil {
		return nil, ErrState
	}
	defer state.wipe()
	return state.finish(ke2, ids)
}

func (l *clientLogin) wipe() {
	clear(l.keyshare)
	l.o = nil
}

func (l *clientLogin) finish(ke2 []byte, ids Identities) (*LoggedIn, error) {
	c, s := l.c, l.c.suite
	if err := c.checkIdentities(ids); err != nil {
		return nil, err
	}
	m, err := s.parseKE2(ke2)
	if err != nil {
		return nil, err
	}
	randomized, err := c.randomizedPassword(l.o, m.evaluated)
	if err != nil {
		return nil, err
	}
	defer clear(randomized)
	masking := s.expand(randomized, s.size.nh, []byte("MaskingKey"))
	opened, err := split(s.mask(masking, m.maskingNonce, m.masked), "credentials", s.size.npk, nonceSize, s.size.nh)
	if err != nil {
		return nil, err
	}
	serverPublic, nonce, tag := opened[0], opened[1], opened[2]
	k, err := s.openKeys(randomized, nonce, serverPublic, ids)
	if err != nil {
		return nil, err
	}
	defer clear(k.private)
	if !equal(tag, k.tag) {
		return nil, ErrPassword
	}
	dh, err := s.exchange([3]pair{{l.keyshare, m.keyshare}, {l.keyshare, serverPublic}, {k.private, m.keyshare}})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassword, err)
	}
	t := s.schedule(c.Context, ids.filled(k.public, serverPublic), l.ke1, m, dh)
	if !equal(m.mac, t.serverMAC) {
		return nil, ErrPassword
	}
	return &LoggedIn{KE3: t.clientMAC, SessionKey: t.sessionKey, ExportKey: k.export, ServerPublicKey: bytes.Clone(serverPublic)}, nil
}

// Format keeps the password out of logs.
func (l ClientLogin) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[OPAQUE login]") }
