package daemon

import "fmt"

// allowed fails where a user may not speak to the daemon of another one.
func allowed(who, owner int) error {
	if who != owner && who != 0 {
		return fmt.Errorf("user %d is not %d", who, owner)
	}
	return nil
}
