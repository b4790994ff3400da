package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// xmppClient speaks as much of XMPP (RFC 6120, XEP-0198, XEP-0313) as it takes to send messages, to be told that the server has dealt
// with them, and to receive. It is not a library's because these parse XML into trees, which costs more than the server spends; here a
// stanza is cut out of the stream and looked at for what matters. It relies on servers to escape > in text, as all do.
type xmppClient struct {
	conn     net.Conn
	in       *bufio.Reader
	received func(stamp)
	ended    chan struct{} // closed when the connection is over

	mu      sync.Mutex
	sent    uint32 // stanzas that count for the server's acknowledgements
	handled uint32 // stanzas that came and count for ours
	waiting []waiter
	queries map[string]chan []byte
	err     error
}

// waiter waits until the server has handled so many stanzas.
type waiter struct {
	at   uint32
	done chan error
}

const xmppPassword = "secret"

func dialXMPP(ctx context.Context, port, n int, received func(stamp)) (*xmppClient, error) {
	d := tls.Dialer{Config: clientTLS}
	conn, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	c := &xmppClient{conn: conn, in: bufio.NewReaderSize(conn, 2048), received: received, ended: make(chan struct{}), queries: map[string]chan []byte{}}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := c.login(n); err != nil {
		return nil, errors.Join(fmt.Errorf("log in as user%d: %w", n, err), conn.Close())
	}
	go c.read()
	return c, nil
}

const xmppHeader = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

// login proves the password by SASL PLAIN, binds a resource, asks for acknowledgements and becomes available.
func (c *xmppClient) login(n int) error {
	plain := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "\x00user%d\x00%s", n, xmppPassword))
	steps := []struct{ say, expect string }{
		{xmppHeader, "stream:features"},
		{"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + plain + "</auth>", "success"},
		{xmppHeader, "stream:features"},
		{"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>", "iq"},
		{"<enable xmlns='urn:xmpp:sm:3'/>", "enabled"},
	}
	for _, step := range steps {
		if _, err := io.WriteString(c.conn, step.say); err != nil {
			return err
		}
		stanza, err := c.stanza()
		for err == nil && nameOf(stanza) == "stream:stream" {
			stanza, err = c.stanza()
		}
		if err != nil {
			return err
		}
		if nameOf(stanza) != step.expect {
			return fmt.Errorf("the server answers with %s, and %s was expected", stanza, step.expect)
		}
	}
	c.sent = 1
	_, err := io.WriteString(c.conn, "<presence/>")
	return err
}

// stanza cuts the next element of the stream out, with its children; of the stream's own element, which never ends, the tag.
func (c *xmppClient) stanza() ([]byte, error) {
	var whole []byte
	depth := 0
	for {
		part, err := c.in.ReadSlice('>')
		whole = append(whole, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return nil, err
		}
		tag := whole[bytes.LastIndexByte(whole, '<'):]
		switch {
		case tag[1] == '?':
			whole = whole[:0]
			continue
		case tag[1] == '/':
			depth--
		case bytes.HasPrefix(tag, []byte("<stream:stream")):
			return tag, nil
		case tag[len(tag)-2] != '/':
			depth++
		}
		if depth < 0 {
			return nil, io.EOF
		}
		if depth == 0 {
			return whole, nil
		}
	}
}

// nameOf returns the name of a stanza's element.
func nameOf(stanza []byte) string {
	begin := bytes.IndexByte(stanza, '<') + 1
	end := bytes.IndexAny(stanza[begin:], " \t\r\n/>'")
	return string(stanza[begin : begin+end])
}

// between returns what a stanza has between two strings, nil if it has not.
func between(stanza []byte, before, after string) []byte {
	_, rest, ok := bytes.Cut(stanza, []byte(before))
	if !ok {
		return nil
	}
	found, _, ok := bytes.Cut(rest, []byte(after))
	if !ok {
		return nil
	}
	return found
}

