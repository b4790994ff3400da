package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/config"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/wire"
)

// settings are what an operator can choose.
type settings struct {
	config, listen, data, domain, registration string
	tlsCert, tlsKey, metrics                   string
	websocket, websocketOrigins                string
	logLevel, logFormat                        string
	redactLogs                                 bool
	connections, addressConnections            int
	addressRate, accountRate                   int
	requestMemory                              int // MiB
	fileSize, fileQuota                        int // MiB
	fileGrace                                  time.Duration
	attempts, channels                         int
	attemptWindow, drain                       time.Duration
	retention, lapse                           time.Duration
}

func newSettings() *settings {
	return &settings{
		listen: ":" + wire.StandardPort, data: "data", registration: "open",
		logLevel: "info", logFormat: "text", redactLogs: true, connections: 20_000, addressConnections: 1000,
		addressRate: 100, accountRate: 100, requestMemory: 256, channels: 200, attempts: 10, attemptWindow: 15 * time.Minute, drain: 10 * time.Second,
		fileSize: 128, fileQuota: 1024, fileGrace: 7 * 24 * time.Hour,
		retention: 30 * 24 * time.Hour, lapse: 14 * 24 * time.Hour,
	}
}

// table is where flags, environment, file, help and the manual come from.
func (s *settings) table() *config.Table {
	return &config.Table{Prefix: "QPQ", Settings: []config.Setting{
		{Name: "config", Value: config.File(&s.config), Help: "read settings from this TOML `FILE`", NoFile: true},
		{Name: "listen", Value: config.Address(&s.listen, wire.StandardPort, false), Help: "listen on `ADDR`, host:port, [v6]:port or :port, by UDP and TCP"},
		{Name: "websocket", Value: config.Address(&s.websocket, "443", true), Help: "let browsers in by WebSocket on `ADDR`, by TCP; they take only a certificate that an authority vouches for; empty is off"},
		{Name: "websocket-origins", Value: config.Text(&s.websocketOrigins), Help: "let pages of these `HOSTS` in besides those of the server's own host: names or patterns like *.example.org, separated by commas"},
		{Name: "data", Value: config.File(&s.data), Help: "keep keys and database in the directory `DIR`"},
		{Name: "domain", Value: config.Text(&s.domain), Help: "serve users called name@`NAME`; fixed at the first start, which takes localhost if it is left out"},
		{Name: "registration", Value: config.OneOf(&s.registration, "open", "token", "closed"), Help: "`WHO` may sign up: open is anybody, token takes a registration token, closed is nobody"},
		{Name: "tls-cert", Value: config.File(&s.tlsCert), Help: "use the certificate and its chain in this PEM `FILE`; read anew when it changes"},
		{Name: "tls-key", Value: config.File(&s.tlsKey), Help: "use the key in this PEM `FILE` with --tls-cert"},
		{Name: "metrics", Value: config.Address(&s.metrics, "9433", true), Help: "serve /metrics, /health and /ready by HTTP on `ADDR`, which should be a loopback address; empty is off"},
		{Name: "log-level", Value: config.OneOf(&s.logLevel, "debug", "info", "warn", "error"), Help: "log what is of this `LEVEL` or above"},
		{Name: "log-format", Value: config.OneOf(&s.logFormat, "text", "json"), Help: "write the log in this `FORMAT`"},
		{Name: "redact-logs", Value: config.Bool(&s.redactLogs), Help: "write names and addresses of people to the log as hashes; false writes them as they are"},
		{Name: "max-connections", Value: config.Int(&s.connections, 1, 10_000_000), Help: "serve at most `N` connections at once"},
		{Name: "max-connections-per-address", Value: config.Int(&s.addressConnections, 1, 10_000_000), Help: "serve at most `N` connections at once from one address, or one IPv6 /64"},
		{Name: "address-rate", Value: config.Int(&s.addressRate, 1, 1_000_000), Help: "let one address cause a cost of `N` a second before it is authenticated"},
		{Name: "account-rate", Value: config.Int(&s.accountRate, 1, 1_000_000), Help: "let one account cause a cost of `N` a second"},
		{Name: "request-memory", Value: config.Int(&s.requestMemory, 32, 1<<20), Help: "let large requests and replies under way take `N` MiB; more of them wait"},
		{Name: "conversations-per-day", Value: config.Int(&s.channels, 1, 1_000_000), Help: "let one account found `N` conversations a day"},
		{Name: "login-attempts", Value: config.Int(&s.attempts, 1, 1_000_000), Help: "let `N` logins and registrations of a name fail in each window"},
		{Name: "login-window", Value: config.Duration(&s.attemptWindow), Help: "how long such a window is, as a `TIME`"},
		{Name: "retention", Value: config.Duration(&s.retention), Help: "keep messages for this `TIME` for those who do not fetch them"},
		{Name: "lapse", Value: config.Duration(&s.lapse), Help: "drop what all other devices of an account have fetched once a device has been away for this `TIME`"},
		{Name: "file-size", Value: config.Int(&s.fileSize, 1, 1<<20), Help: "take files of at most `N` MiB, as they are sent: encrypted and padded"},
		{Name: "file-quota", Value: config.Int(&s.fileQuota, 1, 1<<30), Help: "keep at most `N` MiB of files of one account at a time"},
		{Name: "file-grace", Value: config.Duration(&s.fileGrace), Help: "keep a file for this `TIME` once all devices have fetched its message; at most as long as --retention"},
		{Name: "drain", Value: config.Duration(&s.drain), Help: "let calls under way finish within this `TIME` when the server stops"},
	}}
}

