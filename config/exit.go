package config

import "github.com/quicproquo/qpq"

// Exit codes of all programs of the project; exits says what each means.
const (
	ExitFailed   = 1
	ExitUsage    = 2
	ExitNetwork  = 3
	ExitDenied   = 4
	ExitNotFound = 5
	ExitConflict = 6
	ExitDamaged  = 7
	ExitUnmet    = 8
)

// exits says what each code means, for the manual.
var exits = []struct {
	code int
	text string
}{
	{0, "it worked"},
	{ExitFailed, "a fault of the program or its machine"},
	{ExitUsage, "what was asked can never succeed as it stands: a wrong flag, setting or argument"},
	{ExitNetwork, "not now: the network, a port or a disk that cannot be used, a quota"},
	{ExitDenied, "refused: a wrong password, a right that is missing"},
	{ExitNotFound, "what was named does not exist"},
	{ExitConflict, "it exists already, or something else got in the way"},
	{ExitDamaged, "stored data was altered or is damaged"},
	{ExitUnmet, "something is not as it was to be: as a playbook expects (qpq --run), or without more errors than may be (qpq-loadtest)"},
}

// ExitCode tells scripts what went wrong: 0 for nil.
func ExitCode(err error) int {
	switch qpq.KindOf(err) {
	case 0:
		return 0
	case qpq.Invalid, qpq.Unsupported, qpq.TooLarge:
		return ExitUsage
	case qpq.Unavailable, qpq.Exhausted, qpq.RateLimited:
		return ExitNetwork
	case qpq.Denied, qpq.Unauthorized:
		return ExitDenied
	case qpq.NotFound:
		return ExitNotFound
	case qpq.Conflict, qpq.Exists, qpq.StaleEpoch:
		return ExitConflict
	case qpq.Damaged:
		return ExitDamaged
	}
	return ExitFailed
}
