package storagetest

import (
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/authn/notify"
	"ecardid/identity"
)

// letters are the world's citizen's notices that are due; they are leased.
func (w *world) letters() []notify.Notice {
	w.Helper()
	all, err := w.s.TakeNotices(w.Context(), w.now, time.Minute, 10_000)
	w.ok(err)
	return slices.DeleteFunc(all, func(n notify.Notice) bool { return n.Phone != w.phone.Value })
}

func noticeChecks() []check {
	return []check{
		{"every-notice-is-due-once", func(w *world) {
			ctx := w.Context()
			w.ok(w.s.SetLocale(ctx, w.citizen, "en"))
			for _, n := range w.letters() {
				w.ok(w.s.NoticeSent(ctx, n.ID)) // of first contact
			}
			w.freeze(identity.CardFrozen)
			got := w.letters()
			if len(got) != 1 || got[0].Kind != string(audit.CitizenFrozen) || !got[0].At.Equal(w.now) || got[0].Place != "192.0.2.0/24" || got[0].Locale != "en" || got[0].Tries != 0 {
				w.Fatalf("%+v", got)
			}
			if again := w.letters(); len(again) != 0 {
				w.Errorf("leased, and taken: %+v", again)
			}
			w.now = start.Add(time.Minute)
			if again := w.letters(); len(again) != 1 || again[0].ID != got[0].ID || again[0].Tries != 1 {
				w.Errorf("whoever had it is gone: %+v", again)
			}
			w.ok(w.s.NoticeUnsent(ctx, got[0].ID, start.Add(time.Hour)))
			w.now = start.Add(time.Hour - time.Millisecond)
			if again := w.letters(); len(again) != 0 {
				w.Errorf("before its time: %+v", again)
			}
			w.now = start.Add(time.Hour)
			if again := w.letters(); len(again) != 1 {
				w.Errorf("in its time: %+v", again)
			}
			w.ok(w.s.NoticeSent(ctx, got[0].ID))
			w.now = start.Add(2 * time.Hour)
			if again := w.letters(); len(again) != 0 {
				w.Errorf("sent, and sent again: %+v", again)
			}
			if n := w.notices(audit.CitizenFrozen); n != 1 {
				w.Errorf("%d of it in the citizen's own pages", n)
			}
		}},
		{"a-closed-account-is-told-of-its-end", func(w *world) {
			ctx := w.Context()
			w.ok(w.s.SetLocale(ctx, w.citizen, "en"))
			for _, n := range w.letters() {
				w.ok(w.s.NoticeSent(ctx, n.ID)) // of first contact
			}
			l := w.signIn(identity.ID{})
			for _, n := range w.letters() {
				w.ok(w.s.NoticeSent(ctx, n.ID)) // of signing in
			}
			w.ok(w.s.SetPassword(ctx, w.citizen, "x", l.ID, w.from(audit.PasswordChanged, l.ID)))
			before := w.notices(audit.PasswordChanged)
			w.ok(w.s.CloseAccount(ctx, w.citizen, l.ID, w.from(audit.CitizenCancelled, l.ID)))
			// What was sent is gone, what was not goes where it would have gone.
			got := map[string]notify.Notice{}
			for _, n := range w.letters() {
				got[n.Kind] = n
			}
			if n := got[string(audit.CitizenCancelled)]; before != 1 || len(got) != 2 || n.Locale != "en" || got[string(audit.PasswordChanged)].Locale != "en" {
				w.Fatalf("%d, %+v", before, got)
			}
			w.ok(w.s.NoticeUnsent(ctx, got[string(audit.CitizenCancelled)].ID, w.now.Add(time.Hour)))
			w.ok(w.s.NoticeSent(ctx, got[string(audit.PasswordChanged)].ID))
			if a, b := w.notices(audit.PasswordChanged), w.notices(audit.CitizenCancelled); a != 0 || b != 1 {
				w.Errorf("%d sent and %d unsent are left", a, b)
			}
			w.now = w.now.Add(time.Hour)
			if again := w.letters(); len(again) != 1 || again[0].Tries != 1 {
				w.Errorf("tried again: %+v", again)
			}
			// In the end the number goes, sent or not.
			w.now = w.now.Add(24 * time.Hour)
			if late := w.letters(); len(late) != 0 {
				w.Errorf("%+v", late)
			}
			if _, err := w.s.Sweep(ctx, w.now); err != nil || w.notices(audit.CitizenCancelled) != 0 {
				w.Errorf("kept for ever: %v", err)
			}
		}},
		{"nobody-is-told-of-yesterday", func(w *world) {
			w.freeze(identity.CardFrozen)
			w.now = start.Add(24 * time.Hour)
			if got := w.letters(); len(got) != 0 {
				w.Errorf("%+v", got)
			}
			if all, err := w.s.TakeNotices(w.Context(), w.now, time.Minute, 0); err != nil || len(all) != 0 {
				w.Errorf("%v, %v", all, err)
			}
		}},
	}
}
