package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ecardid/audit"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/storage"
)

func auditCommand(e *env) *cobra.Command {
	attest := &cobra.Command{
		Use: "checkpoint [FILE]", Short: "Sign how far the audit trail goes, for somebody to keep", Args: perhaps("FILE"),
		Long: "Sign how far the audit trail goes, and add that to a file or print it. Kept out of reach of whoever\n" +
			"can reach the database, it shows when the trail is cut or written anew. The server does it by itself\n" +
			"at intervals: audit.checkpoint in the configuration.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withTrail(cmd.Context(), func(ctx context.Context, c *config.Config, s *storage.Store) error {
				line, head, err := checkpoint(ctx, s, c.Issuer, e.clock.Now())
				if err != nil {
					return err
				}
				if len(args) == 0 {
					return e.said(map[string]any{"checkpoint": line, "head": head.String()}, "%s", line)
				}
				if err := appendLine(args[0], line); err != nil {
					return err
				}
				return e.said(map[string]any{"file": args[0], "head": head.String()}, "added to %s: %d entries", args[0], head.Number)
			})
		},
	}
	key := &cobra.Command{
		Use: "key", Short: "Print the public key that checkpoints are verified with", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withTrail(cmd.Context(), func(_ context.Context, _ *config.Config, s *storage.Store) error {
				keys, err := checkpointKeys(s)
				if err != nil {
					return err
				}
				return json.NewEncoder(e.out).Encode(keys)
			})
		},
	}
	return group("audit", "The audit trail", verifyCommand(e), exportCommand(e), searchCommand(e), attest, key)
}

// perhaps is exactly for arguments that may be left out.
func perhaps(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("%s takes one argument at most (%s), not %d", cmd.CommandPath(), name, len(args))
		}
		return nil
	}
}

// withTrail is withStore for those who only look: they do not link what they find,
// which would put yesterday's forgery under today's seal.
func (e *env) withTrail(ctx context.Context, fn func(ctx context.Context, c *config.Config, s *storage.Store) error) error {
	return e.opened(ctx, fn)
}

func checkpointKeys(s *storage.Store) (jose.Set, error) {
	key, err := s.CheckpointKey()
	if err != nil {
		return jose.Set{}, err
	}
	return jose.NewSet(key.Public())
}

// verification is what audit verify was asked to look at.
type verification struct {
	expect, file, key, checkpoints string
	macs                           bool

	head audit.Head
	keys jose.Keyset
	kept []audit.Checkpoint
}

func verifyCommand(e *env) *cobra.Command {
	var v verification
	c := &cobra.Command{
		Use: "verify", Short: "Verify the audit trail; exit code 3 when it is not what was written", Args: exactly(),
		Long: "Verify the audit trail, in the database or, with --file, in an export. It finds what was edited, deleted,\n" +
			"inserted, swapped or cut off, and says where. An older copy of the whole database is consistent with\n" +
			"itself and shows only against something kept elsewhere: checkpoints, or a head that was printed earlier.\n\n" +
			"An export is verified without configuration and without database: --key names a file with what\n" +
			"`ecardid audit key` printed, without which the file is only compared with itself. --macs opens the\n" +
			"database for its audit key and checks with it that each entry was written by the server.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := v.read(); err != nil {
				return err
			}
			if v.file != "" && !v.macs {
				return e.verifyExport(v, nil)
			}
			if v.macs && v.file == "" {
				return usagef("--macs is for --file: in the database MACs are always checked")
			}
			return e.withTrail(cmd.Context(), func(ctx context.Context, c *config.Config, s *storage.Store) error {
				if err := v.complete(s); err != nil {
					return err
				}
				if v.file == "" {
					return e.verifyTrail(ctx, c, s, v)
				}
				check, err := s.AuditCheck()
				if err != nil {
					return err
				}
				return e.verifyExport(v, check)
			})
		},
	}
	c.Flags().StringVar(&v.expect, "expect", "", "a head that was printed earlier")
	c.Flags().StringVar(&v.checkpoints, "checkpoints", "", "file of checkpoints, all of which the trail has to agree with")
	c.Flags().StringVar(&v.file, "file", "", "an export to verify in place of the database")
	c.Flags().StringVar(&v.key, "key", "", "file with the public key of checkpoints; the database's own when left out")
	c.Flags().BoolVar(&v.macs, "macs", false, "check the MACs of an export with the audit key of the database")
	return c
}

// read looks at what needs no database.
func (v *verification) read() error {
	if v.expect != "" {
		var err error
		if v.head, err = audit.ParseHead(v.expect); err != nil {
			return usageError{err}
		}
	}
	if v.key == "" {
		if v.checkpoints != "" && v.file != "" && !v.macs {
			return usagef("--checkpoints needs --key: without it anybody could have written them")
		}
		return nil
	}
	b, err := os.ReadFile(v.key)
	if err != nil {
		return err
	}
	set, err := jose.ParseSet(b)
	if err != nil || set.Len() == 0 {
		return usagef("--key: %s is not what `ecardid audit key` prints", v.key)
	}
	v.keys = set
	return v.readCheckpoints()
}

