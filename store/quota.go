package store

import (
	"bytes"
	"cmp"
	"slices"
)

// enforce brings inboxes that hold more than a quota of bytes below it. The channel that takes most loses its oldest messages and, once
// it has none, whatever else is oldest; a gap row stands for them. The channels that one other account founded count together, so that
// many small ones protect nothing. An inbox far above its quota takes several transactions.
func enforce(tx Tx, notices []Notice, quota int64) error {
	for _, n := range notices {
		if quota <= 0 || n.size <= quota {
			continue
		}
		if err := trim(tx, n.Account, n.size-quota+quota/8); err != nil {
			return err
		}
	}
	return nil
}

func trim(tx Tx, account string, excess int64) error {
	channel, err := largest(tx, account)
	if err != nil || channel == nil {
		return err
	}
	var lost []lostRow
	var end lostRow // the newest of them
	freed := int64(0)
	err = tx.Query(func(r Row) error {
		if freed >= excess {
			return errEnough
		}
		l := lostRow{channel: channel}
		err := r.Scan(&l.seq, &l.sequence, &l.time, &l.size, &l.message)
		lost = append(lost, l)
		if l.seq > end.seq {
			end = l
		}
		freed += l.size
		return err
	}, selectOldestOf, account, channel, int64(dropBatch))
	if err != nil && err != errEnough {
		return err
	}
	for _, l := range lost {
		if err := l.release(tx); err != nil {
			return err
		}
		if err := exec(tx, deleteRow, account, l.seq); err != nil {
			return err
		}
	}
	return putGap(tx, account, end, freed)
}

// largest returns the channel that takes most of an inbox, of those of whoever's channels take most: nil if there is nothing to drop.
func largest(tx Tx, account string) (channel []byte, err error) {
	type share struct {
		channel []byte
		founder string
		size    int64
	}
	var shares []share // by channel
	sums := map[string]int64{}
	err = tx.Query(func(r Row) error {
		var s share
		err := r.Scan(&s.channel, &s.size, &s.founder)
		if s.founder == account || s.founder == "" { // each for itself; no account has such a name
			s.founder = "/" + string(s.channel)
		}
		shares = append(shares, s)
		sums[s.founder] += s.size
		return err
	}, selectShares, account)
	if err != nil || len(shares) == 0 {
		return nil, err
	}
	most := slices.MinFunc(shares, func(a, b share) int {
		return cmp.Or(cmp.Compare(sums[b.founder], sums[a.founder]), cmp.Compare(a.founder, b.founder), cmp.Compare(b.size, a.size), bytes.Compare(a.channel, b.channel))
	})
	return most.channel, nil
}

// putGap puts a gap row where the last of the rows was that went, in place of earlier ones of the channel.
func putGap(tx Tx, account string, last lostRow, freed int64) error {
	gaps, err := tx.Exec(deleteGaps, account, last.channel)
	if err != nil {
		return err
	}
	if err := exec(tx, insertGap, account, last.seq, last.channel, last.sequence, last.time, int64(rowSize)); err != nil {
		return err
	}
	return exec(tx, shrinkMailbox, account, int64(0), freed+(gaps-1)*rowSize)
}

const (
	selectShares = `SELECT s.channel, s.size, coalesce(c.founder, '') FROM
		(SELECT channel, sum(size) AS size FROM inbox WHERE account = $1 AND kind <> 3 GROUP BY channel) AS s
		LEFT JOIN channels AS c ON c.channel = s.channel`
	selectOldestOf = `SELECT seq, sequence, time, size, message FROM inbox WHERE account = $1 AND channel = $2 AND kind <> 3
		ORDER BY CASE WHEN kind = 0 THEN 0 ELSE 1 END, seq LIMIT $3`
	deleteRow  = `DELETE FROM inbox WHERE account = $1 AND seq = $2`
	deleteGaps = `DELETE FROM inbox WHERE account = $1 AND channel = $2 AND kind = 3`
	insertGap  = `INSERT INTO inbox (account, seq, kind, channel, sequence, time, size, message, device)
		VALUES ($1, $2, 3, $3, $4, $5, $6, NULL, NULL)`
)
