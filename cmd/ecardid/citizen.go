package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/recovery"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/cmd/ecardid/internal/roster"
	"ecardid/identity"
	"ecardid/internal/secret"
	"ecardid/storage"
)

// activationLife: long enough for a letter and a busy fortnight.
const activationLife = 21 * 24 * time.Hour

// maxProblems of an import are listed; the rest is counted.
const maxProblems = 200

func citizenCommand(e *env) *cobra.Command {
	var codes string
	imports := &cobra.Command{
		Use: "import FILE.csv", Short: "Import citizens; all rows or none", Args: exactly("FILE.csv"),
		Long: "Import citizens from a CSV with the columns name, id_number, phone and card_number in any order.\n" +
			"A fifth column, claims, may hold a JSON object with further standard claims of OpenID Connect Core §5.1:\n" +
			"email, email_verified, address, birthdate, given_name and so on; a relying party sees those its scopes name.\n" +
			"One line is printed for each bad row, and then nothing is imported. With --codes each citizen gets\n" +
			"an activation code, good for 21 days and once; the file is the only place they are written to.",
		RunE: func(cmd *cobra.Command, args []string) error { return e.importCitizens(cmd.Context(), args[0], codes) },
	}
	imports.Flags().StringVar(&codes, "codes", "", "write activation codes to this new file (mode 0600)")

	show := &cobra.Command{
		Use: "show CARD", Short: "Show a citizen, masked (CARD - reads standard input)", Args: exactly("CARD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withStore(cmd.Context(), func(ctx context.Context, _ *config.Config, s *storage.Store) error {
				c, err := e.citizen(ctx, s, args[0])
				if err != nil {
					return err
				}
				return e.print(c, nil, citizenRows(c))
			})
		},
	}

	var why string
	freeze := &cobra.Command{
		Use: "freeze CARD --reason TEXT", Short: "Freeze a card: every session and token of it ends now", Args: exactly("CARD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.moveCard(cmd.Context(), args[0], identity.CardFrozen, audit.CitizenFrozen, why)
		},
	}
	restore := &cobra.Command{
		Use: "restore CARD --reason TEXT", Short: "Restore a frozen card; nothing from before comes back", Args: exactly("CARD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.moveCard(cmd.Context(), args[0], identity.CardNormal, audit.CitizenRestored, why)
		},
	}
	activate := &cobra.Command{
		Use: "activate CARD", Short: "Issue a new activation code; the one before is dead", Args: exactly("CARD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.newCode(cmd.Context(), args[0], func(ctx context.Context, s *storage.Store, id identity.ID, hash []byte, expires time.Time) error {
				ev := e.event(audit.ActivationIssued, "")
				ev.Citizen = id
				err := s.IssueActivation(ctx, id, hash, expires, ev)
				if errors.Is(err, identity.ErrConflict) {
					return errors.New("the citizen has activated already, or the card is not normal; reset-factors begins anew")
				}
				return err
			})
		},
	}
	reset := &cobra.Command{
		Use: "reset-factors CARD --reason TEXT", Short: "Remove password, passkeys, phones and codes; begin anew with an activation code", Args: exactly("CARD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if why == "" {
				return usagef("--reason is needed: it goes into the audit trail")
			}
			return e.newCode(cmd.Context(), args[0], func(ctx context.Context, s *storage.Store, id identity.ID, hash []byte, expires time.Time) error {
				ev := e.event(audit.FactorsReset, why)
				ev.Citizen, ev.Notify = id, true
				err := s.ResetFactors(ctx, id, hash, expires, ev)
				if errors.Is(err, identity.ErrConflict) {
					return errors.New("the card was cancelled")
				}
				return err
			})
		},
	}
	for _, c := range []*cobra.Command{freeze, restore, reset} {
		c.Flags().StringVar(&why, "reason", "", "why, for the audit trail")
	}
	return group("citizen", "Citizens and their cards", append([]*cobra.Command{imports, show, freeze, restore, activate, reset}, lossCommands(e)...)...)
}

