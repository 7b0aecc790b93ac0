package storagetest

import (
	"context"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

// once is a value that nobody has used before.
func (w *world) once() oauth.Once { return oauth.Once{Key: fresh(), Expires: w.now.Add(time.Minute)} }

// A bearer is an operation that takes values along.
type bearer struct {
	name string
	// ready readies it once, in the login, and returns how to do it, how to do it so that it is
	// refused, and whether what it was to do was done.
	ready func(w *world, l session) (right, wrong func(w *world, once ...oauth.Once) error, done func() bool)
}

func bearers() []bearer {
	type do = func(w *world, once ...oauth.Once) error
	never := func() bool { return false }
	return append(deviceBearers(), []bearer{
		{"redeem", func(w *world, l session) (do, do, func() bool) {
			n := w.code(l, opaque)
			redeem := func(change func(*oauth.Redemption)) do {
				return func(w *world, once ...oauth.Once) error {
					r := w.redemption(n)
					r.Once = once
					change(&r)
					_, err := w.s.Redeem(w.Context(), r)
					return err
				}
			}
			return redeem(func(*oauth.Redemption) {}), redeem(func(r *oauth.Redemption) { r.RedirectURI += "\x00" }), func() bool {
				_, err := w.s.Redeem(w.Context(), w.redemption(n))
				return err != nil
			}
		}},
		{"refresh", func(w *world, l session) (do, do, func() bool) {
			f := w.family(l, opaque)
			refresh := func(change func(*oauth.Refreshing)) do {
				return func(w *world, once ...oauth.Once) error {
					r := rotating(w.refreshing(f.refresh))
					r.Once = once
					change(&r)
					_, err := w.s.Refresh(w.Context(), r)
					return err
				}
			}
			return refresh(func(*oauth.Refreshing) {}), refresh(func(r *oauth.Refreshing) { r.Token = fresh(); r.Family = r.Token; r.Next = nil }), func() bool {
				_, err := w.s.Refresh(w.Context(), rotating(w.refreshing(f.refresh)))
				return err != nil
			}
		}},
		{"refresh-without-rotation", func(w *world, l session) (do, do, func() bool) {
			f := w.family(l)
			refresh := func(scope ...string) do {
				return func(w *world, once ...oauth.Once) error {
					r := w.refreshing(f.refresh)
					r.Once, r.Access.Scope = once, scope
					_, err := w.s.Refresh(w.Context(), r)
					return err
				}
			}
			return refresh(), refresh("payments"), never
		}},
		{"exchange", func(w *world, l session) (do, do, func() bool) {
			f := w.family(l)
			var last identity.ID
			exchange := func(scope ...string) do {
				return func(w *world, once ...oauth.Once) error {
					x := w.exchange(f.Grant, scope...)
					x.Once, last = once, x.ID
					_, err := w.s.Exchange(w.Context(), x)
					return err
				}
			}
			return exchange("openid"), exchange("payments"), func() bool {
				_, err := w.s.LiveGrant(w.Context(), last, w.now)
				return err == nil
			}
		}},
		{"store-request", func(w *world, _ session) (do, do, func() bool) {
			var last []byte
			store := func(kind string) do {
				return func(w *world, once ...oauth.Once) error {
					r := w.request()
					r.Kind, last = kind, r.Handle
					return w.s.StoreRequest(w.Context(), r, once...)
				}
			}
			return store("par"), store("\xff"), func() bool {
				_, err := w.s.Request(w.Context(), last, w.client, w.now)
				return err == nil
			}
		}},
		{"token", func(w *world, l session) (do, do, func() bool) {
			f := w.family(l, opaque)
			read := func(token []byte) do {
				return func(w *world, once ...oauth.Once) error {
					_, err := w.s.Token(w.Context(), token, w.now, once...)
					return err
				}
			}
			return read(f.access), read(fresh()), never
		}},
		{"live-grant", func(w *world, l session) (do, do, func() bool) {
			f := w.family(l)
			read := func(id identity.ID) do {
				return func(w *world, once ...oauth.Once) error {
					_, err := w.s.LiveGrant(w.Context(), id, w.now, once...)
					return err
				}
			}
			return read(f.ID), read(identity.NewID()), never
		}},
		{"userinfo-by-token", func(w *world, l session) (do, do, func() bool) {
			f := w.family(l, opaque)
			read := func(token []byte) do {
				return func(w *world, once ...oauth.Once) error {
					_, p, err := w.s.UserInfo(w.Context(), token, identity.ID{}, []string{"name", "email"}, w.now, once...)
					if err == nil && (p.Claims["name"] != fullName || p.Claims["email"] != email) {
						w.Errorf("%+v", p)
					}
					return err
				}
			}
			return read(f.access), read([]byte{}), never
		}},
		{"userinfo-by-grant", func(w *world, l session) (do, do, func() bool) {
			f := w.family(l)
			read := func(id identity.ID) do {
				return func(w *world, once ...oauth.Once) error {
					_, _, err := w.s.UserInfo(w.Context(), nil, id, nil, w.now, once...)
					return err
				}
			}
			return read(f.ID), read(identity.ID{}), never
		}},
		{"spend", func(*world, session) (do, do, func() bool) {
			spend := func(w *world, once ...oauth.Once) error {
				return w.s.Spend(w.Context(), w.now, once...)
			}
			return spend, nil, never
		}},
	}...)
}

func onceChecks() []check {
	var all []check
	for _, b := range bearers() {
		all = append(all, check{b.name, func(w *world) {
			l := w.signIn(identity.ID{})
			right, wrong, done := b.ready(w, l)
			one, two, three := w.once(), w.once(), w.once()
			if wrong != nil {
				// A refusal spends as well, in each of these ways it may come about.
				if err := wrong(w, one, two); err == nil {
					w.Error("what is wrong was done")
				}
				w.is("what a refusal spent", right(w, two), identity.ErrReplayed)
				w.is("what a refusal spent, beside something new", right(w, one, three), identity.ErrReplayed)
			} else {
				w.is("the first use", right(w, one, two), nil)
				w.is("the second", right(w, two), identity.ErrReplayed)
			}
			if done() {
				w.Fatal("it was done although something was shown twice")
			}
			four := w.once()
			right, _, _ = b.ready(w, l)
			w.is("new", right(w, four, w.once()), nil)
			w.is("its value elsewhere", w.s.Spend(w.Context(), w.now, four), identity.ErrReplayed)
			right, _, _ = b.ready(w, l)
			w.is("twice in one", right(w, four, four), identity.ErrReplayed)
			five := w.once()
			w.is("twice in one, new", right(w, five, five), identity.ErrReplayed)
			w.fault("without a key", right(w, oauth.Once{Expires: w.now.Add(time.Minute)}))
		}})
	}
	return append(all, check{"forgotten-when-it-has-expired", func(w *world) {
		ctx := w.Context()
		o := oauth.Once{Key: fresh(), Expires: w.now.Add(time.Hour)}
		f := w.family(w.signIn(identity.ID{}), opaque, offline)
		read := func() error {
			_, err := w.s.LiveGrant(ctx, f.ID, w.now, o)
			return err
		}
		w.is("the first time", read(), nil)
		w.now = start.Add(time.Hour - time.Millisecond)
		w.is("in its last moment", read(), identity.ErrReplayed)
		w.now = start.Add(time.Hour)
		o.Expires = w.now.Add(time.Hour)
		w.is("afterwards", read(), nil)
		w.is("and again", read(), identity.ErrReplayed)
		// What is accepted in the last moment of its life is accepted once.
		o = oauth.Once{Key: fresh(), Expires: w.now}
		w.is("at its end", read(), nil)
		w.is("at its end, again", read(), identity.ErrReplayed)
		w.ok(w.s.Spend(ctx, w.now))
		w.is("remembered", w.s.Remember(ctx, o.Key, w.now.Add(time.Hour), w.now), identity.ErrSpent)
	}})
}

// onceRaces: one value in many uses at once, half of them together with a second one
// that is new each time.
func onceRaces() []race {
	var all []race
	for _, b := range bearers() {
		if !slices.Contains([]string{"redeem", "refresh", "exchange", "store-request", "token", "spend", "poll-device-code"}, b.name) {
			continue // it asks in the same words as token
		}
		all = append(all, race{"once-in-" + b.name, []error{identity.ErrReplayed}, func(w *world) (func(*world, int) error, func()) {
			o, l := w.once(), w.signIn(identity.ID{})
			tries := make([]func(w *world, once ...oauth.Once) error, racers)
			for i := range tries {
				tries[i], _, _ = b.ready(w, l)
			}
			return func(w *world, i int) error {
				if i%2 == 0 {
					return tries[i](w, o)
				}
				return tries[i](w, w.once(), o, w.once())
			}, nil
		}})
	}
	return all
}

// exchange derives a grant for a client of its own.
func (w *world) exchange(parent oauth.Grant, scope ...string) oauth.Exchange {
	return oauth.Exchange{Parent: parent.ID, ID: identity.NewID(), ClientID: w.client, Scope: scope, Resource: []string{"https://down.example"},
		Act: []byte(`{"sub":"service"}`), Expires: w.now.Add(time.Hour), Access: oauth.NewAccess{Token: fresh(), Expires: w.now.Add(tokenLife)}, Now: w.now}
}

// A service is another client that exchanges.
func (w *world) service() string {
	id := "service-" + identity.NewID().String()
	w.ok(w.s.ApplyClient(w.Context(), oauth.Client{ID: id, State: oauth.ClientLive}, w.clientEvent(audit.ClientApplied)))
	return id
}

// withOnce are the hot operations as a client with DPoP and private_key_jwt has them:
// each with two values to be spent.
func (w *world) withOnce() []Hot {
	var hots []Hot
	l := w.signIn(identity.ID{})
	for _, b := range bearers() {
		right, _, _ := b.ready(w, l)
		hots = append(hots, Hot{b.name + " with once", func(ctx context.Context) error {
			c := *w
			c.ctx = ctx
			return right(&c, w.once(), w.once())
		}})
	}
	return hots
}
