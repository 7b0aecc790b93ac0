package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"ecardid/cmd/ecardid/internal/config"
	"ecardid/internal/footprint"
	"ecardid/storage"
)

// How long a connection may take for what (SECURITY DS1), and we for the end.
const (
	headerTime = 5 * time.Second
	readTime   = 15 * time.Second
	writeTime  = 30 * time.Second
	idleTime   = 60 * time.Second
	maxHeaders = 32<<10 - slack
	slack      = 4 << 10 // net/http reads this much more before it refuses

	profileTime = 2 * time.Minute  // a profile of a minute has to be written too
	drainTime   = 20 * time.Second // systemd and Kubernetes wait thirty

	sweepEvery = 30 * time.Second
	chainEvery = 2 * time.Second
	chainRest  = time.Minute // after a failure, which is alarming once a minute
)

func serveCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "serve --config FILE", Short: "Serve, in production", Args: exactly(),
		Long: "Serve. It refuses to start on anything half-configured, and on a database that was not migrated.",
		RunE: func(cmd *cobra.Command, _ []string) error { return e.serve(cmd.Context()) },
	}
}

func migrateCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "migrate --config FILE", Short: "Bring the database to the schema of this program", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(e.config, config.NeedDatabase)
			if err != nil {
				return err
			}
			if err := storage.Migrate(cmd.Context(), c.Made.DSN); err != nil {
				return fmt.Errorf("migrating: %w", err)
			}
			return e.said(map[string]any{"migrated": true}, "the database is up to date")
		},
	}
}

func (e *env) serve(ctx context.Context) error {
	c, err := config.Load(e.config, config.NeedServer)
	if err != nil {
		return err
	}
	log := e.logger(c.LogLevel())
	s, err := e.unlocked(ctx, c)
	if err != nil {
		return err
	}
	defer s.Close()
	log.Warn("key-encryption key: not a certified module", "provider", c.Made.KEK.Describe())
	if c.Liveness.Development {
		log.Warn("liveness: a stand-in provider may answer; this is no production server")
	}
	if c.TestProfile {
		log.Warn("TEST PROFILE: for a conformance suite; nothing in here may be real", "open_registration", c.Registration.Open, "floor", c.Floor)
	}
	h, err := e.furnish(ctx, c, s, log, c.Liveness.Development || c.TestProfile, "")
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	public, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	defer public.Close()
	if t := c.TLSConfig(); t != nil {
		public = tls.NewListener(public, t)
	}
	var mutual net.Listener
	if t := c.MutualTLSConfig(); t != nil {
		if mutual, err = net.Listen("tcp", c.MTLS.Listen); err != nil {
			return fmt.Errorf("listening for client certificates: %w", err)
		}
		defer mutual.Close()
		mutual = tls.NewListener(mutual, t)
	}
	var operations net.Listener
	if c.Operations.Listen != "off" {
		if operations, err = net.Listen("tcp", c.Operations.Listen); err != nil {
			return fmt.Errorf("listening for operations: %w", err)
		}
		defer operations.Close()
	}
	footprint.Settle()
	log.Info("serving", "issuer", c.Issuer, "address", public.Addr().String())
	return e.keep(ctx, h, s, log, []listening{
		{public, h.public, writeTime}, {mutual, h.public, writeTime}, {operations, h.operations, profileTime},
	})
}

func (e *env) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(e.err, &slog.HandlerOptions{Level: level}))
}

// listening is one listener and who answers there.
type listening struct {
	at      net.Listener // nil: nobody
	handler http.Handler
	write   time.Duration
}

// keep serves until ctx ends or a listener fails, then lets what was begun finish.
func (e *env) keep(ctx context.Context, h *house, s *storage.Store, log *slog.Logger, all []listening) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var background sync.WaitGroup
	background.Go(func() { h.run(work) })
	background.Go(func() { e.sweep(work, s, log) })
	background.Go(func() { e.chain(work, s, log, h.alarm) })

	failed := make(chan error, len(all))
	var servers []*http.Server
	for _, l := range all {
		if l.at == nil {
			continue
		}
		srv := &http.Server{
			Handler: l.handler, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: l.write, IdleTimeout: idleTime,
			MaxHeaderBytes: maxHeaders, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		}
		servers = append(servers, srv)
		go func() { failed <- srv.Serve(l.at) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	log.Info("stopping")
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	var draining sync.WaitGroup
	for _, srv := range servers {
		draining.Go(func() {
			if srv.Shutdown(end) != nil {
				_ = srv.Close() // their time is up
			}
		})
	}
	draining.Wait()
	stop()
	background.Wait()
	if _, chainErr := s.ChainAudit(end); chainErr != nil {
		log.Error("the audit trail cannot be continued", "alarm", true, "cause", chainErr)
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(fmt.Errorf("serving: %w", err), h.close(end))
	}
	return h.close(end)
}

// sweep deletes what is over, now and then.
func (e *env) sweep(ctx context.Context, s *storage.Store, log *slog.Logger) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		gone, err := s.Sweep(ctx, e.clock.Now())
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("sweeping", "cause", err)
		case len(gone) > 0:
			log.Info("swept", "rows", gone)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// chain links new audit entries. A trail that was tampered with is not continued;
// acts are still recorded, and verify says where it broke.
func (e *env) chain(ctx context.Context, s *storage.Store, log *slog.Logger, alarm *trailAlarm) {
	wait := chainEvery
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = chainEvery
		if _, err := s.ChainAudit(ctx); err != nil && ctx.Err() == nil {
			log.Error("the audit trail cannot be continued", "alarm", true, "cause", err)
			alarm.sound(ctx, err)
			wait = chainRest
		}
	}
}
