package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ecardid/audit"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/console"
	"ecardid/identity"
	"ecardid/internal/secret"
	"ecardid/server"
	"ecardid/storage"
)

// staffCommand is the operator's door to the console: the first administrators come in by
// it, and whoever has lost their key. What is done here is the operator's act in the trail.
func staffCommand(e *env) *cobra.Command {
	return group("staff", "People who work at the console", e.staffAdd(), e.staffList(), e.staffDeactivate(), e.staffReset())
}

func staffRoles() string { return roleNames(console.Roles()) }

func roleNames(roles []console.Role) string {
	var all []string
	for _, r := range roles {
		all = append(all, string(r))
	}
	return strings.Join(all, ", ")
}

func (e *env) staffAdd() *cobra.Command {
	var roles []string
	var unit string
	add := &cobra.Command{
		Use: "add NAME --role ROLE", Short: "Invite somebody to the console", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !console.StaffName(args[0]) {
				return usagef("a staff name has 2 to 32 small letters, digits, dots, hyphens and underscores")
			}
			s := console.Staff{ID: identity.IDFrom(e.rand), Name: args[0], Unit: unit, State: console.StaffInvited, Version: 1}
			for _, r := range roles {
				s.Roles = append(s.Roles, console.Role(r))
			}
			if err := console.CheckRoles(s.Roles); err != nil {
				return usagef("--role takes %s; %s", staffRoles(), strings.TrimPrefix(err.Error(), "console: "))
			}
			if !console.StaffUnit(unit) {
				return usagef("--unit is the first 2, 4 or 6 digits of a division code")
			}
			return e.withStore(cmd.Context(), func(ctx context.Context, c *config.Config, store *storage.Store) error {
				i, err := e.invite(ctx, c, store, s)
				if err != nil {
					return err
				}
				return e.invited(i)
			})
		},
	}
	add.Flags().StringSliceVar(&roles, "role", nil, "role; may be given several times: "+staffRoles())
	add.Flags().StringVar(&unit, "unit", "", "whose citizens they serve: the first 2, 4 or 6 digits of a division code; all without it")
	return add
}

// An invitation, to be handed over: the link openly, the code not with it.
type invitation struct {
	staff   console.Staff
	link    string
	code    secret.Value
	expires time.Time
}

func (e *env) invited(i invitation) error {
	return e.said(map[string]any{"name": i.staff.Name, "roles": i.staff.Roles, "unit": i.staff.Unit, "link": i.link, "invitation": i.code.Reveal(), "expires": i.expires},
		"invitation for %s: %s\n%s\ngood once, until %s; it is not shown again", i.staff.Name, i.code.Reveal(), i.link, when(i.expires))
}

// newInvitation makes the secret; only its keyed hash is stored.
func (e *env) newInvitation(c *config.Config, store *storage.Store, s console.Staff) (invitation, []byte) {
	i := invitation{staff: s, link: c.Issuer + console.InvitationPath(s.ID), code: secret.From(e.rand, console.InvitationSize), expires: e.clock.Now().Add(console.InvitationLife)}
	return i, store.Keys().Index(server.Invitations, string(console.InvitationText(s.ID, i.code)))
}

// staffEvent is what the operator does to somebody of staff.
func (e *env) staffEvent(kind audit.Kind, s console.Staff) audit.Event {
	ev := e.event(kind, "")
	if ev.Detail == nil {
		ev.Detail = map[string]string{}
	}
	ev.Detail["staff"], ev.Detail["roles"], ev.Detail["unit"] = s.ID.String(), roleNames(s.Roles), s.Unit
	return ev
}

// invite stores somebody with a keyed hash of their invitation.
func (e *env) invite(ctx context.Context, c *config.Config, store *storage.Store, s console.Staff) (invitation, error) {
	i, hash := e.newInvitation(c, store, s)
	err := store.InviteStaff(ctx, s, hash, i.expires, e.staffEvent(audit.StaffAdded, s))
	if errors.Is(err, identity.ErrConflict) {
		err = fmt.Errorf("there is somebody called %s already", s.Name)
	}
	return i, err
}

func (e *env) staffList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Who works at the console", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withStore(cmd.Context(), func(ctx context.Context, _ *config.Config, store *storage.Store) error {
				all, err := store.ListStaff(ctx)
				if err != nil {
					return err
				}
				values, rows := []map[string]any{}, [][]string{}
				for _, s := range all {
					values = append(values, map[string]any{"id": s.ID, "name": s.Name, "roles": s.Roles, "unit": s.Unit, "state": s.State})
					rows = append(rows, []string{s.Name, string(s.State), roleNames(s.Roles), cmp.Or(s.Unit, "-"), s.ID.String()})
				}
				return e.print(values, []string{"NAME", "STATE", "ROLES", "UNIT", "ID"}, rows)
			})
		},
	}
}

// named finds somebody by name.
func named(ctx context.Context, store *storage.Store, name string) (console.Staff, error) {
	all, err := store.ListStaff(ctx)
	if err != nil {
		return console.Staff{}, err
	}
	for _, s := range all {
		if s.Name == name {
			return s, nil
		}
	}
	return console.Staff{}, fmt.Errorf("there is nobody called %s", name)
}

func (e *env) staffDeactivate() *cobra.Command {
	return &cobra.Command{
		Use: "deactivate NAME", Short: "End somebody's keys, sessions and requests, for good", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withStore(cmd.Context(), func(ctx context.Context, _ *config.Config, store *storage.Store) error {
				s, err := named(ctx, store, args[0])
				if err != nil {
					return err
				}
				s.State = console.StaffDeactivated
				if err := store.SetStaff(ctx, s, e.staffEvent(audit.StaffDeactivated, s)); err != nil {
					return err
				}
				return e.said(map[string]any{"name": s.Name, "state": s.State}, "%s is deactivated", s.Name)
			})
		},
	}
}

func (e *env) staffReset() *cobra.Command {
	return &cobra.Command{
		Use: "reset NAME", Short: "Invite somebody again who has lost their passkey", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withStore(cmd.Context(), func(ctx context.Context, c *config.Config, store *storage.Store) error {
				s, err := named(ctx, store, args[0])
				if err != nil {
					return err
				}
				i, hash := e.newInvitation(c, store, s)
				ev := e.staffEvent(audit.StaffChanged, s)
				ev.Detail["reset"] = "keys"
				err = store.Reinvite(ctx, s.ID, hash, i.expires, ev)
				if errors.Is(err, identity.ErrNotFound) {
					err = fmt.Errorf("%s is deactivated: invite somebody new", s.Name)
				}
				if err != nil {
					return err
				}
				return e.invited(i)
			})
		},
	}
}
