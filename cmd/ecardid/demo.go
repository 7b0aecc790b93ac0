package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"ecardid/cmd/ecardid/internal/config"
	"ecardid/cmd/ecardid/internal/pension"
	"ecardid/internal/jose"
	"ecardid/internal/secret"
	"ecardid/liveness/standin"
	"ecardid/storage"
)

const (
	// nearby is how many ports above the last one are tried for the demo's other
	// servers: they should be where people look for them.
	nearby = 50

	standinName = "standin"
)

func demoCommand(e *env) *cobra.Command {
	var dir, listen string
	var verbose bool
	c := &cobra.Command{
		Use: "demo [--dir DIR] [--listen 127.0.0.1:8080]", Short: "Everything on one machine, to try it: server, relying party, stand-in liveness provider", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return e.demo(cmd.Context(), dir, listen, verbose) },
	}
	c.Flags().StringVar(&dir, "dir", "demo", "where the demo keeps its database, keys and demo.json")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "loopback address of the server; port 0 chooses all ports")
	c.Flags().BoolVar(&verbose, "verbose", false, "log every request")
	return c
}

// addresses are where the demo's servers listen.
type addresses struct {
	public, office, provider, operations net.Listener
}

func (a addresses) close() {
	for _, l := range []net.Listener{a.public, a.office, a.provider, a.operations} {
		if l != nil {
			_ = l.Close()
		}
	}
}

func port(l net.Listener) string {
	_, p, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return ""
	}
	return p
}

// The issuer is at localhost: browsers give passkeys to names only. The relying
// party is at 127.0.0.1, another site to a browser, as real ones are.
func (a addresses) issuer() string       { return "http://localhost:" + port(a.public) }
func (a addresses) relyingParty() string { return "http://127.0.0.1:" + port(a.office) }
func (a addresses) liveness() string     { return "http://127.0.0.1:" + port(a.provider) }
func (a addresses) metrics() string      { return "http://127.0.0.1:" + port(a.operations) + "/metrics" }

// listenNearby opens the demo's four ports.
func listenNearby(listen string) (a addresses, err error) {
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	host, first, err := net.SplitHostPort(listen)
	ip := net.ParseIP(host)
	if err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return a, usagef("--listen is a loopback address such as 127.0.0.1:8080: the demo is for this machine only")
	}
	at, err := strconv.Atoi(first)
	if err != nil || at < 0 || at > 65535 {
		return a, usagef("--listen: %q is not a port", first)
	}
	if a.public, err = net.Listen("tcp", listen); err != nil {
		return a, fmt.Errorf("listening: %w", err)
	}
	for _, l := range []*net.Listener{&a.office, &a.provider, &a.operations} {
		if *l, at, err = next(at); err != nil {
			return a, err
		}
	}
	return a, nil
}

// next listens on the first free port after at; any port when at is 0.
func next(at int) (net.Listener, int, error) {
	if at == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		return l, 0, err
	}
	for p := at + 1; p <= at+nearby && p <= 65535; p++ {
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p))); err == nil {
			return l, p, nil
		}
	}
	return nil, 0, fmt.Errorf("no free port within %d after %d", nearby, at)
}

func (e *env) demo(ctx context.Context, dir, listen string, verbose bool) error {
	at, err := listenNearby(listen)
	if err != nil {
		return err
	}
	defer at.close()
	provider, err := prepareDir(dir, at)
	if err != nil {
		return fmt.Errorf("preparing %s: %w", dir, err)
	}
	c, err := config.Load(filepath.Join(dir, demoConfig), config.NeedServer)
	if err != nil {
		return err
	}
	if err := storage.Migrate(ctx, c.Made.DSN); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	s, err := e.unlocked(ctx, c)
	if err != nil {
		return err
	}
	defer s.Close()
	d, err := e.populate(ctx, s, c, dir, at)
	if err != nil {
		return fmt.Errorf("filling the demo: %w", err)
	}
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	log := e.logger(level)
	h, err := e.furnish(ctx, c, s, log, true, at.office.Addr().String())
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	office, err := e.office(d, log)
	if err != nil {
		return err
	}
	check, err := e.standIn(c, provider, at, log)
	if err != nil {
		return err
	}
	if err := e.welcome(d, dir); err != nil {
		return err
	}
	return e.keep(ctx, h, s, log, []listening{
		{at.public, h.public, writeTime}, {at.office, office, writeTime},
		{at.provider, check, writeTime}, {at.operations, h.operations, profileTime},
	})
}

