package frame_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/quicproquo/qpq/mls/frame"
	"github.com/quicproquo/qpq/mls/message"
)

// samples has one message of each wire format and content type, and the header that belongs to it.
func samples() map[string]struct {
	encoded []byte
	want    frame.Header
} {
	id, aad := bytes.Repeat([]byte("g"), 20), bytes.Repeat([]byte("a"), 70)
	leaf := &message.LeafNode{EncryptionKey: []byte("e"), SignatureKey: []byte("s"), Credential: message.BasicCredential([]byte("me")),
		Capabilities: &message.Capabilities{}, Source: message.SourceKeyPackage, Signature: []byte("sig")}
	public := func(s message.Sender) []byte {
		c := &message.FramedContent{GroupID: id, Epoch: 7, Sender: s, AuthenticatedData: aad, Type: message.ContentProposal,
			Proposal: &message.Remove{Removed: 3}}
		return (&message.Message{Public: &message.PublicMessage{Content: c, MembershipTag: []byte("tag"),
			Auth: message.FramedContentAuthData{Signature: []byte("sig")}}}).Marshal()
	}
	private := func(t message.ContentType) []byte {
		return (&message.Message{Private: &message.PrivateMessage{GroupID: id, Epoch: 1 << 40, Type: t, AuthenticatedData: aad,
			EncryptedSenderData: []byte("sender"), Ciphertext: bytes.Repeat([]byte("c"), 20_000)}}).Marshal()
	}
	type sample = struct {
		encoded []byte
		want    frame.Header
	}
	privateHeader := func(t frame.ContentType) frame.Header {
		return frame.Header{WireFormat: frame.PrivateMessage, GroupID: id, Epoch: 1 << 40, ContentType: t, AuthenticatedData: aad}
	}
	return map[string]sample{
		"member": {public(message.MemberSender(5)), frame.Header{WireFormat: frame.PublicMessage, GroupID: id, Epoch: 7,
			ContentType: frame.Proposal, AuthenticatedData: aad, Sender: frame.Member, SenderIndex: 5}},
		"newcomer": {public(message.Sender{Type: message.SenderNewMemberCommit}), frame.Header{WireFormat: frame.PublicMessage,
			GroupID: id, Epoch: 7, ContentType: frame.Proposal, AuthenticatedData: aad, Sender: frame.NewMemberCommit}},
		"application": {private(message.ContentApplication), privateHeader(frame.Application)},
		"commit":      {private(message.ContentCommit), privateHeader(frame.Commit)},
		"welcome": {(&message.Message{Welcome: &message.Welcome{CipherSuite: 0xf001, EncryptedGroupInfo: []byte("info"),
			Secrets: []message.EncryptedGroupSecrets{{NewMember: []byte("ref")}}}}).Marshal(),
			frame.Header{WireFormat: frame.Welcome, CipherSuite: 0xf001}},
		"group info": {(&message.Message{GroupInfo: &message.GroupInfo{Context: message.GroupContext{Version: 1, CipherSuite: 2,
			GroupID: id, Epoch: 9}}}).Marshal(), frame.Header{WireFormat: frame.GroupInfo, CipherSuite: 2, GroupID: id, Epoch: 9}},
		"key package": {(&message.Message{KeyPackage: &message.KeyPackage{Version: 1, CipherSuite: 3, InitKey: []byte("key"),
			LeafNode: leaf}}).Marshal(), frame.Header{WireFormat: frame.KeyPackage, CipherSuite: 3}},
	}
}

func same(a, b frame.Header) bool {
	equal := bytes.Equal(a.GroupID, b.GroupID) && bytes.Equal(a.AuthenticatedData, b.AuthenticatedData)
	a.GroupID, a.AuthenticatedData, b.GroupID, b.AuthenticatedData = nil, nil, nil, nil
	return equal && a.WireFormat == b.WireFormat && a.CipherSuite == b.CipherSuite && a.Epoch == b.Epoch &&
		a.ContentType == b.ContentType && a.Sender == b.Sender && a.SenderIndex == b.SenderIndex
}

func TestParse(t *testing.T) {
	for name, s := range samples() {
		t.Run(name, func(t *testing.T) {
			h, err := frame.Parse(s.encoded)
			if err != nil || !same(h, s.want) {
				t.Fatalf("Parse = %+v, %v; want %+v", h, err, s.want)
			}
			if n := testing.AllocsPerRun(100, func() { _, _ = frame.Parse(s.encoded) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func TestParseIsStrict(t *testing.T) {
	headers := map[string]int{"group info": 4 + 4 + 21 + 8, "key package": 4 + 4 + 4, "member": 21 + 8 + 5 + 72 + 1 + 4, "newcomer": 21 + 8 + 1 + 72 + 1 + 4} // what is read of these
	for name, s := range samples() {
		end, ok := headers[name]
		if !ok {
			end = min(len(s.encoded), 120)
		}
		for cut := range end {
			if _, err := frame.Parse(s.encoded[:cut]); !errors.Is(err, frame.ErrMalformed) {
				t.Errorf("%s: the first %d bytes: %v", name, cut, err)
			}
		}
	}
	private := samples()["application"].encoded
	longLength := append(bytes.Clone(private[:4]), append([]byte{0x40, 20}, private[5:]...)...)
	wrongType := bytes.Clone(private)
	wrongType[4+1+20+8] = 4
	for name, bad := range map[string][]byte{
		"a byte follows":              append(bytes.Clone(private), 0),
		"length not in shortest form": longLength,
		"content type 4":              wrongType,
		"version 2":                   append([]byte{0, 2}, private[2:]...),
		"wire format 6":               append([]byte{0, 1, 0, 6}, private[4:]...),
	} {
		if _, err := frame.Parse(bad); !errors.Is(err, frame.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse holds Parse against the full decoder: whatever that accepts, Parse accepts too, and sees the same.
func FuzzParse(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.encoded)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := frame.Parse(data)
		m, full := message.Unmarshal(data)
		if full != nil {
			return
		}
		switch {
		case m.Private != nil && len(m.Private.Ciphertext) > 0 && len(m.Private.EncryptedSenderData) > 0:
			want := frame.Header{WireFormat: frame.PrivateMessage, GroupID: m.Private.GroupID, Epoch: m.Private.Epoch,
				ContentType: frame.ContentType(m.Private.Type), AuthenticatedData: m.Private.AuthenticatedData}
			if err != nil || !same(h, want) {
				t.Fatalf("Parse = %+v, %v; want %+v", h, err, want)
			}
		case m.Public != nil && m.Public.Content.Type != message.ContentApplication:
			c := m.Public.Content
			want := frame.Header{WireFormat: frame.PublicMessage, GroupID: c.GroupID, Epoch: c.Epoch, ContentType: frame.ContentType(c.Type),
				AuthenticatedData: c.AuthenticatedData, Sender: frame.SenderType(c.Sender.Type), SenderIndex: c.Sender.Index}
			if err != nil || !same(h, want) {
				t.Fatalf("Parse = %+v, %v; want %+v", h, err, want)
			}
		}
	})
}
