package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// files are the commands that send and fetch files, and what is to be viewed once. They open none themselves: the client does, in the process that
// holds the profile, by the whole paths that front ends give (Command.Whole).
var files = []*Command{
	define(Command{
		Name: "send-file", Summary: "send a file",
		Long: "Encrypts a file and sends it, and returns when the server has it and its message for good. What the server would not take is told before anything is sent. " +
			"If this is interrupted, or the server cannot be reached, it goes on where it was with the next command that stays connected, such as sync or watch: do not send it again. " +
			"The file must stay as it is until then.\n\nWith --view-once, the server forgets the file once somebody has fetched it, and whoever fetched it keeps no more than that there was one.",
		Example: []string{"send-file bob holiday.jpg", "send-file team report.pdf --caption 'for Monday'", "send-file bob key.txt --view-once"},
	}, sendFile),
	define(Command{
		Name: "send-once", Summary: "say something that can be viewed once",
		Long:    "Sends a text that receivers see when they ask for it (view), once. A placeholder stays with all. Nothing keeps people from copying what they see.",
		Example: []string{"send-once bob the code is 4711"},
	}, sendOnce),
	define(Command{
		Name: "download", Summary: "fetch a file that somebody sent", Moves: true,
		Long: "Fetches a file and saves it under the name that its sender gave it, or one near that: it never replaces a file. Without --to it is saved where the command is called. " +
			"Each part is checked as it comes, and nothing bears the file's name before all of it is right. If this is interrupted, it goes on where it was.",
		Example: []string{"download bob ab3de7gh", "download team ab3de7gh --to ~/Downloads"},
	}, download),
	define(Command{
		Name: "view", Summary: "view what can be viewed once",
		Long:    "Shows a text, or fetches a file, that was sent to be viewed once. Then this device has it no more, but for the file where it was saved, nor has the server.",
		Example: []string{"view bob ab3de7gh", "view bob ab3de7gh --to ~/Downloads"},
	}, view),
	define(Command{
		Name: "files", Summary: "list the files of a conversation",
		Long:    "Lists messages that are files, the newest first, and where they were saved.",
		Example: []string{"files team", "files bob --limit 200 --json"},
	}, listFiles),
	define(Command{
		Name: "transfers", Summary: "list files that are on their way",
	}, listTransfers),
	define(Command{
		Name: "transfers resume", Summary: "go on with a file that stopped", Moves: true,
		Example: []string{"transfers resume 3"},
	}, resumeTransfer),
	define(Command{
		Name: "transfers cancel", Summary: "give a file up that is on its way",
		Example: []string{"transfers cancel 3"},
	}, cancelTransfer),
}

type sendFileArgs struct {
	conversationArgs
	Path     string `arg:"path" takes:"path" help:"the file"`
	Caption  string `flag:"caption" as:"TEXT" help:"what to say with it"`
	ViewOnce bool   `flag:"view-once" help:"have it viewed once"`
}

func sendFile(ctx context.Context, e *Env, a sendFileArgs) (Output, error) {
	v, err := e.conversation(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	offline := e.Client.Sync(ctx) // where it cannot be sent now, it is kept
	id, err := e.Client.SendFile(ctx, v.ID, client.Attachment{Path: a.Path, Caption: a.Caption, Once: a.ViewOnce})
	if err != nil {
		return Output{}, err
	}
	if offline != nil {
		return Output{}, waits(id, offline)
	}
	return e.moved(ctx, id)
}

// moved moves a file, and shows how far it is. Of one that is sent it waits until the server has the message.
func (e *Env) moved(ctx context.Context, id int64) (out Output, err error) {
	name := fmt.Sprintf("transfer %d", id)
	if t, err := e.transferOf(id); err == nil {
		name = t.Name
	}
	var done *client.Transfer
	err = e.connected(ctx, func(ctx context.Context) (err error) {
		if done, err = e.Client.Transfer(ctx, id, newMeter(e.UI, id, name).report); err != nil || !done.Upload {
			return err
		}
		return e.sent(ctx, done)
	})
	if err != nil {
		return Output{}, waits(id, err)
	}
	value := map[string]any{"transfer": id, "name": name, "upload": done.Upload}
	if done.Upload {
		value["id"], value["short"] = done.Message.String(), done.Message.Short()
		return Output{value, fmt.Sprintf("%s: %s is sent", done.Message.Short(), qpq.OneLine(name))}, nil
	}
	value["path"] = done.Path
	return Output{value, "saved as " + qpq.OneLine(done.Path)}, nil
}

// sent waits until the server has the message of a file.
func (e *Env) sent(ctx context.Context, done *client.Transfer) error {
	list, err := e.Client.Conversations()
	if err != nil {
		return err
	}
	for _, v := range list {
		if err := e.Client.Wait(ctx, v.ID, done.Message); qpq.CodeOf(err) != "message-unknown" {
			return err
		}
	}
	return nil
}

// waits says of a transfer that was interrupted that it goes on.
func waits(id int64, why error) error {
	if !errors.Is(why, qpq.Unavailable) && !errors.Is(why, qpq.RateLimited) {
		return why
	}
	return qpq.Wrap(qpq.KindOf(why), "transfer-waits", fmt.Sprintf("transfer %d waits on this device and goes on when something stays connected, do not begin it again (transfers cancel %d gives it up): %v", id, id, why), why)
}

func (e *Env) transferOf(id int64) (*client.Transfer, error) {
	list, err := e.Client.Transfers()
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		if t.ID == id {
			return &t, nil
		}
	}
	return nil, qpq.E(qpq.NotFound, "transfer-unknown", fmt.Sprintf("there is no transfer %d under way: transfers lists them", id))
}

