package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ecardid/audit"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/identity"
	"ecardid/internal/secret"
	"ecardid/storage"
)

const (
	invitationLife = 72 * time.Hour // over a weekend
	invitationSize = 20             // bytes; nobody types it more than once
)

// staffRoles are what somebody at the console may be.
func staffRoles() []string { return []string{"support", "clients", "auditor", "admin"} }

func staffCommand(e *env) *cobra.Command {
	var roles []string
	add := &cobra.Command{
		Use: "add NAME --role ROLE", Short: "Invite somebody to the console", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !regexp.MustCompile(`^[a-z][a-z0-9._-]{1,31}$`).MatchString(args[0]) {
				return usagef("a staff name has 2 to 32 small letters, digits, dots, hyphens and underscores")
			}
			if len(roles) == 0 {
				return usagef("--role is needed: %s", strings.Join(staffRoles(), ", "))
			}
			for i, r := range roles {
				if !slices.Contains(staffRoles(), r) || slices.Contains(roles[:i], r) {
					return usagef("--role is once each of %s", strings.Join(staffRoles(), ", "))
				}
			}
			return e.withStore(cmd.Context(), func(ctx context.Context, _ *config.Config, s *storage.Store) error {
				code, expires, err := e.invite(ctx, s, args[0], roles)
				if err != nil {
					return err
				}
				return e.said(map[string]any{"name": args[0], "roles": roles, "invitation": code.Reveal(), "expires": expires},
					"invitation for %s: %s\ngood once, until %s; it is not shown again", args[0], code.Reveal(), when(expires))
			})
		},
	}
	add.Flags().StringSliceVar(&roles, "role", nil, "role; may be given several times: "+strings.Join(staffRoles(), ", "))
	return group("staff", "People who work at the console", add)
}

// invite stores somebody with a keyed hash of their invitation.
func (e *env) invite(ctx context.Context, s *storage.Store, name string, roles []string) (secret.Value, time.Time, error) {
	n := storage.NewStaff{ID: identity.IDFrom(e.rand), Name: name, Roles: roles, Expires: e.clock.Now().Add(invitationLife)}
	code := secret.From(e.rand, invitationSize)
	n.Invitation = s.Keys().Index("staff-invitation", n.ID.String()+"."+code.Reveal())
	ev := e.event(audit.StaffAdded, "")
	if ev.Detail == nil {
		ev.Detail = map[string]string{}
	}
	ev.Detail["staff"], ev.Detail["roles"] = n.ID.String(), strings.Join(roles, " ")
	err := s.AddStaff(ctx, n, ev)
	if errors.Is(err, identity.ErrConflict) {
		err = fmt.Errorf("there is somebody called %s already", name)
	}
	return code, n.Expires, err
}
