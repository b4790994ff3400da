package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/wire"
)

// groups are the commands about conversations that have a title and any number of members.
var groups = []*Command{
	define(Command{
		Name: "group create", Summary: "make a group",
		Long:    "Makes a group with you as its owner, and adds people with all their devices.",
		Example: []string{"group create team", `group create "Book club" bob carol@example.org`},
	}, createGroup),
	define(Command{
		Name: "group invite", Summary: "add people to a group",
		Long: "Adds people with all their devices. They read what is said from then on, and nothing from before." + later, Example: []string{"group invite team bob carol"},
	}, inviteToGroup),
	define(Command{
		Name: "group remove", Summary: "remove people from a group",
		Long: "Removes people with all their devices: they read nothing that is said from then on." + later, Example: []string{"group remove team bob"},
	}, removeFromGroup),
	define(Command{
		Name: "group leave", Summary: "leave a group",
		Long:    "Ends your membership, on all your devices; what they have of the history stays there. The last owner makes somebody else one first." + later,
		Example: []string{"group leave team"},
	}, leaveGroup),
	define(Command{Name: "group info", Summary: "show what is known of a conversation", Example: []string{"group info team"}}, groupInfo),
	define(Command{Name: "group rename", Summary: "give a group another title", Long: "Admins give titles." + later, Example: []string{"group rename team Dream team"}}, renameGroup),
	define(Command{
		Name: "group role", Summary: "give a member another role",
		Long: "Roles are member, moderator, admin and owner; each may do what those before it may. Moderators remove members; admins also change titles, and give roles up to their own." + later, Example: []string{"group role team bob admin"},
	}, setRole),
}

// later is what happens to changes without the server.
const later = " Where the server cannot be reached, the change waits on this device, in order with what you say meanwhile: outbox list shows it."

