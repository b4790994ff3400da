// Package repl is a conversation with a person, or with lines from a pipe: what begins with a slash is a command, everything else is said in
// the current conversation, and what others say appears as it comes.
//
// It knows nothing of conversations but which one is current: what it does and shows comes from the commands of package command.
package repl

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/repl/editor"
)

// Console is where lines come from, and where things are shown.
type Console interface {
	// Events returns what the person does. Ready says that another line may come.
	Events() <-chan editor.Event
	Ready()
	// Print shows lines of a result, Note what is said about it. Both take text that is clean, but for styles.
	Print(text string)
	Note(text string)
	SetPrompt(editor.Prompt)
	// Ask returns the answer to a question.
	Ask(context.Context, command.Question) ([]byte, error)
	// Width returns the columns into which lines are to be broken, 0 for none.
	Width() int
}

// Config is what Run needs.
type Config struct {
	// Call runs a command of the registry, several at a time.
	Call func(context.Context, *command.Command, json.RawMessage, command.UI) (command.Output, error)
	// Console shows and asks. Person says that somebody sits there: then there are greetings and hints, and where nobody is signed in that is
	// done first.
	Console Console
	Person  bool
	Color   bool
	// DeviceName is what to call this device when somebody signs in.
	DeviceName string
}

// REPL is one session. Notice and Complete may be called from any goroutine.
type REPL struct {
	cfg  Config
	work sync.WaitGroup
	sync chan struct{} // has room for one: there may be something to send, or to mark as read

	showing sync.Mutex // held while something is shown, before mu
	day     string     // of the entry that was shown last

	mu      sync.Mutex // never held while the console is used: it asks for completions
	self    string     // the own user; empty until it is known
	places  []*place
	current *place
	offline bool
	blocked bool          // it was told that UDP does not get through
	slow    bool          // the server takes its time with what is to be sent
	moving  string        // the file that a line moves, and how much of it is done
	back    chan struct{} // closed when it is connected again
	unsent  int           // messages of this session that are not known to be sent
	queued  int           // of them those that waited for the server to come back
	after   int64         // position of the newest entry that was shown
	failed  error         // the first failure of a line
	failing int           // lines that failed
	early   []string      // lines that came before the session could carry them out
}

// place is a conversation as far as it matters here.
type place struct {
	id, name string
	direct   bool
	ended    bool
	members  []string
	unread   int
	mark     bool // it is to be marked as read
}

// New returns a session.
func New(c Config) *REPL {
	return &REPL{cfg: c, sync: make(chan struct{}, 1), back: make(chan struct{}), day: time.Now().Format(time.DateOnly)}
}

// job is a line being carried out.
type job struct {
	cancel context.CancelFunc
	done   chan error
}

func (r *REPL) start(ctx context.Context, f func(context.Context) error) *job {
	ctx, cancel := context.WithCancel(ctx)
	j := &job{cancel, make(chan error, 1)}
	r.work.Go(func() {
		defer cancel()
		j.done <- f(ctx)
	})
	return j
}

// Run goes on until the person has enough, the lines end, ctx is done, or nothing can be done any more with this account.
func (r *REPL) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer r.work.Wait()
	defer stop(nil)
	if quit, err := r.await(ctx, r.start(ctx, r.signIn)); err != nil || quit {
		if r.cfg.Person && (qpq.CodeOf(err) == "cancelled" || qpq.CodeOf(err) == "no-answer") {
			return nil
		}
		return err
	}
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	watched := make(chan error, 1)
	r.work.Go(func() { watched <- r.watch(watching) })
	r.work.Go(func() { r.settle(watching) })
	if quit, err := r.await(ctx, r.start(ctx, r.begin)); err != nil || quit {
		return err
	}
	err := r.lines(ctx, watched)
	if err == nil {
		err = r.leave(ctx)
	}
	unwatch()
	r.work.Wait()
	if err == nil && r.failed != nil && !r.cfg.Person {
		err = qpq.Wrap(qpq.KindOf(r.failed), qpq.CodeOf(r.failed), counted(r.failing, "line")+" failed", r.failed)
	}
	return err
}

// await waits for a job that has to be done before there are lines. It reports whether the person gave up.
func (r *REPL) await(ctx context.Context, j *job) (quit bool, err error) {
	for {
		select {
		case err := <-j.done:
			if quit || ctx.Err() != nil {
				err = nil
			}
			return quit || ctx.Err() != nil, err
		case event := <-r.events(r.cfg.Person):
			if event.Kind == editor.Line {
				r.early = append(r.early, event.Text)
				continue
			}
			quit = true
			j.cancel()
		case <-ctx.Done():
			j.cancel()
			<-j.done
			return true, nil
		}
	}
}

// events returns what the person does, nil where nobody is listened to.
func (r *REPL) events(listen bool) <-chan editor.Event {
	if !listen {
		return nil
	}
	return r.cfg.Console.Events()
}

