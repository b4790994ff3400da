package sqlite

// What tests count and wait for.
const (
	Longest  = longest
	Quiet    = quiet
	LongWait = longWait
	Retry    = retry
)

// Copy copies the log to the database.
func (e *Engine) Copy() { _ = e.log.copy() }