// complete takes the key from the database if none was named.
func (v *verification) complete(s *storage.Store) error {
	if v.keys != nil {
		return nil
	}
	keys, err := checkpointKeys(s)
	if err != nil {
		return err
	}
	v.keys = keys
	return v.readCheckpoints()
}

func (v *verification) readCheckpoints() error {
	if v.checkpoints == "" {
		return nil
	}
	f, err := os.Open(v.checkpoints)
	if err != nil {
		return err
	}
	defer f.Close()
	if v.kept, err = audit.ParseCheckpoints(f, v.keys); err != nil {
		return fmt.Errorf("%s: %w", v.checkpoints, err)
	}
	if len(v.kept) == 0 {
		return fmt.Errorf("%s: there is no checkpoint in it", v.checkpoints)
	}
	return nil
}

func (e *env) verifyTrail(ctx context.Context, c *config.Config, s *storage.Store, v verification) error {
	if len(v.kept) > 0 && v.kept[0].Issuer != c.Issuer {
		return fmt.Errorf("the checkpoints are of %s, this is %s", v.kept[0].Issuer, c.Issuer)
	}
	r, err := s.VerifyAudit(ctx, append(audit.Heads(v.kept), v.head)...)
	if err != nil {
		return err
	}
	return e.said(map[string]any{"ok": true, "entries": r.Entries, "waiting": r.Waiting, "head": r.Head.String(), "checkpoints": len(v.kept)},
		"ok: %d entries, %d not linked yet%s\nhead: %s", r.Entries, r.Waiting, agreed(v.kept), r.Head)
}

func agreed(kept []audit.Checkpoint) string {
	if len(kept) == 0 {
		return ""
	}
	return fmt.Sprintf("; %d checkpoints agree, the last of %s", len(kept), when(kept[len(kept)-1].At))
}

func (e *env) verifyExport(v verification, check audit.Check) error {
	f, err := os.Open(v.file)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := audit.VerifyExport(f, audit.Offline{Keys: v.keys, Check: check, Checkpoints: v.kept, Expect: v.head})
	if err != nil {
		return fmt.Errorf("%s: %w", v.file, err)
	}
	if r.Beyond > 0 {
		return fmt.Errorf("%s: %d %w, after entry %d", v.file, r.Beyond, audit.ErrBeyond, r.Preamble.Head.Number)
	}
	word := "ok as far as the file goes, which nobody has vouched for (--key)"
	switch {
	case check != nil:
		word = "ok: written by the server, attested " + when(r.Attested)
	case v.keys != nil:
		word = "ok: attested " + when(r.Attested)
	}
	if r.Preamble.After.Number > 0 {
		word += fmt.Sprintf("; the entries up to %d are not in it", r.Preamble.After.Number)
	}
	return e.said(map[string]any{
		"ok": true, "issuer": r.Preamble.Issuer, "entries": r.Entries, "after": r.Preamble.After.Number, "head": r.Preamble.Head.String(),
		"signed": v.keys != nil, "macs": check != nil, "checkpoints": len(v.kept),
	}, "%s\n%d entries of %s%s\nhead: %s", word, r.Entries, clean(r.Preamble.Issuer), agreed(v.kept), r.Preamble.Head)
}

func exportCommand(e *env) *cobra.Command {
	var since string
	var table bool
	c := &cobra.Command{
		Use: "export [FILE]", Short: "Write the audit trail as JSON lines, to be verified anywhere", Args: perhaps("FILE"),
		Long: "Write the audit trail to a new file or to standard output: a line of JSON that says what follows, signed,\n" +
			"and then the entries. `ecardid audit verify --file` verifies it. With --csv it is for a spreadsheet, where\n" +
			"it can be looked at and no longer verified.",
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := moment("--since", since)
			if err != nil {
				return err
			}
			return e.withTrail(cmd.Context(), func(ctx context.Context, c *config.Config, s *storage.Store) error {
				if len(args) == 0 {
					_, err := e.export(ctx, c, s, from, e.out, table)
					return err
				}
				f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
				if err != nil {
					return err
				}
				n, err := e.export(ctx, c, s, from, f, table)
				if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
					return errors.Join(err, os.Remove(args[0])) // half an export is none
				}
				return e.said(map[string]any{"file": args[0], "entries": n}, "%d entries in %s", n, args[0])
			})
		},
	}
	c.Flags().StringVar(&since, "since", "", "from the first entry of this time on (RFC 3339)")
	c.Flags().BoolVar(&table, "csv", false, "as comma-separated values, for a spreadsheet")
	return c
}