// lines carries out lines, one after the other. Those that a person types while one is being carried out wait for it.
func (r *REPL) lines(ctx context.Context, watched <-chan error) error {
	waiting := r.early
	var busy *job
	quit := false
	for {
		var done chan error
		switch {
		case busy != nil:
			done = busy.done
		case len(waiting) > 0:
			line := waiting[0]
			waiting = waiting[1:]
			busy = r.start(ctx, func(ctx context.Context) error { return r.line(ctx, line) })
			continue
		case quit:
			return nil
		default:
			r.cfg.Console.Ready()
		}
		select {
		case err := <-done:
			busy = nil
			if err == errQuit {
				return nil
			}
			r.report(err)
		case event := <-r.events(!quit && (busy == nil || r.cfg.Person)):
			switch {
			case event.Kind == editor.Line:
				waiting = append(waiting, event.Text)
			case event.Kind == editor.End:
				quit = true
			case event.Again:
				if busy != nil {
					busy.cancel()
				}
				return nil
			case event.Empty && busy != nil:
				waiting = nil
				busy.cancel()
			case event.Empty:
				r.note("Ctrl-C once more, or /quit, ends qpq")
			}
		case err := <-watched:
			return r.over(ctx, busy, err)
		case <-ctx.Done():
			return nil
		}
	}
}

// over ends what is under way when there is nothing to watch any more. Where a line was the cause, as by deleting the account, that is the end.
func (r *REPL) over(ctx context.Context, busy *job, err error) error {
	if busy == nil || ctx.Err() != nil {
		return err
	}
	if ended := <-busy.done; ended == errQuit {
		return nil
	}
	return err
}

// line carries out a line.
func (r *REPL) line(ctx context.Context, line string) error {
	trimmed := strings.TrimSpace(line)
	switch {
	case trimmed == "":
		return nil
	case !utf8.ValidString(line):
		return qpq.E(qpq.Invalid, "usage", "that line is not text in UTF-8: nothing was sent")
	case strings.HasPrefix(line, "//"): // a text that begins with a slash
		return r.say(ctx, line[1:])
	case strings.HasPrefix(trimmed, "/"):
		if _, shown := r.cfg.Console.(*Plain); r.cfg.Person && !shown { // terminals that edit lines themselves have shown it
			r.print(r.paint(dim, "> "+qpq.OneLine(trimmed)))
		}
		defer r.moves("")
		return r.slash(ctx, trimmed[1:])
	}
	return r.say(ctx, line)
}

// say sends a text to the current conversation. It is durable here when say returns.
func (r *REPL) say(ctx context.Context, text string) error {
	r.mu.Lock()
	current := r.current
	r.mu.Unlock()
	if current == nil {
		return qpq.E(qpq.Invalid, "no-conversation", "nobody is here to hear that: /dm USER begins a conversation, /switch NAME goes to one")
	}
	_, err := r.call(ctx, "send", map[string]any{"conversation": current.id, "text": text, "no-wait": true}, quiet{r})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.unsent++
	offline := r.offline
	if offline {
		r.queued++
	}
	r.mu.Unlock()
	if offline {
		r.prompt()
	}
	r.kick()
	return nil
}

// call runs a command of the registry.
func (r *REPL) call(ctx context.Context, name string, args map[string]any, ui command.UI) (command.Output, error) {
	c, err := command.Find(name)
	if err != nil {
		return command.Output{}, err
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return command.Output{}, err
	}
	return r.cfg.Call(ctx, c, raw, ui)
}

// report tells how a line failed.
func (r *REPL) report(err error) {
	switch {
	case err == nil:
		return
	case qpq.CodeOf(err) == "cancelled":
		r.note("given up")
		return
	}
	if r.failing++; r.failed == nil {
		r.failed = err
	}
	r.cfg.Console.Note(r.wrap(r.paint(red, "qpq: "), "qpq: ", err.Error(), 0))
}

// leave ends the session. What is queued goes out first: lines from a pipe wait for that, a person is told.
func (r *REPL) leave(ctx context.Context) error {
	for ctx.Err() == nil {
		r.mu.Lock()
		offline, back, unsent := r.offline, r.back, r.unsent
		r.mu.Unlock()
		switch {
		case r.cfg.Person && offline && unsent > 0:
			r.note(counted(unsent, "message") + " stay on this device, and go out when qpq connects again")
			return nil
		case r.cfg.Person && (offline || unsent == 0):
			return nil
		case offline && unsent > 0:
			r.note("waiting for the server to take " + counted(unsent, "message"))
		}
		if offline {
			select {
			case <-back:
			case <-ctx.Done():
			}
			continue
		}
		_, err := r.call(ctx, "sync", nil, quiet{r})
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
		case qpq.KindOf(err) != qpq.Unavailable:
			return err
		case r.cfg.Person:
			r.note(counted(unsent, "message") + " stay on this device, and go out when qpq connects again")
			return nil
		default:
			r.away(err.Error())
		}
	}
	return nil
}

// Notice tells what nobody asked for.
func (r *REPL) Notice(n client.Notice) {
	switch n.Code {
	case "offline":
		r.away(n.Text)
	case "online":
		r.returned()
	case "udp-blocked": // at each try
		r.mu.Lock()
		told := r.blocked || r.offline
		r.blocked = true
		r.mu.Unlock()
		if !told {
			r.note(n.Text)
		}
	default:
		r.note(n.Text)
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
