package node

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

// metrics are a server's numbers, none of which tells of a single person.
type metrics struct {
	registry      *prometheus.Registry
	calls         *prometheus.CounterVec
	seconds       *prometheus.HistogramVec
	logins        *prometheus.CounterVec
	panics        prometheus.Counter
	registered    prometheus.Counter
	deleted       prometheus.Counter
	authenticated prometheus.Counter
	pushes        prometheus.Counter
	pushesLost    prometheus.Counter
	refused       prometheus.Counter
	swept         prometheus.Counter
}

func newMetrics(s *Server) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "qpq_" + name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	m.calls = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "qpq_calls_total", Help: "Calls by method and kind of the answer, 0 for success."}, []string{"method", "kind"})
	m.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "qpq_call_seconds", Help: "Time of calls by method, floors and long polls included.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}}, []string{"method"})
	m.logins = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "qpq_logins_total", Help: "Proofs of a password by outcome."}, []string{"outcome"})
	m.registry.MustRegister(m.calls, m.seconds, m.logins)
	m.panics = counter("panics_total", "Handlers that panicked: defects.")
	m.registered = counter("registrations_total", "Accounts made.")
	m.deleted = counter("deletions_total", "Accounts deleted.")
	m.authenticated = counter("authentications_total", "Sessions of devices begun.")
	m.pushes = counter("pushes_total", "Push events handed to connections.")
	m.pushesLost = counter("pushes_lost_total", "Push events dropped because a client reads too slowly or is gone.")
	m.refused = counter("connections_refused_total", "Connections over a limit.")
	m.swept = counter("swept_rows_total", "Expired rows removed.")
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "qpq_" + name, Help: help}, value))
	}
	gauge("connections", "Connections now.", func() float64 { return float64(s.sessions.count()) })
	stat := func(name, help string, value func(store.Stats) float64) {
		gauge("store_"+name, help, func() float64 { return value(s.cfg.Store.Stats()) })
	}
	stat("queued", "Updates that wait for the store.", func(st store.Stats) float64 { return float64(st.Queued) })
	stat("updates_total", "Updates committed.", func(st store.Stats) float64 { return float64(st.Updates) })
	stat("failed_total", "Updates that failed.", func(st store.Stats) float64 { return float64(st.Failed) })
	stat("commits_total", "Commits, each of many updates.", func(st store.Stats) float64 { return float64(st.Commits) })
	stat("commits_deferred_total", "Commits that are synced with a later one.", func(st store.Stats) float64 { return float64(st.Deferred) })
	stat("commit_errors_total", "Commits, and syncs left out of them, that failed.", func(st store.Stats) float64 { return float64(st.CommitErrors) })
	stat("commit_seconds_total", "Time spent in commits.", func(st store.Stats) float64 { return st.CommitTime.Seconds() })
	stat("log_pages", "Pages in the log, which is copied to the database beside commits.", func(st store.Stats) float64 { return float64(st.LogPages) })
	stat("log_errors_total", "Times that the log could not be copied, or made to begin anew.", func(st store.Stats) float64 { return float64(st.LogErrors) })
	stat("held_seconds_total", "Time that commits were held up for the log to begin anew.", func(st store.Stats) float64 { return st.HeldTime.Seconds() })
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) call(method string, kind qpq.Kind, took time.Duration) {
	m.calls.WithLabelValues(method, strconv.Itoa(int(kind))).Inc()
	m.seconds.WithLabelValues(method).Observe(took.Seconds())
}
