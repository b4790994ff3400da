package command

import "testing"

// TestNoTextLooksLikeOurs: what is said about a message stands before the colon, where no text comes, and what nobody wrote has none.
func TestNoTextLooksLikeOurs(t *testing.T) {
	for _, c := range []struct {
		e    EntryJSON
		want string
	}{
		{EntryJSON{Kind: "text", Text: "hi (edited) [👍 9]", Edited: true, Replies: 1, Reactions: []reactionJSON{{Emoji: "👍", Count: 1}}}, " (edited) [👍 1] [1 reply]: hi (edited) [👍 9]"},
		{EntryJSON{Kind: "text", Text: "(deleted)"}, ": (deleted)"},
		{EntryJSON{Kind: "text", Text: "deleted", Gone: "deleted", Replies: 2}, " [2 replies] (deleted)"},
		{EntryJSON{Kind: "file", Text: "the plan", File: &FileJSON{Name: "a.txt", Size: 3, MediaType: "text/plain"}}, " (a.txt, 3 bytes, text/plain): the plan"},
		{EntryJSON{Kind: "file", File: &FileJSON{Name: "a.txt", Size: 3, MediaType: "text/plain"}}, " (a.txt, 3 bytes, text/plain)"},
	} {
		if got := c.e.Mark() + c.e.Words(); got != c.want {
			t.Errorf("%q, and not %q", got, c.want)
		}
	}
}
