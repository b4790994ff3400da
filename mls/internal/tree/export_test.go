package tree

// Hashed returns how many hashes d computed that its tree does not have.
func (d *Diff) Hashed() int { return len(d.hashes) }
