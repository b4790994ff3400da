package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/quicproquo/qpq/store"
)

// TestRecordDoesNotPrint puts a record through everything that writes values down.
func TestRecordDoesNotPrint(t *testing.T) {
	a := store.Account{Name: "alice", Record: store.Record("hunter2")}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+"\n", a.Record)
		fmt.Fprintf(&out, verb+"\n", a)
		fmt.Fprintf(&out, verb+"\n", &a)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("an account", "account", a, "record", a.Record)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("an account", "account", a, "record", a.Record)
	if err := json.NewEncoder(&out).Encode(a); err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2"), "104 117 110", "aHVudGVyMg"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q is in the output:\n%s", leak, out.String())
		}
	}
	if !strings.Contains(out.String(), "[record]") {
		t.Error("nothing was written")
	}
}
