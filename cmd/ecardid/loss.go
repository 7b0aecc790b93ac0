package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"ecardid/audit"
	"ecardid/authn/loss"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth/keyring"
	"ecardid/storage"
)

// lossCommands are what staff do for somebody who calls or stands at the counter.
func lossCommands(e *env) []*cobra.Command {
	var what, why string
	report := &cobra.Command{
		Use: "report-loss CARD --what phone|card --reason TEXT", Short: "Report a loss for a caller: all that hung on it ends now", Args: exactly("CARD"),
		Long: "Report a loss for somebody who calls. Ask before for what only they can know and the file has:\n" +
			"name, ID number and card number in full, never a password or a code; when in doubt report it all\n" +
			"the same, since undoing is safe and a thief does not wait. The receipt's number is for the caller to write down.\n" +
			"A phone is suspended with every passkey that lives on one device, and comes back with restore-devices;\n" +
			"a card with its devices, and comes back with restore.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.reportLoss(cmd.Context(), args[0], loss.What(what), why)
		},
	}
	report.Flags().StringVar(&what, "what", string(loss.Phone), "what was lost: phone or card")
	restore := &cobra.Command{
		Use: "restore-devices CARD --reason TEXT", Short: "Bring suspended devices back, for somebody at the counter who has them in hand", Args: exactly("CARD"),
		RunE: func(cmd *cobra.Command, args []string) error { return e.restoreDevices(cmd.Context(), args[0], why) },
	}
	confirm := &cobra.Command{
		Use: "confirm-phone CARD --reason TEXT", Short: "End the wait after a new phone, for somebody at the counter who has it in hand", Args: exactly("CARD"),
		Long: "End the wait after a new phone. Look at the identity document and at the phone, signed in as the holder of\n" +
			"the card. It is for the phone that was added last: when a passkey was added after it, or shortly before, the wait for that goes on.",
		RunE: func(cmd *cobra.Command, args []string) error { return e.confirmPhone(cmd.Context(), args[0], why) },
	}
	for _, c := range []*cobra.Command{report, restore, confirm} {
		c.Flags().StringVar(&why, "reason", "", "why, for the audit trail")
	}
	return []*cobra.Command{report, restore, confirm}
}

func (e *env) confirmPhone(ctx context.Context, card, why string) error {
	if why == "" {
		return usagef("--reason is needed: it goes into the audit trail")
	}
	return e.withStore(ctx, func(ctx context.Context, _ *config.Config, s *storage.Store) error {
		citizen, err := e.citizen(ctx, s, card)
		if err != nil {
			return err
		}
		phone, err := s.LatestKey(ctx, citizen.ID)
		if errors.Is(err, identity.ErrNotFound) {
			return fmt.Errorf("card %s has no phone", citizen.Card)
		}
		if err != nil {
			return err
		}
		ev := e.event(audit.DeviceConfirmed, why)
		ev.Citizen, ev.Device, ev.Notify = citizen.ID, phone.ID, true
		switch err := s.ConfirmPhone(ctx, citizen.ID, phone.ID, ev); {
		case errors.Is(err, identity.ErrEnded):
			return fmt.Errorf("card %s is %s: restore it first", citizen.Card, citizen.State)
		case errors.Is(err, identity.ErrConflict) && phone.Kind != identity.DevicePhone:
			return fmt.Errorf("a passkey was added to card %s after its phone: the wait goes on", citizen.Card)
		case errors.Is(err, identity.ErrConflict):
			return fmt.Errorf("card %s does not wait for its phone", citizen.Card)
		case err != nil:
			return err
		}
		return e.said(map[string]any{"card_number": citizen.Card, "device": phone.ID.String(), "name": phone.Name},
			"phone %q of card %s is confirmed: nothing waits for it any more", phone.Name, citizen.Card)
	})
}

func (e *env) reportLoss(ctx context.Context, card string, what loss.What, why string) error {
	if why == "" {
		return usagef("--reason is needed: it goes into the audit trail")
	}
	if what != loss.Phone && what != loss.Card {
		return usagef("--what is phone or card, not %q", string(what))
	}
	return e.withStore(ctx, func(ctx context.Context, c *config.Config, s *storage.Store) error {
		citizen, err := e.citizen(ctx, s, card)
		if err != nil {
			return err
		}
		receipt, err := e.lossDesk(c, s).Report(ctx, loss.Report{Citizen: citizen.ID, What: what}, e.event(audit.LossReported, why))
		if errors.Is(err, identity.ErrEnded) {
			return fmt.Errorf("card %s is %s already: nothing hangs on it", citizen.Card, citizen.State)
		}
		if err != nil {
			return err
		}
		return e.said(map[string]any{"card_number": citizen.Card, "lost": what, "receipt": receipt.Number.String(), "at": receipt.At, "signed": receipt.Signed},
			"the %s of card %s is reported lost; receipt %s", what, citizen.Card, receipt.Number)
	})
}

// lossDesk is the desk of the server, with the key of the database.
func (e *env) lossDesk(c *config.Config, s *storage.Store) *loss.Desk {
	quiet := slog.New(slog.DiscardHandler)
	return &loss.Desk{
		Store: s, Issuer: c.Issuer, Rand: e.rand, Log: quiet,
		Signer: func() (jose.Key, error) {
			ring := keyring.Keyring{Store: s, Policy: keyring.DefaultPolicy(), Clock: e.clock, Log: quiet}
			if err := ring.Load(context.Background()); err != nil {
				return jose.Key{}, err
			}
			return ring.Signer(jose.SM2)
		},
		Keyed: func(message []byte) ([]byte, error) { return s.Keys().Index("throttle", string(message)), nil },
	}
}

func (e *env) restoreDevices(ctx context.Context, card, why string) error {
	if why == "" {
		return usagef("--reason is needed: it goes into the audit trail")
	}
	return e.withStore(ctx, func(ctx context.Context, c *config.Config, s *storage.Store) error {
		citizen, err := e.citizen(ctx, s, card)
		if err != nil {
			return err
		}
		all, err := s.ListDevices(ctx, citizen.ID)
		if err != nil {
			return err
		}
		n := 0
		for _, d := range all {
			if d.State != identity.DeviceSuspended || d.Kind == identity.DeviceBrowser {
				continue
			}
			ev := e.event(audit.DeviceRestored, why)
			ev.Citizen, ev.Device, ev.Notify = citizen.ID, d.ID, true
			switch err := s.RestoreDevice(ctx, citizen.ID, d.ID, c.Login.OnePhone, 0, ev); {
			case errors.Is(err, identity.ErrEnded):
				return fmt.Errorf("card %s is %s: restore it first", citizen.Card, citizen.State)
			case errors.Is(err, identity.ErrConflict):
				return errors.New("another phone is in use: end that one first")
			case err != nil:
				return err
			}
			n++
		}
		return e.said(map[string]any{"card_number": citizen.Card, "restored": n}, "%d devices of card %s are back in use", n, citizen.Card)
	})
}
