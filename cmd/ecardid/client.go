package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ecardid/audit"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/oauth/keyring"
	"ecardid/oauth/rar"
	"ecardid/storage"
)

const (
	maxRegistration = 64 << 10
	// overlap is how long the secret before stays good beside a new one: a working
	// day to carry it to every machine of the relying party.
	overlap = 24 * time.Hour
)

func clientCommand(e *env) *cobra.Command {
	var fresh bool
	apply := &cobra.Command{
		Use: "apply FILE|-", Short: "Register or update an application (RFC 7591 metadata and admission fields)", Args: exactly("FILE"),
		Long: "Register or update an application from a JSON file. A secret is made by us and printed once.\n" +
			"An update keeps the secret; --new-secret makes another, and the old one works for 24 hours more.",
		RunE: func(cmd *cobra.Command, args []string) error {
			doc, err := e.readDocument(args[0])
			if err != nil {
				return err
			}
			return e.withStore(cmd.Context(), func(ctx context.Context, c *config.Config, s *storage.Store) error {
				client, shown, err := e.applyClient(ctx, s, offer(c), doc, fresh)
				if err != nil {
					return err
				}
				return e.printApplied(client, shown)
			})
		},
	}
	apply.Flags().BoolVar(&fresh, "new-secret", false, "make a new secret")

	list := &cobra.Command{
		Use: "list", Short: "List applications", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withStore(cmd.Context(), func(ctx context.Context, _ *config.Config, s *storage.Store) error {
				all, _, err := s.AllClients(ctx)
				if err != nil {
					return err
				}
				if all == nil {
					all = []oauth.Client{}
				}
				rows := make([][]string, len(all))
				for i, c := range all {
					rows[i] = []string{c.ID, string(c.State), string(c.Profile), c.TokenEndpointAuthMethod, c.Scope, c.Name}
				}
				return e.print(all, []string{"CLIENT", "STATE", "PROFILE", "AUTHENTICATION", "SCOPE", "NAME"}, rows)
			})
		},
	}

	var why string
	suspend := &cobra.Command{
		Use: "suspend ID --reason TEXT", Short: "Suspend an application: everything it holds is dead, for good", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if why == "" {
				return usagef("--reason is needed: it goes into the audit trail")
			}
			return e.withStore(cmd.Context(), func(ctx context.Context, _ *config.Config, s *storage.Store) error {
				ev := e.event(audit.ClientSuspended, why)
				ev.Client = args[0]
				err := s.SuspendClient(ctx, args[0], ev.At, ev)
				if errors.Is(err, identity.ErrNotFound) {
					return errors.New("no application with that client_id is served")
				}
				if err != nil {
					return err
				}
				all, _, err := s.AllClients(ctx)
				if err != nil {
					return err
				}
				state := oauth.ClientSuspended
				for _, c := range all {
					if c.ID == args[0] {
						state = c.State // one that was only tested is a draft again
					}
				}
				return e.said(map[string]any{"client_id": args[0], "state": state}, "application %s is not served any more: %s", args[0], state)
			})
		},
	}
	suspend.Flags().StringVar(&why, "reason", "", "why, for the audit trail")
	return group("client", "Applications that citizens sign in to", apply, list, suspend, withdrawCommand(e), tokenCommand(e))
}

// offer is what clients may count on with this configuration; the server says the same
// to those that register themselves.
func offer(c *config.Config) oauth.Offer {
	return oauth.Offer{
		Scopes: c.Made.Catalogue, Algs: keyring.DefaultPolicy().Algs, Certificates: c.Certificates(), ClientCA: c.Made.ClientCAs != nil,
		Device: c.DeviceGrant, Details: rar.Shipped().Scopes(),
	}
}

func (e *env) readDocument(path string) ([]byte, error) {
	var from io.Reader = e.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, maxRegistration+1))
	if err != nil {
		return nil, fmt.Errorf("reading the registration: %w", err)
	}
	if len(b) > maxRegistration {
		return nil, errors.New("the registration is longer than 64 kB")
	}
	return b, nil
}

