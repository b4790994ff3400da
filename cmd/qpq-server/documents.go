package main

import (
	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq/config"
)

// documentsCommand writes what the manual is made of; it is for whoever packs a release.
func (e environment) documentsCommand(root *cobra.Command, table *config.Table) *cobra.Command {
	documents := &cobra.Command{Use: "documents", Short: "write parts of the manual", Hidden: true, Args: noArguments}
	documents.AddCommand(
		&cobra.Command{
			Use: "man", Short: "write the manual page", Args: noArguments,
			RunE: func(*cobra.Command, []string) error { return table.Man(e.stdout, root) },
		},
		&cobra.Command{
			Use: "settings", Short: "write the table of settings in Markdown", Args: noArguments,
			RunE: func(*cobra.Command, []string) error { return table.Markdown(e.stdout) },
		})
	return documents
}
