package client

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/quicproquo/qpq"
)

// maxMentions is how many users a message names (wire/messages.capnp).
const maxMentions = 256

// mentioned returns which members of a conversation a text names, as @name or @name@domain.
func (c *Client) mentioned(id qpq.ChannelID, text string) (users []qpq.UserID) {
	names := mentions(text)
	if len(names) == 0 {
		return nil
	}
	v, err := c.Conversation(id)
	if err != nil {
		return nil // then the text goes without
	}
	for _, name := range names {
		u, err := c.ParseUser(name)
		if err == nil && !slices.Contains(users, u) && slices.ContainsFunc(v.Members, func(m Member) bool { return m.User == u }) && len(users) < maxMentions {
			users = append(users, u)
		}
	}
	return users
}

// mentions returns the words of a text that begin with @, without it.
func mentions(text string) (names []string) {
	for i := 0; i < len(text); {
		at := strings.IndexByte(text[i:], '@')
		if at < 0 {
			return names
		}
		at += i
		end := at + 1
		for n, r := range text[at+1:] {
			if !nameRune(r) && r != '@' {
				break
			}
			end = at + 1 + n + len(string(r))
		}
		word := strings.TrimRight(text[at+1:end], ".-@")
		if last, _ := utf8.DecodeLastRuneInString(text[:at]); word != "" && !nameRune(last) {
			names = append(names, word)
		}
		i = end
	}
	return names
}

func nameRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || r == '.' || r == '-' || r == '_'
}
