package mls

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/hpke"
	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/secrettree"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/message"
)

// encodings returns the forms in which fmt, encoding/json and log/slog write bytes.
func encodings(secret []byte) []string {
	list := []string{string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
		base64.StdEncoding.EncodeToString(secret[:18]), base64.URLEncoding.EncodeToString(secret[:18]),
		strings.Trim(strconv.Quote(string(secret)), `"`), strings.Trim(strconv.QuoteToASCII(string(secret)), `"`)}
	for _, verb := range []string{"%d", "%#x", "%#X", "%x", "%X", "%02x", "%02X", "%b", "%#b", "%o", "%#o", "%O", "%c", "%q", "%U", "%#U"} {
		for _, between := range []string{" ", ", ", ","} {
			var parts []string
			for _, b := range secret[:12] {
				parts = append(parts, fmt.Sprintf(verb, b))
			}
			list = append(list, strings.Join(parts, between))
		}
	}
	return list
}

// printed returns all that comes out when somebody tries to print v. (Not with %p, with which fmt asks nothing that is no
// pointer; vet finds that.)
func printed(v any) string {
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#x", "%# x", "%d", "%b", "%o", "%O", "%c", "%U", "%t", "%T", "%10.3v"} {
		fmt.Fprintf(&out, verb+"\n", v)
	}
	fmt.Fprintln(&out, v)
	if data, err := json.Marshal(v); err == nil {
		out.Write(data)
	} else {
		out.WriteString(err.Error())
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "v", v)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "v", v)
	return out.String()
}

// wrapped returns v in all that it may be printed as a part of. What lies in a field that is not exported, fmt prints without
// asking it.
func wrapped(v any) map[string]any {
	return map[string]any{
		"itself": v, "pointer": &v, "slice": []any{v}, "map": map[string]any{"key": v},
		"struct": struct{ V any }{v}, "pointer to struct": &struct{ V any }{v},
		"field": struct{ v any }{v}, "pointer to field": &struct{ v any }{v}, "slice in field": struct{ v []any }{[]any{v}},
		"map in field": struct{ v map[string]any }{map[string]any{"key": v}}, "error": fmt.Errorf("about %v", v),
	}
}

// finder finds secrets in text, whatever their encoding, by how that begins.
type finder map[[24]byte][][2]string

func newFinder(secrets map[string][]byte) finder {
	f := finder{}
	for name, s := range secrets {
		for _, form := range encodings(s) {
			if len(form) >= 24 {
				start := [24]byte([]byte(form))
				f[start] = append(f[start], [2]string{name, form})
			}
		}
	}
	return f
}

// in returns the name of a secret that is in a text, and how it begins there; empty if there is none.
func (f finder) in(text string) string {
	for i := 0; i+24 <= len(text); i++ {
		for _, found := range f[[24]byte([]byte(text[i:i+24]))] {
			if strings.HasPrefix(text[i:], found[1]) {
				return fmt.Sprintf("%s as %.40q", found[0], found[1])
			}
		}
	}
	return ""
}

// secretsOf returns all secrets of a group, by what they are.
func secretsOf(g *Group) map[string][]byte {
	list := map[string][]byte{"signature key": g.key.Bytes()}
	schedule := func(name string, e *schedule.Epoch) {
		for i, s := range [][]byte{e.SenderData, e.Exporter, e.External, e.Confirmation, e.Membership, e.Resumption, e.Authenticator, e.Init} {
			list[fmt.Sprint(name, ", ", i)] = s
		}
	}
	schedule("epoch", g.secrets)
	for x, k := range g.keys {
		list[fmt.Sprint("node ", x)] = k.Bytes()
	}
	for pub, k := range g.updates {
		list[fmt.Sprintf("update %x", pub)] = k.Bytes()
	}
	for _, e := range g.past {
		list[fmt.Sprint("resumption ", e.context.Epoch)] = e.resumption
	}
	for _, e := range append(g.past, g.epoch) {
		list[fmt.Sprint("sender data ", e.context.Epoch)] = e.senderData
		d := codec.NewDecoder(e.secrets.AppendNodes(nil))
		d.Uint32()
		for sub := d.Sub(); !sub.Empty(); {
			list[fmt.Sprint("tree ", e.context.Epoch, sub.Uint32())] = sub.Vec()
		}
		for _, l := range e.secrets.Members() {
			d := codec.NewDecoder(e.secrets.AppendMember(nil, l))
			d.Take(5)
			list[fmt.Sprint("ratchet ", e.context.Epoch, l)] = d.Vec()
		}
	}
	if g.pending != nil && g.pending.next != nil {
		schedule("pending", g.pending.next.secrets)
		for x, k := range g.pending.next.keys {
			list[fmt.Sprint("pending node ", x)] = k.Bytes()
		}
	}
	return list
}

