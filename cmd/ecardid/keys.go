package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ecardid/audit"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/internal/seal"
	"ecardid/oauth"
	"ecardid/oauth/keyring"
	"ecardid/storage"
)

func keysCommand(e *env) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List signing keys and data keys", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withStore(cmd.Context(), e.listKeys)
		},
	}
	rotate := &cobra.Command{
		Use: "rotate", Short: "Replace the signing keys: successors are published now and sign an hour later", Args: exactly(),
		Long: "Replace the signing keys. Successors are published now; an hour later, when every relying\n" +
			"party knows them, the running server lets them sign by itself. Once is enough.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withStore(cmd.Context(), func(ctx context.Context, c *config.Config, s *storage.Store) error {
				ring := keyring.Keyring{Store: s, Policy: keyring.DefaultPolicy(), Clock: e.clock, Log: slog.New(slog.DiscardHandler)}
				if err := ring.RotateNow(ctx); err != nil {
					return err
				}
				// The keyring records what it changed; this says who wanted it.
				if err := s.Record(ctx, e.event(audit.KeyRotated, "asked for at the command line")); err != nil {
					return err
				}
				if err := e.listKeys(ctx, c, s); err != nil || e.json {
					return err
				}
				return e.said(nil, "a key that is %s signs an hour after it was made, by itself while ecardid serves", jose.Next)
			})
		},
	}
	var to config.Secret
	rewrap := &cobra.Command{
		Use: "rewrap --to-file FILE | --to-env NAME", Short: "Put the data keys under another key-encryption key", Args: exactly(),
		Long: "Put the data keys under another key-encryption key: all or none, and no field is touched.\n" +
			"Then change kek in the configuration and restart every replica; running ones go on meanwhile.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (to.File == "") == (to.Env == "") {
				return usagef("name the new key with one of --to-file and --to-env")
			}
			text, err := to.Read()
			if err != nil {
				return err
			}
			fresh, err := seal.ParseKEK([]byte(text), to.Source())
			if err != nil {
				return fmt.Errorf("%s does not hold 32 random bytes as hex or base64 (openssl rand -hex 32)", to.Source())
			}
			return e.withStore(cmd.Context(), func(ctx context.Context, c *config.Config, s *storage.Store) error {
				err := s.RewrapKeys(ctx, c.Made.KEK, fresh, e.event(audit.DataKeyRewrapped, ""))
				if errors.Is(err, identity.ErrConflict) {
					return errors.New("somebody else changed the data keys at the same time; nothing was done, look and try again")
				}
				if err != nil {
					return err
				}
				return e.said(map[string]any{"kek": fresh.Describe()}, "the data keys are under the %s\nset kek in %s to it before the next start", fresh.Describe(), e.config)
			})
		},
	}
	rewrap.Flags().StringVar(&to.File, "to-file", "", "file with the new key-encryption key")
	rewrap.Flags().StringVar(&to.Env, "to-env", "", "environment variable with the new key-encryption key")
	return group("keys", "Signing keys and data keys", list, rotate, rewrap)
}

// keyList is what `keys list --json` prints. No private half is ever part of it.
type keyList struct {
	KEK      string       `json:"kek"`
	Signing  []signingRow `json:"signing"`
	Data     []dataRow    `json:"data"`
	Liveness *jose.Key    `json:"liveness,omitempty"` // public half of our key towards the provider
}

type signingRow struct {
	KID       string    `json:"kid"`
	Alg       string    `json:"alg"`
	State     string    `json:"state"`
	Created   time.Time `json:"created"`
	Activated time.Time `json:"activated,omitzero"`
	Retired   time.Time `json:"retired,omitzero"`
}

type dataRow struct {
	Purpose string    `json:"purpose"`
	Version int       `json:"version"`
	State   string    `json:"state"`
	Created time.Time `json:"created"`
}

func (e *env) listKeys(ctx context.Context, c *config.Config, s *storage.Store) error {
	signing, err := s.SigningKeys(ctx)
	if err != nil {
		return err
	}
	slices.SortStableFunc(signing, func(a, b oauth.StoredKey) int {
		return cmp.Or(strings.Compare(a.Alg, b.Alg), a.Created.Compare(b.Created))
	})
	data, err := s.DataKeys(ctx)
	if err != nil {
		return err
	}
	all := keyList{KEK: c.Made.KEK.Describe(), Signing: []signingRow{}, Data: []dataRow{}}
	var rows [][]string
	for _, k := range signing {
		all.Signing = append(all.Signing, signingRow{k.KID, k.Alg, k.State, k.Created, k.Activated, k.Retired})
		rows = append(rows, []string{"signing", k.Alg, k.KID, k.State, when(k.Created)})
	}
	for _, k := range data {
		all.Data = append(all.Data, dataRow{string(k.Purpose), k.Version, string(k.State), k.Created})
		rows = append(rows, []string{"data", string(k.Purpose), strconv.Itoa(k.Version), string(k.State), when(k.Created)})
	}
	if !c.Made.LivenessKey.IsZero() {
		public := c.Made.LivenessKey.Public()
		all.Liveness = &public
		rows = append(rows, []string{"liveness", string(public.Alg()), public.KeyID(), "", ""})
	}
	if err := e.print(all, []string{"KIND", "FOR", "NAME", "STATE", "CREATED"}, rows); err != nil || e.json {
		return err
	}
	return e.said(nil, "under the %s", all.KEK)
}
