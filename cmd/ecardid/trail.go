package main

import (
	"bufio"
	"context"
	"time"

	"github.com/spf13/cobra"

	"ecardid/audit"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/storage"
)

func auditCommand(e *env) *cobra.Command {
	var expect string
	verify := &cobra.Command{
		Use: "verify", Short: "Verify the audit trail; exit code 3 when it is not what was written", Args: exactly(),
		Long: "Verify the audit trail. It prints the head; keep it somewhere else and give it back with\n" +
			"--expect: an older copy of the whole database is consistent with itself and shows only that way.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var head audit.Head
			if expect != "" {
				var err error
				if head, err = audit.ParseHead(expect); err != nil {
					return usageError{err}
				}
			}
			return e.withTrail(cmd.Context(), func(ctx context.Context, s *storage.Store) error {
				r, err := s.VerifyAudit(ctx, head)
				if err != nil {
					return err
				}
				return e.said(map[string]any{"ok": true, "entries": r.Entries, "waiting": r.Waiting, "head": r.Head.String()},
					"ok: %d entries, %d not linked yet\nhead: %s", r.Entries, r.Waiting, r.Head)
			})
		},
	}
	verify.Flags().StringVar(&expect, "expect", "", "a head that was printed earlier")

	var since string
	export := &cobra.Command{
		Use: "export", Short: "Write the audit trail as JSON lines", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var from time.Time
			if since != "" {
				var err error
				if from, err = time.Parse(time.RFC3339, since); err != nil {
					return usagef("--since: want a time such as 2026-05-04T00:00:00Z")
				}
			}
			return e.withTrail(cmd.Context(), func(ctx context.Context, s *storage.Store) error {
				w := bufio.NewWriter(e.out)
				if err := s.ExportAudit(ctx, from, func(line []byte) error {
					_, err := w.Write(line)
					return err
				}); err != nil {
					return err
				}
				return w.Flush()
			})
		},
	}
	export.Flags().StringVar(&since, "since", "", "only entries from this time on (RFC 3339)")
	return group("audit", "The audit trail", verify, export)
}

// withTrail is withStore for those who only look: they do not link what they find,
// which would put yesterday's forgery under today's seal.
func (e *env) withTrail(ctx context.Context, fn func(ctx context.Context, s *storage.Store) error) error {
	return e.opened(ctx, func(ctx context.Context, _ *config.Config, s *storage.Store) error { return fn(ctx, s) })
}
