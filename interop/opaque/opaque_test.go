// Package opaque_test runs our OPAQUE against the one of @serenity-kit/opaque, in both roles.
package opaque_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quicproquo/qpq/interop/peer"
	"github.com/quicproquo/qpq/opaque"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random rounds")

// config is what the peer has: no context, and its default cost.
var config = opaque.Configuration{KSF: opaque.Argon2id(3, 64<<10, 4)}

var encoding = base64.RawURLEncoding

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := encoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// identifiers are what the peer takes for identities: an absent one stands for the public key.
func identifiers(ids opaque.Identities) map[string]string {
	out := map[string]string{}
	if ids.Client != nil {
		out["client"] = string(ids.Client)
	}
	if ids.Server != nil {
		out["server"] = string(ids.Server)
	}
	return out
}

// side is one role of one implementation.
type client interface {
	register(t *testing.T, s server, user, password string, ids opaque.Identities) (record, exportKey []byte)
	login(t *testing.T, s server, user, password string, record []byte, ids opaque.Identities) (sessionKey, exportKey []byte, ok bool)
}

type server interface {
	registration(t *testing.T, request []byte, user string) []byte
	start(t *testing.T, record, ke1 []byte, user string, ids opaque.Identities) (state any, ke2 []byte)
	finish(t *testing.T, state any, ke3 []byte, ids opaque.Identities) ([]byte, error)
}

type ours struct{ *opaque.Server }

