package message_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/metrics"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/codec"
	. "github.com/quicproquo/qpq/mls/message"
)

// decoders returns, for each decoder, what encodes the value again.
var decoders = []struct {
	name   string
	decode func([]byte) (encode func() []byte, err error)
}{
	{"message", with(Unmarshal, (*Message).Marshal)},
	{"authenticated content", with(UnmarshalAuthenticatedContent, appended((*AuthenticatedContent).Append))},
	{"proposal", with(UnmarshalProposal, func(p Proposal) []byte { return AppendProposal(nil, p) })},
	{"group context", with(UnmarshalGroupContext, func(c GroupContext) []byte { return c.Append(nil) })},
	{"group info", with(UnmarshalGroupInfo, appended((*GroupInfo).Append))},
	{"group secrets", with(UnmarshalGroupSecrets, appended((*GroupSecrets).Append))},
	{"welcome", with(UnmarshalWelcome, appended((*Welcome).Append))},
	{"key package", with(UnmarshalKeyPackage, appended((*KeyPackage).Append))},
	{"leaf node", with(UnmarshalLeafNode, appended((*LeafNode).Append))},
	{"parent node", with(func(data []byte) (*ParentNode, error) {
		d := codec.NewDecoder(data)
		n := DecodeParentNode(d)
		return n, d.Done()
	}, appended((*ParentNode).Append))},
	{"sender data", with(UnmarshalSenderData, func(s SenderData) []byte { return s.Append(nil) })},
	{"extensions", with(UnmarshalExtensions, func(list Extensions) []byte { return list.Append(nil) })},
	{"required capabilities", with(UnmarshalRequiredCapabilities, (*RequiredCapabilities).Marshal)},
	{"external senders", with(UnmarshalExternalSenders, MarshalExternalSenders)},
	{"external key", with(UnmarshalExternalPub, MarshalExternalPub)},
	{"application data", with(UnmarshalAppDataDictionary, AppDataDictionary.Marshal)},
	{"application content", private(ContentApplication)},
	{"proposal content", private(ContentProposal)},
	{"commit content", private(ContentCommit)},
}

func with[T any](decode func([]byte) (T, error), encode func(T) []byte) func([]byte) (func() []byte, error) {
	return func(data []byte) (func() []byte, error) {
		v, err := decode(data)
		return func() []byte { return encode(v) }, err
	}
}

func appended[T any](f func(T, []byte) []byte) func(T) []byte {
	return func(v T) []byte { return f(v, nil) }
}

// private decodes what a private message of a type holds. Its padding is put back.
func private(t ContentType) func([]byte) (func() []byte, error) {
	return func(data []byte) (func() []byte, error) {
		m := &PrivateMessage{Type: t}
		a, err := m.UnmarshalPrivateContent(data, MemberSender(1))
		return func() []byte { return a.AppendPrivateContent(nil, len(data)-len(a.AppendPrivateContent(nil, 0))) }, err
	}
}

// Decoding allocates at most a multiple of the input, and for small inputs no more than a little.
const (
	allocFactor = 48
	allocSlack  = 1 << 20
)

// allocated returns how many bytes of memory f takes, all garbage included.
func allocated(f func()) uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample)
	return sample[0].Value.Uint64() - before
}

