package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/idnumber"
	"ecardid/internal/seal"
	"ecardid/storage"
)

// Exit codes. Scripts may rely on them.
const (
	exitOK        = 0
	exitFailed    = 1 // what was asked could not be done; nothing was half-done
	exitUsage     = 2 // the command or its configuration is wrong
	exitTampering = 3 // the audit trail is not what was written
)

// env is what a command works with: the outside world.
type env struct {
	in       io.Reader
	out, err io.Writer
	clock    clock.Clock
	rand     io.Reader

	config string
	json   bool
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run carries out one command line and returns the exit code.
func run(ctx context.Context, e *env, args []string) int {
	root := newRoot(e)
	root.SetArgs(args)
	root.SetIn(e.in)
	root.SetOut(e.out)
	root.SetErr(e.err)
	if _, _, err := root.Find(args); err != nil {
		return e.say(usageError{err})
	}
	return e.say(root.ExecuteContext(ctx))
}

// say writes an error as one clear sentence and chooses the exit code.
func (e *env) say(err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(e.err, "ecardid: %s\n", clean(err.Error()))
	var usage usageError
	var problems *config.Problems
	var trail *audit.TrailError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintln(e.err, "Try: ecardid --help")
		return exitUsage
	case errors.As(err, &problems):
		return exitUsage
	case errors.As(err, &trail), errors.Is(err, audit.ErrExport), errors.Is(err, audit.ErrBeyond), errors.Is(err, audit.ErrCheckpoint):
		return exitTampering
	}
	return exitFailed
}

// clean keeps what a file or a database said from acting on the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return '?'
		}
		return r
	}, s)
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:           "ecardid",
		Short:         "Identity provider for the electronic social-security card",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	file := os.Getenv("ECARDID_CONFIG")
	if file == "" {
		file = "/etc/ecardid/ecardid.yaml"
	}
	root.PersistentFlags().StringVar(&e.config, "config", file, "configuration file (default also from ECARDID_CONFIG)")
	root.PersistentFlags().BoolVar(&e.json, "json", false, "print JSON instead of tables")
	root.AddCommand(
		demoCommand(e), serveCommand(e), migrateCommand(e), citizenCommand(e),
		clientCommand(e), staffCommand(e), keysCommand(e), auditCommand(e), riskCommand(e),
	)
	return root
}

// group is a command that only has others below it.
func group(name, short string, below ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: name, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no command %q under %q", args[0], cmd.CommandPath())
			}
			return usagef("%s needs one of its commands", cmd.CommandPath())
		},
	}
	c.AddCommand(below...)
	return c
}

// exactly is cobra.ExactArgs with our exit code.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usagef("%s takes %d arguments (%s), not %d", cmd.CommandPath(), len(names), strings.Join(names, " "), len(args))
		}
		return nil
	}
}

// withStore lets fn work, and links what fn did into the audit trail.
func (e *env) withStore(ctx context.Context, fn func(ctx context.Context, c *config.Config, s *storage.Store) error) error {
	return e.opened(ctx, func(ctx context.Context, c *config.Config, s *storage.Store) error {
		if err := fn(ctx, c, s); err != nil {
			return err
		}
		if _, err := s.ChainAudit(ctx); err != nil {
			return fmt.Errorf("done, but the audit trail cannot be continued: %w", err)
		}
		return nil
	})
}

// opened opens configuration, database and data keys for fn.
func (e *env) opened(ctx context.Context, fn func(ctx context.Context, c *config.Config, s *storage.Store) error) error {
	c, err := config.Load(e.config, config.NeedKeys)
	if err != nil {
		return err
	}
	s, err := e.unlocked(ctx, c)
	if err != nil {
		return err
	}
	defer s.Close()
	return fn(ctx, c, s)
}

// unlocked opens the database and its data keys.
func (e *env) unlocked(ctx context.Context, c *config.Config) (*storage.Store, error) {
	if err := seal.SelfTest(); err != nil {
		return nil, fmt.Errorf("this machine cannot compute SM3 and SM4 rightly: %w", err)
	}
	s, err := storage.Open(ctx, c.Made.DSN, storage.Options{
		Log:      slog.New(slog.NewJSONHandler(e.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		MaxConns: c.Limits.DatabaseConnections, StatementCache: storage.StatementCache(c.Limits.StatementCache),
	})
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if err := s.Unlock(ctx, c.Made.KEK, e.clock.Now()); err != nil {
		s.Close()
		if errors.Is(err, seal.ErrWrongKEK) {
			return nil, fmt.Errorf("the key-encryption key of %s is not the one this database was sealed under", c.KEK.Source())
		}
		return nil, fmt.Errorf("unlocking the data keys: %w", err)
	}
	return s, nil
}

// event begins an audit entry of this operator.
func (e *env) event(kind audit.Kind, reason string) audit.Event {
	ev := audit.Event{Kind: kind, At: e.clock.Now(), Actor: audit.ByOperator, Reason: reason, Place: "command line"}
	if u, err := user.Current(); err == nil {
		ev.Detail = map[string]string{"user": strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '?'
			}
			return r
		}, u.Username)}
	}
	return ev
}

// citizen finds the citizen of a card number; "-" reads it from standard input, so
// that it need not be in a shell's history.
func (e *env) citizen(ctx context.Context, s *storage.Store, arg string) (storage.CitizenSummary, error) {
	if arg == "-" {
		line, err := bufio.NewReader(io.LimitReader(e.in, 256)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return storage.CitizenSummary{}, fmt.Errorf("reading the card number: %w", err)
		}
		arg = line
	}
	card, err := idnumber.ParseCard(arg)
	if err != nil {
		return storage.CitizenSummary{}, usagef("that is not a card number: nine letters and digits")
	}
	c, err := s.CitizenByAlias(ctx, authn.Alias{Kind: authn.AliasCard, Value: card.Reveal()})
	if errors.Is(err, identity.ErrNotFound) {
		return storage.CitizenSummary{}, fmt.Errorf("there is no citizen with card %s", card.Mask())
	}
	return c, err
}

// print writes v as JSON, or rows as a table under the header.
func (e *env) print(v any, header []string, rows [][]string) error {
	if e.json {
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	if len(header) > 0 {
		fmt.Fprintln(w, strings.Join(header, "\t"))
	}
	for _, row := range rows {
		for i, cell := range row {
			row[i] = clean(cell)
			if cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// said prints a fact: a sentence, or its JSON.
func (e *env) said(v any, format string, args ...any) error {
	if e.json {
		return e.print(v, nil, nil)
	}
	_, err := fmt.Fprintf(e.out, format+"\n", args...)
	return err
}
