package client

// Waiting returns how many calls wait for a transfer.
func (c *Client) Waiting(id int64) int {
	c.transfers.mu.Lock()
	defer c.transfers.mu.Unlock()
	if m := c.transfers.movers[id]; m != nil {
		return len(m.users)
	}
	return 0
}

// Thumbnail and MediaType are for what fuzzes them.
var (
	Thumbnail = thumbnail
	MediaType = mediaType
)

// RememberedUploads returns of how many uploads, of so many, it is known what they became, and whether the last one is among them.
func RememberedUploads(of int) (n int, last bool) {
	t := &transfers{sent: map[int64]MessageID{}}
	for i := range of {
		t.became(int64(i), MessageID{byte(i)})
	}
	_, last = t.sent[int64(of-1)]
	return len(t.sent), last
}
