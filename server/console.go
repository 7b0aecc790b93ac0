package server

import (
	"ecardid/authn/loss"
	"ecardid/authn/passkey"
	"ecardid/console"
	"ecardid/identity"
	"ecardid/internal/jose"
)

// Invitations is the label under which invitations to the console are hashed; whoever
// invites needs the same.
const Invitations = "staff-invitation"

// console builds the staff's room. Its performers are the counter for citizens, and what
// the room brings itself for staff.
func (s *Server) console(in Ingredients, keys sealed, relying *passkey.Relying) (*console.Service, error) {
	counter := &console.Counter{
		Citizens: in.Store, Changes: in.Store,
		Desk: &loss.Desk{
			Store: in.Store, Issuer: in.Issuer, Signer: func() (jose.Key, error) { return s.keyring.Signer(jose.SM2) },
			Keyed: keys.index("throttle"), Rand: in.Rand, Log: in.Log,
		},
		Floor: max(in.Login.Floor, identity.LevelBasic), Alone: !in.Login.ManyPhones, Clock: in.Clock,
	}
	performers := map[console.Act]console.Performer{}
	for _, act := range counter.Acts() {
		performers[act] = counter
	}
	clients := relyingParties{in.Store, s.registry.Reload, in.Clock}
	admissions, watch := &console.Admissions{Clients: clients}, &console.Watch{Trail: in.Store}
	for _, act := range admissions.Acts() {
		performers[act] = admissions
	}
	for _, act := range watch.Acts() {
		performers[act] = watch
	}
	parts := console.Parts{
		Staffs: in.Store, Requests: in.Store, Citizens: in.Store, Clients: clients, Trail: in.Store, Streams: signalStreams{in.Store}, Recorder: in.Store, Refusals: s.refusals,
		Consents: agreements{in.Store, s, in.Catalogue, in.Clock},
		Attempts: in.Store, Ceremonies: in.Store, Passkeys: relying, Performers: performers,
		Pager:       console.Pager{Tag: keys.token("console-page"), Check: keys.check("console-page")},
		Invitations: keys.index(Invitations), Throttle: keys.index("throttle"),
		Source: s.sources.Of, Browser: Browser, Place: s.place, Render: s.Answer, Say: s.Say,
		Clock: in.Clock, Rand: in.Rand, Log: in.Log,
	}
	// A catalogue of the operator's own may leave the call centre's scopes out.
	if len(in.Catalogue.Unknown(console.Scopes())) == 0 {
		parts.Programs = s.protocol.Programs(console.APIAudience)
	}
	return console.New(parts)
}
