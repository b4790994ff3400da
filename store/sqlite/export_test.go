package sqlite

// What tests count and wait for.
const (
	Longest  = longest
	Quiet    = quiet
	LongWait = longWait
	Retry    = retry
)

// Copy copies the log to the database.
func (e *Engine) Copy() { e.log.copy() }

// Hold lets the log begin anew.
func (e *Engine) Hold() { e.log.hold() }
