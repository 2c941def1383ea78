// Package traces tells a collector of OpenTelemetry's how jobs lived: a trace a
// job, with a span for the whole, one for each wait in the queue and one for each
// run.
//
// A job's trace and its first span have ids that its own id makes, so that all
// daemons that had a part in it add to the same trace.
//
// # Limits
//
// A span is sent when it is over. A wait or run that is over while no daemon is
// there to see it has none. What the collector does not take within the exporter's
// time is dropped, and logged.
package traces

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"callgate/supervisor/client"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Traces are one daemon's. Its methods may be called from any goroutine, and
// none waits for the collector.
type Traces struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// New has spans sent to a collector's OTLP/HTTP endpoint, a URL such as
// http://collector:4318; without a path it is /v1/traces.
func New(endpoint string, v client.Version, log *slog.Logger) (*Traces, error) {
	at, err := url.Parse(endpoint)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return nil, fmt.Errorf("traces to %q: expected a URL such as http://collector:4318", endpoint)
	}
	if strings.Trim(at.Path, "/") == "" {
		at.Path = "/v1/traces"
	}
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(at.String()))
	if err != nil {
		return nil, fmt.Errorf("traces to %s: %w", endpoint, err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces", "err", err) }))
	about := resource.NewSchemaless(attribute.String("service.name", "callgated"), attribute.String("service.version", v.Version),
		attribute.String("host.name", v.Host))
	p := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about), sdk.WithIDGenerator(ids{}), sdk.WithSampler(sdk.AlwaysSample()))
	return &Traces{provider: p, tracer: p.Tracer("callgate/supervisor/server")}, nil
}

// Close sends what has not been sent, for as long as ctx lasts.
func (t *Traces) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Changed tells of what this daemon has made of a job.
func (t *Traces) Changed(before, after *client.Job) {
	if before == nil {
		return
	}
	switch {
	case after.State == client.Running:
		if after.Attempt == 1 { // when it was put back into the queue is not known
			t.part(after, "queued", after.Submitted, after.Started, nil)
		}
	case before.State == client.Running:
		t.part(before, "run", before.Started, or(after.Ended, time.Now()), after.Result)
	}
	if after.State == client.Ended {
		t.whole(after)
	}
}

// whole is the span of a job's life.
func (t *Traces) whole(job *client.Job) {
	ctx := context.WithValue(context.Background(), rootKey{}, job.ID)
	_, span := t.tracer.Start(ctx, "job", trace.WithTimestamp(job.Submitted), trace.WithNewRoot(), trace.WithAttributes(attributes(job)...))
	end(span, job.Ended, job.Result)
}

// part is a span of a part of it.
func (t *Traces) part(job *client.Job, name string, from, to time.Time, result *client.Result) {
	traceID, spanID := identity(job.ID)
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled, Remote: true})
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), parent)
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(from),
		trace.WithAttributes(attribute.String("callgate.host", job.Host), attribute.Int("callgate.attempt", job.Attempt)))
	end(span, to, result)
}

func end(span trace.Span, at time.Time, result *client.Result) {
	if result != nil {
		span.SetAttributes(attribute.String("callgate.cause", string(result.Cause)), attribute.Int("callgate.status", result.Status))
		if result.Cause == client.ByFailure || result.Cause == client.ByLoss {
			span.SetStatus(codes.Error, result.Message)
		}
	}
	span.End(trace.WithTimestamp(at))
}

func attributes(job *client.Job) []attribute.KeyValue {
	u := &job.Usage
	attrs := []attribute.KeyValue{
		attribute.String("callgate.job", job.ID), attribute.String("callgate.user", job.User), attribute.String("callgate.command", job.Argv[0]),
		attribute.StringSlice("callgate.policies", job.Policies), attribute.Float64("callgate.cpu_seconds", u.UserSeconds+u.SystemSeconds),
		attribute.Int64("callgate.max_rss_bytes", u.MaxRSSBytes), attribute.Int64("callgate.stops", int64(u.Stops)),
		attribute.Int64("callgate.denied", int64(u.Denied)),
	}
	for name, value := range job.Labels {
		attrs = append(attrs, attribute.String("callgate.label."+name, value))
	}
	return attrs
}

func or(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return a
}

// identity is a job's trace, and the span of its life.
func identity(id string) (trace.TraceID, trace.SpanID) {
	sum := sha256.Sum256([]byte("callgate job " + id))
	return trace.TraceID(sum[:16]), trace.SpanID(sum[16:24])
}

// rootKey is for the id of a job whose life a new span is.
type rootKey struct{}

// ids makes the ids of spans.
type ids struct{}

func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if id, ok := ctx.Value(rootKey{}).(string); ok {
		return identity(id)
	}
	return identity(rand.Text())
}

func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	_, _ = rand.Read(id[:]) // it does not fail (crypto/rand)
	return id
}
