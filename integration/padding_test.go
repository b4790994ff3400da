//go:build linux

package integration_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/wire"
)

// How many messages of each length are sent, and by how many bytes the medians of what is seen of them may differ: QUIC writes numbers that grow in
// more bytes, and may put an acknowledgement beside a message.
const (
	eachLength = 15
	tolerance  = 8
)

// TestStoryPacketsShowNoMoreThanTheSizeClass: somebody on the way records the datagrams of a sender and of a receiver. Two texts of one size class
// are of one length to them, although one is far longer; a text of the next class is not.
func TestStoryPacketsShowNoMoreThanTheSizeClass(t *testing.T) {
	t.Parallel()
	short, long, next := strings.Repeat("s", 2), strings.Repeat("l", 100), strings.Repeat("n", 160)
	k := newOrdeal(t)
	sender, receiver := newRelay(t, k.address), newRelay(t, k.address)
	alice, bob := k.bot("alice", sender), k.bot("bob", receiver)
	alice.ask("dm", map[string]any{"user": "bob", "text": "hello"})
	bob.ask("sync", nil)
	bob.ask("subscribe", nil)

	up, down := map[string][]int{}, map[string][]int{}
	for range eachLength {
		for _, text := range []string{short, next, long} {
			sender.mark()
			receiver.mark()
			if sent := alice.ask("send", map[string]any{"conversation": "bob", "text": text}); !strings.Contains(sent, `"state":"sent"`) {
				t.Fatalf("a text is not sent: %s", sent)
			}
			seen, _ := sender.seen()
			bob.until(`"method":"entry"`, `"text":"`+text+`"`)
			_, fetched := receiver.seen()
			up[text], down[text] = append(up[text], slices.Max(seen)), append(down[text], slices.Max(fetched))
		}
	}
	for way, lengths := range map[string]map[string][]int{"to the server": up, "to the receiver": down} {
		t.Logf("%s: a text of %d bytes %v, of %d bytes %v, of %d bytes %v", way, len(short), lengths[short], len(long), lengths[long], len(next), lengths[next])
		if d := apart(lengths[short], lengths[long]); d > tolerance {
			t.Errorf("%s, texts of %d and %d bytes differ by %d bytes", way, len(short), len(long), d)
		}
		step := conversation.SizeClass(257) - conversation.SizeClass(256)
		if d := apart(lengths[long], lengths[next]); d < step-tolerance || d > step+tolerance {
			t.Errorf("%s, texts of two classes differ by %d bytes, and the classes by %d: this test sees no lengths", way, d, step)
		}
	}
	// Without padding the same test fails: what is encrypted differs by more than it lets pass.
	if d := contentLength(t, long) - contentLength(t, short); d < 40 || d <= tolerance {
		t.Errorf("in the clear the texts differ by %d bytes: nothing had to be hidden", d)
	}
}

// apart returns by how much the medians of two lists differ.
func apart(a, b []int) int {
	d := median(a) - median(b)
	return max(d, -d)
}

func median(list []int) int { return slices.Sorted(slices.Values(list))[len(list)/2] }

// contentLength returns how many bytes of a message with a text are encrypted, but for padding and the signature, which is of one length.
func contentLength(t *testing.T, text string) int {
	t.Helper()
	b, err := wire.Marshal(wire.Message{ID: [16]byte{1}, Sent: time.UnixMilli(1), Body: wire.TextBody{Text: text}})
	if err != nil {
		t.Fatal(err)
	}
	return len(b)
}

// bot is a qpq daemon that reaches its server by a relay, and is spoken to by lines. It sends no receipts.
type bot struct {
	t     *testing.T
	in    io.Writer
	lines chan string
	asked int
}

func (o *ordeal) bot(name string, r *relay) *bot {
	o.t.Helper()
	o.check(signUp(o.t.Context(), filepath.Join(o.dir, ".local/share/qpq", name), r.address(), name))
	cmd := o.program("qpq", "--profile", name, "--server", r.address(), "daemon", "--stdio")
	in, err := cmd.StdinPipe()
	o.check(err)
	out, err := cmd.StdoutPipe()
	o.check(err)
	o.check(cmd.Start())
	b := &bot{t: o.t, in: in, lines: make(chan string, 1024)}
	go b.read(out)
	o.t.Cleanup(func() { b.end(cmd, in) })
	b.ask("privacy", map[string]any{"setting": "receipts", "value": "off"})
	return b
}

func (b *bot) read(out io.Reader) {
	defer close(b.lines)
	for s := bufio.NewScanner(out); s.Scan(); {
		b.lines <- s.Text()
	}
}

// end ends the daemon, which goes by itself once its input does.
func (b *bot) end(cmd *exec.Cmd, in io.Closer) {
	_ = in.Close()
	for range b.lines { // to its end
	}
	if err := cmd.Wait(); err != nil {
		b.t.Errorf("the daemon ended with %v", err)
	}
}

// ask calls a method and returns the answer, which is no error.
func (b *bot) ask(method string, params map[string]any) string {
	b.t.Helper()
	b.asked++
	if params == nil {
		params = map[string]any{}
	}
	call, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": b.asked, "method": method, "params": params})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.in.Write(append(call, '\n')); err != nil {
		b.t.Fatal(err)
	}
	id, err := json.Marshal(b.asked)
	if err != nil {
		b.t.Fatal(err)
	}
	answer := b.until(`"id":` + string(id) + `,`)
	if !strings.Contains(answer, `"result"`) {
		b.t.Fatalf("%s: %s", method, answer)
	}
	return answer
}

// until returns the next line that has all of some parts.
func (b *bot) until(parts ...string) string {
	b.t.Helper()
	over := time.After(patience)
	for {
		select {
		case line, ok := <-b.lines:
			if !ok {
				b.t.Fatalf("the daemon ended before it said %q", parts)
			}
			if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
				return line
			}
		case <-over:
			b.t.Fatalf("the daemon never said %q", parts)
		}
	}
}
