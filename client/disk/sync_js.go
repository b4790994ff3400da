package disk

// syncFolder has nothing to do where a browser keeps what there is.
func syncFolder(string) error { return nil }
