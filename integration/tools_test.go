//go:build linux

package integration_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3/driver"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

func cmdGet(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1)
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	r, err := client.Get(args[0])
	ts.Check(err)
	defer r.Body.Close()
	fmt.Fprintln(ts.Stdout(), r.StatusCode)
	_, err = io.Copy(ts.Stdout(), r.Body)
	ts.Check(err)
}

func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	db, err := driver.Open("file:" + ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	_, err = db.ExecContext(context.Background(), args[1])
	ts.Check(err)
}

// cmdWaitSQL waits until a query of the database of a server, which may run, gives 1.
func cmdWaitSQL(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	db, err := driver.Open("file:" + ts.MkAbs(args[0]) + "?mode=ro")
	ts.Check(err)
	defer db.Close()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var n int
		ts.Check(db.QueryRow(args[1]).Scan(&n))
		if n == 1 {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never gave 1", args[1])
		}
	}
}

// cmdWaitGone waits until a text is in the history of a conversation no more: wait-gone PROFILE CONVERSATION TEXT
func cmdWaitGone(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3)
	for deadline := time.Now().Add(patience); ; {
		ts.Check(ts.Exec("qpq", "--profile", args[0], "history", args[1]))
		if !strings.Contains(ts.ReadFile("stdout"), args[2]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never disappeared", args[2])
		}
	}
}

func cmdCertificate(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2 && len(args) <= 4)
	days := []int{-1, 90}
	for i, arg := range args[2:] {
		n, err := strconv.Atoi(arg)
		ts.Check(err)
		days[i] = n
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: args[1]}, DNSNames: []string{args[1]},
		NotBefore: time.Now().AddDate(0, 0, days[0]), NotAfter: time.Now().AddDate(0, 0, days[1]),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	ts.Check(err)
	for name, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+name), pem.EncodeToMemory(block), 0o600))
	}
}

func cmdOccupy(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1)
	address := freeAddress() // one that nobody has by the other carrier
	var taken io.Closer
	var err error
	if args[0] == "udp" {
		taken, err = net.ListenPacket("udp", address)
	} else {
		taken, err = net.Listen("tcp", address)
	}
	ts.Check(err)
	of(ts).closers = append(of(ts).closers, func() { _ = taken.Close() })
	_, port, err := net.SplitHostPort(address)
	ts.Check(err)
	ts.Setenv("port", port)
}

func cmdOverwrite(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3)
	offset, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, n), offset)
	ts.Check(err)
	ts.Check(f.Close())
}

func cmdLimit(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	pid := running(ts, args[0]).cmd.Process.Pid
	var limit unix.Rlimit
	ts.Check(unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &limit))
	limit.Cur = limit.Max
	if args[1] != "off" {
		n, err := strconv.ParseUint(args[1], 10, 64)
		ts.Check(err)
		limit.Cur = n
	}
	ts.Check(unix.Prlimit(pid, unix.RLIMIT_FSIZE, &limit, nil))
}
