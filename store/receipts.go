package store

import "time"

// Receipt is what the sender of a message wants signed, together with the receipts of all that the same commit makes durable: a signature costs as much
// as a message otherwise.
type Receipt interface {
	// Accept is called within the transaction with what the receipt is to say: once more where the engine runs that again.
	Accept(sequence int64, at time.Time)
	// Sign is called on one of the receipts of a commit, with all of them in order, once what they tell of is durable and before anybody is answered.
	Sign(all []Receipt)
}

// Receipts are those of one commit. The zero value has none.
type Receipts struct{ all []Receipt }

// Add adds a receipt. It is the last thing that an update does: nobody signs for what failed.
func (r *Receipts) Add(one Receipt) { r.all = append(r.all, one) }

// Sign has the receipts signed. Engines call it once the commit is durable.
func (r *Receipts) Sign() {
	if len(r.all) > 0 {
		r.all[0].Sign(r.all)
	}
}