// office is the relying party.
func (e *env) office(d demoFile, log *slog.Logger) (http.Handler, error) {
	desk, counter := d.client(pensionID), d.client(counterID)
	if desk.Secret == "" || counter.JWKS == nil {
		return nil, errors.New("the demo has no pension office")
	}
	key := counter.JWKS.Keys[0]
	private, err := key.private()
	if err != nil {
		return nil, fmt.Errorf("the key of %s: %w", counterID, err)
	}
	return pension.New(pension.Config{
		Issuer: d.Issuer, ClientID: desk.ID, ClientSecret: secret.Of(desk.Secret), BaseURL: d.RelyingParty,
		Counter: pension.Counter{ClientID: counter.ID, KeyID: key.Kid, Key: private}, Clock: e.clock, Log: log,
	})
}

// standIn is the liveness provider that believes everybody.
func (e *env) standIn(c *config.Config, key jose.Key, at addresses, log *slog.Logger) (http.Handler, error) {
	ours, err := jose.NewSet(c.Made.LivenessKey.Public())
	if err != nil {
		return nil, err
	}
	return standin.New(standin.Options{
		BaseURL: at.liveness(), Issuer: at.liveness(), Client: c.Issuer, ClientKeys: ours, SigningKey: key, Clock: e.clock, Log: log,
	})
}

// welcome says where everything is and who may come in.
func (e *env) welcome(d demoFile, dir string) error {
	var err error
	line := func(format string, args ...any) {
		if _, werr := fmt.Fprintf(e.out, format+"\n", args...); err == nil {
			err = werr
		}
	}
	line("==================================================================")
	line(" DEMONSTRATION: made-up people, a liveness check that believes")
	line(" everybody, a software key. Never put anything real in here.")
	line(" 演示系统：人员均为虚构，真人检测不作任何核验，请勿用于真实业务。")
	line("==================================================================")
	line("")
	line(" start here, the relying party:  %s", d.RelyingParty)
	line(" ecardid, the issuer:            %s", d.Issuer)
	line(" stand-in liveness provider:     %s", d.Liveness)
	line(" metrics:                        %s", d.Operations)
	line("")
	for _, c := range d.Citizens {
		line(" %s  card %s", c.Name, c.Username)
		switch {
		case c.Code != "":
			line("   activation code %s", c.Code)
		case c.Password != "":
			line("   password        %s", c.Password)
			line("   TOTP secret     %s", c.TOTP)
			if hint := e.codeHint(c.TOTP); hint != "" {
				line("   code            %s", hint)
			}
		}
		line("   %s", c.Note)
	}
	line("")
	line(" staff, at %s/console: each link once, with its code, in a browser window of its own", d.Issuer)
	for _, one := range d.Staff {
		if one.Link != "" {
			line("   %-14s %s  code %s", one.Name, one.Link, one.Invitation)
		}
	}
	line("")
	line(" all of this for robots:         %s", filepath.Join(dir, demoJSON))
	line(" operator's commands:            ecardid --config %s citizen show %s", filepath.Join(dir, demoConfig), d.Citizens[0].Username)
	line(" stop with Ctrl-C; the same --dir goes on where it was")
	return err
}

// writeNew writes a file only its owner can read, whole or not at all.
func writeNew(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
