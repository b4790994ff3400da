package conversation_test

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/wire"
)

func TestSizeClasses(t *testing.T) {
	for n, want := range map[int]int{0: 256, 1: 256, 256: 256, 257: 512, 512: 512, 513: 1024, 2049: 4096, 4096: 4096, 4097: 4608, 4608: 4608, 8192: 8192, 8193: 9216, 65536: 65536, 65537: 73728} {
		if got := conversation.SizeClass(n); got != want {
			t.Errorf("%d bytes become %d and not %d", n, got, want)
		}
	}
	last := 0
	for n := range 1 << 20 {
		class := conversation.SizeClass(n)
		if class < n || class < last || conversation.SizeClass(class) != class || n > 4096 && class > n+n/8 {
			t.Fatalf("%d bytes become %d", n, class)
		}
		last = class
	}
}

// talker is a device whose messages are measured.
func talker(t *testing.T) (*rig, *member) {
	r := newRig(t)
	m := r.device("alice")
	r.found(m, wire.Founding{})
	return r, m
}

// measure returns how long a message is before it is padded, and as it is sent.
func (r *rig) measure(m *member, body wire.MessageBody) (content, sent int) {
	r.Helper()
	b := must(wire.Marshal(wire.Message{ID: [16]byte{1}, Sent: time.UnixMilli(1), ExpireSeconds: 3600, Body: body}))(r)
	return len(b) + framing, len(must(m.Encrypt(b))(r).Message)
}

// What MLS puts around each content before it is padded (lengths and the signature), and around what it encrypted.
const (
	framing = 72
	around  = 82
)

// TestMessagesOfOneClassAreOfOneLength: whatever somebody does, if it is of a class it looks like all others of it.
func TestMessagesOfOneClassAreOfOneLength(t *testing.T) {
	r, m := talker(t)
	ref := wire.MessageRef{Sender: user("bob"), ID: [16]byte{2}}
	small := map[string]wire.MessageBody{
		"reaction": wire.ReactionBody{Target: ref, Emoji: "👍"}, "no reaction": wire.ReactionBody{Target: ref, Emoji: "👩🏽‍🚀", Remove: true},
		"receipt": wire.ReceiptBody{Kind: wire.ReceiptKindRead, Messages: []wire.MessageRef{ref}}, "deletion": wire.DeleteBody{Target: ref},
		"typing": wire.TypingBody{Active: true}, "not typing": wire.TypingBody{}, "cover": wire.CoverBody{}, "edit": wire.EditBody{Target: ref, Text: strings.Repeat("x", 40)},
	}
	for n := 1; n <= 103; n++ {
		small[fmt.Sprintf("text of %d bytes", n)] = wire.TextBody{Text: strings.Repeat("x", n)}
	}
	shortest := math.MaxInt
	for what, body := range small {
		content, sent := r.measure(m, body)
		shortest = min(shortest, content)
		if sent != 256+around {
			t.Errorf("a %s has %d bytes, and not %d", what, sent, 256+around)
		}
	}
	if shortest > 150 {
		t.Errorf("the shortest has %d bytes without padding: nothing had to be hidden", shortest)
	}
	for what, body := range map[string]wire.MessageBody{
		"text": wire.TextBody{Text: strings.Repeat("x", 104)}, "reply": wire.ReplyBody{Target: ref, Root: &ref, Text: "x"},
		"file": wire.FileBody{Blob: [32]byte{1}, Domain: "example.org", Key: [32]byte{2}, Digest: [32]byte{3}, Size: 1, Chunk: 65536, Name: "holiday.jpg", MediaType: "image/jpeg"},
	} {
		if _, sent := r.measure(m, body); sent != 512+around {
			t.Errorf("a %s has %d bytes, and not %d", what, sent, 512+around)
		}
	}
}

// lengths is how long texts are that docs/privacy.md reckons with: the logarithm is normal, half of them have up to 32 bytes.
func lengths(n int) float64 {
	below := func(n float64) float64 { return 0.5 * math.Erfc(-math.Log(n/32)/1.1/math.Sqrt2) }
	if n == 1 {
		return below(1.5)
	}
	return below(float64(n)+0.5) - below(float64(n)-0.5)
}

// TestDocumentedClasses measures which texts are of which class, and what that costs, and looks at what docs/privacy.md says of it.
func TestDocumentedClasses(t *testing.T) {
	r, m := talker(t)
	type row struct{ last, share, plain float64 }
	rows := map[int]*row{}
	var classes []int
	var plain, padded float64
	for n := 1; n <= 3943; n++ {
		text := wire.TextBody{Text: strings.Repeat("x", n)}
		content := len(must(wire.Marshal(wire.Message{ID: [16]byte{1}, Sent: time.UnixMilli(1), Body: text}))(r)) + framing
		class := conversation.SizeClass(content)
		if rows[class] == nil {
			rows[class] = &row{}
			classes = append(classes, class)
			if _, sent := r.measure(m, text); sent != class+around {
				t.Fatalf("a text of %d bytes is sent in %d bytes, and not %d", n, sent, class+around)
			}
		}
		c, p := rows[class], lengths(n)
		c.last, c.share, c.plain = float64(n), c.share+p, c.plain+p*float64(content+around)
		plain, padded = plain+p*float64(content+around), padded+p*float64(class+around)
	}
	page, err := os.ReadFile("../../docs/privacy.md")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{fmt.Sprintf("On average a text is sent in %.0f bytes, of which %.0f are padding", padded, padded-plain)}
	for _, class := range classes {
		c := rows[class]
		want = append(want, fmt.Sprintf("| %d | %.0f | %d | %.1f %% | %.0f |", class, c.last, class+around, 100*c.share, float64(class+around)-c.plain/c.share))
	}
	for _, line := range want {
		if !strings.Contains(string(page), line) {
			t.Errorf("docs/privacy.md does not say: %s", line)
		}
	}
}