type sendOnceArgs struct {
	conversationArgs
	Text string `arg:"text" takes:"rest" help:"what to say"`
}

func sendOnce(ctx context.Context, e *Env, a sendOnceArgs) (Output, error) {
	v, err := e.conversation(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	sent, err := e.queued(ctx, v, false, func() (client.MessageID, error) { return e.Client.SendOnce(ctx, v.ID, a.Text) })
	return Output{sent, sent.text()}, err
}

type downloadArgs struct {
	conversationArgs
	Message string `arg:"message" help:"the id of the message"`
	To      string `flag:"to" as:"PATH" takes:"path" help:"save it there: in a folder, or under a name"`
}

func download(ctx context.Context, e *Env, a downloadArgs) (Output, error) {
	v, m, err := e.message(ctx, a.Conversation, a.Message)
	if err != nil {
		return Output{}, err
	}
	if f := m.Message.File(); f != nil && f.Once {
		return Output{}, qpq.E(qpq.Invalid, "view-once", fmt.Sprintf("%s can be viewed once: view does that", m.Message.ID.Short()))
	}
	return e.save(ctx, v, m, a.To)
}

// save fetches the file of a message.
func (e *Env) save(ctx context.Context, v *client.Conversation, m *client.Entry, to string) (Output, error) {
	if to == "" {
		return Output{}, qpq.E(qpq.Invalid, "usage", "it is not said where to save the file: give --to")
	}
	id, err := e.Client.SaveFile(v.ID, m.Ref(), to)
	if err != nil {
		return Output{}, err
	}
	return e.moved(ctx, id)
}

func view(ctx context.Context, e *Env, a downloadArgs) (Output, error) {
	v, m, err := e.message(ctx, a.Conversation, a.Message)
	if err != nil {
		return Output{}, err
	}
	if f := m.Message.File(); f != nil && f.Once {
		out, err := e.save(ctx, v, m, a.To)
		if value, ok := out.Value.(map[string]any); ok && err == nil && f.Caption != "" {
			value["caption"] = f.Caption
			out.Text += "\n" + indented(f.Caption)
		}
		return out, err
	}
	return Output{}, e.Client.ViewText(v.ID, m.Ref(), func(text string) error {
		return e.UI.Result(Output{map[string]string{"id": m.Message.ID.String(), "text": text}, text})
	})
}

type filesArgs struct {
	conversationArgs
	Limit *int `flag:"limit" help:"list so many at most; 50 unless you say otherwise"`
}

// FileJSON is a file of a message, for programs.
type FileJSON struct {
	Name      string `json:"name"`
	Size      int64  `json:"size"`
	MediaType string `json:"media_type,omitempty"`
	Caption   string `json:"caption,omitempty"`
	Once      bool   `json:"view_once,omitempty"`
	State     string `json:"state,omitempty"` // "there", "fetching", "stopped", "saved", "viewed", "gone"
	Path      string `json:"path,omitempty"`  // where it was saved
}

// listedFile is a line of files, for programs.
type listedFile struct {
	ID     string    `json:"id"`
	Short  string    `json:"short"`
	Sender string    `json:"sender"`
	Time   time.Time `json:"time"`
	FileJSON
}

func listFiles(ctx context.Context, e *Env, a filesArgs) (Output, error) {
	limit := 50
	if a.Limit != nil {
		limit = *a.Limit
	}
	if limit < 1 {
		return Output{}, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("files: %d is no number of files: it takes 1 or more", limit))
	}
	if err := e.refresh(ctx); err != nil {
		return Output{}, err
	}
	v, err := e.conversation(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	entries, err := e.Client.FilesOf(v.ID, limit)
	if err != nil {
		return Output{}, err
	}
	own, _, err := e.Client.Self()
	if err != nil {
		return Output{}, err
	}
	list, lines := []listedFile{}, []string{}
	for _, entry := range entries {
		m := entry.Message
		f, err := e.file(&entry)
		if err != nil {
			return Output{}, err
		}
		list = append(list, listedFile{m.ID.String(), m.ID.Short(), m.Sender.String(), entry.Time.UTC(), *f})
		line := fmt.Sprintf("%s  %s %s: %s", clock(entry.Time), m.ID.Short(), UserText(own, m.Sender), f.text())
		if f.Caption != "" {
			line += ": " + qpq.OneLine(f.Caption)
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		lines = []string{"there are no files"}
	}
	return Output{list, strings.Join(lines, "\n")}, nil
}

// file returns what is known here of the file of a message, or of what was to be viewed once.
func (e *Env) file(entry *client.Entry) (*FileJSON, error) {
	f := fileValue(entry.Message)
	if f == nil {
		f = &FileJSON{Once: entry.Message.Kind == client.KindViewOnce, State: "gone"}
		if entry.Message.Gone == client.Viewed {
			f.State = "viewed"
		} else if entry.Message.Gone == client.There {
			f.State = "there" // a text to be viewed once
		}
		return f, nil
	}
	path, under, err := e.Client.Saved(entry.Ref())
	switch {
	case err != nil:
		return nil, err
	case path != "":
		f.State, f.Path = "saved", path
	case under != nil && under.State == client.TransferStopped:
		f.State = "stopped"
	case under != nil:
		f.State = "fetching"
	default:
		f.State = "there"
	}
	return f, nil
}

// fileValue returns the file of a message for programs, nil where it has none.
func fileValue(m *client.Message) *FileJSON {
	f := m.File()
	if f == nil {
		return nil
	}
	return &FileJSON{Name: f.Name, Size: f.Size, MediaType: f.MediaType, Caption: m.Text, Once: f.Once}
}

// text describes a file for people.
func (f *FileJSON) text() string {
	switch {
	case f.State == "viewed":
		return "viewed, and gone"
	case f.State == "gone":
		return "gone"
	case f.Name == "":
		return "a text to be viewed once"
	}
	text := fmt.Sprintf("%s, %s, %s", qpq.OneLine(f.Name), Bytes(f.Size), qpq.OneLine(f.MediaType))
	if f.Once {
		text += ", to be viewed once"
	}
	switch f.State {
	case "saved":
		text += ", saved as " + qpq.OneLine(f.Path)
	case "fetching", "stopped":
		text += ", " + f.State
	}
	return text
}

// transferJSON is a transfer, for programs.
type transferJSON struct {
	ID           int64  `json:"id"`
	Conversation string `json:"conversation"`
	Upload       bool   `json:"upload"`
	Name         string `json:"name"`
	Path         string `json:"path"`
	Done         int64  `json:"done"`
	Total        int64  `json:"total"`
	State        string `json:"state"` // "waiting" or "stopped"
	Problem      string `json:"problem,omitempty"`
}

func listTransfers(_ context.Context, e *Env, _ noArgs) (Output, error) {
	transfers, err := e.Client.Transfers()
	if err != nil {
		return Output{}, err
	}
	list, lines := []transferJSON{}, []string{}
	for _, t := range transfers {
		j := transferJSON{t.ID, t.Channel.String(), t.Upload, t.Name, t.Path, t.Done, t.Total, "waiting", t.Problem}
		way, why := "from", ""
		if t.Upload {
			way = "to"
		}
		if t.State == client.TransferStopped {
			j.State, why = "stopped", ": "+qpq.OneLine(t.Problem)
		}
		where := t.Channel.String()[:8]
		if v, err := e.Client.Conversation(t.Channel); err == nil {
			where = v.Name()
		}
		list = append(list, j)
		lines = append(lines, fmt.Sprintf("%d  %s, %s, %s %s: %s%s", t.ID, qpq.OneLine(t.Name), Bytes(t.Total), way, qpq.OneLine(where), j.State, why))
	}
	if len(lines) == 0 {
		lines = []string{"nothing is on its way"}
	}
	return Output{list, strings.Join(lines, "\n")}, nil
}

type transferArgs struct {
	ID string `arg:"id" help:"its number, as transfers shows it"`
}

// named returns the transfer that a person named.
func (e *Env) named(number string) (*client.Transfer, error) {
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%q is no number of a transfer: transfers lists them", number))
	}
	return e.transferOf(id)
}

func resumeTransfer(ctx context.Context, e *Env, a transferArgs) (Output, error) {
	t, err := e.named(a.ID)
	if err != nil {
		return Output{}, err
	}
	return e.moved(ctx, t.ID)
}

func cancelTransfer(ctx context.Context, e *Env, a transferArgs) (Output, error) {
	t, err := e.named(a.ID)
	if err != nil {
		return Output{}, err
	}
	err = e.Client.CancelTransfer(ctx, t.ID)
	return Output{map[string]any{"cancelled": t.ID}, fmt.Sprintf("transfer %d of %s is given up", t.ID, qpq.OneLine(t.Name))}, err
}