// rich returns a group of four with something of everything that a group can hold: past epochs, an update that was
// proposed, proposals, ratchets with skipped keys, and a commit that is pending. The text is for the member at leaf 2.
func rich(t *testing.T, suite CipherSuite) (r *rig, g *Group, text []byte) {
	r = newRigOf(t, suite, 4, Config{}, nil)
	g = r.members[1]
	r.commit(g, CommitOptions{})
	good(r.members[2].Encrypt([]byte("skipped"), nil))(t)
	r.says(r.members[2], g, "text")
	r.says(g, r.members[2], "text")
	r.commit(r.members[0], CommitOptions{})
	good(r.members[2].Encrypt([]byte("skipped"), nil))(t)
	r.says(r.members[2], g, "text")
	text = good(r.members[3].Encrypt([]byte("text"), nil))(t).Message
	out, err := g.ProposeUpdate(nil)
	r.propose(g, out, err)
	good(g.Commit(CommitOptions{Proposals: []Proposal{r.addition("new")}}))(t)
	return r, g, text
}

func TestSecretsCannotBePrinted(t *testing.T) {
	for _, id := range []CipherSuite{1, 2, 4, 0xF001} {
		t.Run(fmt.Sprint("suite ", id), func(t *testing.T) { secretsCannotBePrinted(t, id) })
	}
}

func secretsCannotBePrinted(t *testing.T, id CipherSuite) {
	r, g, early := rich(t, id)
	b := r.bundle("joiner", KeyPackageOptions{})
	key := b.key
	out := good(r.members[2].ProposePSK([]byte("id")))(t)
	proposal := good(r.members[3].Process(out.Message))(t)
	text := good(r.members[2].Process(early))(t)
	staged := r.stage(r.members[3], good(r.members[0].Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: b.KeyPackage}}}))(t).Message)
	j := good(Join(r.config, r.members[0].Pending().Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}}))(t)
	secrets := secretsOf(g)
	for _, other := range []*Group{r.members[0], r.members[2], r.members[3], j.Group} {
		for name, s := range secretsOf(other) {
			secrets[fmt.Sprint("leaf ", other.own, " ", name)] = s
		}
	}
	for name, s := range map[string][]byte{"init key": b.init.Bytes(), "encryption key": b.encryption.Bytes(), "identity": key.Bytes()} {
		secrets[name] = s
	}
	groupSecrets := message.GroupSecrets{JoinerSecret: g.secrets.Init, PathSecret: g.secrets.Exporter}
	messageKey := secrettree.Key{Key: g.secrets.Init, Nonce: g.secrets.Exporter}
	values := map[string]any{
		"Group": g, "Group by value": *g, "Joined": j, "Joined by value": *j, "joiner": j.Group,
		"KeyPackageBundle": b, "KeyPackageBundle by value": *b, "SignatureKey": key, "SignatureKey by value": *key,
		"Identity": Identity{b.KeyPackage.LeafNode.Credential, key}, "PendingCommit": g.pending, "PendingCommit by value": *g.pending,
		"StagedCommit": staged, "StagedCommit by value": *staged, "Echo": &Echo{g.pending}, "Config": r.config,
		"ReceivedProposal": proposal, "ApplicationMessage": text, "ApplicationMessage by value": *text.(*ApplicationMessage),
		"Outgoing": out, "Outgoing by value": *out, "Records": g.Records(), "Record": g.Records()[0],
		"epoch secrets": g.secrets, "epoch secrets by value": *g.secrets,
		"secret tree": g.epoch.secrets, "secret tree by value": *g.epoch.secrets, "message key": &messageKey, "message key by value": messageKey,
		"GroupSecrets": &groupSecrets, "GroupSecrets by value": groupSecrets,
		"Signer": g.key, "Signer by value": *g.key, "KeyPair": b.init, "KeyPair by value": *b.init, "keys": g.keys,
	}
	// These can only be guarded where fmt asks: records are the caller's, and the others lie behind several pointers.
	bare := []string{"Outgoing", "PendingCommit", "Record", "ReceivedProposal", "ApplicationMessage", "Group by value", "epoch secrets", "secret tree", "message key", "GroupSecrets"}
	find := newFinder(secrets)
	for what, v := range values {
		for how, v := range wrapped(v) {
			if strings.HasSuffix(how, "field") && slices.ContainsFunc(bare, func(name string) bool { return strings.HasPrefix(what, name) }) {
				continue
			}
			if found := find.in(printed(v)); found != "" {
				t.Errorf("%s, in a %s, prints the secret %s", what, how, found)
			}
		}
	}
}