// applyClient registers what doc says, and what more sets on it. It returns the secret
// if it made one.
func (e *env) applyClient(ctx context.Context, s *storage.Store, has oauth.Offer, doc []byte, fresh bool, more ...func(*oauth.Client)) (oauth.Client, secret.Value, error) {
	c, err := oauth.ValidateClient(doc)
	if err == nil {
		err = has.Check(&c)
	}
	if err != nil {
		return oauth.Client{}, secret.Value{}, fmt.Errorf("not registered: %w", err)
	}
	if err := e.signable(ctx, s, c); err != nil {
		return oauth.Client{}, secret.Value{}, fmt.Errorf("not registered: %w", err)
	}
	for _, set := range more {
		set(&c)
	}
	all, _, err := s.AllClients(ctx)
	if err != nil {
		return oauth.Client{}, secret.Value{}, err
	}
	for _, before := range all {
		if before.ID != c.ID {
			continue
		}
		c.Secrets, c.Dynamic, c.Registration = before.Secrets, before.Dynamic, before.Registration
		if before.State != oauth.ClientWithdrawn && !saysState(doc) {
			// Whoever was suspended stays so until somebody writes that they mean it, and
			// whoever is being tested is not let in by a new redirect URI.
			c.State = before.State
		}
		if c.Admission == nil { // {} takes it away
			c.Admission = before.Admission
		}
	}
	var shown secret.Value
	switch {
	case !c.HasSecret():
		c.Secrets = nil
	case fresh || len(c.Secrets) == 0:
		k, err := clientSecrets(s.Keys())
		if err != nil {
			return oauth.Client{}, secret.Value{}, err
		}
		var hash oauth.SecretHash
		shown, hash = oauth.NewSecret(k, c.ID)
		c.Secrets = append([]oauth.SecretHash{hash}, outgoing(c.Secrets, e.clock.Now())...)
	}
	ev := e.event(audit.ClientApplied, "")
	ev.Client = c.ID
	switch err := s.ApplyClient(ctx, c, ev); {
	case errors.Is(err, identity.ErrConflict):
		return oauth.Client{}, secret.Value{}, errors.New("not registered: the application with that client_id was withdrawn, and no id is given twice")
	case err != nil:
		return oauth.Client{}, secret.Value{}, err
	}
	return c, shown, nil
}

// signable makes sure that there is a key for the client's tokens. ES256 and SM2 keys
// are there from the first start on; RSA keys take a moment to find, and whoever needs
// one before the server has made it waits for it here.
func (e *env) signable(ctx context.Context, s *storage.Store, c oauth.Client) error {
	ring := keyring.Keyring{Store: s, Policy: keyring.DefaultPolicy(), Clock: e.clock, Log: slog.New(slog.DiscardHandler)}
	for _, alg := range c.SigningAlgs() {
		if alg != jose.RS256 && alg != jose.PS256 {
			continue
		}
		if err := ring.Load(ctx); err != nil {
			return err
		}
		if _, err := ring.Signer(alg); err == nil {
			continue
		}
		if err := ring.Renew(ctx); err != nil {
			return err
		}
		if _, err := ring.Signer(alg); err != nil {
			return fmt.Errorf("the key that signs %s is not there yet: %w", string(alg), err)
		}
	}
	return nil
}

// outgoing is the newest of the secrets so far, with an end.
func outgoing(before []oauth.SecretHash, now time.Time) []oauth.SecretHash {
	if len(before) == 0 {
		return nil
	}
	last := before[0]
	if end := now.Add(overlap); last.Expires.IsZero() || last.Expires.After(end) {
		last.Expires = end
	}
	return []oauth.SecretHash{last}
}

// saysState reports whether a registration, valid already, has the member state.
func saysState(doc []byte) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal(doc, &members) == nil && members["state"] != nil
}

func (e *env) printApplied(c oauth.Client, shown secret.Value) error {
	if e.json {
		// RFC 7591 §3.2.1: the metadata as registered, with the secret.
		b, err := json.Marshal(c)
		if err != nil {
			return err
		}
		members := map[string]any{}
		if err := json.Unmarshal(b, &members); err != nil {
			return err
		}
		if !shown.Empty() {
			members["client_secret"], members["client_secret_expires_at"] = shown.Reveal(), 0
		}
		return e.print(members, nil, nil)
	}
	if err := e.said(nil, "client_id: %s (%s)", c.ID, c.State); err != nil {
		return err
	}
	if shown.Empty() {
		return nil
	}
	return e.said(nil, "client_secret: %s\nit is not shown again", shown.Reveal())
}
