package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
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
		Long: "Writes a conversation, as this device has it, as an archive in lines of JSON that this device signs: nobody can change, add, leave out or move an entry without it showing. It goes to standard output. " +
			"Of messages named with --redact, and what they said after edits, only that they were there is kept, and the archive verifies all the same.\n\n" +
			"What is to disappear, or to be viewed once, is left out, and so is what was never sent. The transcript is your word for what you were sent, and no proof against those who wrote it: see docs/transcripts.md.",
		Example: []string{"export team >team.transcript", "export bob --after 2026-11-01 --before 2026-12-01 >november.transcript", "export bob --redact ab3de7gh >bob.transcript"},
	}, export),
	define(Command{
		Name: "export-verify", Summary: "check a transcript, and say who signed it",
		Long: "Reads a transcript from standard input and checks that it is whole, that nothing in it was changed, and that a device signed it that its account certified; then, whether that is the account that this profile knows by the name. " +
			"It works without being signed in: then, and for people whom you never talked with, --key takes the fingerprint of the account's key, as the exporter's program showed it.\n\n" +
			"Exit code 7 says that it was cut off or damaged, 4 that it was altered or signed by somebody else, 5 that it is whole and nothing here vouches for who signed it.",
		Example: []string{"export-verify <team.transcript", "export-verify --key SHA256:… <team.transcript"},
	}, exportVerify),
}

type exportArgs struct {
	Conversation string `arg:"conversation" of:"conversations" help:"its name, or the beginning of its id"`
	After        string `flag:"after" help:"only what came after the message with this id, or from this day or time on: 2026-11-01, 2026-11-01T18:00:00Z"`
	Before       string `flag:"before" help:"only what came before the message with this id, or before this day or time"`
	Redact       string `flag:"redact" help:"leave out what the messages with these ids say: one, or several with commas between them"`
}

// exportedJSON is what came of an export, for programs.
type exportedJSON struct {
	Conversation string `json:"conversation"`
	Entries      int    `json:"entries"`
	Redacted     int    `json:"redacted"`
	LeftOut      int    `json:"left_out"`
	User         string `json:"user"`
	Device       string `json:"device"`
	Key          string `json:"key"` // of the account: its fingerprint
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
	done, err := e.Client.Export(ctx, v.ID, x, &parts{ui: e.UI})
	if err != nil {
		return Output{}, err
	}
	j := exportedJSON{v.ID.String(), done.Entries, done.Redacted, done.LeftOut, user.String(), device.String(), done.Key.Fingerprint()}
	e.UI.Show(Output{map[string]any{"exported": j}, j.text(v.Name())})
	return Output{}, nil
}

func (j *exportedJSON) text(name string) string {
	text := fmt.Sprintf("exported %s of %s", counted(j.Entries, "entry", "entries"), oneLine(name))
	if j.Redacted > 0 {
		text += fmt.Sprintf(", %d of them redacted", j.Redacted)
	}
	if j.LeftOut > 0 {
		text += fmt.Sprintf("; %s that disappear or are viewed once are not in it", counted(j.LeftOut, "message", "messages"))
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
			e.UI.Show(Output{map[string]any{"progress": map[string]int{"done": n, "all": all}}, fmt.Sprintf("%s %d of %d", what, n, all)})
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

type exportVerifyArgs struct {
	Transcript string `arg:"transcript?" takes:"input" help:"the transcript itself"`
	Key        string `flag:"key" help:"the fingerprint of the key of the account that has to have signed it, SHA256:…"`
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
	in := io.Reader(strings.NewReader(a.Transcript))
	if a.Transcript != "" {
		in = io.MultiReader(in, strings.NewReader("\n")) // the line break at the end of a text is not part of it
	}
	r, err := transcript.Verify(in, nil)
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
	if _, err := client.ParseFingerprint(key); err != nil {
		return err
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
	text := fmt.Sprintf("a transcript of %s, whole and unchanged: %s, %d of them redacted", oneLine(h.Name), counted(int(r.Entries), "entry", "entries"), r.Redacted)
	for _, part := range []struct{ word, bound string }{{"after", h.After}, {"before", h.Before}} {
		if part.bound != "" {
			text += fmt.Sprintf("; only what was %s %s", part.word, oneLine(part.bound))
		}
	}
	text += fmt.Sprintf("\nsigned by %s, device %s, at %s by its clock\nkey of the account: %s", j.User, r.Device.ID().Short(), j.Time.Format(time.RFC3339), j.Key)
	return Output{j, text}
}