// TestPrintedSecretsAreFound has the test above see all that it should: bytes that nothing guards.
func TestPrintedSecretsAreFound(t *testing.T) {
	secret := []byte("\x00\x01\xfe\xff\"\\ secret\x80 of some length")[:27]
	find := newFinder(map[string][]byte{"it": secret})
	for _, v := range []any{secret, [27]byte(secret), string(secret), struct{ s []byte }{secret}, map[string][]byte{"k": secret}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#x", "%d", "%b", "%o", "%O", "%c", "%U"} {
			if text := fmt.Sprintf(verb, v); find.in(text) == "" && !strings.Contains(text, "%!") {
				t.Errorf("%s of %T is not recognised: %s", verb, v, text)
			}
		}
	}
	for _, v := range []any{secret, [27]byte(secret)} {
		if text := string(good(json.Marshal(v))(t)); find.in(text) == "" {
			t.Errorf("JSON of %T is not recognised: %s", v, text)
		}
	}
}

var (
	_ fmt.Formatter = Group{}
	_ fmt.Formatter = hpke.KeyPair{}
	_ fmt.Formatter = suite.Signer{}
)

// held returns the secrets of a group where they are, not copies, and its private keys.
func held(g *Group) (secrets [][]byte, keys []*suite.KeyPair) {
	epochSecrets := func(e *schedule.Epoch) {
		secrets = append(secrets, e.SenderData, e.Exporter, e.External, e.Confirmation, e.Membership, e.Resumption, e.Authenticator, e.Init)
	}
	epochSecrets(g.secrets)
	for _, e := range append(g.past, g.epoch) {
		secrets = append(secrets, e.senderData, e.resumption)
	}
	for _, k := range g.keys {
		keys = append(keys, k)
	}
	for _, k := range g.updates {
		keys = append(keys, k)
	}
	if g.pending != nil && g.pending.next != nil {
		epochSecrets(g.pending.next.secrets)
		for _, k := range g.pending.next.keys {
			keys = append(keys, k)
		}
	}
	return secrets, keys
}

// wiped fails the test for secrets and keys that are still there.
func wiped(t *testing.T, secrets [][]byte, keys []*suite.KeyPair) {
	t.Helper()
	for i, s := range secrets {
		if bytes.ContainsFunc(s, func(r rune) bool { return r != 0 }) {
			t.Errorf("secret %d of %d is still there", i, len(secrets))
		}
	}
	for i, k := range keys {
		if k.Bytes() != nil {
			t.Errorf("private key %d of %d is still there", i, len(keys))
		}
	}
}

