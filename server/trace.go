package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"go.opentelemetry.io/otel/attribute"
)

// Traces sends spans to an OpenTelemetry collector. A nil *Traces sends nothing and
// costs nothing.
type Traces struct {
	provider *trace.TracerProvider
}

// NewTraces prepares sending to the collector's OTLP/HTTP endpoint. ratio is the
// share of requests that are traced, from 0 to 1.
func NewTraces(ctx context.Context, endpoint string, ratio float64) (*Traces, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
	if err != nil {
		return nil, fmt.Errorf("preparing traces for %s: %w", endpoint, err)
	}
	return &Traces{trace.NewTracerProvider(
		trace.WithBatcher(exporter),
		// Callers do not decide what we trace: ratio is ours.
		trace.WithSampler(trace.TraceIDRatioBased(ratio)),
		trace.WithResource(resource.NewSchemaless(attribute.String("service.name", "ecardid"))),
	)}, nil
}

// Close sends what is left.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// over puts a span around a handler, named by the route's pattern. Spans never see
// the query: it may hold a code or a hint.
func (t *Traces) over(pattern string, next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	spanned := otelhttp.NewHandler(next, pattern,
		otelhttp.WithTracerProvider(t.provider),
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Nothing of what was sent, and not from where: an address is a person's.
		bare := &http.Request{
			Method: r.Method, URL: &url.URL{Path: pattern}, RequestURI: pattern, Header: http.Header{}, Body: http.NoBody,
			Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		}
		// The span is made from the bare request; the handler gets the real one.
		spanned.ServeHTTP(w, bare.WithContext(context.WithValue(r.Context(), realKey{}, r)))
	})
}

type realKey struct{}

// unwrap gives the handler below a span the request it was made for.
func unwrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if real, ok := r.Context().Value(realKey{}).(*http.Request); ok {
			r = real.WithContext(r.Context())
		}
		next.ServeHTTP(w, r)
	})
}
