package main

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a pseudo-terminal (pty(7)).
func openTerminal(t *testing.T) (control, line *os.File) {
	t.Helper()
	open := func(name string) *os.File {
		f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	control = open("/dev/ptmx")
	number, err := unix.IoctlGetUint32(int(control.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return control, open(fmt.Sprintf("/dev/pts/%d", number))
}

// person answers as soon as something is shown, and notes whether the answer would be shown too.
type person struct {
	t             *testing.T
	control, line *os.File
	answer        string
	echoed        []bool
}

func (p *person) Write(b []byte) (int, error) {
	state, err := unix.IoctlGetTermios(int(p.line.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	p.echoed = append(p.echoed, state.Lflag&unix.ECHO != 0)
	if len(p.echoed) == 1 {
		_, err = p.control.WriteString(p.answer + "\n")
	}
	return len(b), err
}

func TestPromptForASecretComesWithoutEcho(t *testing.T) {
	for _, secret := range []bool{true, false} {
		control, line := openTerminal(t)
		who := &person{t: t, control: control, line: line, answer: "correct horse"}
		p := &program{stderr: who}
		got, err := p.promptOnce(line, "Password: ", secret)
		if err != nil || string(got) != who.answer {
			t.Errorf("read %q, %v", got, err)
		}
		if who.echoed[0] == secret {
			t.Errorf("secret %v: when the prompt was shown, echo was %v", secret, who.echoed[0])
		}
		state, err := unix.IoctlGetTermios(int(line.Fd()), unix.TCGETS)
		if err != nil || state.Lflag&unix.ECHO == 0 {
			t.Errorf("secret %v: the terminal is left without echo (%v)", secret, err)
		}
	}
}
