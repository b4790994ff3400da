package world

import (
	"strings"
	"testing"
)

// crossing is what two devices of one person do to the same message, of which neither knew when it did.
const crossing = `
0s alice/1 register
0s bob/1 register
5s alice/2 login
10s alice/1 group g1 bob
15s alice/1 send g1 one
16s bob/1 send g1 two
20s alice/2 offline
21s alice/1 edit g1 0 first
22s alice/2 edit g1 0 second
23s alice/1 react g1 0 👍
24s alice/1 unreact g1 0 👍
24s alice/2 react g1 0 👍
25s alice/2 online
`

// TestCrossing has all devices agree on what comes last.
func TestCrossing(t *testing.T) {
	s, err := Parse(crossing)
	if err != nil {
		t.Fatal(err)
	}
	if failures, story := Play(t, s, Plant{}); len(failures) > 0 {
		t.Errorf("%s\n\n%s", strings.Join(failures, "\n"), strings.Join(story, "\n"))
	}
}
