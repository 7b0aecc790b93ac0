package storagetest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/authn/loss"
	"ecardid/identity"
	"ecardid/oauth"
)

const (
	receiverToken = "the word a receiver knows us by"
	receiver      = "https://rp.example/signals"
)

// stream opens a stream of the world's client that delivers everything.
func (w *world) stream(method string, change ...func(*oauth.Stream)) oauth.Stream {
	w.Helper()
	s := oauth.Stream{ID: identity.NewID(), ClientID: w.client, Method: method, Authorization: receiverToken,
		Requested: oauth.SignalTypes(), Delivered: oauth.SignalTypes(), Status: oauth.StreamEnabled, Created: w.now}
	if method == oauth.DeliveryPush {
		s.Endpoint = receiver
	}
	for _, c := range change {
		c(&s)
	}
	w.ok(w.s.CreateStream(w.Context(), s, w.clientEvent(audit.StreamCreated)))
	return s
}

// pending are the signals that wait on a poll stream, in order.
func (w *world) pending(s oauth.Stream) []oauth.Signal {
	w.Helper()
	all, more, err := w.s.PollStream(w.Context(), s.ClientID, s.ID, nil, 100, w.now)
	w.ok(err)
	if more {
		w.Error("more than a hundred")
	}
	return all
}

// hears checks what has come to a poll stream, by the last words of the types, and takes
// it away.
func (w *world) hears(what string, s oauth.Stream, want ...string) []oauth.Signal {
	w.Helper()
	all := w.pending(s)
	var got []string
	var acks []identity.ID
	for _, one := range all {
		got = append(got, one.Type[strings.LastIndex(one.Type, "/")+1:])
		acks = append(acks, one.ID)
		if one.Citizen != w.citizen || !one.At.Equal(w.now) || one.Tries != 0 || one.ID.IsZero() {
			w.Errorf("%s: %+v", what, one)
		}
	}
	if !slices.Equal(got, want) {
		w.Errorf("%s: heard %v, want %v", what, got, want)
	}
	_, _, err := w.s.PollStream(w.Context(), s.ClientID, s.ID, acks, 100, w.now)
	w.ok(err)
	return all
}

// pushes are those of a stream that are this caller's turn.
func (w *world) pushes(s oauth.Stream, each int) (oauth.Push, bool) {
	w.Helper()
	all, err := w.s.TakePushes(w.Context(), w.now, time.Minute, 10_000, each)
	w.ok(err)
	i := slices.IndexFunc(all, func(p oauth.Push) bool { return p.ID == s.ID })
	if i < 0 {
		return oauth.Push{}, false
	}
	return all[i], true
}

func verification(w *world) oauth.Signal {
	return oauth.Signal{Type: oauth.SignalVerification, Data: []byte(`{"state":"x"}`), At: w.now}
}

// signals does what can be done with a stream.
func (w *world) signals(l session) {
	ctx := w.Context()
	st := w.stream(oauth.DeliveryPush)
	w.family(l)
	w.ok(w.s.VerifyStream(ctx, w.client, st.ID, verification(w), time.Second))
	w.ok(w.s.LeavePerson(ctx, w.client, st.ID, fresh()))
	sub := fresh()
	w.ok(w.s.LeavePerson(ctx, w.client, st.ID, sub))
	w.ok(w.s.JoinPerson(ctx, w.client, st.ID, sub))
	w.addPasskey(l, true)
	p, _ := w.pushes(st, 10)
	if len(p.Signals) > 0 {
		w.ok(w.s.Pushed(ctx, st.ID, p.Signals[0].ID, w.now))
	}
	w.ok(w.s.Rest(ctx, p, w.now, identity.ID{}, ""))
	letters, err := w.s.TakeNotices(ctx, w.now, time.Minute, 8)
	w.ok(err)
	for i, n := range letters {
		if i == 0 {
			w.ok(w.s.NoticeSent(ctx, n.ID))
		} else {
			w.ok(w.s.NoticeUnsent(ctx, n.ID, w.now))
		}
	}
	_, err = w.s.LeftOut(ctx, st.ID, [][]byte{sub})
	w.ok(err)
	_, err = w.s.SignalLag(ctx)
	w.ok(err)
}

