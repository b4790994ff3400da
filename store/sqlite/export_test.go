package sqlite

// Longest, Quiet, MaxLater and MostLater are what tests count and wait for.
const (
	Longest   = longest
	Quiet     = quiet
	MaxLater  = maxLater
	MostLater = mostLater
)
