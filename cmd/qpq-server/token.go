package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/config"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/store"
)

func (e environment) tokenCommand(s *settings) *cobra.Command {
	token := &cobra.Command{
		Use: "token", Short: "registration tokens, for a server that asks for them",
		Long: "Registration tokens let people sign up at a server started with --registration token. These commands work on the " +
			"data directory itself, before the first start, while the server runs and when it does not.",
	}
	uses, expires := int64(1), 7*24*time.Hour
	create := &cobra.Command{
		Use: "create", Short: "make a token and print it", Args: config.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return e.withStore(c.Context(), s, func(st *store.Store) error { return e.createToken(c.Context(), st, uses, expires) })
		},
	}
	create.Flags().Int64Var(&uses, "uses", uses, "let `N` accounts be made with it")
	create.Flags().DurationVar(&expires, "expires", expires, "after this `TIME` it no longer counts; 0 is never")
	list := &cobra.Command{
		Use: "list", Short: "list the tokens", Args: config.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return e.withStore(c.Context(), s, func(st *store.Store) error { return e.listTokens(c.Context(), st) })
		},
	}
	revoke := &cobra.Command{
		Use: "revoke ID", Short: "end a token", Args: oneToken,
		RunE: func(c *cobra.Command, args []string) error {
			return e.withStore(c.Context(), s, func(st *store.Store) error { return revokeToken(c.Context(), st, args[0]) })
		},
	}
	token.AddCommand(create, list, revoke)
	return token
}

func oneToken(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%d arguments came, and %s takes the ID of one token: qpq-server token list shows which there are", len(args), c.CommandPath()))
	}
	return nil
}

// withStore runs f on the store, whether or not a server holds the data directory.
func (e environment) withStore(ctx context.Context, s *settings, f func(*store.Store) error) (err error) {
	home, err := anyHome(s.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	if err := s.settle(ctx, home); err != nil {
		return err
	}
	cfg, engine, err := assemble(ctx, s, home, s.logger(e.stderr))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	return f(cfg.Store)
}

// anyHome opens the data directory, beside a server of the same release if there is one.
func anyHome(dir string) (*node.Home, error) {
	home, err := node.OpenHome(dir, config.Release())
	if qpq.CodeOf(err) == "home-in-use" {
		return node.SharedHome(dir, config.Release())
	}
	return home, err
}

func (e environment) createToken(ctx context.Context, st *store.Store, uses int64, expires time.Duration) error {
	if uses < 1 || uses > 1<<31 || expires < 0 {
		return qpq.E(qpq.Invalid, "usage", "a token has 1 to 2147483648 uses and does not expire in the past: choose others with --uses and --expires")
	}
	now, until := time.Now(), time.Time{}
	if expires > 0 {
		until = now.Add(expires)
	}
	secret, token := node.NewToken(uses, until, now)
	if err := st.AddToken(ctx, token); err != nil {
		return err
	}
	_, err := fmt.Fprintln(e.stdout, secret.Reveal())
	return err
}

func (e environment) listTokens(ctx context.Context, st *store.Store) error {
	tokens, err := st.Tokens(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tUSES LEFT\tCREATED\tEXPIRES\tREVOKED")
	for _, t := range tokens {
		fmt.Fprintf(w, "%x\t%d\t%s\t%s\t%s\n", t.Hash[:16], t.Uses, when(t.Created), when(t.Expires), when(t.Revoked))
	}
	return w.Flush()
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func revokeToken(ctx context.Context, st *store.Store, id string) error {
	unknown := qpq.E(qpq.NotFound, "no-token", fmt.Sprintf("there is no registration token %q: qpq-server token list shows which there are", id))
	prefix, err := hex.DecodeString(id)
	if err != nil || len(prefix) != 16 {
		return unknown
	}
	tokens, err := st.Tokens(ctx)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if string(t.Hash[:16]) == string(prefix) && t.Revoked.IsZero() {
			return st.RevokeToken(ctx, t.Hash, time.Now())
		}
	}
	return unknown
}
