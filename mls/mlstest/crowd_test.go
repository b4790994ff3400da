package mlstest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/tree"
)

func TestCrowd(t *testing.T) {
	config := mls.Config{Credentials: Anyone{}}
	for _, id := range []mls.CipherSuite{mls.X25519_AES128GCM_SHA256_Ed25519, mls.MLKEM768X25519_AES128GCM_SHA256_Ed25519} {
		for _, n := range []int{2, 6, 7, 8, 10, 33, 100} {
			for name, make := range map[string]func(mls.Config, mls.CipherSuite, int) (*Cast, error){"full": FullCrowd, "sparse": SparseCrowd} {
				if name == "sparse" && n < 33 {
					continue
				}
				t.Run(fmt.Sprintf("suite %#x, %d members, %s", uint16(id), n, name), func(t *testing.T) {
					c, err := make(config, id, n)
					if err != nil {
						t.Fatal(err)
					}
					if got := c.A.Size(); got != n {
						t.Errorf("%d members", got)
					}
					for _, g := range []*mls.Group{c.B, c.C} {
						if g.Epoch() != c.A.Epoch() || !bytes.Equal(g.EpochAuthenticator(), c.A.EpochAuthenticator()) {
							t.Errorf("the members at leaves %d and %d disagree", c.A.OwnIndex(), g.OwnIndex())
						}
					}
					blank, err := blanks(c)
					if err != nil {
						t.Fatal(err)
					}
					if full := name == "full"; full && blank != 0 || !full && blank < n/4 {
						t.Errorf("%d parents that could have a key are blank", blank)
					}
				})
			}
		}
	}
}

// blanks counts the blank parents with members on both sides.
func blanks(c *Cast) (n int, err error) {
	t, err := tree.Unmarshal(suite.Lookup(uint16(c.A.CipherSuite()), 0), c.A.RatchetTree(), 1<<20)
	if err != nil {
		return 0, err
	}
	for x := tree.Node(1); int64(x) < 2*int64(t.Size())-1; x += 2 {
		if t.Parent(x) == nil && len(t.Resolution(x.Left())) > 0 && len(t.Resolution(x.Right())) > 0 {
			n++
		}
	}
	return n, nil
}
