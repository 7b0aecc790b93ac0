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
	}
	m.registry.MustRegister(m.requests, m.seconds, m.steps,
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
