package command

import "context"

type draftArgs struct {
	conversationArgs
	Text  string `arg:"text?" takes:"rest" help:"what to keep"`
	Clear bool   `flag:"clear" help:"drop what is kept"`
}

// draftJSON is a draft, for programs.
type draftJSON struct {
	Conversation string `json:"conversation"`
	Text         string `json:"text"`
}

func draft(ctx context.Context, e *Env, a draftArgs) (Output, error) {
	v, err := e.conversation(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	if a.Text == "" && !a.Clear {
		text := v.Draft
		if text == "" {
			text = "nothing is begun in " + title(v)
		}
		return Output{draftJSON{v.ID.String(), v.Draft}, text}, nil
	}
	if a.Clear {
		a.Text = ""
	}
	text := "kept for " + title(v)
	if a.Text == "" {
		text = "nothing is kept for " + title(v)
	}
	return Output{draftJSON{v.ID.String(), a.Text}, text}, e.Client.SetDraft(v.ID, a.Text)
}