func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usagef("%s: want a time such as 2026-05-04T00:00:00Z", flag)
	}
	return t, nil
}

func (e *env) export(ctx context.Context, c *config.Config, s *storage.Store, since time.Time, to io.Writer, table bool) (n int, err error) {
	w := bufio.NewWriter(to)
	cells := csv.NewWriter(w)
	begin := func(p audit.Preamble, whole bool) error {
		if table {
			return cells.Write(audit.Columns())
		}
		if p.Issuer = c.Issuer; whole {
			var err error
			if p.Checkpoint, err = signCheckpoint(s, audit.Checkpoint{Issuer: p.Issuer, Head: p.Head, At: e.clock.Now()}); err != nil {
				return err
			}
		} else {
			fmt.Fprintln(e.err, "ecardid: the trail is broken and this export is not signed: see ecardid audit verify")
		}
		line, err := p.Line()
		if err != nil {
			return err
		}
		_, err = w.Write(line)
		return err
	}
	err = s.AuditTrail(ctx, since, begin, func(l audit.Linked) error {
		n++
		if table {
			return cells.Write(l.Cells())
		}
		line, err := l.Line()
		if err != nil {
			return err
		}
		_, err = w.Write(line)
		return err
	})
	if err != nil {
		return 0, err
	}
	cells.Flush()
	return n, errors.Join(cells.Error(), w.Flush())
}

const defaultFound = 100

func searchCommand(e *env) *cobra.Command {
	var q storage.TrailQuery
	var citizen, kind, since, until string
	var table bool
	c := &cobra.Command{
		Use: "search", Short: "Look for entries of the audit trail, the newest first", Args: exactly(),
		Long: "Look for entries of the audit trail, linked or not, the newest first. People are named by internal ids.\n" +
			"It does not verify: see audit verify.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.Limit < 1 || q.Limit > storage.MaxFound {
				return usagef("--limit: not within 1 and %d", storage.MaxFound)
			}
			var err error
			if q.Since, err = moment("--since", since); err != nil {
				return err
			}
			if q.Until, err = moment("--until", until); err != nil {
				return err
			}
			q.Kind = audit.Kind(kind)
			return e.withTrail(cmd.Context(), func(ctx context.Context, _ *config.Config, s *storage.Store) error {
				if q.Citizen, err = e.citizenID(ctx, s, citizen); err != nil {
					return err
				}
				found, err := s.SearchAudit(ctx, q)
				if err != nil {
					return err
				}
				return e.showFound(found, q.Limit, table)
			})
		},
	}
	c.Flags().StringVar(&citizen, "citizen", "", "card number, internal id, or - for a card number on standard input")
	c.Flags().StringVar(&kind, "kind", "", "what happened, such as device.end")
	c.Flags().StringVar(&q.Client, "client", "", "client_id of a relying party")
	c.Flags().StringVar(&since, "since", "", "from this time on (RFC 3339)")
	c.Flags().StringVar(&until, "until", "", "before this time (RFC 3339)")
	c.Flags().Int64Var(&q.Below, "below", 0, "the page after the one that ended with this seq")
	c.Flags().IntVar(&q.Limit, "limit", defaultFound, fmt.Sprintf("entries on a page, %d at most", storage.MaxFound))
	c.Flags().BoolVar(&table, "csv", false, "as comma-separated values, for a spreadsheet")
	return c
}

// citizenID reads a card number or what audit entries name a citizen by.
func (e *env) citizenID(ctx context.Context, s *storage.Store, arg string) (identity.ID, error) {
	if arg == "" {
		return identity.ID{}, nil
	}
	if id, err := identity.ParseID(arg); err == nil {
		return id, nil
	}
	c, err := e.citizen(ctx, s, arg)
	return c.ID, err
}

func (e *env) showFound(found []audit.Linked, limit int, table bool) error {
	switch {
	case table:
		w := csv.NewWriter(e.out)
		if err := w.Write(audit.Columns()); err != nil {
			return err
		}
		for _, l := range found {
			if err := w.Write(l.Cells()); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	case e.json:
		lines := make([]json.RawMessage, len(found))
		for i, l := range found {
			line, err := l.Line()
			if err != nil {
				return err
			}
			lines[i] = line
		}
		return e.print(lines, nil, nil)
	}
	rows := make([][]string, len(found))
	for i, l := range found {
		c := l.Cells()
		rows[i] = []string{strconv.FormatInt(l.Seq, 10), c[2], l.Kind, l.Actor, c[5], l.Client, l.Reason, l.Place, l.Detail}
	}
	if err := e.print(nil, []string{"SEQ", "TIME", "KIND", "ACTOR", "CITIZEN", "CLIENT", "REASON", "PLACE", "DETAIL"}, rows); err != nil || len(found) < limit {
		return err
	}
	return e.said(nil, "there may be more: --below %d", found[len(found)-1].Seq)
}
