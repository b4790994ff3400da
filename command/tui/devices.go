package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/clipperhouse/displaywidth"
)

// deviceJSON is what the command devices says of one.
type deviceJSON struct {
	Short, Name string
	This        bool
	Added       time.Time
	Seen        *time.Time
}

func (d *deviceJSON) row(width int) row {
	name := d.Name
	if name == "" {
		name = "(no name)"
	}
	note := "  added " + d.Added.Local().Format(time.DateOnly)
	if d.Seen != nil && !d.This {
		note += ", seen " + d.Seen.UTC().Format(time.DateOnly) // the server tells the day alone
	}
	this := ""
	if d.This {
		this = " (this one)"
	}
	lead := d.Short + "  "
	return row{{style{role: faint}, lead}, {style{role: strong}, brief(name, max(width-2-displaywidth.String(lead+this+note), 8))},
		{style{role: good}, this}, {style{role: faint}, note}}
}

// openDevices lists the devices of the account.
func (m *Model) openDevices() tea.Cmd {
	a := m.at
	c := &chooser{name: "Your devices", help: m.keys.first("choose") + " renames one", empty: "The server is asked…"}
	var list []deviceJSON
	c.fill = func(_ *Model, width int) (items []item) {
		for _, d := range list {
			items = append(items, item{d.row(width), d})
		}
		return items
	}
	c.took = func(m *Model, c *chooser, value any) {
		if err, failed := value.(error); failed {
			m.report(err)
			c.empty = "The devices cannot be had: " + oneLine(err.Error())
			return
		}
		list, c.empty = value.([]deviceJSON), "There is none."
	}
	c.choose = func(m *Model, i item) tea.Cmd {
		m.focus = onComposer
		m.at.composer.Set("/devices-rename " + i.value.(deviceJSON).Short + " ")
		return nil
	}
	m.above = c
	return m.command(func(ctx context.Context) tea.Msg {
		var list []deviceJSON
		out, err := a.call(ctx, "devices", nil, &collector{})
		if err == nil {
			err = decode(out.Value, &list)
		}
		if err != nil {
			return overlayMsg{of{a}, c, err}
		}
		return overlayMsg{of{a}, c, list}
	})
}