func citizenRows(c storage.CitizenSummary) [][]string {
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	rows := [][]string{
		{"card", c.Card}, {"name", c.Name}, {"ID number", c.IDNumber}, {"phone", c.Phone},
		{"state", string(c.State) + " since " + when(c.StateSince)}, {"activated", when(c.Activated)},
	}
	if !c.CodeExpires.IsZero() {
		rows = append(rows, []string{"activation code", "until " + when(c.CodeExpires)})
	}
	return append(rows, []string{"password", yes(c.Password)}, []string{"one-time codes", yes(c.TOTP)},
		[]string{"passkeys", strconv.Itoa(c.Passkeys)}, []string{"phones", strconv.Itoa(c.Phones)},
		[]string{"recovery codes", strconv.Itoa(c.Recovery)}, []string{"internal id", c.ID.String()})
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// moveCard freezes or restores.
func (e *env) moveCard(ctx context.Context, card string, to identity.CardState, kind audit.Kind, why string) error {
	if why == "" {
		return usagef("--reason is needed: it goes into the audit trail")
	}
	return e.withStore(ctx, func(ctx context.Context, _ *config.Config, s *storage.Store) error {
		c, err := e.citizen(ctx, s, card)
		if err != nil {
			return err
		}
		ev := e.event(kind, why)
		ev.Citizen, ev.Notify = c.ID, true
		err = s.SetCardState(ctx, c.ID, to, ev)
		if errors.Is(err, identity.ErrConflict) {
			return fmt.Errorf("card %s is %s and cannot become %s", c.Card, c.State, to)
		}
		if err != nil {
			return err
		}
		return e.said(map[string]any{"card_number": c.Card, "state": to}, "card %s is %s", c.Card, to)
	})
}

// newCode makes an activation code, lets issue store its hash, and prints the code
// once.
func (e *env) newCode(ctx context.Context, card string, issue func(ctx context.Context, s *storage.Store, id identity.ID, hash []byte, expires time.Time) error) error {
	return e.withStore(ctx, func(ctx context.Context, _ *config.Config, s *storage.Store) error {
		c, err := e.citizen(ctx, s, card)
		if err != nil {
			return err
		}
		code, hash, err := e.activationCode(s, c.ID)
		if err != nil {
			return err
		}
		expires := e.clock.Now().Add(activationLife)
		if err := issue(ctx, s, c.ID, hash, expires); err != nil {
			return err
		}
		return e.said(map[string]any{"card_number": c.Card, "activation_code": code.Reveal(), "expires": expires},
			"activation code for card %s: %s\ngood once, until %s; it is not shown again", c.Card, code.Reveal(), when(expires))
	})
}

func (e *env) activationCode(s *storage.Store, id identity.ID) (secret.Value, []byte, error) {
	code, err := recovery.NewActivation(e.rand)
	if err != nil {
		return secret.Value{}, nil, err
	}
	hash, err := recovery.Stored(codeHash(s.Keys()), recovery.Activation, id[:], code.Reveal())
	return code, hash, err
}

func (e *env) importCitizens(ctx context.Context, path, codes string) error {
	var table io.Reader = e.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		table = f
	}
	people, problems, err := roster.Read(table, e.clock.Now())
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return e.notImported(problems)
	}
	return e.withStore(ctx, func(ctx context.Context, _ *config.Config, s *storage.Store) error {
		return e.storeCitizens(ctx, s, people, codes)
	})
}

// notImported reports bad rows, one line each, and fails.
func (e *env) notImported(problems []roster.Problem) error {
	if e.json {
		type row struct {
			Row    int    `json:"row"`
			Reason string `json:"reason"`
		}
		rows := make([]row, len(problems))
		for i, p := range problems {
			rows[i] = row(p)
		}
		if err := e.print(map[string]any{"imported": 0, "problems": rows}, nil, nil); err != nil {
			return err
		}
	} else {
		for i, p := range problems {
			if i == maxProblems {
				fmt.Fprintf(e.out, "and %d more\n", len(problems)-i)
				break
			}
			fmt.Fprintln(e.out, p)
		}
	}
	return fmt.Errorf("nothing was imported: %d problems", len(problems))
}

// storeCitizens imports people in one transaction. The codes are on disk before
// it commits: codes that nobody has would lock everybody out, while a file whose
// import failed is removed again and its codes are good for nothing.
func (e *env) storeCitizens(ctx context.Context, s *storage.Store, people []roster.Person, path string) error {
	now := e.clock.Now()
	expires := now.Add(activationLife)
	citizens := make([]storage.NewCitizen, len(people))
	codes := make([]roster.Code, len(people))
	for i, p := range people {
		citizens[i] = storage.NewCitizen{ID: identity.IDFrom(e.rand), Name: p.Name, IDNumber: p.ID, Phone: p.Phone, Card: p.Card, Claims: p.Claims}
		if path == "" {
			continue
		}
		code, hash, err := e.activationCode(s, citizens[i].ID)
		if err != nil {
			return err
		}
		citizens[i].Code, citizens[i].Expires = hash, expires
		codes[i] = roster.Code{Person: p, Code: code, Expires: expires}
	}
	var file *roster.File
	if path != "" {
		var err error
		if file, err = roster.NewFile(path); err != nil {
			return fmt.Errorf("codes: %w", err)
		}
		if err := errors.Join(roster.WriteCodes(file, codes), file.Sync()); err != nil {
			return errors.Join(fmt.Errorf("writing codes: %w", err), file.Close())
		}
	}
	err := s.ImportCitizens(ctx, citizens, e.event(audit.CitizenImported, ""))
	if file != nil {
		if err == nil {
			file.Keep()
		}
		err = errors.Join(err, file.Close())
	}
	var taken *storage.ImportError
	if errors.As(err, &taken) {
		return e.notImported(takenProblems(taken, people))
	}
	if err != nil {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	if path == "" {
		return e.said(map[string]any{"imported": len(people)}, "imported %d citizens without activation codes (citizen activate CARD issues one)", len(people))
	}
	return e.said(map[string]any{"imported": len(people), "codes": path}, "imported %d citizens; their activation codes are in %s", len(people), path)
}

func takenProblems(e *storage.ImportError, people []roster.Person) []roster.Problem {
	column := map[authn.AliasKind]string{authn.AliasCard: "card_number", authn.AliasID: "id_number", authn.AliasPhone: "phone"}
	var all []roster.Problem
	for _, t := range e.Taken {
		why := column[t.Kind] + ": belongs to a citizen who is here already"
		if t.By >= 0 {
			why = fmt.Sprintf("%s: the same as in row %d", column[t.Kind], people[t.By].Row)
		}
		all = append(all, roster.Problem{Row: people[t.Row].Row, Reason: why})
	}
	return all
}
