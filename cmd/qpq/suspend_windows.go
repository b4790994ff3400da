package main

// suspension returns nil: there is no such thing.
func suspension(_, _ func()) func() { return nil }
