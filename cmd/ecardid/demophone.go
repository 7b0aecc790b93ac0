package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/phone"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/internal/secret"
	"ecardid/storage"
)

// A demoPhone is a bound phone whose key robots may use: the app's side of /device/v1.
type demoPhone struct {
	Device identity.ID `json:"device_id"`
	Alg    jose.Alg    `json:"alg"`
	Key    string      `json:"pkcs8"` // base64, the private key
}

const demoPhoneName = "演示手机 Demo phone"

// bindPhone does what the citizen and their card app would do: signs in, opens an
// enrolment, binds the phone's key, and signs out again.
func (e *env) bindPhone(ctx context.Context, s *storage.Store, citizen identity.ID) (demoPhone, error) {
	signer, err := phone.NewSigner(jose.ES256)
	if err != nil {
		return demoPhone{}, err
	}
	der, err := signer.PKCS8()
	if err != nil {
		return demoPhone{}, err
	}
	acc, err := s.Account(ctx, citizen)
	if err != nil {
		return demoPhone{}, err
	}
	now := e.clock.Now()
	event := func(kind audit.Kind) audit.Event {
		ev := e.event(kind, "demo")
		ev.Citizen = citizen
		return ev
	}
	login := identity.Login{
		ID: identity.IDFrom(e.rand), Citizen: citizen, Started: now, Seen: now, Ends: now.Add(time.Minute), Locale: "zh-CN",
		Proofs: []identity.Proof{{Factor: identity.FactorPassword, At: now}, {Factor: identity.FactorTOTP, At: now}},
	}
	flow := authn.Flow{
		ID: identity.IDFrom(e.rand), Browser: secret.From(e.rand, 32).Hash(), Citizen: citizen, Epoch: acc.Epoch,
		Version: 1, Created: now, Expires: now.Add(time.Minute),
	}
	if err := s.BeginFlow(ctx, flow); err != nil {
		return demoPhone{}, err
	}
	ev := event(audit.LoginFinished)
	ev.Login = login.ID
	if err := s.FinishFlow(ctx, flow, authn.NewLogin{Login: login, Token: secret.From(e.rand, 32).Hash(), Agent: "demo", Idle: time.Minute}, identity.ID{}, ev); err != nil {
		return demoPhone{}, err
	}
	code := secret.From(e.rand, 32).Hash()
	enrolment := authn.PhoneEnrolment{ID: identity.IDFrom(e.rand), Citizen: citizen, Login: login.ID, Code: code, Expires: now.Add(time.Minute), Alone: true}
	if err := s.OpenEnrolment(ctx, enrolment); err != nil {
		return demoPhone{}, err
	}
	if _, err := s.ClaimEnrolment(ctx, code, "demo", enrolment.Expires, now); err != nil {
		return demoPhone{}, err
	}
	d := authn.Device{
		ID: identity.IDFrom(e.rand), Citizen: citizen, Kind: identity.DevicePhone, Name: demoPhoneName, State: identity.DeviceActive,
		JWK: signer.JWK(), Alg: string(signer.Alg()), Thumbprint: signer.Digest(), KeyLevel: identity.KeyUnattested, Created: now, Place: "demo",
	}
	ev = event(audit.DeviceBound)
	ev.Login, ev.Device = login.ID, d.ID
	if err := s.BindPhone(ctx, enrolment.ID, d, now, ev); err != nil {
		return demoPhone{}, fmt.Errorf("binding the demo's phone: %w", err)
	}
	ev = event(audit.LoginEnded)
	ev.Login = login.ID
	if err := s.EndLogin(ctx, citizen, login.ID, ev); err != nil {
		return demoPhone{}, err
	}
	return demoPhone{Device: d.ID, Alg: signer.Alg(), Key: base64.StdEncoding.EncodeToString(der)}, nil
}
