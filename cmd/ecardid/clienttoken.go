package main

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"ecardid/audit"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/identity"
	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/storage"
)

const (
	initialToken = 32 // bytes
	maxUses      = 1000
	maxDays      = 90
	maxNote      = 200
)

// tokenCommand makes an initial access token (RFC 7591 §3).
func tokenCommand(e *env) *cobra.Command {
	var profile, scope, note string
	var uses, days int
	token := &cobra.Command{
		Use: "token --scope SCOPES --note TEXT", Short: "Make an initial access token, with which applications register themselves", Args: exactly(),
		Long: "Make an initial access token for /register (RFC 7591). It is printed once. The applications that come with\n" +
			"it are admitted under the profile, and may have no more than the scopes named here.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := oauth.InitialToken{Note: note, Profile: oauth.Profile(profile), Uses: uses}
			names, err := oauth.ParseScope(scope)
			switch {
			case err != nil || len(names) == 0:
				return usagef("--scope names the most its applications may have, such as \"openid profile\"")
			case note == "" || len(note) > maxNote || strings.ContainsFunc(note, func(r rune) bool { return !unicode.IsPrint(r) }):
				return usagef("--note says whom the token is for, in at most %d characters: it goes into the audit trail", maxNote)
			case t.Profile != oauth.ProfileOIDC && t.Profile != oauth.ProfileOAuth21 && t.Profile != oauth.ProfileFAPI2:
				return usagef("--profile is oidc, oauth21 or fapi2")
			case uses < 1 || uses > maxUses:
				return usagef("--uses is within 1 and %d", maxUses)
			case days < 1 || days > maxDays:
				return usagef("--days is within 1 and %d", maxDays)
			}
			t.Scope = strings.Join(names, " ")
			return e.withStore(cmd.Context(), func(ctx context.Context, c *config.Config, s *storage.Store) error {
				if unknown := c.Made.Catalogue.Unknown(names); len(unknown) > 0 {
					return errors.New("no token made: scope names " + strings.Join(unknown, ", ") + ", which the catalogue does not have")
				}
				value := secret.From(e.rand, initialToken)
				ev := e.event(audit.InitialTokenMade, note)
				t.Hash, t.Created, t.Expires = value.Hash(), ev.At, ev.At.Add(time.Duration(days)*24*time.Hour)
				if err := s.AddInitialToken(ctx, t, ev); err != nil {
					return err
				}
				return e.said(map[string]any{
					"initial_access_token": value.Reveal(), "profile": t.Profile, "scope": t.Scope, "uses": t.Uses,
					"expires_at": t.Expires.UTC().Format(time.RFC3339), "registration_endpoint": c.Issuer + "/register",
				}, "initial_access_token: %s\nit is not shown again; good for %d registrations until %s", value.Reveal(), t.Uses, t.Expires.UTC().Format(time.DateOnly))
			})
		},
	}
	token.Flags().StringVar(&profile, "profile", string(oauth.ProfileOAuth21), "oidc, oauth21 or fapi2")
	token.Flags().StringVar(&scope, "scope", "", "the scopes its applications may have at most")
	token.Flags().StringVar(&note, "note", "", "whom it is for, for the audit trail")
	token.Flags().IntVar(&uses, "uses", 1, "how many applications may register")
	token.Flags().IntVar(&days, "days", 7, "how long it is good")
	return token
}

func withdrawCommand(e *env) *cobra.Command {
	var why string
	withdraw := &cobra.Command{
		Use: "withdraw ID --reason TEXT", Short: "Withdraw an application for ever: as suspend, and its id is never given again", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if why == "" {
				return usagef("--reason is needed: it goes into the audit trail")
			}
			return e.withStore(cmd.Context(), func(ctx context.Context, _ *config.Config, s *storage.Store) error {
				ev := e.event(audit.ClientWithdrawn, why)
				ev.Client = args[0]
				err := s.WithdrawClient(ctx, args[0], ev.At, ev)
				if errors.Is(err, identity.ErrNotFound) {
					return errors.New("there is no application with that client_id, or it was withdrawn already")
				}
				if err != nil {
					return err
				}
				return e.said(map[string]any{"client_id": args[0], "state": oauth.ClientWithdrawn}, "application %s is withdrawn", args[0])
			})
		},
	}
	withdraw.Flags().StringVar(&why, "reason", "", "why, for the audit trail")
	return withdraw
}