// checkDecoder verifies that an input is refused or has exactly one encoding, and costs little.
func checkDecoder(t *testing.T, kind int, data []byte) {
	d := decoders[kind]
	var encode func() []byte
	var err error
	input := bytes.Clone(data)
	if n := allocated(func() { encode, err = d.decode(input) }); n > uint64(allocFactor*len(data)+allocSlack) {
		t.Errorf("%s: %d bytes take %d of memory", d.name, len(data), n)
	}
	if !bytes.Equal(input, data) {
		t.Errorf("%s: decoding changes the input", d.name)
	}
	if err == nil && !bytes.Equal(encode(), data) {
		t.Errorf("%s: encoded again it is\n%x, it was\n%x", d.name, encode(), data)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range seeds(f) {
		for kind := range decoders {
			f.Add(byte(kind), seed)
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, data []byte) { checkDecoder(t, int(kind)%len(decoders), data) })
}

// seeds returns what is in the package's own vectors: everything that is a long string of hexadecimal digits.
func seeds(f *testing.F) (list [][]byte) {
	data, err := os.ReadFile(filepath.Join("..", "testdata", "passive-client-own.json"))
	if err != nil {
		f.Fatal(err)
	}
	var cases []any
	if err := json.Unmarshal(data, &cases); err != nil {
		f.Fatal(err)
	}
	seen := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		case string:
			if b, err := hex.DecodeString(v); err == nil && len(b) > 32 && len(b) < 4000 && !seen[v[:16]] {
				seen[v[:16]] = true
				list = append(list, b)
				if m, err := Unmarshal(b); err == nil && m.KeyPackage != nil {
					list = append(list, b[4:], m.KeyPackage.LeafNode.Append(nil))
				}
			}
		}
	}
	walk(cases)
	if len(list) < 10 {
		f.Fatalf("%d seeds", len(list))
	}
	return list
}

// TestDecodingIsFrugal decodes what takes the most memory for its length: a quarter of a million bytes of the shortest elements there are.
func TestDecodingIsFrugal(t *testing.T) {
	many := func(element ...byte) []byte {
		return codec.AppendVec(nil, bytes.Repeat(element, 1<<18/len(element)))
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	leaf := (&LeafNode{Credential: BasicCredential(nil), Capabilities: &Capabilities{}, Source: SourceUpdate}).Append(nil)
	nothing, present, x509 := []byte{0}, []byte{1}, []byte{0, 0, 0, 2}
	for name, input := range map[string]struct {
		decoder string
		data    []byte
	}{
		"certificates":                {"leaf node", join(x509, many(0), bytes.Repeat(nothing, 5), []byte{2}, nothing, nothing)},
		"capabilities":                {"leaf node", join([]byte{0, 0, 0, 1, 0}, many(0, 1), nothing, nothing, nothing, nothing, []byte{2}, nothing, nothing)},
		"proposals by reference":      {"commit content", join(many(2, 0), nothing, nothing, nothing)},
		"proposals by value":          {"commit content", join(many(1, 0, 4, 1, 0, 0), nothing, nothing, nothing)},
		"proposals of other types":    {"commit content", join(many(1, 0xf0, 0, 0), nothing, nothing, nothing)},
		"nodes of a path":             {"commit content", join(nothing, present, leaf, many(0, 0), nothing, nothing)},
		"ciphertexts of a path":       {"commit content", join(nothing, present, leaf, codec.AppendVec(nil, join(nothing, many(0, 0))), nothing, nothing)},
		"ciphertexts of many paths":   {"commit content", join(nothing, present, leaf, many(0, 2, 0, 0), nothing, nothing)},
		"secrets of a welcome":        {"welcome", join([]byte{0, 1}, many(0, 0, 0), nothing)},
		"pre-shared keys":             {"group secrets", join(nothing, nothing, many(1, 0, 0))},
		"extensions":                  {"extensions", many(0, 1, 0)},
		"required capabilities":       {"required capabilities", join(many(0, 1), nothing, nothing)},
		"external senders":            {"external senders", many(0, 0, 1, 0)},
		"external senders with chain": {"external senders", codec.AppendVec(nil, join(nothing, []byte{0, 2}, many(0)))},
		"application data":            {"application data", many(0, 1, 0)},
		"unmerged leaves":             {"parent node", join(nothing, nothing, many(0, 0, 0, 1))},
		"ciphertext":                  {"message", join([]byte{0, 1, 0, 2, 0}, make([]byte, 8), []byte{1}, nothing, nothing, many(0))},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, d := range decoders {
				if d.name == input.decoder {
					n := allocated(func() { _, _ = d.decode(input.data) })
					t.Logf("%.1f bytes of memory for each", float64(n)/float64(len(input.data)))
					checkDecoder(t, kind, input.data)
					return
				}
			}
			t.Fatalf("there is no decoder of a %s", input.decoder)
		})
	}
}
