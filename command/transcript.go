package command

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/transcript"
)

// transcripts are the commands that export conversations, and check what was exported.
var transcripts = []*Command{
	define(Command{
		Name: "export", Summary: "export a conversation as a signed transcript",
		Long: "Writes a conversation, as this device has it, as an archive in lines of JSON that this device signs: nobody can change, add, leave out or move an entry without it showing. " +
			"It never replaces a file; without --to it is saved where the command is called. " +
			"Of messages named with --redact, and what they said after edits, only that they were there is kept, and the archive verifies all the same.\n\n" +
			"What is to disappear, or to be viewed once, is left out, and so is what was never sent. The transcript is your word for what you were sent, and no proof against those who wrote it: see docs/transcripts.md.",
		Example: []string{"export team", "export bob --after 2026-11-01 --before 2026-12-01 --to november.transcript", "export bob --redact ab3de7gh", "export team --print | gzip >team.gz"},
	}, export),
	define(Command{
		Name: "export-redact", Summary: "leave out what messages of a transcript say",
		Long: "Copies a transcript without what the named messages, and their edits, say. The signature is the one that was made first, and the copy verifies. Whoever has a transcript can do this; it changes nothing in " +
			"those that others have.",
		Example: []string{"export-redact team.transcript ab3de7gh --to public.transcript"},
	}, exportRedact),
	define(Command{
		Name: "export-verify", Summary: "check a transcript, and say who signed it",
		Long: "Checks that a transcript is whole, that nothing in it was changed, and that a device signed it that its account certified; then, whether that is the account that this profile knows by the name. " +
			"It works without being signed in: then, and for people whom you never talked with, --key takes the fingerprint of the account's key, as the exporter's program showed it.\n\n" +
			"Exit code 7 says that it was cut off or damaged, 4 that it was altered or signed by somebody else, 5 that it is whole and nothing here vouches for who signed it.",
		Example: []string{"export-verify team.transcript", "export-verify team.transcript --key SHA256:…"},
	}, exportVerify),
}

type exportArgs struct {
	conversationArgs
	To     string `flag:"to" as:"PATH" takes:"path" help:"save it there: in a folder, or under a name"`
	Print  bool   `flag:"print" help:"give it line by line, and save nothing"`
	After  string `flag:"after" as:"WHEN" help:"only what came after the message with this id, or from this day or time on: 2026-11-01, 2026-11-01T18:00:00Z"`
	Before string `flag:"before" as:"WHEN" help:"only what came before the message with this id, or before this day or time"`
	Redact string `flag:"redact" as:"IDS" help:"leave out what the messages with these ids say: one, or several with commas between them"`
}

// exportedJSON is what came of an export, for programs.
type exportedJSON struct {
	Conversation string `json:"conversation"`
	Entries      int    `json:"entries"`
	Redacted     int    `json:"redacted"`
	LeftOut      int    `json:"left_out"`
	User         string `json:"user"`
	Device       string `json:"device"`
	Key          string `json:"key"`            // of the account: its fingerprint
	Path         string `json:"path,omitempty"` // where it was saved
}

