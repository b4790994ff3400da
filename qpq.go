// Package qpq holds the words that every part of quicproquo shares: who a user is, which device,
// which conversation, and what kinds of error there are. It imports nothing of the project.
package qpq
