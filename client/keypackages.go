package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/wire"
)

// hybridSuite is MLKEM768X25519 with AES128GCM, SHA256 and Ed25519.
const hybridSuite = 0xF001

// oneTimePackages is how many one-time key packages this device keeps at the server; when half are used, it makes more.
const oneTimePackages = 20

// maxKeyPackages is how many key packages a profile keeps before it makes no more: unused ones expire.
const maxKeyPackages = 50 * oneTimePackages

// extensionVersion is the leaf node extension that carries the version of the account state, a uint64, at the
// time when the leaf was made (docs/protocol.md, section 5.5).
const extensionVersion message.ExtensionType = 0xF1D0

// credentials decides what MLS credentials prove: that a device's certificate is for the key that signs.
type credentials struct{}

// ValidateCredential implements mls.CredentialValidator.
func (credentials) ValidateCredential(c mls.Credential, key []byte) error {
	certificate, err := certificateOf(c)
	if err != nil {
		return err
	}
	if !bytes.Equal(certificate.Key[:], key) {
		return qpq.E(qpq.Denied, "wrong-key", fmt.Sprintf("a leaf of %s is signed with another key than its certificate names", certificate.User))
	}
	return nil
}

// ValidateSuccessor implements mls.CredentialValidator: a leaf stays that of one device.
func (credentials) ValidateSuccessor(old, next mls.Credential) error {
	a, err := certificateOf(old)
	if err != nil {
		return err
	}
	b, err := certificateOf(next)
	if err != nil {
		return err
	}
	if a.User != b.User || a.ID() != b.ID() {
		return qpq.E(qpq.Denied, "other-device", fmt.Sprintf("a leaf of %s was to become one of %s", a.User, b.User))
	}
	return nil
}

func certificateOf(c mls.Credential) (*identity.DeviceCertificate, error) {
	if c.Type != message.CredentialBasic {
		return nil, qpq.E(qpq.Invalid, "bad-credential", "a leaf has no device certificate")
	}
	return identity.ParseDeviceCertificate(c.Identity)
}

func (c *Client) mls() mls.Config {
	return mls.Config{Credentials: credentials{}, Clock: c.cfg.Clock, Extensions: []message.ExtensionType{extensionVersion}}
}

// replenish makes key packages where few are left at the server, or where all have to be replaced.
func (c *Client) replenish(ctx context.Context, s *session, replace bool) error {
	counts, err := wire.Call(ctx, s, wire.KeyPackagesCount{})
	if err != nil {
		return unreachable(s.address, err)
	}
	left, lastResort := 0, false
	for _, n := range counts.Counts {
		if n.Suite == hybridSuite && !replace {
			left, lastResort = int(n.OneTime), n.LastResort
		}
	}
	if left > oneTimePackages/2 && lastResort {
		return nil
	}
	if kept, err := c.cfg.Profile.KeyPackages(); err != nil {
		return err
	} else if len(kept) > maxKeyPackages && !replace {
		return nil // a server that always wants more
	}
	account, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	private, public, err := c.makePackages(account, min(oneTimePackages, int(s.info.Limits.KeyPackages))-left, !lastResort)
	if err != nil {
		return err
	}
	defer func() {
		for _, k := range private {
			clear(k.Bundle)
		}
	}()
	if err := c.cfg.Profile.DropKeyPackages(c.cfg.Clock()); err != nil {
		return err
	}
	if err := c.cfg.Profile.AddKeyPackages(private); err != nil {
		return err
	}
	if _, err = wire.Call(ctx, s, wire.KeyPackagesUpload{Packages: public, Replace: replace}); err != nil || !replace {
		return unreachable(s.address, err)
	}
	return c.cfg.Profile.Replaced()
}

// makePackages makes n one-time key packages, and one of last resort if asked for.
func (c *Client) makePackages(account *profile.Account, n int, lastResort bool) (private []profile.KeyPackage, public []wire.KeyPackage, err error) {
	certificate := account.State.Device(account.Device.ID())
	if certificate == nil {
		return nil, nil, qpq.E(qpq.Denied, wire.CodeDeviceUnknown, "this device is not part of its account")
	}
	seed := account.Device.SigningKey()
	defer clear(seed)
	key, err := mls.ParseSignatureKey(c.mls(), hybridSuite, seed.Seed())
	if err != nil {
		return nil, nil, err
	}
	defer key.Wipe()
	who := mls.Identity{Credential: mls.Credential{Type: message.CredentialBasic, Identity: certificate.Bytes()}, Key: key}
	leaf := mls.LeafOptions{Extensions: mls.Extensions{{Type: extensionVersion, Data: binary.BigEndian.AppendUint64(nil, account.State.Version)}}}
	if lastResort {
		n++
	}
	for i := range n {
		last := lastResort && i == n-1
		b, err := mls.NewKeyPackage(c.mls(), hybridSuite, who, mls.KeyPackageOptions{Leaf: leaf, LastResort: last})
		if err != nil {
			return nil, nil, fmt.Errorf("make a key package: %w", err)
		}
		expires := time.Unix(int64(b.KeyPackage.LeafNode.Lifetime.NotAfter), 0)
		private = append(private, profile.KeyPackage{Ref: b.Ref(), Suite: hybridSuite, LastResort: last, Expires: expires, Bundle: b.Marshal()})
		public = append(public, wire.KeyPackage{Suite: hybridSuite, Data: b.KeyPackage.Append(nil), LastResort: last, Expires: expires})
		b.Wipe()
	}
	return private, public, nil
}