// attribute returns the value of an attribute of a stanza's own element.
func attribute(stanza []byte, name string) string {
	tag := stanza[:bytes.IndexByte(stanza, '>')]
	for _, quote := range []string{"'", `"`} {
		if v := between(tag, " "+name+"="+quote, quote); v != nil {
			return string(v)
		}
	}
	return ""
}

// read takes what comes until the connection ends.
func (c *xmppClient) read() {
	var err error
	for err == nil {
		var stanza []byte
		if stanza, err = c.stanza(); err == nil {
			err = c.take(stanza)
		}
	}
	_ = c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = fmt.Errorf("the connection is lost: %w", err)
	for _, w := range c.waiting {
		w.done <- c.err
	}
	c.waiting = nil
	close(c.ended)
}

func (c *xmppClient) take(stanza []byte) error {
	switch nameOf(stanza) {
	case "r":
		c.mu.Lock()
		h := c.handled
		c.mu.Unlock()
		_, err := fmt.Fprintf(c.conn, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", h)
		return err
	case "a":
		h, err := strconv.ParseUint(attribute(stanza, "h"), 10, 32)
		c.acknowledged(uint32(h))
		return err
	case "message":
		c.count()
		if attribute(stanza, "type") == "error" {
			return fmt.Errorf("the server refuses a message: %s", stanza)
		}
		if body := between(stanza, "<body>", "</body>"); body != nil {
			s, err := stampOf(body)
			if err == nil {
				c.received(s)
			}
			return err
		}
	case "iq":
		c.count()
		c.answered(attribute(stanza, "id"), stanza)
	case "presence":
		c.count()
	case "stream:error":
		return fmt.Errorf("the server ends the stream: %s", stanza)
	}
	return nil
}

func (c *xmppClient) count() {
	c.mu.Lock()
	c.handled++
	c.mu.Unlock()
}

// acknowledged lets go those whose stanzas the server has handled.
func (c *xmppClient) acknowledged(h uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) > 0 && c.waiting[0].at <= h {
		c.waiting[0].done <- nil
		c.waiting = c.waiting[1:]
	}
}

func (c *xmppClient) answered(id string, stanza []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done := c.queries[id]; done != nil {
		done <- stanza
		delete(c.queries, id)
	}
}

// send waits for the acknowledgement of stream management (XEP-0198), which it asks for with each message.
func (c *xmppClient) send(ctx context.Context, to int, s stamp) error {
	done := make(chan error, 1)
	var b strings.Builder
	fmt.Fprintf(&b, "<message to='user%d@localhost' type='chat' id='%d'><body>%s</body></message><r xmlns='urn:xmpp:sm:3'/>", to, s, s.payload())
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return c.err
	}
	c.sent++
	c.waiting = append(c.waiting, waiter{c.sent, done})
	_, err := io.WriteString(c.conn, b.String())
	c.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fetch asks for the user's whole archive, page by page.
func (c *xmppClient) fetch(ctx context.Context) error {
	after := ""
	for {
		reply, err := c.query(ctx, "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>200</max>"+after+"</set></query>")
		if err != nil {
			return err
		}
		if bytes.Contains(reply, []byte("<error")) {
			return fmt.Errorf("the server refuses to show the archive: %s", reply)
		}
		last := between(reply, "<last>", "</last>")
		if last == nil || bytes.Contains(reply, []byte("complete='true'")) || bytes.Contains(reply, []byte(`complete="true"`)) {
			return nil
		}
		after = fmt.Sprintf("<after>%s</after>", last)
	}
}

// query returns the answer to a request of information (iq).
func (c *xmppClient) query(ctx context.Context, what string) ([]byte, error) {
	done := make(chan []byte, 1)
	c.mu.Lock()
	c.sent++
	id := fmt.Sprintf("q%d", c.sent)
	c.queries[id] = done
	_, err := fmt.Fprintf(c.conn, "<iq type='set' id='%s'>%s</iq>", id, what)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case reply := <-done:
		return reply, nil
	case <-c.ended:
		return nil, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *xmppClient) close() error {
	_, _ = io.WriteString(c.conn, "</stream:stream>")
	err := c.conn.Close()
	<-c.ended
	return err
}
