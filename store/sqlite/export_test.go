package sqlite

// Longest and Quiet are what tests count and wait for.
const (
	Longest = longest
	Quiet   = quiet
)
