package mls

import (
	"bytes"
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// JoinOptions is what joining by a welcome takes besides the welcome.
type JoinOptions struct {
	// KeyPackages are those that the welcome may be for.
	KeyPackages []*KeyPackageBundle
	// RatchetTree is the tree, where the welcome does not carry it.
	RatchetTree []byte
	// Parent is the group that this one takes the place of or is branched from, if it is so. This client must be a member of it.
	Parent *Group
}

// Joined is a group that was joined, and which key package it was joined with. That one's private keys
// are to be erased once the group is stored, unless it is one of last resort.
type Joined struct {
	*Group
	KeyPackage *KeyPackageBundle
	Inviter    LeafIndex        // who sent the welcome
	Info       Extensions       // what the group info told besides
	PSKs       []PreSharedKeyID // pre-shared keys that the group started with
}

// Join joins a group by a welcome (RFC 9420, section 12.4.3.1), an MLS message or bare. Store its Records. A welcome can be for
// a group of which the caller has a state already, because it joined before or because somebody gave a group the identifier of
// another: compare the identifier first, or the records of one would replace those of the other.
func Join(config Config, welcome []byte, o JoinOptions) (*Joined, error) {
	c, err := config.filled()
	if err != nil {
		return nil, err
	}
	if o.Parent != nil {
		if err := o.Parent.usable(); err != nil {
			return nil, fmt.Errorf("join: parent: %w", err)
		}
	}
	w, err := parse(c, welcome, ErrWelcome, func(m *message.Message) *message.Welcome { return m.Welcome }, message.UnmarshalWelcome)
	if err != nil {
		return nil, err
	}
	j := &join{config: c, welcome: w, options: o}
	if err := j.open(); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	defer clear(j.secrets.JoinerSecret)
	defer clear(j.secrets.PathSecret)
	defer clear(j.psk)
	g, err := j.group()
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	return &Joined{Group: g, KeyPackage: j.bundle, Inviter: j.info.Signer, Info: j.info.Extensions, PSKs: j.secrets.PSKs}, nil
}

// join is a welcome on the way to a group.
type join struct {
	config  *Config
	suite   *suite.Suite
	welcome *message.Welcome
	options JoinOptions
	bundle  *KeyPackageBundle
	secrets *message.GroupSecrets
	psk     []byte
	info    *message.GroupInfo
}

// open finds the key package that the welcome is for, and decrypts the welcome with it.
func (j *join) open() (err error) {
	if j.suite, err = j.config.suite(j.welcome.CipherSuite); err != nil {
		return err
	}
	sealed, err := j.find()
	if err != nil {
		return err
	}
	plaintext, err := j.suite.DecryptWithLabel(j.bundle.init, "Welcome", j.welcome.EncryptedGroupInfo, sealed.KEMOutput, sealed.Ciphertext)
	if err != nil {
		return fmt.Errorf("%w: group secrets: %w", ErrWelcome, err)
	}
	if j.secrets, err = message.UnmarshalGroupSecrets(plaintext); err != nil {
		return err
	}
	if err := j.checkPSKs(); err != nil {
		return err
	}
	psks, err := j.config.psks(j.secrets.PSKs, j.options.Parent)
	if err != nil {
		return err
	}
	j.psk = schedule.PSKSecret(j.suite, psks)
	key, nonce := schedule.Welcome(j.suite, j.secrets.JoinerSecret, j.psk)
	encoded, err := j.suite.Open(key, nonce, nil, j.welcome.EncryptedGroupInfo)
	if err != nil {
		return fmt.Errorf("%w: group info cannot be decrypted", ErrWelcome)
	}
	j.info, err = message.UnmarshalGroupInfo(encoded)
	return err
}

func (j *join) find() (message.HPKECiphertext, error) {
	for _, b := range j.options.KeyPackages {
		if b.suite.ID() != j.suite.ID() {
			continue
		}
		ref := b.Ref()
		for _, s := range j.welcome.Secrets {
			if bytes.Equal(s.NewMember, ref) {
				j.bundle = b
				return s.Secrets, nil
			}
		}
	}
	return message.HPKECiphertext{}, ErrNotForMe
}

// group verifies what the welcome says and makes the group of it.
func (j *join) group() (*Group, error) {
	if j.info.Context.CipherSuite != j.welcome.CipherSuite {
		return nil, fmt.Errorf("%w: %w: in the group info", ErrWelcome, ErrSuite)
	}
	g, err := fromGroupInfo(j.config, j.suite, j.info, j.options.RatchetTree)
	if err != nil {
		return nil, err
	}
	if err := j.findOwnLeaf(g); err != nil {
		return nil, err
	}
	g.key = j.bundle.key.signer
	if g.keys[g.own.Node()], err = j.leafKey(); err != nil {
		return nil, err
	}
	if err := j.pathKeys(g); err != nil {
		return nil, err
	}
	encoded := j.info.Context.Append(nil)
	g.secrets = schedule.New(g.suite, j.secrets.JoinerSecret, j.psk, encoded)
	if !g.suite.VerifyMAC(g.secrets.Confirmation, j.info.ConfirmationTag, j.info.Context.ConfirmedTranscriptHash) {
		return nil, ErrConfirmationTag
	}
	g.tag = bytes.Clone(j.info.ConfirmationTag)
	g.interim = schedule.InterimTranscriptHash(g.suite, j.info.Context.ConfirmedTranscriptHash, g.tag)
	g.epoch = newEpoch(j.info.Context, g.suite, g.tree.Size(), g.secrets)
	return g, j.checkParent(g)
}

// leafKey returns the private key of the own leaf: a copy, because the group wipes it when it has a new one, and the
// application wipes that of the key package, or joins another group with it.
func (j *join) leafKey() (*suite.KeyPair, error) {
	private := j.bundle.encryption.Bytes()
	defer clear(private)
	return j.suite.NewKeyPair(private, j.bundle.encryption.Public())
}

func (j *join) findOwnLeaf(g *Group) error {
	want := j.bundle.KeyPackage.LeafNode
	for l := LeafIndex(0); uint32(l) < g.tree.Size(); l++ {
		n := g.tree.Leaf(l)
		if n != nil && bytes.Equal(n.EncryptionKey, want.EncryptionKey) && n.Equal(want) {
			g.own = l
			return nil
		}
	}
	return fmt.Errorf("%w: the tree lacks the leaf of the key package", ErrWelcome)
}

// pathKeys derives the private keys above the own leaf that the inviter's path gave.
func (j *join) pathKeys(g *Group) error {
	if j.secrets.PathSecret == nil {
		return nil
	}
	if len(j.secrets.PathSecret) != g.suite.HashSize() || j.info.Signer == g.own {
		return fmt.Errorf("%w: path secret", ErrWelcome)
	}
	steps := g.tree.Diff().FilteredPath(j.info.Signer)
	for i, step := range steps {
		if !step.Copath.Covers(g.own) {
			continue
		}
		secrets, err := tree.Derive(g.suite, len(steps), i, bytes.Clone(j.secrets.PathSecret))
		if err != nil {
			return err
		}
		defer secrets.Wipe()
		for k := i; k < len(steps); k++ {
			p := g.tree.Parent(steps[k].Node)
			if p == nil || !bytes.Equal(p.EncryptionKey, secrets.Keys[k].Public()) {
				return fmt.Errorf("%w: node %d has another key than its secret", ErrPath, steps[k].Node)
			}
			g.keys[steps[k].Node] = secrets.Keys[k]
		}
		return nil
	}
	return fmt.Errorf("%w: path secret that leads nowhere", ErrWelcome)
}

// checkParent verifies that the group is what it says: the successor or a branch of another (RFC 9420,
// sections 11.2 and 11.3).
func (j *join) checkParent(g *Group) error {
	for _, id := range j.secrets.PSKs {
		if id.Type != message.PSKResumption || id.Usage == message.ResumptionApplication {
			continue
		}
		parent := j.options.Parent
		if parent == nil || !bytes.Equal(parent.epoch.context.GroupID, id.GroupID) {
			return fmt.Errorf("%w: it takes the place of group %x, which must be given", ErrWelcome, id.GroupID)
		}
		if g.Epoch() != 1 {
			return fmt.Errorf("%w: epoch %d of a group that takes another's place", ErrWelcome, g.Epoch())
		}
		if id.Usage == message.ResumptionReInit {
			return parent.checkSuccessor(g, id.Epoch)
		}
		return parent.checkBranch(g)
	}
	return nil
}
