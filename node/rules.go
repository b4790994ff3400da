package node

import (
	"fmt"

	"github.com/quicproquo/qpq/wire"
)

// A rule is what the server asks of a call beyond the contract of package wire: how large it may be,
// what it costs of the caller's rate, and how long it takes at least.
type rule struct {
	size  int // bytes of the request
	reply int // bytes of a large reply, zero where it is small or no larger than the request
	cost  int // of the caller's rate
	floor floor
	turn  bool // changes what the connection has proved: takes turns with others that do
}

const (
	small = 2 << 10 // ids, names, OPAQUE messages
	large = 5 << 20 // a vault, or many account states and what comes with them
	whole = wire.MaxMessage
)

// rules has a line for each method, by name. A method without one is refused: New fails.
var rules = map[string]rule{
	"ping":              {1<<20 + small, 0, 1, none, false},
	"serverInfo":        {small, 0, 1, none, false},
	"registerStart":     {small, 0, 10, passwordFloor, true},
	"registerFinish":    {128 << 10, 0, 10, none, true},
	"loginStart":        {small, 0, 10, passwordFloor, true},
	"loginFinish":       {small, 0, 1, passwordFloor, true},
	"passwordStart":     {small, 0, 5, none, true},
	"passwordFinish":    {64 << 10, 0, 5, none, true},
	"authChallenge":     {small, 0, 1, none, true},
	"authenticate":      {small, 0, 3, lookupFloor, true},
	"accountLookup":     {small, large, 2, lookupFloor, false},
	"accountPublish":    {whole, 0, 20, none, false},
	"accountDelete":     {small, 0, 20, none, false},
	"devicesList":       {small, 0, 2, none, false},
	"deviceRename":      {small, 0, 5, none, false},
	"keyPackagesUpload": {4 << 20, 0, 10, none, false},
	"keyPackagesCount":  {small, 0, 1, none, false},
	"keyPackagesClaim":  {small, large, 5, lookupFloor, false},
	"vaultKeysGet":      {small, 0, 2, none, false},
	"vaultGet":          {32 << 10, large, 5, none, false},
	"vaultPut":          {1<<20 + small, 0, 5, none, false},
	"linkCreate":        {small, 0, 5, none, false},
	"linkOffer":         {20 << 10, 0, 5, none, false},
	"linkTake":          {small, 0, 1, none, false},
	"linkAnswer":        {132 << 10, 0, 5, none, false},
	"linkWait":          {small, 0, 1, none, false},
	"tokenCreate":       {small, 0, 5, none, false},
	"tokensList":        {small, 0, 5, none, false},
	"tokenRevoke":       {small, 0, 5, none, false},
	"channelCreate":     {whole, 0, 20, none, false},
	"channelCommit":     {whole, 0, 5, none, false},
	"channelOffer":      {whole, 0, 20, none, false},
	"channelLeave":      {8<<10 + small, 0, 5, none, false},
	"channelInfo":       {small, 1 << 20, 2, none, false},
	"channelsList":      {small, large, 2, none, false},
	"channelGroup":      {small, 2 << 20, 2, none, false},
	"channelChunks":     {4 << 10, large, 5, none, false},
	"send":              {1<<20 + small, 0, 1, none, false},
	"sendEphemeral":     {8 << 10, 0, 1, none, false},
	"inboxFetch":        {small, large, 1, none, false},
	"inboxAck":          {small, 0, 1, none, false},
	"blobUsage":         {small, 0, 2, none, false},
	"blobCreate":        {small, 0, 2, none, false},
	"blobWrite":         {1<<20 + small, 0, 2, none, false},
	"blobRead":          {small, 1 << 20, 2, none, false},
	"blobDrop":          {small, 0, 2, none, false},
}

// checkRules fails unless every method of the contract that is not merely planned has a handler and a rule.
func (s *Server) checkRules() error {
	if m := s.methods.Missing(); len(m) > 0 {
		return fmt.Errorf("node: no handler for %s", m[0].Name)
	}
	for _, h := range s.methods {
		if _, ok := rules[h.Method.Name]; !ok {
			return fmt.Errorf("node: no rule for %s", h.Method.Name)
		}
	}
	return nil
}
