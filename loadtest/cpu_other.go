//go:build !unix

package loadtest

import "time"

// usedCPU returns nothing here: it is not known.
func usedCPU() time.Duration { return 0 }
