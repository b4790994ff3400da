package sqlite

// Longest, Quiet and MaxLater are what tests count and wait for.
const (
	Longest  = longest
	Quiet    = quiet
	MaxLater = maxLater
)
