package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

func mosquittoPeer() peer {
	return peer{name: "mosquitto", what: "MQTT 3.1.1, QoS 1, persistence on, without TLS",
		durable:  "before anything is on disk: the state is written every 30 minutes and at an orderly end, so that a crash loses what was acknowledged since",
		ack:      "PUBACK",
		source:   "mosquitto.conf(5), persistence and autosave_interval",
		programs: []string{"mosquitto", "strace"},
		version:  func(string) string { return debian("mosquitto") },
		open:     func(s site) server { return &mosquitto{site: s} }}
}

type mosquitto struct {
	site
	port int
}

func (m *mosquitto) settings() []string {
	return []string{"persistence true, autosave_interval stock (1800 s), max_queued_messages 0 (no limit), no TLS, no passwords; clean_session false"}
}

func (m *mosquitto) prepare(context.Context) (err error) {
	if m.port, err = freePort(); err != nil {
		return err
	}
	as := ""
	if os.Getuid() == 0 {
		as = "user root\n"
	}
	text := fmt.Sprintf("%slistener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\nmax_queued_messages 0\nlog_dest none\n", as, m.port, m.dir)
	return os.WriteFile(m.path("mosquitto.conf"), []byte(text), 0o600)
}

func (m *mosquitto) start(context.Context) (*processes, error) {
	p := &processes{}
	if err := p.run(job{dir: m.dir, args: []string{"mosquitto", "-c", m.path("mosquitto.conf")}}); err != nil {
		return nil, err
	}
	return p, nil
}

// mqttClient speaks as much of MQTT 3.1.1 as QoS 1 takes.
type mqttClient struct {
	conn     net.Conn
	received func(stamp)
	ended    chan struct{}

	mu      sync.Mutex
	next    uint16
	waiting map[uint16]chan error
	err     error
}

// Kinds of packets, with the flags that they must have here.
const (
	mqttConnect   = 0x10
	mqttConnAck   = 0x20
	mqttPublish   = 0x32 // QoS 1
	mqttPubAck    = 0x40
	mqttSubscribe = 0x82
	mqttSubAck    = 0x90
)

func mqttString(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

// mqttPacket puts a head before the body of a packet.
func mqttPacket(kind byte, body []byte) []byte {
	b := []byte{kind}
	n := len(body)
	for n >= 128 {
		b, n = append(b, byte(n)|128), n>>7
	}
	return append(append(b, byte(n)), body...)
}

func (m *mosquitto) client(ctx context.Context, n int, received func(stamp)) (client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", m.port))
	if err != nil {
		return nil, err
	}
	c := &mqttClient{conn: conn, received: received, ended: make(chan struct{}), waiting: map[uint16]chan error{}}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	hello := append(mqttString("MQTT"), 4, 0, 0, 0) // level 4, keep the session, no keep-alive
	hello = append(hello, mqttString(fmt.Sprintf("user%d", n))...)
	subscribe := append([]byte{0xff, 0xff}, mqttString(fmt.Sprintf("to/%d", n))...)
	in := bufio.NewReaderSize(conn, 2048)
	_, err = conn.Write(append(mqttPacket(mqttConnect, hello), mqttPacket(mqttSubscribe, append(subscribe, 1))...))
	if err == nil {
		err = c.welcome(in)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go c.read(in)
	return c, nil
}

// welcome waits until the server has taken connection and subscription; messages that waited may come before.
func (c *mqttClient) welcome(in *bufio.Reader) error {
	for {
		kind, body, err := readMQTT(in)
		if err != nil {
			return err
		}
		switch kind {
		case mqttConnAck:
			if len(body) != 2 || body[1] != 0 {
				return fmt.Errorf("the server refuses the connection: %v", body)
			}
		case mqttSubAck:
			return nil
		default:
			if err := c.take(kind, body); err != nil {
				return err
			}
		}
	}
}

func readMQTT(in *bufio.Reader) (kind byte, body []byte, err error) {
	if kind, err = in.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(in)
	if err != nil || n > 1<<20 {
		return 0, nil, errors.Join(err, fmt.Errorf("a packet of %d bytes", n))
	}
	body = make([]byte, n)
	_, err = io.ReadFull(in, body)
	return kind, body, err
}

func (c *mqttClient) read(in *bufio.Reader) {
	var err error
	for err == nil {
		var kind byte
		var body []byte
		if kind, body, err = readMQTT(in); err == nil {
			err = c.take(kind, body)
		}
	}
	_ = c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = fmt.Errorf("the connection is lost: %w", err)
	for _, done := range c.waiting {
		done <- c.err
	}
	c.waiting = nil
	close(c.ended)
}

func (c *mqttClient) take(kind byte, body []byte) error {
	if len(body) < 2 {
		return fmt.Errorf("a packet of kind %#x is short", kind)
	}
	switch kind & 0xf0 {
	case mqttPubAck:
		c.mu.Lock()
		defer c.mu.Unlock()
		id := binary.BigEndian.Uint16(body)
		if done := c.waiting[id]; done != nil {
			done <- nil
			delete(c.waiting, id)
		}
	case mqttPublish & 0xf0:
		end := 2 + int(binary.BigEndian.Uint16(body))
		if len(body) < end+2 {
			return errors.New("a publication is short")
		}
		s, err := stampOf(body[end+2:])
		if err != nil {
			return err
		}
		c.received(s)
		_, err = c.conn.Write(mqttPacket(mqttPubAck, body[end:end+2]))
		return err
	}
	return nil
}

func (c *mqttClient) send(ctx context.Context, to int, s stamp) error {
	done := make(chan error, 1)
	c.mu.Lock()
	if c.waiting == nil {
		c.mu.Unlock()
		return c.err
	}
	if c.next++; c.next == 0 {
		c.next = 1
	}
	c.waiting[c.next] = done
	body := binary.BigEndian.AppendUint16(mqttString(fmt.Sprintf("to/%d", to)), c.next)
	_, err := c.conn.Write(mqttPacket(mqttPublish, append(body, s.payload()...)))
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

// fetch has nothing to do: what waits is sent to who connects.
func (c *mqttClient) fetch(context.Context) error { return nil }

func (c *mqttClient) close() error {
	_, _ = c.conn.Write([]byte{0xe0, 0})
	err := c.conn.Close()
	<-c.ended
	return err
}
