package authn

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"ecardid/authn/loss"
	"ecardid/authn/passkey"
	"ecardid/identity"
)

// This file is a report of a loss that a passkey proves (lost.go).

// lossScript answers the script of /lost.
func (s *Service) lossScript(do func(r *http.Request, body []byte) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.scriptAnswer(w, r, do)
	})
}

// lossOwner is what a ceremony of /lost is bound to: the browser.
func (s *Service) lossOwner(r *http.Request) ([]byte, error) {
	b := s.Browser(r)
	if len(b) == 0 {
		return nil, errExpired
	}
	h := sha256.Sum256(append([]byte("lost\x00"), b...))
	return h[:], nil
}

func (s *Service) lossOptions(r *http.Request, body []byte) (any, error) {
	if err := json.Unmarshal(body, &struct{}{}); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	owner, err := s.lossOwner(r)
	if err != nil {
		return nil, err
	}
	if ok, err := s.allowed(r.Context(), Try{Rule: s.Config.Rules.Opening}, "ceremony", SourceKey(s.Source(r))); err != nil {
		return nil, err
	} else if !ok {
		return nil, errTooMany
	}
	options, c, err := s.Passkeys.BeginSignIn()
	if err != nil {
		return nil, wrap(err, "beginning a passkey ceremony")
	}
	return options, s.putCeremony(r.Context(), c, owner, identity.ID{})
}

// lossFinish hears a report proved by a passkey. It may be any of the citizen's; the
// device it lives on is in their hand and stays.
func (s *Service) lossFinish(r *http.Request, body []byte) (any, error) {
	ctx := r.Context()
	what := loss.What(r.URL.Query().Get("what"))
	if len(r.URL.Query()["what"]) != 1 || what != loss.Phone && what != loss.Card {
		return nil, fmt.Errorf("%w: neither the phone nor the card", errBadRequest)
	}
	owner, err := s.lossOwner(r)
	if err != nil {
		return nil, err
	}
	// Answers are counted by source, and what is written down about wrong ones is bounded
	// for all together: anybody can send as many as they like.
	g, err := s.guess(r, s.Config.Rules.Source, "lost-passkey", SourceKey(s.Source(r)))
	if err != nil {
		return nil, err
	}
	if !g.Allowed {
		return nil, errors.Join(errTooMany, s.refused(r, g, identity.ID{}, identity.FactorPasskey, "throttled"))
	}
	refuse := func(citizen identity.ID, reason string) error {
		return errors.Join(errPasskey, s.refusedWithin(r, g, citizen, reason))
	}
	anybody := func(identity.ID) bool { return true }
	j, err := s.assertion(r, body, passkey.SignIn, owner, anybody, refuse)
	if err != nil {
		return nil, err
	}
	receipt, ok, err := s.fileLoss(r, loss.Report{Citizen: j.acc.ID, What: what, Spare: j.key.Device, SparePasskey: j.key.ID}, identity.FactorPasskey, nil, true)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, refuse(j.acc.ID, "loss not reported")
	}
	s.Observer.Observe("loss", string(what))
	if err := g.right(context.WithoutCancel(ctx)); err != nil {
		s.Log.ErrorContext(ctx, "right attempts not given back", "cause", err)
	}
	return jsonAnswer{Next: receiptPath + receipt.Number.String()}, nil
}
