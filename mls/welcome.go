package mls

import (
	"errors"
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// welcome invites those who were added (RFC 9420, section 12.4.3.1).
func (b *committing) welcome() ([]byte, error) {
	g, n, r := b.group, b.next, b.next.result
	if len(r.Added) == 0 {
		return nil, nil
	}
	info, err := g.groupInfo(b.options.GroupInfo, n, n.marshalTree)
	if err != nil {
		return nil, err
	}
	psk := schedule.PSKSecret(g.suite, b.psks)
	key, nonce := schedule.Welcome(g.suite, b.joiner, psk)
	clear(psk)
	w := &message.Welcome{CipherSuite: CipherSuite(g.suite.ID()), Secrets: make([]message.EncryptedGroupSecrets, len(r.Added))}
	if w.EncryptedGroupInfo, err = g.suite.Seal(key, nonce, nil, info.Append(nil)); err != nil {
		return nil, err
	}
	encryption, err := g.suite.Encryption("Welcome", w.EncryptedGroupInfo)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(r.Added))
	seal := func(i int) {
		k := r.KeyPackages[i]
		secrets := message.GroupSecrets{JoinerSecret: b.joiner, PSKs: r.PSKs, PathSecret: b.pathSecretFor(r.Added[i])}
		plaintext := secrets.Append(nil)
		out := &w.Secrets[i]
		out.NewMember = keyPackageRef(g.suite, k)
		out.Secrets.KEMOutput, out.Secrets.Ciphertext, errs[i] = encryption.Encrypt(g.config.Rand, k.InitKey, plaintext)
		clear(plaintext)
	}
	if g.config.Rand != nil {
		for i := range r.Added {
			seal(i)
		}
	} else {
		tree.Parallel(len(r.Added), seal)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	encoded := (&message.Message{Welcome: w}).Marshal()
	if len(encoded) > g.config.MaxMessageSize {
		return nil, fmt.Errorf("%w: welcome of %d bytes: leave the tree out, or add fewer at a time", ErrTooLarge, len(encoded))
	}
	return encoded, nil
}

// pathSecretFor returns the path secret of the lowest node above both the committer and a new leaf.
func (b *committing) pathSecretFor(l LeafIndex) []byte {
	for i, step := range b.steps {
		if step.Copath.Covers(l) {
			return b.path.Path[i]
		}
	}
	return nil
}
