package server

import (
	"cmp"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics count what happens, without a name in any label: patterns, classes and
// words of ours only.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	steps    *prometheus.CounterVec
	alarms   *prometheus.CounterVec
	signals  *prometheus.CounterVec
	pending  prometheus.Gauge
	oldest   prometheus.Gauge
	admitted *prometheus.GaugeVec
}

// NewMetrics returns counters in a registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecardid_http_requests_total", Help: "Answers by route, method and status."}, []string{"route", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ecardid_http_request_seconds", Help: "Time from the first byte to the end of the answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}}, []string{"route"}),
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecardid_login_steps_total", Help: "Steps of sign-ins by outcome."}, []string{"step", "outcome"}),
		alarms: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecardid_alarms_total", Help: "Alarms, of which somebody has to be told at once."}, []string{"alarm"}),
		signals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecardid_signals_total", Help: "Security events pushed to relying parties by outcome, and those they would not take."}, []string{"outcome"}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ecardid_signals_pending", Help: "Security events that wait to be pushed or fetched, on all streams."}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ecardid_signals_oldest_seconds", Help: "How long the oldest of them has waited."}),
		admitted: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ecardid_admissions", Help: "Applications in service whose admission ends within a month, or has ended."}, []string{"state"}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.steps, m.alarms, m.signals, m.pending, m.oldest, m.admitted,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// The labels are the route's own words: what strangers send makes no series.
func (m *Metrics) request(route Route, status int, took time.Duration) {
	m.requests.WithLabelValues(route.Pattern, cmp.Or(route.Method, "other"), strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route.Pattern).Observe(took.Seconds())
}

// Observe implements authn.Observer.
func (m *Metrics) Observe(step, outcome string) { m.steps.WithLabelValues(step, outcome).Inc() }

// Alarm counts an alarm, by a word of ours.
func (m *Metrics) Alarm(word string) { m.alarms.WithLabelValues(word).Inc() }

// Signals implements signals.Observer, and so does SignalLag.
func (m *Metrics) Signals(outcome string, n int) {
	m.signals.WithLabelValues(outcome).Add(float64(n))
}

// admissions says how many admissions need somebody's attention.
func (m *Metrics) admissions(ending, lapsed int) {
	m.admitted.WithLabelValues("ending").Set(float64(ending))
	m.admitted.WithLabelValues("lapsed").Set(float64(lapsed))
}

// SignalLag says how far relying parties are behind.
func (m *Metrics) SignalLag(pending int, oldest time.Duration) {
	m.pending.Set(float64(pending))
	m.oldest.Set(oldest.Seconds())
}

// Operations is the handler of the operations listener: metrics and profiles,
// which never belong on the public one (SECURITY AD4).
func (m *Metrics) Operations() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/cmdline", func(w http.ResponseWriter, r *http.Request) {
		http.NotFound(w, r) // the command line may name secret files
	})
	return mux
}