func TestSecretsAreWiped(t *testing.T) {
	t.Run("of a group", func(t *testing.T) {
		_, g, _ := rich(t, 1)
		secrets, keys := held(g)
		epochs := append(g.past, g.epoch)
		if len(secrets) < 20 || len(keys) < 5 || len(epochs) != 3 {
			t.Fatalf("%d secrets, %d keys, %d epochs", len(secrets), len(keys), len(epochs))
		}
		g.Wipe()
		wiped(t, secrets, keys)
		for _, e := range epochs {
			if len(e.secrets.Members()) > 0 || len(e.secrets.AppendNodes(nil)) > 5 {
				t.Error("a secret tree is still there")
			}
		}
	})
	t.Run("of a group that removed this client", func(t *testing.T) {
		r, g, _ := rich(t, 1)
		secrets, keys := held(g)
		r.members[0].Pending()
		r.commit(r.members[0], CommitOptions{Proposals: []Proposal{&message.Remove{Removed: g.own}}})
		wiped(t, secrets, keys)
	})
	t.Run("of an epoch, when the next one begins", func(t *testing.T) {
		r, g, _ := rich(t, 1)
		leaf, old := g.keys[g.own.Node()], *g.secrets
		pending := g.pending
		lost, lostKeys := *pending.next.secrets, pending.next.keys
		update := []*suite.KeyPair{}
		for _, k := range g.updates {
			update = append(update, k)
		}
		r.commit(r.members[3], CommitOptions{WithoutReceived: true}) // g loses, and its update with it
		wiped(t, [][]byte{old.Init, old.SenderData, old.Exporter, old.External, old.Confirmation, old.Membership, old.Resumption, old.Authenticator}, nil)
		wiped(t, [][]byte{lost.Init, lost.Exporter, lost.Confirmation, lost.Authenticator}, update)
		for _, k := range lostKeys {
			wiped(t, nil, []*suite.KeyPair{k})
		}
		if leaf.Bytes() == nil {
			t.Error("the private key of a leaf that stayed is gone")
		}
		r.commit(g, CommitOptions{})
		wiped(t, nil, []*suite.KeyPair{leaf})
	})
	t.Run("of an epoch that is past, when it is too long ago", func(t *testing.T) {
		r := newRig(t, 2, Config{PastEpochs: 2})
		g := r.members[1]
		e := g.epoch
		sender := e.senderData
		for range 2 {
			r.commit(r.members[0], CommitOptions{})
		}
		if resumption := e.resumption; len(resumption) == 0 || bytes.Equal(resumption, make([]byte, len(resumption))) {
			t.Fatal("a past epoch has no resumption key")
		}
		r.commit(r.members[0], CommitOptions{})
		wiped(t, [][]byte{sender, e.resumption}, nil)
		if len(e.secrets.AppendNodes(nil)) > 5 || len(g.past) != 2 {
			t.Error("message keys are still there")
		}
	})
	t.Run("of a message that was opened", func(t *testing.T) {
		r := newRig(t, 2, Config{})
		g := r.members[1]
		for _, skip := range []bool{false, true} {
			skipped := good(r.members[0].Encrypt([]byte("skipped"), nil))(t).Message
			data := good(r.members[0].Encrypt([]byte("text"), nil))(t).Message
			if skip {
				r.hears(g, data, "text")
				data = skipped
			}
			o := good(g.decrypt(g.epoch, good(message.Unmarshal(data))(t).Private))(t)
			key := o.opening.Key
			if bytes.Equal(key.Key, make([]byte, len(key.Key))) {
				t.Fatal("the key is gone before the message is taken")
			}
			good(g.dispatch(o, g.epoch))(t)
			wiped(t, [][]byte{key.Key, key.Nonce}, nil)
		}
	})
	t.Run("of a commit that is discarded", func(t *testing.T) {
		_, g, _ := rich(t, 1)
		n := g.pending.next
		secrets := *n.secrets
		g.pending.Discard()
		wiped(t, [][]byte{secrets.Init, secrets.Exporter, secrets.Authenticator}, nil)
		for _, k := range n.keys {
			wiped(t, nil, []*suite.KeyPair{k})
		}
	})
	t.Run("of a key package, which costs the group nothing", func(t *testing.T) {
		for _, id := range []CipherSuite{1, 2, 4, 0xF001} {
			r := newRigOf(t, id, 2, Config{}, nil)
			b := r.bundle("joiner", KeyPackageOptions{LastResort: true})
			add := &message.Add{KeyPackage: b.KeyPackage}
			join := func(r *rig) *Group {
				p := r.commit(r.members[0], CommitOptions{Proposals: []Proposal{add}})
				g := good(Join(r.config, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}}))(t).Group
				r.members = append(r.members, g)
				return g
			}
			g := join(r)
			r.commit(g, CommitOptions{})
			r.commit(r.members[1], CommitOptions{}) // g has new keys now
			other := newRigOf(t, id, 2, Config{}, nil)
			join(other)
			b.Wipe()
			wiped(t, nil, []*suite.KeyPair{b.init, b.encryption})
			other.commit(other.members[0], CommitOptions{})
			r.commit(r.members[1], CommitOptions{})
		}
	})
}
