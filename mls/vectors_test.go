package mls

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/suite"
)

// vectorKinds has a check for each kind of official test vector (mlswg/mls-implementations, test-vectors.md).
var vectorKinds = map[string]func(*testing.T, json.RawMessage){
	"crypto-basics":      vector(cryptoBasics),
	"deserialization":    vector(deserialization),
	"key-schedule":       vector(keySchedule),
	"message-protection": vector(messageProtection),
	"messages":           vector(messagesVector),
	"passive-client":     vector(passiveClient),
	"psk_secret":         vector(pskSecret),
	"secret-tree":        vector(secretTree),
	"transcript-hashes":  vector(transcriptHashes),
	"tree-math":          vector(treeMath),
	"tree-operations":    vector(treeOperations),
	"tree-validation":    vector(treeValidation),
	"treekem":            vector(treeKEM),
	"welcome":            vector(welcomeVector),
}

// passiveNames are files in the passive-client format that are not named so.
var passiveNames = []string{"application", "branch", "commit", "external_join", "external_proposals", "reinit", "welcome_join"}

// kindOf returns the kind of vectors in a file.
func kindOf(file string) string {
	name := strings.TrimSuffix(filepath.Base(file), ".json")
	if strings.HasPrefix(name, "passive-client") || filepath.Base(filepath.Dir(file)) == "interop-passive" {
		return "passive-client"
	}
	for _, p := range passiveNames {
		if name == p {
			return "passive-client"
		}
	}
	return name
}

// vector decodes a case for its check.
func vector[T any](check func(*testing.T, *T)) func(*testing.T, json.RawMessage) {
	return func(t *testing.T, data json.RawMessage) {
		var v T
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatal(err)
		}
		check(t, &v)
	}
}

// hexed is binary data that is hexadecimal in JSON.
type hexed []byte

func (h *hexed) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func (h hexed) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// officialVectors returns the folder with the official vectors, empty if there is none.
func officialVectors() string {
	if folder := os.Getenv("QPQ_MLS_VECTORS"); folder != "" {
		return folder
	}
	folder := filepath.Join("..", "..", "shared", "mls-vectors")
	if _, err := os.Stat(folder); err != nil {
		return ""
	}
	return folder
}

// TestOwnVectors runs the package's own vectors, which are always there.
func TestOwnVectors(t *testing.T) { runVectors(t, "testdata") }

// TestOfficialVectors runs every file of the folder that QPQ_MLS_VECTORS names, or of ../shared/mls-vectors beside the
// checkout. A file of unknown kind, or without cases, fails.
func TestOfficialVectors(t *testing.T) {
	folder := officialVectors()
	if folder == "" {
		t.Log("the official vectors are not here: the package's own stand in for them")
		folder = "testdata"
	}
	runVectors(t, folder)
}

func runVectors(t *testing.T, folder string) {
	var files []string
	err := filepath.WalkDir(folder, func(file string, entry os.DirEntry, err error) error {
		if err == nil && filepath.Ext(file) == ".json" {
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no vectors in %s", folder)
	}
	for _, file := range files {
		name, _ := filepath.Rel(folder, file)
		t.Run(name, func(t *testing.T) { runFile(t, file) })
	}
}

func runFile(t *testing.T, file string) {
	check := vectorKinds[kindOf(file)]
	if check == nil {
		t.Fatalf("vectors of unknown kind %q", kindOf(file))
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []json.RawMessage
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	ran := 0
	for i, c := range cases {
		var header struct {
			Suite uint16 `json:"cipher_suite"`
		}
		if err := json.Unmarshal(c, &header); err != nil {
			t.Fatal(err)
		}
		t.Run(fmt.Sprintf("suite %d case %d", header.Suite, i), func(t *testing.T) {
			check(t, c)
			ran++
		})
	}
	t.Logf("%d cases passed", ran)
	if ran != len(cases) && !t.Failed() {
		t.Errorf("%d of %d cases ran to the end", ran, len(cases))
	}
}

// suiteOf returns a suite that a vector is for. One that is not implemented is a failure.
func suiteOf(t *testing.T, id uint16) *suite.Suite {
	t.Helper()
	s := suite.Lookup(id, 0)
	if s == nil {
		t.Fatalf("suite %#04x is not implemented", id)
	}
	return s
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s\n got %x\nwant %x", what, got, want)
	}
}

// good returns v, and fails the test if there is an error.
func good[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
