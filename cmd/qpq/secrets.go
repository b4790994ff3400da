package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// maxSecret bounds what is read from a file or descriptor, in bytes.
const maxSecret = 4096

// secrets are where answers come from that nobody types: never from arguments, which others can see.
type secrets struct{ sources map[string]*source }

type source struct {
	file string
	fd   int
	text []byte // read already: a pipe can be read once, and a command may ask again
}

// flags adds the flags for a question to those of a command.
func (s *secrets) flags(flags *pflag.FlagSet, q command.Question) {
	src, ok := s.sources[q.Name]
	if !ok {
		src = &source{fd: -1}
		s.sources[q.Name] = src
	}
	what := answerTo(q)
	flags.StringVar(&src.file, q.Name+"-file", "", "read the "+what+" from the first line of `FILE`; - is standard input")
	flags.IntVar(&src.fd, q.Name+"-fd", -1, "read the "+what+" from the file descriptor `N`")
	flags.Lookup(q.Name + "-fd").DefValue = "0" // help names no default: there is none
}

// answerTo says in words what answers a question.
func answerTo(q command.Question) string {
	if !q.Secret {
		return "answer to the question"
	}
	return strings.ReplaceAll(q.Name, "-", " ")
}

// read returns the answer to a question, if a flag says where it is.
func (s *secrets) read(name string) (b []byte, ok bool, err error) {
	src := s.sources[name]
	if src == nil || src.file == "" && src.fd < 0 {
		return nil, false, nil
	}
	if src.text == nil {
		if src.text, err = src.open(name); err != nil {
			return nil, true, err
		}
	}
	return bytes.Clone(src.text), true, nil
}

func (src *source) open(name string) ([]byte, error) {
	if src.file != "" && src.fd >= 0 {
		return nil, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("--%s-file and --%s-fd cannot both be given", name, name))
	}
	var f *os.File
	switch {
	case src.file == "-":
		f = os.Stdin
	case src.file != "":
		var err error
		if f, err = os.Open(src.file); err != nil {
			return nil, qpq.Wrap(qpq.NotFound, "no-file", fmt.Sprintf("%v: name the file that holds the %s with --%s-file", err, strings.ReplaceAll(name, "-", " "), name), err)
		}
	default:
		if f = os.NewFile(uintptr(src.fd), "descriptor"); f == nil {
			return nil, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("--%s-fd: there is no descriptor %d", name, src.fd))
		}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, qpq.Wrap(qpq.Invalid, "unreadable", fmt.Sprintf("the %s cannot be read: %v", name, err), err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	switch {
	case len(line) > maxSecret:
		return nil, qpq.E(qpq.Invalid, "too-long", fmt.Sprintf("the %s is over %d bytes", name, maxSecret))
	case len(line) == 0:
		return nil, qpq.E(qpq.Invalid, "no-answer", fmt.Sprintf("the %s is empty", name))
	}
	return line, nil
}