func (ours) register(t *testing.T, s server, user, password string, ids opaque.Identities) ([]byte, []byte) {
	state, request, err := opaque.StartRegistration(config, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	r, err := state.Finish(s.registration(t, request, user), ids)
	if err != nil {
		t.Fatal(err)
	}
	return r.Record, r.ExportKey
}

func (ours) login(t *testing.T, s server, user, password string, record []byte, ids opaque.Identities) ([]byte, []byte, bool) {
	state, ke1, err := opaque.StartLogin(config, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	serverState, ke2 := s.start(t, record, ke1, user, ids)
	r, err := state.Finish(ke2, ids)
	if errors.Is(err, opaque.ErrPassword) {
		return nil, nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.finish(t, serverState, r.KE3, ids)
	if err != nil || !bytes.Equal(key, r.SessionKey) {
		t.Fatalf("the session keys differ: %v", err)
	}
	return key, r.ExportKey, true
}

func (o ours) registration(t *testing.T, request []byte, user string) []byte {
	b, err := o.RegistrationResponse(request, []byte(user))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (o ours) start(t *testing.T, record, ke1 []byte, user string, ids opaque.Identities) (any, []byte) {
	state, ke2, err := o.StartLogin(record, ke1, []byte(user), ids)
	if err != nil {
		t.Fatal(err)
	}
	return state, ke2
}

func (ours) finish(_ *testing.T, state any, ke3 []byte, _ opaque.Identities) ([]byte, error) {
	return state.(*opaque.ServerLogin).Finish(ke3)
}

type theirs struct {
	*peer.Peer
	setup string
}

type fields = map[string]any

func (p theirs) call(t *testing.T, method string, params fields) map[string]string {
	t.Helper()
	var out map[string]string
	if err := p.Call(method, params, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (p theirs) register(t *testing.T, s server, user, password string, ids opaque.Identities) ([]byte, []byte) {
	start := p.call(t, "client.startRegistration", fields{"password": password})
	response := s.registration(t, decode(t, start["registrationRequest"]), user)
	out := p.call(t, "client.finishRegistration", fields{"clientRegistrationState": start["clientRegistrationState"],
		"registrationResponse": encoding.EncodeToString(response), "password": password, "identifiers": identifiers(ids)})
	return decode(t, out["registrationRecord"]), decode(t, out["exportKey"])
}

func (p theirs) login(t *testing.T, s server, user, password string, record []byte, ids opaque.Identities) ([]byte, []byte, bool) {
	start := p.call(t, "client.startLogin", fields{"password": password})
	state, ke2 := s.start(t, record, decode(t, start["startLoginRequest"]), user, ids)
	out := p.call(t, "client.finishLogin", fields{"clientLoginState": start["clientLoginState"],
		"loginResponse": encoding.EncodeToString(ke2), "password": password, "identifiers": identifiers(ids)})
	if out == nil {
		return nil, nil, false
	}
	key, err := s.finish(t, state, decode(t, out["finishLoginRequest"]), ids)
	if err != nil || !bytes.Equal(key, decode(t, out["sessionKey"])) {
		t.Fatalf("the session keys differ: %v", err)
	}
	return key, decode(t, out["exportKey"]), true
}

func (p theirs) registration(t *testing.T, request []byte, user string) []byte {
	out := p.call(t, "server.createRegistrationResponse", fields{"serverSetup": p.setup, "userIdentifier": user,
		"registrationRequest": encoding.EncodeToString(request)})
	return decode(t, out["registrationResponse"])
}

func (p theirs) start(t *testing.T, record, ke1 []byte, user string, ids opaque.Identities) (any, []byte) {
	params := fields{"serverSetup": p.setup, "userIdentifier": user, "registrationRecord": nil,
		"startLoginRequest": encoding.EncodeToString(ke1), "identifiers": identifiers(ids)}
	if record != nil {
		params["registrationRecord"] = encoding.EncodeToString(record)
	}
	out := p.call(t, "server.startLogin", params)
	return out["serverLoginState"], decode(t, out["loginResponse"])
}

func (p theirs) finish(t *testing.T, state any, ke3 []byte, ids opaque.Identities) ([]byte, error) {
	var out map[string]string
	err := p.Call("server.finishLogin", fields{"serverLoginState": state, "finishLoginRequest": encoding.EncodeToString(ke3),
		"identifiers": identifiers(ids)}, &out)
	if err != nil {
		return nil, err
	}
	return decode(t, out["sessionKey"]), nil
}

// TestInterop registers with each client at each server, and logs in with each client at each server that
// has the same setup, whoever made it.
func TestInterop(t *testing.T) {
	p := peer.Start(t, "peer.mjs")
	var made string
	if err := p.Call("server.createSetup", nil, &made); err != nil {
		t.Fatal(err)
	}
	own, err := opaque.NewServerSetup(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	for who, setup := range map[string]string{"their setup": made, "our setup": encoding.EncodeToString(own.Marshal())} {
		parsed, err := opaque.ParseServerSetup(config, decode(t, setup))
		if err != nil {
			t.Fatal(err)
		}
		our, their := ours{opaque.NewServer(config, parsed)}, theirs{p, setup}
		for round := range 4 {
			t.Run(fmt.Sprintf("%s/%d", who, round), func(t *testing.T) {
				clients, servers := []client{our, their}, []server{our, their}
				ids := opaque.Identities{}
				if random.IntN(2) == 0 {
					ids.Client = []byte(fmt.Sprint("client ", random.IntN(100)))
				}
				if random.IntN(2) == 0 {
					ids.Server = []byte(fmt.Sprint("server ", random.IntN(100)))
				}
				user, password := fmt.Sprint("user ", random.IntN(100)), fmt.Sprint("pässword ", random.Uint64())
				record, exportKey := clients[round%2].register(t, servers[round/2], user, password, ids)
				for i, c := range clients {
					for j, s := range servers {
						_, key, ok := c.login(t, s, user, password, record, ids)
						if !ok || !bytes.Equal(key, exportKey) {
							t.Fatalf("client %d at server %d: %v, or another export key", i, j, ok)
						}
						if random.IntN(3) > 0 {
							continue // the checks below cost half a second each
						}
						if _, _, ok := c.login(t, s, user, password+"x", record, ids); ok {
							t.Errorf("client %d at server %d: wrong password accepted", i, j)
						}
						if _, _, ok := c.login(t, s, "nobody", password, nil, ids); ok {
							t.Errorf("client %d at server %d: unknown user accepted", i, j)
						}
						other := opaque.Identities{Client: []byte("somebody else"), Server: ids.Server}
						if _, _, ok := c.login(t, s, user, password, record, other); ok {
							t.Errorf("client %d at server %d: other identities accepted", i, j)
						}
					}
				}
			})
		}
	}
}
