package storagetest

import (
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/authn/passkey"
	"ecardid/console"
	"ecardid/identity"
)

// A clerk is somebody of staff with a key and a session.
type clerk struct {
	console.Staff
	key   console.Key
	in    console.Session
	token []byte
}

func (w *world) staffEvent(kind audit.Kind, by console.Staff) audit.Event {
	e := audit.Event{Kind: kind, At: w.now, Actor: by.By(), Detail: map[string]string{"act": string(kind)}}
	if by.Version > 0 && by.State == console.StaffActive {
		e.Standing = audit.Standing{Staff: by.ID, Version: by.Version}
	}
	return e
}

func (w *world) invite(roles ...console.Role) (console.Staff, []byte) {
	w.Helper()
	id := identity.NewID()
	s := console.Staff{ID: id, Name: "s-" + id.String(), Roles: roles, State: console.StaffInvited}
	hash := fresh()
	w.ok(w.s.InviteStaff(w.Context(), s, hash, w.now.Add(console.InvitationLife), audit.Event{Kind: audit.StaffAdded, At: w.now, Actor: audit.ByOperator}))
	return s, hash
}

func (w *world) staffKey(of identity.ID) console.Key {
	id := identity.NewID()
	return console.Key{ID: id, Staff: of, Created: w.now, Credential: passkey.Credential{ID: fresh(), UserHandle: of[:], PublicKey: []byte("key"), SignCount: 1}}
}

// join is somebody of staff who took up their invitation and signed in.
func (w *world) join(roles ...console.Role) clerk {
	w.Helper()
	s, hash := w.invite(roles...)
	c := clerk{key: w.staffKey(s.ID), token: fresh()}
	w.ok(w.s.AcceptInvitation(w.Context(), hash, c.key, audit.Event{Kind: audit.StaffJoined, At: w.now, Actor: s.By()}))
	var err error
	_, c.Staff, err = w.s.StaffKey(w.Context(), c.key.Credential.ID)
	w.ok(err)
	c.in = console.Session{ID: identity.NewID(), Staff: c.Staff, Started: w.now, Seen: w.now}
	w.ok(w.s.OpenStaffSession(w.Context(), c.in, c.token, c.key.ID, identity.ID{}, w.staffEvent(audit.StaffSignedIn, c.Staff)))
	return c
}

// staffSession is one that another key of theirs opened.
func (w *world) staffSession(c clerk) []byte {
	w.Helper()
	in, token := c.in, fresh()
	in.ID = identity.NewID()
	w.ok(w.s.OpenStaffSession(w.Context(), in, token, c.key.ID, identity.ID{}, w.staffEvent(audit.StaffSignedIn, c.Staff)))
	return token
}

// file asks for an order.
func (w *world) file(r console.Request) (console.Request, error) {
	r.ID, r.State, r.Created, r.Expires = identity.NewID(), console.RequestOpen, w.now, w.now.Add(console.RequestLife)
	for _, o := range r.Order.Each() {
		r.Warrants = append(r.Warrants, console.Warrant{ID: identity.NewID(), Order: o})
	}
	return r, w.s.FileRequest(w.Context(), r, audit.Event{Kind: audit.RequestFiled, At: w.now, Actor: audit.BySystem})
}

func (w *world) order(n int) console.Order {
	o := console.Order{Act: console.BulkLoss, Value: "phone", Reason: "在地铁上被偷"}
	for range n {
		o.Many = append(o.Many, identity.NewID())
	}
	return o
}

func (w *world) ask(by clerk, n int) console.Request {
	w.Helper()
	r := console.Request{ID: identity.NewID(), Order: w.order(n), By: by.Staff, State: console.RequestOpen, Created: w.now, Expires: w.now.Add(console.RequestLife)}
	for _, o := range r.Order.Each() {
		r.Warrants = append(r.Warrants, console.Warrant{ID: identity.NewID(), Order: o})
	}
	w.ok(w.s.FileRequest(w.Context(), r, w.staffEvent(audit.RequestFiled, by.Staff)))
	return r
}