// check normalises what was chosen and refuses what cannot be.
func (s *settings) check() error {
	if s.domain != "" {
		domain, err := identity.NormaliseDomain(s.domain)
		if err != nil {
			return qpq.Wrap(qpq.Invalid, "bad-setting", fmt.Sprintf("--domain: %v: write a name like example.org", err), err)
		}
		s.domain = domain
	}
	for _, pattern := range s.origins() {
		if _, err := path.Match(pattern, ""); err != nil || strings.ContainsAny(pattern, " /") {
			return qpq.E(qpq.Invalid, "bad-setting", fmt.Sprintf("--websocket-origins: %q is no host: write a name like app.example.org, with a port if it has one, or a pattern like *.example.org", pattern))
		}
	}
	if s.drain == 0 || s.attemptWindow == 0 || s.retention == 0 || s.lapse == 0 || s.fileGrace == 0 {
		return qpq.E(qpq.Invalid, "bad-setting", "--drain, --login-window, --retention, --lapse and --file-grace take a time above zero")
	}
	return nil
}

// origins returns the hosts whose pages may come in.
func (s *settings) origins() (list []string) {
	for host := range strings.SplitSeq(s.websocketOrigins, ",") {
		if host = strings.TrimSpace(host); host != "" {
			list = append(list, host)
		}
	}
	return list
}

// settle puts the domain of the store where none was chosen.
func (s *settings) settle(ctx context.Context, home *node.Home) error {
	if s.domain != "" {
		return nil
	}
	if _, err := os.Stat(home.Database()); err == nil {
		st, engine, err := openStore(ctx, s, home)
		if err == nil {
			s.domain = st.Domain()
			err = engine.Close()
		}
		if err != nil && qpq.CodeOf(err) != "no-domain" { // the first start was cut off
			return err
		}
	}
	s.domain = cmp.Or(s.domain, "localhost")
	return nil
}

func (s *settings) limits() node.Limits {
	return node.Limits{
		Connections: s.connections, AddressConnections: s.addressConnections,
		AddressRate: float64(s.addressRate), AccountRate: float64(s.accountRate),
		Memory: s.requestMemory << 20, Channels: s.channels, Attempts: s.attempts, AttemptWindow: s.attemptWindow, Drain: s.drain,
		Retention: s.retention, Lapse: s.lapse, Blob: s.fileSize << 20, BlobQuota: s.fileQuota << 20, BlobGrace: s.fileGrace,
	}
}

func (s *settings) whoMayRegister() wire.Registration {
	return map[string]wire.Registration{
		"open": wire.RegistrationOpen, "token": wire.RegistrationToken, "closed": wire.RegistrationClosed,
	}[s.registration]
}

func (s *settings) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(s.logLevel))); err != nil {
		panic(err) // one of the words that the table allows
	}
	options := &slog.HandlerOptions{Level: level}
	if s.logFormat == "json" {
		options.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
			if a.Value.Kind() == slog.KindDuration {
				a.Value = slog.Float64Value(a.Value.Duration().Seconds())
			}
			return a
		}
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
