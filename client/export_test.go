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