func (w *world) approve(by clerk, r console.Request, needs int) (bool, error) {
	return w.s.ApproveRequest(w.Context(), r.ID, needs, w.staffEvent(audit.RequestApproved, by.Staff))
}

// perform is any act of staff, with a warrant or without.
func (w *world) perform(by clerk, warrant identity.ID) error {
	e := w.staffEvent(audit.StaffRaised, by.Staff)
	e.Warrant = warrant
	return w.s.Record(w.Context(), e)
}

func (w *world) stateOf(id identity.ID) console.RequestState {
	w.Helper()
	r, err := w.s.StaffRequest(w.Context(), id)
	w.ok(err)
	return r.State
}

func staffChecks() []check {
	return []check{
		{"invitation", func(w *world) {
			s, hash := w.invite(console.Registrar)
			_, err := w.s.StaffByInvitation(w.Context(), s.ID, fresh(), w.now)
			w.is("a wrong code", err, identity.ErrNotFound)
			_, err = w.s.StaffByInvitation(w.Context(), s.ID, hash, w.now.Add(console.InvitationLife))
			w.is("too late", err, identity.ErrNotFound)
			found, err := w.s.StaffByInvitation(w.Context(), s.ID, hash, w.now)
			w.ok(err)
			if found.Name != s.Name || !slices.Equal(found.Roles, s.Roles) || found.State != console.StaffInvited {
				w.Errorf("%+v", found)
			}
			k, e := w.staffKey(s.ID), audit.Event{Kind: audit.StaffJoined, At: w.now, Actor: s.By()}
			w.ok(w.s.AcceptInvitation(w.Context(), hash, k, e))
			w.is("twice", w.s.AcceptInvitation(w.Context(), hash, w.staffKey(s.ID), e), identity.ErrNotFound)
			other, again := w.invite(console.Auditor)
			taken := w.staffKey(other.ID)
			taken.Credential.ID = k.Credential.ID
			w.is("somebody else's credential", w.s.AcceptInvitation(w.Context(), again, taken, e), identity.ErrConflict)
			w.is("a name that is taken", w.s.InviteStaff(w.Context(), console.Staff{ID: identity.NewID(), Name: s.Name}, fresh(), w.now, e), identity.ErrConflict)
		}},
		{"a citizen's passkey is no key of staff", func(w *world) {
			l := w.signIn(identity.ID{})
			theirs := w.addPasskey(l, true)
			_, _, err := w.s.StaffKey(w.Context(), theirs.Credential.ID)
			w.is("at the console", err, identity.ErrNotFound)
			s, hash := w.invite(console.Registrar)
			k := w.staffKey(s.ID)
			k.Credential.ID = theirs.Credential.ID
			w.is("registered again", w.s.AcceptInvitation(w.Context(), hash, k, audit.Event{Kind: audit.StaffJoined, At: w.now, Actor: s.By()}), identity.ErrConflict)
			c := w.join(console.Registrar)
			_, _, err = w.s.PasskeyByCredential(w.Context(), c.key.Credential.ID)
			w.is("a key of staff at the citizens' door", err, identity.ErrNotFound)
		}},
		{"session", func(w *world) {
			c := w.join(console.Registrar)
			in, err := w.s.StaffSession(w.Context(), c.token, w.now.Add(console.SessionIdle-time.Second))
			w.ok(err)
			if in.ID != c.in.ID || in.Staff.ID != c.ID || in.Purpose != "" {
				w.Errorf("%+v", in)
			}
			_, err = w.s.StaffSession(w.Context(), c.token, w.now.Add(2*console.SessionIdle))
			w.is("idle", err, identity.ErrNotFound)
			_, err = w.s.StaffSession(w.Context(), fresh(), w.now)
			w.is("a stranger's", err, identity.ErrNotFound)
			next := fresh()
			w.ok(w.s.StepUp(w.Context(), c.in.ID, c.token, next, "card.freeze x", w.staffEvent(audit.StaffRaised, c.Staff)))
			w.is("with the token of before", w.s.StepUp(w.Context(), c.in.ID, c.token, fresh(), "y", w.staffEvent(audit.StaffRaised, c.Staff)), identity.ErrNotFound)
			_, err = w.s.StaffSession(w.Context(), c.token, w.now)
			w.is("the token of before", err, identity.ErrNotFound)
			in, err = w.s.StaffSession(w.Context(), next, w.now)
			w.ok(err)
			if !in.Fresh("card.freeze x", w.now) || in.Fresh("card.freeze y", w.now) || in.Fresh("card.freeze x", w.now.Add(console.StepUpLife)) {
				w.Errorf("stepped up: %+v", in)
			}
			at := w.now
			for at.Before(w.now.Add(console.SessionLife)) {
				_, err = w.s.StaffSession(w.Context(), next, at)
				w.ok(err)
				at = at.Add(console.SessionIdle - time.Minute)
			}
			_, err = w.s.StaffSession(w.Context(), next, w.now.Add(console.SessionLife))
			w.is("after twelve hours of work", err, identity.ErrNotFound)
			w.ok(w.s.EndStaffSession(w.Context(), c.in.ID, w.staffEvent(audit.StaffSignedOut, c.Staff)))
			_, err = w.s.StaffSession(w.Context(), next, w.now)
			w.is("ended", err, identity.ErrNotFound)
		}},
		{"key", func(w *world) {
			c := w.join(console.Registrar)
			k := c.key
			k.Credential.SignCount = 5
			w.ok(w.s.UseStaffKey(w.Context(), k))
			w.is("the same count", w.s.UseStaffKey(w.Context(), k), identity.ErrSpent)
			other := w.staffSession(c)
			r := w.ask(c, 1)
			cloned := audit.Event{Kind: audit.StaffKeyCloned, At: w.now, Actor: audit.BySystem}
			w.ok(w.s.DisableStaffKey(w.Context(), k.ID, cloned))
			w.is("twice", w.s.DisableStaffKey(w.Context(), k.ID, cloned), identity.ErrNotFound)
			_, err0 := w.s.StaffSession(w.Context(), other, w.now)
			w.is("a session of another key", err0, identity.ErrNotFound)
			w.is("an act under way", w.perform(c, identity.ID{}), identity.ErrEnded)
			if got := w.stateOf(r.ID); got != console.RequestDropped {
				w.Errorf("the request: %s", got)
			}
			_, _, err := w.s.StaffKey(w.Context(), k.Credential.ID)
			w.is("disabled", err, identity.ErrNotFound)
			_, err = w.s.StaffSession(w.Context(), c.token, w.now)
			w.is("its session", err, identity.ErrNotFound)
		}},
		{"a change ends what was before it", func(w *world) {
			w.join(console.Administrator)
			admin, c := w.join(console.Administrator), w.join(console.Registrar)
			r := w.ask(c, 1)
			changed := c.Staff
			changed.Roles = []console.Role{console.DeviceOfficer}
			w.ok(w.s.SetStaff(w.Context(), changed, w.staffEvent(audit.StaffChanged, admin.Staff)))
			_, err := w.s.StaffSession(w.Context(), c.token, w.now)
			w.is("the session", err, identity.ErrNotFound)
			w.is("an act under way", w.perform(c, identity.ID{}), identity.ErrEnded)
			if got := w.stateOf(r.ID); got != console.RequestDropped {
				w.Errorf("the request: %s", got)
			}
			w.is("with an old version", w.s.SetStaff(w.Context(), c.Staff, w.staffEvent(audit.StaffChanged, admin.Staff)), identity.ErrConflict)
			c.Staff, err = w.s.StaffByID(w.Context(), c.ID)
			w.ok(err)
			w.ok(w.perform(c, identity.ID{}))
			c.Staff.State = console.StaffDeactivated
			w.ok(w.s.SetStaff(w.Context(), c.Staff, w.staffEvent(audit.StaffDeactivated, admin.Staff)))
			_, _, err = w.s.StaffKey(w.Context(), c.key.Credential.ID)
			w.is("the key of somebody deactivated", err, identity.ErrNotFound)
			c.Staff, err = w.s.StaffByID(w.Context(), c.ID)
			w.ok(err)
			back := c.Staff
			back.State = console.StaffActive
			w.is("and back", w.s.SetStaff(w.Context(), back, w.staffEvent(audit.StaffChanged, admin.Staff)), identity.ErrConflict)
			w.is("reset", w.s.Reinvite(w.Context(), c.ID, fresh(), w.now.Add(time.Hour), w.staffEvent(audit.StaffChanged, admin.Staff)), identity.ErrNotFound)
			w.is("nobody", w.s.SetStaff(w.Context(), console.Staff{ID: identity.NewID(), State: console.StaffActive}, w.staffEvent(audit.StaffChanged, admin.Staff)), identity.ErrNotFound)
		}},
		{"reset", func(w *world) {
			c := w.join(console.Registrar)
			hash := fresh()
			w.ok(w.s.Reinvite(w.Context(), c.ID, hash, w.now.Add(time.Hour), audit.Event{Kind: audit.StaffChanged, At: w.now, Actor: audit.ByOperator}))
			_, _, err := w.s.StaffKey(w.Context(), c.key.Credential.ID)
			w.is("the key of before", err, identity.ErrNotFound)
			_, err = w.s.StaffSession(w.Context(), c.token, w.now)
			w.is("the session of before", err, identity.ErrNotFound)
			k := w.staffKey(c.ID)
			w.ok(w.s.AcceptInvitation(w.Context(), hash, k, audit.Event{Kind: audit.StaffJoined, At: w.now, Actor: c.By()}))
			_, _, err = w.s.StaffKey(w.Context(), c.key.Credential.ID)
			w.is("the key of before, active again", err, identity.ErrNotFound)
		}},
		{"four eyes", func(w *world) {
			asker, one, two := w.join(console.DeviceOfficer), w.join(console.SecurityOfficer), w.join(console.SecurityOfficer)
			r := w.ask(asker, 2)
			got, err := w.s.StaffRequest(w.Context(), r.ID)
			w.ok(err)
			if got.By.ID != asker.ID || got.Order.Reason != r.Order.Reason || len(got.Warrants) != 2 || got.Warrants[1].Order.Citizen != r.Order.Many[1] || got.Warrants[0].State != console.WarrantReady {
				w.Errorf("%+v", got)
			}
			w.is("before anybody approved", w.perform(one, r.Warrants[0].ID), identity.ErrSpent)
			_, err = w.approve(asker, r, 2)
			w.is("their own", err, identity.ErrConflict)
			all, err := w.approve(one, r, 2)
			w.ok(err)
			if all {
				w.Error("one of two were all")
			}
			_, err = w.approve(one, r, 2)
			w.is("the same twice", err, identity.ErrSpent)
			w.is("after one of two", w.perform(one, r.Warrants[0].ID), identity.ErrSpent)
			all, err = w.approve(two, r, 2)
			w.ok(err)
			if !all || w.stateOf(r.ID) != console.RequestApproved {
				w.Error("two of two were not all")
			}
			w.ok(w.perform(two, r.Warrants[0].ID))
			w.is("a warrant twice", w.perform(two, r.Warrants[0].ID), identity.ErrSpent)
			if w.stateOf(r.ID) != console.RequestApproved {
				w.Error("done with one of two")
			}
			w.ok(w.s.FailWarrant(w.Context(), r.Warrants[1].ID, "conflict", w.staffEvent(audit.RequestFailed, two.Staff)))
			w.is("after it failed", w.perform(two, r.Warrants[1].ID), identity.ErrSpent)
			if w.stateOf(r.ID) != console.RequestDone {
				w.Errorf("the request is %s", w.stateOf(r.ID))
			}
			_, err = w.approve(one, r, 2)
			w.is("once more", err, identity.ErrConflict)
			listed, err := w.s.ListRequests(w.Context(), asker.Staff, w.now, 100)
			w.ok(err)
			if !slices.ContainsFunc(listed, func(l console.Request) bool { return l.ID == r.ID && l.State == console.RequestDone }) {
				w.Error("not in the list")
			}
		}},
		{"requests end", func(w *world) {
			asker, one, two := w.join(console.DeviceOfficer), w.join(console.SecurityOfficer), w.join(console.SecurityOfficer)
			late := w.ask(asker, 1)
			w.now = w.now.Add(console.RequestLife)
			_, err := w.approve(one, late, 1)
			w.is("expired", err, identity.ErrConflict)
			no := w.ask(asker, 1)
			w.ok(w.s.RejectRequest(w.Context(), no.ID, console.RequestRejected, w.staffEvent(audit.RequestRejected, one.Staff)))
			_, err = w.approve(two, no, 1)
			w.is("rejected", err, identity.ErrConflict)
			w.is("rejected twice", w.s.RejectRequest(w.Context(), no.ID, console.RequestDropped, w.staffEvent(audit.RequestWithdrawn, asker.Staff)), identity.ErrConflict)
			_, err = w.approve(one, console.Request{ID: identity.NewID()}, 1)
			w.is("none", err, identity.ErrNotFound)
			slow := w.ask(asker, 1)
			_, err = w.approve(one, slow, 1)
			w.ok(err)
			w.now = w.now.Add(console.RequestLife)
			w.is("a warrant of long ago", w.perform(one, slow.Warrants[0].ID), identity.ErrSpent)
		}},
		{"an approval ends with who gave it", func(w *world) {
			admin := w.join(console.Administrator)
			asker, one, two := w.join(console.DeviceOfficer), w.join(console.SecurityOfficer), w.join(console.SecurityOfficer)
			r := w.ask(asker, 1)
			_, err := w.approve(one, r, 2)
			w.ok(err)
			gone := one.Staff
			gone.State = console.StaffDeactivated
			w.ok(w.s.SetStaff(w.Context(), gone, w.staffEvent(audit.StaffDeactivated, admin.Staff)))
			_, err = w.approve(one, r, 2)
			w.is("by somebody deactivated", err, identity.ErrEnded, identity.ErrSpent)
			all, err := w.approve(two, r, 2)
			w.ok(err)
			if all {
				w.Error("the approval of somebody deactivated still counts")
			}
		}},
		{"one request at a time for one thing, and so many of one person", func(w *world) {
			asker, other, one := w.join(console.Registrar), w.join(console.Registrar), w.join(console.SecurityOfficer)
			unfreeze := console.Order{Act: console.CardUnfreeze, Citizen: identity.NewID(), Reason: "本人到柜台核验身份"}
			r, err := w.file(console.Request{Order: unfreeze, By: asker.Staff})
			w.ok(err)
			_, err = w.file(console.Request{Order: unfreeze, By: other.Staff})
			w.is("the same by somebody else", err, identity.ErrConflict)
			_, err = w.file(console.Request{Order: unfreeze, Client: "calls"})
			w.is("the same by a program", err, identity.ErrConflict)
			all, err := w.approve(one, r, 1)
			w.ok(err)
			_, err = w.file(console.Request{Order: unfreeze, By: other.Staff})
			w.is("while it is carried out", err, identity.ErrConflict)
			if !all {
				w.Error("one was not all")
			}
			w.ok(w.perform(one, r.Warrants[0].ID))
			r, err = w.file(console.Request{Order: unfreeze, By: asker.Staff})
			w.ok(err)
			w.ok(w.s.RejectRequest(w.Context(), r.ID, console.RequestRejected, w.staffEvent(audit.RequestRejected, one.Staff)))
			_, err = w.file(console.Request{Order: unfreeze, By: asker.Staff})
			w.ok(err)
			w.now = w.now.Add(console.RequestLife)
			_, err = w.file(console.Request{Order: unfreeze, By: asker.Staff})
			w.ok(err)
			for range console.MaxOpen - 1 {
				w.ask(asker, 1)
			}
			_, err = w.file(console.Request{Order: w.order(1), By: asker.Staff})
			w.is("one too many", err, identity.ErrConflict)
			w.ask(other, 1)
		}},
		{"a list holds what its reader may see", func(w *world) {
			c := w.citizen
			region, err := w.s.RegionOf(w.Context(), c)
			w.ok(err)
			asker, officer, admin := w.join(console.Registrar), w.join(console.SecurityOfficer), w.join(console.Administrator)
			r, err := w.file(console.Request{Order: console.Order{Act: console.CardUnfreeze, Citizen: c, Reason: "本人到柜台核验身份"}, By: asker.Staff})
			w.ok(err)
			sees := func(who console.Staff, unit string, n int) bool {
				who.Unit = unit
				all, err := w.s.ListRequests(w.Context(), who, w.now, n)
				w.ok(err)
				return slices.ContainsFunc(all, func(l console.Request) bool { return l.ID == r.ID })
			}
			w.now = w.now.Add(time.Second)
			for range 3 {
				closed := w.ask(asker, 1)
				w.ok(w.s.RejectRequest(w.Context(), closed.ID, console.RequestRejected, w.staffEvent(audit.RequestRejected, officer.Staff)))
			}
			if !sees(asker.Staff, "", 1) {
				w.Error("an open one is behind those that are over")
			}
			if !sees(officer.Staff, "", 1000) || sees(admin.Staff, "", 1000) {
				w.Error("who may approve sees it, and nobody else")
			}
			if region != "" && (!sees(officer.Staff, region[:2], 1000) || sees(officer.Staff, "99", 1000)) {
				w.Error("units")
			}
		}},
		{"an invitation ends with who asked for it", func(w *world) {
			admin, keeper, officer := w.join(console.Administrator), w.join(console.Administrator), w.join(console.SecurityOfficer)
			id, hash := identity.NewID(), fresh()
			r, err := w.file(console.Request{Order: console.Order{Act: console.StaffInvite, Value: id.String(), Reason: "新同事负责登记"}, By: admin.Staff})
			w.ok(err)
			_, err = w.approve(officer, r, 1)
			w.ok(err)
			e := w.staffEvent(audit.StaffAdded, officer.Staff)
			e.Warrant = r.Warrants[0].ID
			w.ok(w.s.InviteStaff(w.Context(), console.Staff{ID: id, Name: "s-" + id.String(), Roles: []console.Role{console.Registrar}}, hash, w.now.Add(time.Hour), e))
			_, err = w.s.StaffByInvitation(w.Context(), id, hash, w.now)
			w.ok(err)
			gone := admin.Staff
			gone.State = console.StaffDeactivated
			w.ok(w.s.SetStaff(w.Context(), gone, w.staffEvent(audit.StaffDeactivated, keeper.Staff)))
			_, err = w.s.StaffByInvitation(w.Context(), id, hash, w.now)
			w.is("afterwards", err, identity.ErrNotFound)
		}},
		{"what a program asked for ends with it", func(w *world) {
			id := w.client
			r, err := w.file(console.Request{Order: console.Order{Act: console.CardUnfreeze, Citizen: identity.NewID(), Reason: "来电人要求办理"}, Client: id})
			w.ok(err)
			w.ok(w.s.SuspendClient(w.Context(), id, w.now, audit.Event{Kind: audit.ClientSuspended, At: w.now, Actor: audit.ByOperator, Client: id}))
			if got := w.stateOf(r.ID); got != console.RequestDropped {
				w.Errorf("the request: %s", got)
			}
		}},
		{"an act that comes to nothing spends no warrant", func(w *world) {
			asker, one := w.join(console.DeviceOfficer), w.join(console.SecurityOfficer)
			r := w.ask(asker, 1)
			_, err := w.approve(one, r, 1)
			w.ok(err)
			wrong := one
			wrong.Version++
			w.is("with another standing", w.perform(wrong, r.Warrants[0].ID), identity.ErrEnded)
			w.ok(w.perform(one, r.Warrants[0].ID))
		}},
	}
}