func export(ctx context.Context, e *Env, a exportArgs) (Output, error) {
	if err := e.refresh(ctx); err != nil {
		return Output{}, err
	}
	v, err := e.conversation(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	x := client.Export{Progress: e.progress("exported")}
	if x.After, err = e.bound(v.ID, "after", a.After); err != nil {
		return Output{}, err
	}
	if x.Before, err = e.bound(v.ID, "before", a.Before); err != nil {
		return Output{}, err
	}
	for _, id := range strings.FieldsFunc(a.Redact, func(r rune) bool { return r == ',' || r == ' ' }) {
		m, err := e.Client.Message(v.ID, id)
		if err != nil {
			return Output{}, err
		}
		x.Redact = append(x.Redact, m.Ref())
	}
	user, device, err := e.Client.Self()
	if err != nil {
		return Output{}, err
	}
	j := exportedJSON{Conversation: v.ID.String(), User: user.String(), Device: device.String()}
	write := func(w io.Writer) error {
		done, err := e.Client.Export(ctx, v.ID, x, w)
		if err == nil {
			j.Entries, j.Redacted, j.LeftOut, j.Key = done.Entries, done.Redacted, done.LeftOut, done.Key.Fingerprint()
		}
		return err
	}
	if a.Print || a.To == "" {
		if err := write(&parts{ui: e.UI}); err != nil {
			return Output{}, err
		}
		e.UI.Show(Output{map[string]any{"exported": j}, j.text(v.Name())})
		return Output{}, nil
	}
	if j.Path, err = e.Client.WriteFile(a.To, v.Name()+".transcript", write); err != nil {
		return Output{}, err
	}
	return Output{j, j.text(v.Name())}, nil
}

func (j *exportedJSON) text(name string) string {
	text := fmt.Sprintf("exported %s of %s", counted(j.Entries, "entry", "entries"), qpq.OneLine(name))
	if j.Redacted > 0 {
		text += fmt.Sprintf(", %d of them redacted", j.Redacted)
	}
	if j.Path != "" {
		text += ", to " + qpq.OneLine(j.Path)
	}
	if j.LeftOut > 0 {
		text += "; without what disappears or is viewed once: " + counted(j.LeftOut, "message", "messages")
	}
	return text + "\nsigned by " + j.User + "; those who do not know you check it with --key " + j.Key
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// bound reads where a part of a conversation begins or ends.
func (e *Env) bound(id qpq.ChannelID, flag, text string) (client.Bound, error) {
	b := client.Bound{Name: text}
	if text == "" {
		return b, nil
	}
	if !strings.Contains(text, "-") {
		m, err := e.Client.Message(id, text)
		if err == nil {
			b.Position = m.Position
		}
		return b, err
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			b.Time = at
			return b, nil
		}
	}
	return b, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("export: --%s: %q is neither a day (2026-11-01), nor a time (2026-11-01T18:00:00Z), nor the id of a message", flag, text))
}

// progress returns what tells of something that takes longer than a second, once a second.
func (e *Env) progress(what string) func(n, all int) {
	told := time.Now()
	return func(n, all int) {
		if now := time.Now(); now.Sub(told) >= time.Second && n < all {
			told = now
			e.UI.Show(Output{progressing{ProgressJSON{Name: what, Done: int64(n), Total: int64(all)}}, fmt.Sprintf("%s: %d of %d", what, n, all)})
		}
	}
}

// parts is a writer of lines of JSON, each of which is a part of the result.
type parts struct {
	ui   UI
	rest []byte // of a line that has not ended
}

// Write implements io.Writer.
func (p *parts) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		line, after, ok := bytes.Cut(p.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		if err := p.ui.Result(Output{json.RawMessage(bytes.Clone(line)), string(line)}); err != nil {
			return 0, err
		}
		p.rest = append(p.rest[:0], after...)
	}
}

type exportRedactArgs struct {
	File    string   `arg:"file" takes:"path" help:"the transcript"`
	Message []string `arg:"message" help:"the ids of the messages"`
	To      string   `flag:"to" as:"PATH" takes:"path" help:"save the copy there: in a folder, or under a name"`
}

// redactedJSON is a copy of a transcript, for programs.
type redactedJSON struct {
	Path     string `json:"path"`
	Entries  uint64 `json:"entries"`
	Redacted uint64 `json:"redacted"` // all of them, also those from before
}

func exportRedact(_ context.Context, e *Env, a exportRedactArgs) (Output, error) {
	if a.To == "" {
		return Output{}, qpq.E(qpq.Invalid, "usage", "export-redact: it is not said where to save the copy: give --to")
	}
	name := filepath.Base(a.File)
	extension := filepath.Ext(name)
	var j redactedJSON
	var err error
	j.Path, err = e.Client.WriteFile(a.To, strings.TrimSuffix(name, extension)+"-redacted"+extension, func(w io.Writer) error {
		return e.Client.ReadFile(a.File, func(r io.Reader) error {
			named := naming{ids: a.Message, found: map[string]int{}}
			result, err := transcript.Redact(w, r, named.redacts)
			if err != nil {
				return err
			}
			j.Entries, j.Redacted = result.Entries, result.Redacted
			return named.check()
		})
	})
	return Output{j, fmt.Sprintf("%d of %s are redacted in %s", j.Redacted, counted(int(j.Entries), "entry", "entries"), qpq.OneLine(j.Path))}, err
}

// naming finds messages of a transcript by their ids.
type naming struct {
	ids   []string
	found map[string]int
}

