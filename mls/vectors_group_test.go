package mls

import (
	"bytes"
	"errors"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// anyone accepts all credentials.
type anyone struct{}

func (anyone) ValidateCredential(Credential, []byte) error    { return nil }
func (anyone) ValidateSuccessor(Credential, Credential) error { return nil }

type welcomeCase struct {
	Suite      uint16 `json:"cipher_suite"`
	Init       hexed  `json:"init_priv"`
	Signer     hexed  `json:"signer_pub"`
	KeyPackage hexed  `json:"key_package"`
	Welcome    hexed
}

func welcomeVector(t *testing.T, v *welcomeCase) {
	s := suiteOf(t, v.Suite)
	k := good(message.Unmarshal(v.KeyPackage))(t).KeyPackage
	w := good(message.Unmarshal(v.Welcome))(t).Welcome
	j := &join{config: good(Config{Credentials: anyone{}}.filled())(t), welcome: w}
	pair := good(s.NewKeyPair(v.Init, nil))(t)
	same(t, "init key", pair.Public(), k.InitKey)
	j.options.KeyPackages = []*KeyPackageBundle{{KeyPackage: k, suite: s, init: pair}}
	if err := j.open(); err != nil {
		t.Fatal(err)
	}
	if err := s.VerifyWithLabel(v.Signer, "GroupInfoTBS", j.info.AppendTBS(nil), j.info.Signature); err != nil {
		t.Error(err)
	}
	e := schedule.New(s, j.secrets.JoinerSecret, j.psk, j.info.Context.Append(nil))
	same(t, "confirmation_tag", e.ConfirmationTag(j.info.Context.ConfirmedTranscriptHash), j.info.ConfirmationTag)
}

type messageProtectionCase struct {
	Suite          uint16 `json:"cipher_suite"`
	GroupID        hexed  `json:"group_id"`
	Epoch          uint64
	TreeHash       hexed `json:"tree_hash"`
	Confirmed      hexed `json:"confirmed_transcript_hash"`
	SignPriv       hexed `json:"signature_priv"`
	SignPub        hexed `json:"signature_pub"`
	Encryption     hexed `json:"encryption_secret"`
	SenderData     hexed `json:"sender_data_secret"`
	Membership     hexed `json:"membership_key"`
	Proposal       hexed
	ProposalPub    hexed `json:"proposal_pub"`
	ProposalPriv   hexed `json:"proposal_priv"`
	Commit         hexed
	CommitPub      hexed `json:"commit_pub"`
	CommitPriv     hexed `json:"commit_priv"`
	Application    hexed
	ApplicationPub hexed `json:"application_priv"`
}

// group returns a group in which the sender of the vector is at leaf 1, seen by the member at leaf own.
func (v *messageProtectionCase) group(t *testing.T, own LeafIndex) *Group {
	s := suiteOf(t, v.Suite)
	c := good(Config{Credentials: anyone{}}.filled())(t)
	g := emptyGroup(c, s)
	g.own, g.key = own, good(s.NewSigner(v.SignPriv))(t)
	d := g.tree.Diff()
	for i, signatureKey := range [][]byte{[]byte("somebody else's"), v.SignPub} {
		good(d.Add(&LeafNode{EncryptionKey: []byte{byte(i)}, SignatureKey: signatureKey, Capabilities: &message.Capabilities{}, Source: message.SourceUpdate}))(t)
	}
	d.Merge()
	g.secrets = &schedule.Epoch{SenderData: v.SenderData, Membership: v.Membership, Encryption: bytes.Clone(v.Encryption)}
	g.epoch = newEpoch(message.GroupContext{Version: message.MLS10, CipherSuite: CipherSuite(v.Suite), GroupID: v.GroupID, Epoch: v.Epoch,
		TreeHash: v.TreeHash, ConfirmedTranscriptHash: v.Confirmed}, s, 2, g.secrets)
	return g
}

// unprotect opens a message of either kind and returns the content proper.
func (v *messageProtectionCase) unprotect(t *testing.T, data []byte) []byte {
	t.Helper()
	g := v.group(t, 0)
	m := good(message.Unmarshal(data))(t)
	var o *opened
	if m.Private != nil {
		o = good(g.decrypt(g.epoch, m.Private))(t)
	} else {
		o = good(g.verifyPublic(m.Public))(t)
	}
	body := o.content.Content.AppendBody(nil)
	if o.content.Content.Type == message.ContentApplication {
		body = o.content.Content.Application
	}
	return body
}

func messageProtection(t *testing.T, v *messageProtectionCase) {
	proposal := good(message.UnmarshalProposal(v.Proposal))(t)
	commit := good(message.UnmarshalCommit(v.Commit))(t)
	for _, c := range []struct {
		name        string
		raw         []byte
		given       [][]byte
		content     message.FramedContent
		onlyPrivate bool
	}{
		{"proposal", v.Proposal, [][]byte{v.ProposalPub, v.ProposalPriv}, message.FramedContent{Type: message.ContentProposal, Proposal: proposal}, false},
		{"commit", v.Commit, [][]byte{v.CommitPub, v.CommitPriv}, message.FramedContent{Type: message.ContentCommit, Commit: commit}, false},
		{"application", v.Application, [][]byte{v.ApplicationPub}, message.FramedContent{Type: message.ContentApplication, Application: v.Application}, true},
	} {
		for _, data := range c.given {
			same(t, c.name, v.unprotect(t, data), c.raw)
			same(t, c.name+", encoded again", good(message.Unmarshal(data))(t).Marshal(), data)
		}
		for _, format := range []message.WireFormat{message.WirePublicMessage, message.WirePrivateMessage} {
			sender := v.group(t, 1)
			content := *sender.content(c.content.Type, nil)
			content.Proposal, content.Commit, content.Application = c.content.Proposal, c.content.Commit, c.content.Application
			a := &message.AuthenticatedContent{WireFormat: format, Content: &content}
			if err := sender.sign(a, sender.key); err != nil {
				t.Fatal(err)
			}
			if c.content.Type == message.ContentCommit {
				a.Auth.ConfirmationTag = make([]byte, sender.suite.HashSize())
			}
			own := good(sender.protect(a))(t)
			if format == message.WirePublicMessage && c.onlyPrivate {
				m := good(message.Unmarshal(own))(t)
				if _, err := v.group(t, 0).verifyPublic(m.Public); !errors.Is(err, ErrMalformed) {
					t.Errorf("a public application message: %v", err)
				}
				continue
			}
			same(t, "own "+c.name, v.unprotect(t, own), c.raw)
		}
	}
}

type messagesCase struct {
	Welcome     hexed `json:"mls_welcome"`
	GroupInfo   hexed `json:"mls_group_info"`
	KeyPackage  hexed `json:"mls_key_package"`
	Tree        hexed `json:"ratchet_tree"`
	Secrets     hexed `json:"group_secrets"`
	Add         hexed `json:"add_proposal"`
	Update      hexed `json:"update_proposal"`
	Remove      hexed `json:"remove_proposal"`
	PSK         hexed `json:"pre_shared_key_proposal"`
	ReInit      hexed `json:"re_init_proposal"`
	External    hexed `json:"external_init_proposal"`
	Extensions  hexed `json:"group_context_extensions_proposal"`
	Commit      hexed
	PublicApp   hexed `json:"public_message_application"`
	PublicProp  hexed `json:"public_message_proposal"`
	PublicComm  hexed `json:"public_message_commit"`
	PrivateMess hexed `json:"private_message"`
}

// messagesVector decodes each structure, encodes it again, and cuts and extends it. Proposals are given without their types.
func messagesVector(t *testing.T, v *messagesCase) {
	wrapped := func(data []byte) ([]byte, error) {
		m, err := message.Unmarshal(data)
		if err != nil {
			return nil, err
		}
		return m.Marshal(), nil
	}
	proposal := func(kind message.ProposalType) func([]byte) ([]byte, error) {
		return func(data []byte) ([]byte, error) {
			p, err := message.UnmarshalProposal(append(codec.AppendUint16(nil, uint16(kind)), data...))
			if err != nil {
				return nil, err
			}
			return message.AppendProposal(nil, p)[2:], nil
		}
	}
	for _, c := range []struct {
		name  string
		data  []byte
		again func([]byte) ([]byte, error)
	}{
		{"mls_welcome", v.Welcome, wrapped}, {"mls_group_info", v.GroupInfo, wrapped}, {"mls_key_package", v.KeyPackage, wrapped},
		{"public_message_application", v.PublicApp, wrapped}, {"public_message_proposal", v.PublicProp, wrapped},
		{"public_message_commit", v.PublicComm, wrapped}, {"private_message", v.PrivateMess, wrapped},
		{"ratchet_tree", v.Tree, againTree}, {"group_secrets", v.Secrets, againSecrets}, {"commit", v.Commit, againCommit},
		{"add", v.Add, proposal(message.ProposalAdd)}, {"update", v.Update, proposal(message.ProposalUpdate)},
		{"remove", v.Remove, proposal(message.ProposalRemove)}, {"psk", v.PSK, proposal(message.ProposalPreSharedKey)},
		{"re_init", v.ReInit, proposal(message.ProposalReInit)}, {"external_init", v.External, proposal(message.ProposalExternalInit)},
		{"group_context_extensions", v.Extensions, proposal(message.ProposalGroupContextExtensions)},
	} {
		got, err := c.again(c.data)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		same(t, c.name, got, c.data)
		if _, err := c.again(append(bytes.Clone(c.data), 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s with a byte more: %v", c.name, err)
		}
		if _, err := c.again(c.data[:len(c.data)-1]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s with a byte fewer: %v", c.name, err)
		}
	}
}

func againTree(data []byte) ([]byte, error) {
	tr, err := tree.Unmarshal(suite.Lookup(1, 0), data, 1000) // the structure is the same for all suites
	if err != nil {
		return nil, err
	}
	return tr.Marshal(), nil
}

func againSecrets(data []byte) ([]byte, error) {
	s, err := message.UnmarshalGroupSecrets(data)
	if err != nil {
		return nil, err
	}
	return s.Append(nil), nil
}

func againCommit(data []byte) ([]byte, error) {
	c, err := message.UnmarshalCommit(data)
	if err != nil {
		return nil, err
	}
	return c.Append(nil), nil
}

type passiveClientCase struct {
	Suite        uint16 `json:"cipher_suite"`
	ExternalPSKs []struct {
		ID  hexed `json:"psk_id"`
		PSK hexed `json:"psk"`
	} `json:"external_psks"`
	KeyPackage hexed  `json:"key_package"`
	Signature  hexed  `json:"signature_priv"`
	Encryption hexed  `json:"encryption_priv"`
	Init       hexed  `json:"init_priv"`
	Welcome    hexed  `json:"welcome"`
	Tree       *hexed `json:"ratchet_tree"`
	Initial    hexed  `json:"initial_epoch_authenticator"`
	Epochs     []struct {
		Proposals     []hexed `json:"proposals"`
		Commit        hexed   `json:"commit"`
		Authenticator hexed   `json:"epoch_authenticator"`
	} `json:"epochs"`
}

func (v *passiveClientCase) config() Config {
	return Config{Credentials: anyone{}, MaxLifetime: NoLimit, Authorize: func(Proposal, Sender) error { return nil },
		PSK: func(id PreSharedKeyID) ([]byte, bool) {
			for _, p := range v.ExternalPSKs {
				if id.Type == message.PSKExternal && bytes.Equal(p.ID, id.ID) {
					return p.PSK, true
				}
			}
			return nil, false
		}}
}

// passiveClient joins, and follows each commit; between the epochs the group is put together again from its records.
func passiveClient(t *testing.T, v *passiveClientCase) {
	suiteOf(t, v.Suite)
	c := v.config()
	k := good(message.Unmarshal(v.KeyPackage))(t).KeyPackage
	b := good(ImportKeyPackageBundle(c, k, v.Init, v.Encryption, v.Signature))(t)
	o := JoinOptions{KeyPackages: []*KeyPackageBundle{b}}
	if v.Tree != nil {
		o.RatchetTree = *v.Tree
	}
	g := good(Join(c, v.Welcome, o))(t).Group
	same(t, "initial_epoch_authenticator", g.EpochAuthenticator(), v.Initial)
	state := records{}
	state.apply(g.Records())
	for i, e := range v.Epochs {
		for _, p := range e.Proposals {
			state.apply(good(g.Process(p))(t).(*ReceivedProposal).Records)
		}
		staged := good(g.Process(e.Commit))(t).(*StagedCommit)
		state.apply(good(staged.Merge())(t))
		same(t, "epoch_authenticator", g.EpochAuthenticator(), e.Authenticator)
		if i%2 == 0 && !g.Removed() {
			g = good(Restore(c, state))(t)
			same(t, "epoch_authenticator, restored", g.EpochAuthenticator(), e.Authenticator)
		}
	}
}

// records is a store of records, by key.
type records map[string][]byte

func (r records) apply(list []Record) {
	for _, c := range list {
		if c.Value == nil {
			delete(r, c.Key)
		} else {
			r[c.Key] = bytes.Clone(c.Value)
		}
	}
}
