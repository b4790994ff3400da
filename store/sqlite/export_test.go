package sqlite

// What tests count and wait for.
const (
	Longest  = longest
	Quiet    = quiet
	LongWait = longWait
	Again    = again
)

// Copy copies the log to the database.
func (e *Engine) Copy() { e.log.copy() }
