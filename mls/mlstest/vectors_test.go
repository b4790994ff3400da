package mlstest_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/quicproquo/qpq/mls/mlstest"
)

var update = flag.Bool("update", false, "write the package's own vectors anew")

// TestVectorsAreCurrent makes the package's own vectors again and compares them with those that are kept: whatever
// changes an encoding or a derivation shows here.
func TestVectorsAreCurrent(t *testing.T) {
	for name, data := range mlstest.Vectors(t) {
		file := filepath.Join("..", "testdata", name)
		if *update {
			if err := os.WriteFile(file, data, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		kept, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(kept, data) {
			t.Errorf("%s is not what is made now; if that is meant: go test ./mls/mlstest -update", name)
		}
	}
}
