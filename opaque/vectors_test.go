package opaque

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// vectors are those of RFC 9807, appendix C, as data.
type vectors struct {
	Vectors []struct {
		Group         string
		Fake          bool
		Context       hexBytes
		Inputs        map[string]hexBytes
		Intermediates map[string]hexBytes
		Outputs       map[string]hexBytes
	}
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

var groups = map[string]*suite{"ristretto255": ristretto255, "curve25519": curve25519, "P256": p256}

// TestVectors runs every vector of the RFC: with and without identities, of all groups, real and fake.
func TestVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Vectors) != 9 {
		t.Fatalf("%d vectors; the RFC has 9", len(v.Vectors))
	}
	for i, x := range v.Vectors {
		t.Run(fmt.Sprintf("%d %s fake=%v", i+1, x.Group, x.Fake), func(t *testing.T) {
			s := groups[x.Group]
			if s == nil {
				t.Fatal("unknown group")
			}
			in := x.Inputs
			base := Configuration{Context: x.Context, KSF: Identity, suite: s}
			setup, err := newServerSetup(s, in["oprf_seed"], in["server_private_key"], in["client_public_key"])
			check(t, err)
			equals(t, "server_public_key", setup.PublicKey(), in["server_public_key"])
			ids := Identities{Client: in["client_identity"], Server: in["server_identity"]}
			drawn := func(names ...string) Configuration {
				c := base
				var b []byte
				for _, n := range names {
					b = append(b, in[n]...)
				}
				c.Rand = bytes.NewReader(b)
				return c
			}
			server := NewServer(drawn("masking_nonce", "server_nonce", "server_keyshare_seed"), setup)
			id := in["credential_identifier"]
			if x.Fake {
				stored := concat(in["client_public_key"], in["masking_key"], make([]byte, s.envelopeSize()))
				_, ke2, err := server.StartLogin(stored, in["KE1"], id, ids)
				check(t, err)
				equals(t, "KE2", ke2, x.Outputs["KE2"])
				return
			}
			c := drawn("envelope_nonce")
			c.blind = in["blind_registration"]
			registration, request, err := StartRegistration(c, in["password"])
			check(t, err)
			equals(t, "registration_request", request, x.Outputs["registration_request"])
			response, err := server.RegistrationResponse(request, id)
			check(t, err)
			equals(t, "registration_response", response, x.Outputs["registration_response"])
			registered, err := registration.Finish(response, ids)
			check(t, err)
			equals(t, "registration_upload", registered.Record, x.Outputs["registration_upload"])
			equals(t, "export_key", registered.ExportKey, x.Outputs["export_key"])
			check(t, server.CheckRecord(registered.Record))

			c = drawn("client_nonce", "client_keyshare_seed")
			c.blind = in["blind_login"]
			login, ke1, err := StartLogin(c, in["password"])
			check(t, err)
			equals(t, "KE1", ke1, x.Outputs["KE1"])
			state, ke2, err := server.StartLogin(registered.Record, ke1, id, ids)
			check(t, err)
			equals(t, "KE2", ke2, x.Outputs["KE2"])
			result, err := login.Finish(ke2, ids)
			check(t, err)
			equals(t, "KE3", result.KE3, x.Outputs["KE3"])
			equals(t, "session_key", result.SessionKey, x.Outputs["session_key"])
			equals(t, "export_key", result.ExportKey, x.Outputs["export_key"])
			again, err := ParseServerLogin(base, state.Marshal())
			check(t, err)
			session, err := again.Finish(result.KE3)
			check(t, err)
			equals(t, "session_key of the server", session, x.Outputs["session_key"])
		})
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equals(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) || len(want) == 0 {
		t.Fatalf("%s:\n got %x\nwant %x", what, got, want)
	}
}