func staffRaces() []race {
	return []race{
		{"an invitation is taken up once", []error{identity.ErrNotFound}, func(w *world) (func(*world, int) error, func()) {
			s, hash := w.invite(console.Registrar)
			return func(w *world, _ int) error {
				return w.s.AcceptInvitation(w.Context(), hash, w.staffKey(s.ID), audit.Event{Kind: audit.StaffJoined, At: w.now, Actor: s.By()})
			}, nil
		}},
		{"of many who ask for the same one does", []error{identity.ErrConflict}, func(w *world) (func(*world, int) error, func()) {
			asker := w.join(console.Registrar)
			o := console.Order{Act: console.CardUnfreeze, Citizen: identity.NewID(), Reason: "本人到柜台核验身份"}
			return func(w *world, _ int) error {
				_, err := w.file(console.Request{Order: o, By: asker.Staff})
				return err
			}, nil
		}},
		{"a warrant is used once", []error{identity.ErrSpent}, func(w *world) (func(*world, int) error, func()) {
			asker, one := w.join(console.DeviceOfficer), w.join(console.SecurityOfficer)
			r := w.ask(asker, 1)
			_, err := w.approve(one, r, 1)
			w.ok(err)
			return func(w *world, _ int) error { return w.perform(one, r.Warrants[0].ID) }, func() {
				if w.stateOf(r.ID) != console.RequestDone {
					w.Errorf("the request is %s", w.stateOf(r.ID))
				}
			}
		}},
		{"of many approvals one is the last", []error{errNothing, identity.ErrConflict}, func(w *world) (func(*world, int) error, func()) {
			asker := w.join(console.Administrator)
			var officers []clerk
			for range racers {
				officers = append(officers, w.join(console.SecurityOfficer))
			}
			r := w.ask(asker, 1)
			return func(w *world, i int) error {
				all, err := w.approve(officers[i], r, 2)
				if err == nil && !all {
					err = errNothing
				}
				return err
			}, nil
		}},
		{"one approval of one person counts", []error{identity.ErrSpent}, func(w *world) (func(*world, int) error, func()) {
			asker, one := w.join(console.Administrator), w.join(console.SecurityOfficer)
			r := w.ask(asker, 1)
			return func(w *world, _ int) error {
					_, err := w.approve(one, r, 2)
					return err
				}, func() {
					if w.stateOf(r.ID) != console.RequestOpen {
						w.Errorf("the request is %s", w.stateOf(r.ID))
					}
				}
		}},
		{"somebody who is deactivated acts before it or not at all", []error{errNothing}, func(w *world) (func(*world, int) error, func()) {
			w.join(console.Administrator)
			admin, c := w.join(console.Administrator), w.join(console.Registrar)
			return func(w *world, i int) error {
					if i > 0 {
						if err := w.perform(c, identity.ID{}); err != nil {
							w.is("an act", err, identity.ErrEnded)
						}
						return errNothing
					}
					gone := c.Staff
					gone.State = console.StaffDeactivated
					return w.s.SetStaff(w.Context(), gone, w.staffEvent(audit.StaffDeactivated, admin.Staff))
				}, func() {
					w.is("afterwards", w.perform(c, identity.ID{}), identity.ErrEnded)
				}
		}},
	}
}