func signalChecks() []check {
	const (
		revoked, credential, device = "session-revoked", "credential-change", "device-compliance-change"
		disabled, enabled           = "account-disabled", "account-enabled"
	)
	return []check{
		{"one-stream-for-a-client", func(w *world) {
			ctx := w.Context()
			_, err := w.s.StreamOf(ctx, w.client)
			w.is("none yet", err, identity.ErrNotFound)
			st := w.stream(oauth.DeliveryPush, func(s *oauth.Stream) { s.Description, s.Delivered = "first", nil })
			got, err := w.s.StreamOf(ctx, w.client)
			if err != nil || got.ID != st.ID || got.Authorization != receiverToken || got.Endpoint != receiver || got.Description != "first" ||
				!slices.Equal(got.Requested, st.Requested) || len(got.Delivered) != 0 || got.Status != oauth.StreamEnabled || !got.Created.Equal(w.now) {
				w.Errorf("%+v, %v", got, err)
			}
			second := st
			second.ID = identity.NewID()
			w.is("a second one", w.s.CreateStream(ctx, second, w.clientEvent(audit.StreamCreated)), identity.ErrConflict)
			other := w.beside()
			second.ClientID = other.client
			other.ok(other.s.SuspendClient(ctx, other.client, w.now, other.clientEvent(audit.ClientSuspended)))
			w.is("of a suspended client", w.s.CreateStream(ctx, second, other.clientEvent(audit.StreamCreated)), identity.ErrNotFound)
			if n := w.entries(audit.StreamCreated); n != 1 {
				w.Errorf("%d entries", n)
			}
		}},
		{"only-its-owner", func(w *world) {
			ctx, other := w.Context(), w.beside()
			st := w.stream(oauth.DeliveryPoll)
			same := func(s oauth.Stream) (oauth.Stream, error) { return s, nil }
			_, err := w.s.ChangeStream(ctx, other.client, st.ID, same, other.clientEvent(audit.StreamChanged))
			w.is("changed by another", err, identity.ErrNotFound)
			w.is("deleted by another", w.s.DeleteStream(ctx, other.client, st.ID, other.clientEvent(audit.StreamDeleted)), identity.ErrNotFound)
			w.is("verified by another", w.s.VerifyStream(ctx, other.client, st.ID, verification(w), 0), identity.ErrNotFound)
			_, _, err = w.s.PollStream(ctx, other.client, st.ID, nil, 1, w.now)
			w.is("polled by another", err, identity.ErrNotFound)
			w.is("left out by another", w.s.LeavePerson(ctx, other.client, st.ID, fresh()), identity.ErrNotFound)
			w.is("taken in by another", w.s.JoinPerson(ctx, other.client, st.ID, fresh()), identity.ErrNotFound)
			w.ok(w.s.DeleteStream(ctx, w.client, st.ID, w.clientEvent(audit.StreamDeleted)))
			w.is("deleted twice", w.s.DeleteStream(ctx, w.client, st.ID, w.clientEvent(audit.StreamDeleted)), identity.ErrNotFound)
			w.stream(oauth.DeliveryPoll)
		}},
		{"acts-are-told", func(w *world) {
			for what, c := range map[string]struct {
				act  func(w *world, l session)
				want []string
			}{
				"a new password": {func(w *world, l session) {
					w.ok(w.s.SetPassword(w.Context(), w.citizen, "x", l.ID, w.event(audit.PasswordChanged)))
				}, []string{credential}},
				"a new password, from elsewhere": {func(w *world, _ session) {
					w.ok(w.s.SetPassword(w.Context(), w.citizen, "x", w.signIn(identity.ID{}).ID, w.event(audit.PasswordChanged)))
				}, []string{revoked, credential}},
				"signing out": {func(w *world, l session) {
					w.ok(w.s.EndLogin(w.Context(), w.citizen, l.ID, w.event(audit.LoginEnded)))
				}, []string{revoked}},
				"a phone": {func(w *world, l session) {
					d, e := w.newPhone(), w.event(audit.DeviceBound)
					e.Device = d.ID
					w.ok(w.s.BindPhone(w.Context(), w.enrol(l).ID, d, w.now, e))
				}, []string{credential}},
				"a generator": {func(w *world, l session) { w.bindTOTP(l) }, []string{credential}},
				"a passkey":   {func(w *world, l session) { w.addPasskey(l, true) }, []string{credential}},
				"a browser":   {func(w *world, l session) { w.trustBrowser(l) }, nil},
				"a freeze": {func(w *world, _ session) {
					w.ok(w.s.SetCardState(w.Context(), w.citizen, identity.CardFrozen, w.event(audit.CitizenFrozen)))
				}, []string{revoked, disabled}},
				"a freeze and a thaw": {func(w *world, _ session) {
					w.ok(w.s.SetCardState(w.Context(), w.citizen, identity.CardFrozen, w.event(audit.CitizenFrozen)))
					w.ok(w.s.SetCardState(w.Context(), w.citizen, identity.CardNormal, w.event(audit.CitizenRestored)))
				}, []string{revoked, disabled, enabled}},
				"factors reset": {func(w *world, _ session) {
					w.ok(w.s.ResetFactors(w.Context(), w.citizen, fresh(), w.now.Add(time.Hour), w.event(audit.FactorsReset)))
				}, []string{revoked, credential, credential, credential}},
				"a lost card": {func(w *world, _ session) {
					e := w.event(audit.LossReported)
					e.Detail = map[string]string{"lost": string(loss.Card)}
					w.ok(w.s.ReportLoss(w.Context(), w.report(loss.Card), e))
				}, []string{revoked, device, disabled}},
				"a lost phone": {func(w *world, _ session) { w.ok(w.lose(w.report(loss.Phone))) }, []string{revoked, device}},
				"a refusal": {func(w *world, _ session) {
					w.is("spent", w.lose(w.report(loss.Phone, func(r *loss.Report) { r.Recovery = fresh() })), identity.ErrNotFound)
				}, nil},
				"reading": {func(w *world, _ session) { w.ok(w.s.Record(w.Context(), w.event(audit.LoginRefused))) }, nil},
			} {
				d := w.beside()
				l := d.signIn(identity.ID{})
				d.family(l)
				st := d.stream(oauth.DeliveryPoll)
				c.act(d, l)
				d.hears(what, st, c.want...)
				d.hears(what+": taken", st)
			}
		}},
		{"a-device-that-ends", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			w.family(l)
			phone := w.bindPhone(l)
			st := w.stream(oauth.DeliveryPoll)
			w.ok(w.s.EndDevice(ctx, w.citizen, phone.ID, identity.DeviceSuspended, nil, func() audit.Event {
				e := w.from(audit.DeviceEnded, l.ID)
				e.Device = phone.ID
				return e
			}()))
			w.hears("suspended", st, device)
			e := w.from(audit.DeviceRestored, l.ID)
			e.Device = phone.ID
			w.ok(w.s.RestoreDevice(ctx, w.citizen, phone.ID, true, 0, e))
			w.hears("restored", st, device)
			e.Kind = audit.DeviceEnded
			w.ok(w.s.EndDevice(ctx, w.citizen, phone.ID, identity.DeviceLost, nil, e))
			w.hears("lost", st, device, credential)
		}},
		{"whose-session", func(w *world) {
			ctx := w.Context()
			st := w.stream(oauth.DeliveryPoll)
			one, two, three := w.signIn(identity.ID{}), w.signIn(identity.ID{}), w.signIn(identity.ID{})
			for _, l := range []session{one, one, two, three} {
				w.family(l)
			}
			w.ok(w.s.EndLogin(ctx, w.citizen, one.ID, w.event(audit.LoginEnded)))
			if told := w.hears("one", st, revoked); len(told) == 1 && told[0].Session != one.ID {
				w.Errorf("%+v", told)
			}
			w.ok(w.s.EndOtherLogins(ctx, w.citizen, identity.ID{}, w.event(audit.LoginsEnded)))
			if told := w.hears("all", st, revoked); len(told) == 1 && !told[0].Session.IsZero() {
				w.Errorf("%+v", told)
			}
			w.ok(w.s.EndOtherLogins(ctx, w.citizen, identity.ID{}, w.event(audit.LoginsEnded)))
			w.hears("nobody is there any more", st)
		}},
		{"not-told", func(w *world) {
			for what, prepare := range map[string]func(w *world, st oauth.Stream, l session){
				"a client without a grant": func(*world, oauth.Stream, session) {},
				"a code never fetched":     func(w *world, _ oauth.Stream, l session) { w.code(l) },
				"a disabled stream": func(w *world, st oauth.Stream, l session) {
					w.family(l)
					w.set(st, func(s *oauth.Stream) { s.Status = oauth.StreamDisabled })
				},
				"a stream that wants something else": func(w *world, st oauth.Stream, l session) {
					w.family(l)
					w.set(st, func(s *oauth.Stream) { s.Delivered = []string{oauth.SignalDeviceCompliance} })
				},
				"a grant of another epoch of the client": func(w *world, _ oauth.Stream, l session) {
					w.family(l)
					w.ok(w.s.SuspendClient(w.Context(), w.client, w.now, w.clientEvent(audit.ClientSuspended)))
					w.ok(w.s.ApplyClient(w.Context(), oauth.Client{ID: w.client, State: oauth.ClientLive}, w.clientEvent(audit.ClientApplied)))
				},
			} {
				d := w.beside()
				st := d.stream(oauth.DeliveryPoll)
				prepare(d, st, d.signIn(identity.ID{}))
				d.freeze(identity.CardFrozen)
				d.hears(what, st)
			}
		}},
		{"an-act-that-fails-tells-nothing", func(w *world) {
			l := w.signIn(identity.ID{})
			w.family(l)
			st := w.stream(oauth.DeliveryPoll)
			e := w.event(audit.PasswordChanged)
			e.At = time.Time{} // cannot be written down
			if err := w.s.SetPassword(w.Context(), w.citizen, "x", identity.ID{}, e); err == nil {
				w.Error("done without a trail")
			}
			w.hears("nothing", st)
		}},
		{"poll-in-order-until-acknowledged", func(w *world) {
			ctx := w.Context()
			l, other := w.signIn(identity.ID{}), w.beside()
			w.family(l)
			st, theirs := w.stream(oauth.DeliveryPoll), other.stream(oauth.DeliveryPoll)
			other.family(other.signIn(identity.ID{}))
			other.freeze(identity.CardFrozen)
			for range 3 {
				w.now = w.now.Add(time.Second)
				w.ok(w.s.SetPassword(ctx, w.citizen, "x", l.ID, w.event(audit.PasswordChanged)))
			}
			first, more, err := w.s.PollStream(ctx, w.client, st.ID, nil, 2, w.now)
			if err != nil || len(first) != 2 || !more || !first[0].At.Before(first[1].At) {
				w.Fatalf("%+v, %v, %v", first, more, err)
			}
			again, _, err := w.s.PollStream(ctx, w.client, st.ID, nil, 2, w.now)
			if err != nil || len(again) != 2 || again[0].ID != first[0].ID || string(again[0].Data) != string(first[0].Data) {
				w.Errorf("%+v, %v", again, err)
			}
			// What is another's, or nobody's, acknowledges nothing.
			strange := other.pending(theirs)
			left, more, err := w.s.PollStream(ctx, w.client, st.ID, []identity.ID{first[0].ID, strange[0].ID, identity.NewID(), {}}, 10, w.now)
			if err != nil || len(left) != 2 || more || left[0].ID != first[1].ID {
				w.Errorf("%+v, %v, %v", left, more, err)
			}
			if n := len(other.pending(theirs)); n != len(strange) {
				w.Errorf("%d left of another's", n)
			}
			none, more, err := w.s.PollStream(ctx, w.client, st.ID, []identity.ID{left[0].ID}, 0, w.now)
			if err != nil || len(none) != 0 || !more {
				w.Errorf("%+v, %v, %v", none, more, err)
			}
			w.set(st, func(s *oauth.Stream) { s.Status = oauth.StreamPaused })
			if all := w.pending(st); len(all) != 0 {
				w.Errorf("paused, and there is %+v", all)
			}
			w.ok(w.s.SetPassword(ctx, w.citizen, "x", l.ID, w.event(audit.PasswordChanged)))
			w.set(st, func(s *oauth.Stream) { s.Status = oauth.StreamEnabled })
			if all := w.pending(st); len(all) != 2 {
				w.Errorf("after a pause: %+v", all)
			}
			w.set(st, func(s *oauth.Stream) { s.Status = oauth.StreamDisabled })
			w.set(st, func(s *oauth.Stream) { s.Status = oauth.StreamEnabled })
			if all := w.pending(st); len(all) != 0 {
				w.Errorf("disabled in between: %+v", all)
			}
		}},
		{"push-in-order-by-one-at-a-time", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			w.family(l)
			st := w.stream(oauth.DeliveryPush)
			if _, ok := w.pushes(st, 10); ok {
				w.Error("a turn with nothing to carry")
			}
			for range 3 {
				w.ok(w.s.SetPassword(ctx, w.citizen, "x", l.ID, w.event(audit.PasswordChanged)))
			}
			first, ok := w.pushes(st, 2)
			if !ok || len(first.Signals) != 2 || first.Authorization != receiverToken || first.Endpoint != receiver || first.Failures != 0 {
				w.Fatalf("%+v, %v", first, ok)
			}
			if _, ok := w.pushes(st, 2); ok {
				w.Error("leased, and taken by another")
			}
			w.ok(w.s.Pushed(ctx, st.ID, first.Signals[0].ID, w.now))
			// Whoever had it is gone: the next one begins where it stopped.
			w.now = start.Add(time.Minute)
			second, ok := w.pushes(st, 10)
			if !ok || len(second.Signals) != 2 || second.Signals[0].ID != first.Signals[1].ID {
				w.Fatalf("%+v, %v", second, ok)
			}
			// The first comes back late and ends nobody's turn.
			w.ok(w.s.Rest(ctx, first, w.now, first.Signals[1].ID, "late"))
			if _, ok := w.pushes(st, 10); ok {
				w.Error("a lease ended by somebody else")
			}
			w.ok(w.s.Rest(ctx, second, w.now.Add(time.Hour), second.Signals[0].ID, "status 503"))
			if _, ok := w.pushes(st, 10); ok {
				w.Error("before its time")
			}
			l0 := w.lag(st)
			if l0.Pending != 2 || l0.Failures != 1 || l0.Error != "status 503" || !l0.Oldest.Equal(start) || !l0.Delivered.Equal(start) || l0.ClientID != w.client || l0.Method != oauth.DeliveryPush {
				w.Errorf("%+v", l0)
			}
			// Whoever corrects the stream is not kept waiting.
			w.set(st, func(s *oauth.Stream) { s.Endpoint = receiver + "/2" })
			third, ok := w.pushes(st, 10)
			if !ok || third.Endpoint != receiver+"/2" || third.Signals[0].Tries != 1 {
				w.Fatalf("%+v, %v", third, ok)
			}
			for _, one := range third.Signals {
				w.ok(w.s.Pushed(ctx, st.ID, one.ID, w.now))
			}
			w.ok(w.s.Rest(ctx, third, w.now, identity.ID{}, ""))
			if l0 = w.lag(st); l0.Pending != 0 || !l0.Oldest.IsZero() || l0.Failures != 0 || l0.Error != "" || !l0.Delivered.Equal(w.now) {
				w.Errorf("%+v", l0)
			}
		}},
		{"nobody-is-told-for-ever", func(w *world) {
			ctx := w.Context()
			w.family(w.signIn(identity.ID{}))
			st := w.stream(oauth.DeliveryPush)
			w.freeze(identity.CardFrozen)
			w.now = start.Add(7 * 24 * time.Hour)
			if p, ok := w.pushes(st, 10); ok {
				w.Errorf("%+v", p)
			}
			if gone, err := w.s.Sweep(ctx, w.now); err != nil || gone["signals"] == 0 {
				w.Errorf("%v, %v", gone, err)
			}
			if l := w.lag(st); l.Pending != 0 {
				w.Errorf("%+v", l)
			}
		}},
		{"a-client-that-stops", func(w *world) {
			ctx := w.Context()
			w.family(w.signIn(identity.ID{}))
			st := w.stream(oauth.DeliveryPush)
			w.freeze(identity.CardFrozen)
			w.ok(w.s.SuspendClient(ctx, w.client, w.now, w.clientEvent(audit.ClientSuspended)))
			if p, ok := w.pushes(st, 10); ok {
				w.Errorf("suspended, and pushed to: %+v", p)
			}
			w.ok(w.s.ApplyClient(ctx, oauth.Client{ID: w.client, State: oauth.ClientLive}, w.clientEvent(audit.ClientApplied)))
			if p, ok := w.pushes(st, 10); ok {
				w.Errorf("what was from before: %+v", p)
			}
			if got, err := w.s.StreamOf(ctx, w.client); err != nil || got.ID != st.ID {
				w.Errorf("%+v, %v", got, err)
			}
			w.ok(w.s.WithdrawClient(ctx, w.client, w.now, w.clientEvent(audit.ClientWithdrawn)))
			_, err := w.s.StreamOf(ctx, w.client)
			w.is("withdrawn", err, identity.ErrNotFound)
		}},
		{"verification", func(w *world) {
			ctx := w.Context()
			st := w.stream(oauth.DeliveryPoll)
			w.ok(w.s.VerifyStream(ctx, w.client, st.ID, verification(w), 10*time.Second))
			w.now = start.Add(10*time.Second - time.Millisecond)
			w.is("too soon", w.s.VerifyStream(ctx, w.client, st.ID, verification(w), 10*time.Second), identity.ErrConflict)
			w.now = start.Add(10 * time.Second)
			w.ok(w.s.VerifyStream(ctx, w.client, st.ID, verification(w), 10*time.Second))
			all := w.pending(st)
			if len(all) != 2 || !all[0].Citizen.IsZero() || string(all[0].Data) != `{"state":"x"}` || all[0].Type != oauth.SignalVerification {
				w.Errorf("%+v", all)
			}
		}},
		{"left-out", func(w *world) {
			ctx, sub := w.Context(), fresh()
			st := w.stream(oauth.DeliveryPoll)
			out := func(what string, want bool) {
				w.Helper()
				if got, err := w.s.LeftOut(ctx, st.ID, [][]byte{fresh(), sub}); err != nil || got[string(sub)] != want || len(got) > 1 {
					w.Errorf("%s: %v, %v", what, got, err)
				}
			}
			out("at first", false)
			w.ok(w.s.LeavePerson(ctx, w.client, st.ID, sub))
			w.ok(w.s.LeavePerson(ctx, w.client, st.ID, sub))
			out("left out", true)
			w.ok(w.s.JoinPerson(ctx, w.client, st.ID, sub))
			w.ok(w.s.JoinPerson(ctx, w.client, st.ID, sub))
			out("taken in", false)
		}},
		{"a-change-that-is-refused", func(w *world) {
			refusal := errors.New("no")
			st := w.stream(oauth.DeliveryPoll)
			_, err := w.s.ChangeStream(w.Context(), w.client, st.ID, func(s oauth.Stream) (oauth.Stream, error) {
				s.Status = oauth.StreamDisabled
				return s, refusal
			}, w.clientEvent(audit.StreamChanged))
			w.is("refused", err, refusal)
			if got, err := w.s.StreamOf(w.Context(), w.client); err != nil || got.Status != oauth.StreamEnabled {
				w.Errorf("%+v, %v", got, err)
			}
		}},
	}
}

// set changes a stream.
func (w *world) set(st oauth.Stream, change func(*oauth.Stream)) {
	w.Helper()
	got, err := w.s.ChangeStream(w.Context(), st.ClientID, st.ID, func(s oauth.Stream) (oauth.Stream, error) {
		change(&s)
		return s, nil
	}, w.clientEvent(audit.StreamChanged))
	w.ok(err)
	if got.ID != st.ID || got.ClientID != st.ClientID || got.Authorization != receiverToken {
		w.Errorf("%+v", got)
	}
}

func (w *world) lag(st oauth.Stream) oauth.StreamLag {
	w.Helper()
	all, err := w.s.SignalLag(w.Context())
	w.ok(err)
	i := slices.IndexFunc(all, func(l oauth.StreamLag) bool { return l.Stream == st.ID })
	if i < 0 {
		w.Fatal("the stream is not among those behind")
	}
	return all[i]
}
