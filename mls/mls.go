// Package mls is the Messaging Layer Security protocol (RFC 9420): end-to-end encryption for groups
// of two to many thousands, with forward secrecy and post-compromise security.
//
// A client makes key packages with [NewKeyPackage] and publishes them. Somebody starts a group with
// [NewGroup], adds others by their key packages with [Group.Commit], and sends them the welcome, which
// they [Join] with. From then on members [Group.Encrypt] and [Group.Process] messages; every change of
// the group is a commit, which takes effect when the delivery service has accepted it
// ([PendingCommit.Apply]) and others have merged it ([StagedCommit.Merge]).
//
// # State
//
// A group is a set of small records, each with a name ([Record]). Every operation that changes the
// group returns the records that it changed, and the caller stores them before it sends the message or
// shows the text that came with them, all of one operation in one transaction: then a crash at any point
// neither reuses a key nor loses a message. A message changes a record of some hundred bytes; a commit changes those of the nodes on one
// path of the tree. [Restore] puts a group together again. Records hold secrets: store them encrypted.
//
// # Boundaries
//
// The package does no I/O, has no global state and reads no clock but the one in [Config]. A Group is
// owned by one goroutine. What a credential proves, and who may do what, is for the application to say:
// [Config.Credentials] and [Config.Authorize].
package mls

import "github.com/quicproquo/qpq/mls/message"

// The words of the protocol that applications use most. Package message has the others.
type (
	// CipherSuite is the code point of a cipher suite.
	CipherSuite = message.CipherSuite
	// LeafIndex is the position of a member in the ratchet tree. Zero is a valid index.
	LeafIndex = message.LeafIndex
	// Credential says who a member is.
	Credential = message.Credential
	// KeyPackage is what others need to add a client to a group.
	KeyPackage = message.KeyPackage
	// LeafNode describes one member.
	LeafNode = message.LeafNode
	// Proposal is a change to a group that somebody suggests.
	Proposal = message.Proposal
	// Extension is an extension of a group, a leaf node, a key package or a group info.
	Extension = message.Extension
	// Extensions is a list of extensions with at most one of each type.
	Extensions = message.Extensions
	// PreSharedKeyID names a pre-shared key and one use of it.
	PreSharedKeyID = message.PreSharedKeyID
	// Sender is who sent a message, and in what role.
	Sender = message.Sender
)

// The cipher suites.
const (
	X25519_AES128GCM_SHA256_Ed25519        CipherSuite = 1
	P256_AES128GCM_SHA256_P256             CipherSuite = 2
	X25519_CHACHA20POLY1305_SHA256_Ed25519 CipherSuite = 3
	X448_AES256GCM_SHA512_Ed448            CipherSuite = 4
	P521_AES256GCM_SHA512_P521             CipherSuite = 5
	X448_CHACHA20POLY1305_SHA512_Ed448     CipherSuite = 6
	P384_AES256GCM_SHA384_P384             CipherSuite = 7
	// MLKEM768X25519_AES128GCM_SHA256_Ed25519 is the post-quantum hybrid of
	// draft-ietf-mls-pq-ciphersuites, at a code point for private use until one is assigned; see
	// Config.HybridSuite.
	MLKEM768X25519_AES128GCM_SHA256_Ed25519 CipherSuite = 0xF001
)
