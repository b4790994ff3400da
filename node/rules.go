package node

import (
	"fmt"

	"github.com/quicproquo/qpq/wire"
)

// A rule is what the server asks of a call beyond the contract of package wire: how large it may be,
// what it costs of the caller's rate, and how long it takes at least.
type rule struct {
	size  int // bytes of the request
	cost  int // of the caller's rate
	floor floor
	turn  bool // changes what the connection has proved: takes turns with others that do
}

const (
	small = 2 << 10 // ids, names, OPAQUE messages
	whole = wire.MaxMessage
)

// rules has a line for each method, by name. A method without one is refused: New fails.
var rules = map[string]rule{
	"ping":              {1<<20 + small, 1, none, false},
	"serverInfo":        {small, 1, none, false},
	"registerStart":     {small, 10, passwordFloor, true},
	"registerFinish":    {128 << 10, 10, none, true},
	"loginStart":        {small, 10, passwordFloor, true},
	"loginFinish":       {small, 1, passwordFloor, true},
	"passwordStart":     {small, 5, none, true},
	"passwordFinish":    {64 << 10, 5, none, true},
	"authChallenge":     {small, 1, none, true},
	"authenticate":      {small, 3, lookupFloor, true},
	"accountLookup":     {small, 2, lookupFloor, false},
	"accountPublish":    {whole, 20, none, false},
	"accountDelete":     {small, 20, none, false},
	"devicesList":       {small, 2, none, false},
	"deviceRename":      {small, 5, none, false},
	"keyPackagesUpload": {4 << 20, 10, none, false},
	"keyPackagesCount":  {small, 1, none, false},
	"keyPackagesClaim":  {small, 5, lookupFloor, false},
	"vaultKeysGet":      {small, 2, none, false},
	"vaultGet":          {32 << 10, 5, none, false},
	"vaultPut":          {1<<20 + small, 5, none, false},
	"linkCreate":        {small, 5, none, false},
	"linkOffer":         {20 << 10, 5, none, false},
	"linkTake":          {small, 1, none, false},
	"linkAnswer":        {132 << 10, 5, none, false},
	"linkWait":          {small, 1, none, false},
	"tokenCreate":       {small, 5, none, false},
	"tokensList":        {small, 5, none, false},
	"tokenRevoke":       {small, 5, none, false},
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