// redacts reports whether a line is one of the messages, or an edit of one.
func (n *naming) redacts(l *transcript.Line) bool {
	id := l.Entry.ID
	if l.Entry.Kind == "edit" && l.Entry.Target != nil {
		return slices.ContainsFunc(n.ids, func(name string) bool { return names(name, l.Entry.Target.ID) })
	}
	hit := false
	for _, name := range n.ids {
		if names(name, id) {
			n.found[name]++
			hit = true
		}
	}
	return hit
}

// check fails unless each id is that of one message.
func (n *naming) check() error {
	for _, name := range n.ids {
		switch n.found[name] {
		case 1:
		case 0:
			return qpq.E(qpq.NotFound, "message-unknown", fmt.Sprintf("there is no message %s in the transcript, or it is redacted already: nothing was written", name))
		default:
			return qpq.E(qpq.Conflict, "ambiguous", fmt.Sprintf("%s may be one of several messages of the transcript: name it by its whole id", name))
		}
	}
	return nil
}

// names reports whether a name is that of a message: its id, or what Short makes of it.
func names(name, id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == len(client.MessageID{}) && (strings.EqualFold(name, id) || strings.EqualFold(name, client.MessageID(b).Short()))
}

type exportVerifyArgs struct {
	File string `arg:"file" takes:"path" help:"the transcript"`
	Key  string `flag:"key" as:"FINGERPRINT" help:"the fingerprint of the key of the account that has to have signed it, SHA256:…"`
}

// verifiedJSON is what a transcript is, for programs.
type verifiedJSON struct {
	Conversation string    `json:"conversation"`
	Name         string    `json:"name"`
	Members      []string  `json:"members"`
	Entries      uint64    `json:"entries"`
	Redacted     uint64    `json:"redacted"`
	LeftOut      int       `json:"left_out"`
	After        string    `json:"after,omitempty"`
	Before       string    `json:"before,omitempty"`
	User         string    `json:"user"`
	Device       string    `json:"device"`
	Key          string    `json:"key"`
	Time         time.Time `json:"time"`
}

func exportVerify(ctx context.Context, e *Env, a exportVerifyArgs) (Output, error) {
	if _, err := client.ParseFingerprint(a.Key); a.Key != "" && err != nil {
		return Output{}, qpq.E(qpq.Invalid, "bad-fingerprint", fmt.Sprintf("%q is no fingerprint of an account's key: it begins with SHA256:, as export shows it to who exports", a.Key))
	}
	var r *transcript.Result
	err := e.Client.ReadFile(a.File, func(in io.Reader) (err error) {
		r, err = transcript.Verify(in, nil)
		return err
	})
	if err != nil {
		return Output{}, err
	}
	if err := e.vouch(ctx, r, a.Key); err != nil {
		e.UI.Show(verified(r))
		return Output{}, err
	}
	return verified(r), nil
}

// vouch fails unless who signed a transcript is known: by a key, where one is given, or by this profile.
func (e *Env) vouch(ctx context.Context, r *transcript.Result, key string) error {
	if key == "" {
		return e.Client.Vouch(ctx, r)
	}
	for _, s := range r.States {
		if s.Key.Fingerprint() == strings.TrimSpace(key) {
			return nil
		}
	}
	return qpq.E(qpq.Denied, client.CodeSignerDiffers, fmt.Sprintf("the transcript is whole, but it was signed by an account with another key: %s", r.States[len(r.States)-1].Key.Fingerprint()))
}

func verified(r *transcript.Result) Output {
	h := r.Header
	j := verifiedJSON{h.Conversation, h.Name, h.Members, r.Entries, r.Redacted, h.LeftOut, h.After, h.Before, r.User.String(), r.Device.ID().String(),
		r.States[len(r.States)-1].Key.Fingerprint(), r.Time.UTC()}
	text := fmt.Sprintf("a transcript of %s, whole and unchanged: %s, %d of them redacted", qpq.OneLine(h.Name), counted(int(r.Entries), "entry", "entries"), r.Redacted)
	for _, part := range []struct{ word, bound string }{{"after", h.After}, {"before", h.Before}} {
		if part.bound != "" {
			text += fmt.Sprintf("; only what was %s %s", part.word, qpq.OneLine(part.bound))
		}
	}
	text += fmt.Sprintf("\nsigned by %s, device %s, at %s by its clock\nkey of the account: %s", j.User, r.Device.ID().Short(), j.Time.Format(time.RFC3339), j.Key)
	return Output{j, text}
}