// users reads names of users.
func (e *Env) users(names []string) ([]qpq.UserID, error) {
	var list []qpq.UserID
	for _, name := range names {
		u, err := e.Client.ParseUser(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(list, u) {
			list = append(list, u)
		}
	}
	return list, nil
}

type createArgs struct {
	Name  string   `arg:"name" help:"what to call the group"`
	Users []string `arg:"user?" of:"users" help:"whom to add: name, or name@domain"`
}

func createGroup(ctx context.Context, e *Env, a createArgs) (Output, error) {
	users, err := e.users(a.Users)
	if err != nil {
		return Output{}, err
	}
	id, err := e.Client.CreateGroup(ctx, a.Name, users...)
	if err != nil {
		return Output{}, notMade(err)
	}
	v, err := e.Client.Conversation(id)
	if err != nil {
		return Output{}, err
	}
	return Output{conversationValue(v), fmt.Sprintf("made the group %s (%s), with %s", title(v), v.ID.String()[:8], count(len(v.Members), "member"))}, nil
}

// count says how many there are.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

type groupUsersArgs struct {
	Group string   `arg:"group" of:"conversations" help:"its title, or the beginning of its id"`
	Users []string `arg:"user" of:"users" help:"who: name, or name@domain"`
}

// group returns the conversation that is meant; a direct one is refused.
func (e *Env) group(ctx context.Context, name string) (*client.Conversation, error) {
	v, err := e.conversation(ctx, name)
	if err == nil && v.Direct {
		err = qpq.E(qpq.Invalid, "direct", fmt.Sprintf("the conversation with %s is one of two, and always will be: make a group with group create", title(v)))
	}
	return v, err
}

// groupAndUsers returns what such arguments mean.
func (e *Env) groupAndUsers(ctx context.Context, a groupUsersArgs) (*client.Conversation, []qpq.UserID, error) {
	users, err := e.users(a.Users)
	if err != nil {
		return nil, nil, err
	}
	v, err := e.group(ctx, a.Group)
	return v, users, err
}

func inviteToGroup(ctx context.Context, e *Env, a groupUsersArgs) (Output, error) {
	v, users, err := e.groupAndUsers(ctx, a)
	if err != nil {
		return Output{}, err
	}
	return e.amend(ctx, v, client.Amendment{Kind: client.AmendInvite, Users: users}, func(title string) string { return userList(users) + " added to " + title })
}

func removeFromGroup(ctx context.Context, e *Env, a groupUsersArgs) (Output, error) {
	v, users, err := e.groupAndUsers(ctx, a)
	if err != nil {
		return Output{}, err
	}
	for _, u := range users {
		if slices.ContainsFunc(v.Members, func(m client.Member) bool { return m.User == u }) {
			continue
		}
		if invited, err := e.invited(v, u); err != nil {
			return Output{}, err
		} else if !invited {
			return Output{}, qpq.E(qpq.NotFound, "no-member", fmt.Sprintf("%s is no member of %s: members lists them", u, title(v)))
		}
	}
	return e.amend(ctx, v, client.Amendment{Kind: client.AmendRemove, Users: users}, func(title string) string { return userList(users) + " removed from " + title })
}

// userList lists users for people.
func userList(users []qpq.UserID) string {
	list := make([]string, len(users))
	for i, u := range users {
		list[i] = strings.ReplaceAll(u.String(), "%", "%%")
	}
	return strings.Join(list, ", ")
}

type groupArgs struct {
	Group string `arg:"group" of:"conversations" help:"its title, or the beginning of its id"`
}

func leaveGroup(ctx context.Context, e *Env, a groupArgs) (Output, error) {
	v, err := e.group(ctx, a.Group)
	if err != nil {
		return Output{}, err
	}
	return e.amend(ctx, v, client.Amendment{Kind: client.AmendLeave}, func(title string) string { return "you left " + title })
}

func groupInfo(ctx context.Context, e *Env, a conversationArgs) (Output, error) {
	v, err := e.fresh(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-12s %s\n", name, value) }
	line("name", title(v))
	line("id", v.ID.String())
	line("standing", standings[v.Standing].name+": "+standings[v.Standing].text)
	line("your role", v.Role.String())
	line("new", count(v.Unread, "message"))
	if !v.Last.IsZero() {
		line("last", v.Last.Local().Format(time.DateTime))
	}
	line("keys", fmt.Sprintf("epoch %d, cipher suite %d", v.Epoch, v.Suite))
	for i, m := range v.Members {
		name := ""
		if i == 0 {
			name = "members"
		}
		line(name, fmt.Sprintf("%s, %s", m.User, m.Role))
	}
	waiting, err := e.waitingIn(v)
	if err != nil {
		return Output{}, err
	}
	for _, a := range waiting {
		line("waits", a.text())
	}
	return Output{infoJSON{conversationValue(v), waiting}, strings.TrimSuffix(b.String(), "\n")}, nil
}

// infoJSON is a conversation with the changes that wait on this device, for programs.
type infoJSON struct {
	conversationJSON
	Waiting []amendmentJSON `json:"waiting,omitempty"`
}

type renameGroupArgs struct {
	Group string `arg:"group" of:"conversations" help:"its title, or the beginning of its id"`
	Title string `arg:"title" takes:"rest" help:"what to call it from now on"`
}

func renameGroup(ctx context.Context, e *Env, a renameGroupArgs) (Output, error) {
	v, err := e.group(ctx, a.Group)
	if err != nil {
		return Output{}, err
	}
	return e.amend(ctx, v, client.Amendment{Kind: client.AmendTitle, Title: a.Title}, func(title string) string { return "the group is now called " + title })
}

type roleArgs struct {
	Group string `arg:"group" of:"conversations" help:"its title, or the beginning of its id"`
	User  string `arg:"user" of:"users" help:"who: name, or name@domain"`
	Role  string `arg:"role" of:"roles" help:"member, moderator, admin or owner"`
}

// Roles are the names of roles, each above those before it.
var Roles = []string{wire.RoleMember.String(), wire.RoleModerator.String(), wire.RoleAdmin.String(), wire.RoleOwner.String()}

func setRole(ctx context.Context, e *Env, a roleArgs) (Output, error) {
	role := slices.Index(Roles, strings.ToLower(a.Role))
	if role < 0 {
		return Output{}, qpq.E(qpq.Invalid, "no-role", fmt.Sprintf("there is no role %q: there are %s", a.Role, strings.Join(Roles, ", ")))
	}
	u, err := e.Client.ParseUser(a.User)
	if err != nil {
		return Output{}, err
	}
	v, err := e.group(ctx, a.Group)
	if err != nil {
		return Output{}, err
	}
	return e.amend(ctx, v, client.Amendment{Kind: client.AmendRole, Users: []qpq.UserID{u}, Role: wire.Role(role)}, func(title string) string {
		return fmt.Sprintf("%s is now %s of %s", userList([]qpq.UserID{u}), Roles[role], title)
	})
}
