package client_test

import (
	"testing"

	"github.com/quicproquo/qpq/client"
)

func TestUploadsThatAreDoneAreRememberedForAWhile(t *testing.T) {
	if n, last := client.RememberedUploads(1000); n != 256 || !last {
		t.Errorf("of 1000 uploads %d are remembered, the newest one: %v", n, last)
	}
}
