package storagetest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/console"
	"ecardid/identity"
)

// walk reads a search to its end, page by page.
func (w *world) walk(f console.Search, each int) []console.Entry {
	w.Helper()
	var all []console.Entry
	for below, pages := int64(0), 0; ; pages++ {
		found, next, err := w.s.SearchTrail(w.Context(), f, below, each)
		w.ok(err)
		for i, e := range found {
			if (i > 0 && e.Seq >= found[i-1].Seq) || below > 0 && e.Seq >= below {
				w.Errorf("entry %d is not older than the one before", e.Seq)
			}
		}
		all = append(all, found...)
		if next == 0 {
			return all
		}
		if below > 0 && next >= below || pages > 1000 {
			w.Fatalf("it goes on at %d after %d", next, below)
		}
		below = next
	}
}

func watchChecks() []check {
	note := func(w *world, kind audit.Kind, change func(e *audit.Event)) {
		w.Helper()
		e := w.event(kind)
		e.Notify = false
		if change != nil {
			change(&e)
		}
		w.ok(w.s.Record(w.Context(), e))
	}
	return []check{
		{"search", func(w *world) {
			staff := audit.Actor("staff:" + identity.NewID().String())
			w.now = w.now.AddDate(5, 0, int(w.citizen[0])) // nobody else's time
			for i := range 7 {
				note(w, audit.CitizenRead, func(e *audit.Event) {
					e.Actor, e.At, e.Reason, e.Detail = staff, w.now.Add(time.Duration(i)*time.Hour), "row "+strconv.Itoa(i), map[string]string{"n": strconv.Itoa(i)}
				})
			}
			note(w, audit.ClientRefused, func(e *audit.Event) { e.Citizen = identity.ID{} })
			for name, c := range map[string]struct {
				f    console.Search
				want int
			}{
				"all of an actor":       {console.Search{Actor: string(staff)}, 7},
				"of a kind":             {console.Search{Actor: string(staff), Kind: "citizen."}, 7},
				"of another kind":       {console.Search{Actor: string(staff), Kind: "client."}, 0},
				"of a citizen":          {console.Search{Citizen: w.citizen, Kind: "citizen.read"}, 7},
				"of nobody":             {console.Search{Citizen: identity.NewID()}, 0},
				"of a client":           {console.Search{Client: w.client, Kind: "client.refuse"}, 1},
				"since":                 {console.Search{Actor: string(staff), Since: w.now.Add(5 * time.Hour)}, 2},
				"until":                 {console.Search{Actor: string(staff), Until: w.now.Add(5 * time.Hour)}, 5},
				"between":               {console.Search{Actor: string(staff), Since: w.now.Add(time.Hour), Until: w.now.Add(3 * time.Hour)}, 2},
				"in the future":         {console.Search{Since: w.now.AddDate(100, 0, 0)}, 0},
				"long ago":              {console.Search{Actor: string(staff), Until: w.now.AddDate(-100, 0, 0)}, 0},
				"a text that is no SQL": {console.Search{Client: "' OR 1=1 --"}, 0},
			} {
				for _, each := range []int{2, 50} {
					if got := w.walk(c.f, each); len(got) != c.want {
						w.Errorf("%s by %d: %d, want %d", name, each, len(got), c.want)
					}
				}
			}
			got := w.walk(console.Search{Actor: string(staff)}, 3)
			if first := got[0]; first.Reason != "row 6" || first.Detail["n"] != "6" || first.Citizen != w.citizen || first.Client != w.client || !first.At.Equal(w.now.Add(6*time.Hour)) {
				w.Errorf("%+v", first)
			}
		}},
		{"refusals", func(w *world) {
			for _, kind := range []audit.Kind{audit.ClientRefused, audit.ScopeRefused, audit.ConsentGiven, audit.AccessRefused} {
				note(w, kind, nil)
			}
			got, err := w.s.ClientRefusals(w.Context(), w.client, 2)
			if err != nil || len(got) != 2 || got[0].Kind != audit.AccessRefused || got[1].Kind != audit.ScopeRefused {
				w.Errorf("%+v, %v", got, err)
			}
		}},
		{"alarms", func(w *world) {
			ctx := w.Context()
			kind := audit.Kind("alarm.test-" + strings.ToLower(w.citizen.String()[:8]))
			w.now = w.now.AddDate(6, 0, int(w.citizen[1]))
			note(w, kind, nil)
			note(w, audit.Kind("calm.alarm."), nil)
			note(w, kind, func(e *audit.Event) { e.At = w.now.AddDate(0, 0, 1) })
			mine := func() (all []console.Alarm) {
				found, err := w.s.Alarms(ctx, "", 0, 500)
				w.ok(err)
				for _, a := range found {
					if !strings.HasPrefix(string(a.Kind), "alarm.") {
						w.Errorf("%s is no alarm", a.Kind)
					}
					if a.Kind == kind {
						all = append(all, a)
					}
				}
				return all
			}
			found := mine()
			if len(found) != 2 || !found[0].Seen.IsZero() || found[0].At.Before(found[1].At) {
				w.Fatalf("%+v", found)
			}
			older, err := w.s.Alarms(ctx, "", found[0].Seq, 1)
			if err != nil || len(older) != 1 || older[0].Seq >= found[0].Seq {
				w.Errorf("%+v, %v", older, err)
			}
			before, err := w.s.UnseenAlarms(ctx, "", w.now)
			w.ok(err)
			counts, err := w.s.AlarmCounts(ctx, "", w.now)
			w.ok(err)
			counts = slices.DeleteFunc(counts, func(c console.AlarmCount) bool { return "alarm."+c.Rule != string(kind) })
			if len(counts) != 2 || counts[0].Count != 1 || counts[0].Day.Sub(counts[1].Day) != 24*time.Hour || w.now.Sub(counts[1].Day) > 24*time.Hour || counts[1].Day.After(w.now) {
				w.Errorf("%+v", counts)
			}
			see := w.event(audit.AlarmSeen)
			see.Notify = false
			w.ok(w.s.SeeAlarm(ctx, found[0].Seq, identity.NewID(), "looked\x1b[31m into", see))
			w.is("again", w.s.SeeAlarm(ctx, found[0].Seq, identity.NewID(), "twice", see), identity.ErrConflict)
			w.is("none", w.s.SeeAlarm(ctx, found[0].Seq+1_000_000, identity.NewID(), "x", see), identity.ErrNotFound)
			a, err := w.s.Alarm(ctx, found[0].Seq)
			if err != nil || !a.Seen.Equal(w.now) || a.Note != "looked[31m into" {
				w.Errorf("%+v, %v", a, err)
			}
			if after, err := w.s.UnseenAlarms(ctx, "", w.now); err != nil || after != before-1 {
				w.Errorf("%d after %d, %v", after, before, err)
			}
			if n := w.entries(audit.AlarmSeen); n != 1 {
				w.Errorf("%d entries", n)
			}
			calm := w.walk(console.Search{Citizen: w.citizen, Kind: "calm."}, 10)
			_, err = w.s.Alarm(ctx, calm[0].Seq)
			w.is("an entry that is no alarm", err, identity.ErrNotFound)
		}},
		// An alarm about a citizen is theirs who serve the citizen (SECURITY AD1).
		{"alarms-of-a-unit", func(w *world) {
			ctx := w.Context()
			region, err := w.s.RegionOf(ctx, w.citizen)
			w.ok(err)
			w.now = w.now.AddDate(7, 0, int(w.citizen[2]))
			kind := audit.Kind("alarm.unit-" + strings.ToLower(w.citizen.String()[:8]))
			note(w, kind, nil)
			note(w, kind, func(e *audit.Event) { e.Citizen = identity.ID{} })
			for unit, want := range map[string]int{"": 2, region[:2]: 2, region: 2, "99": 1, region + "0": 1} {
				found, err := w.s.Alarms(ctx, unit, 0, 500)
				w.ok(err)
				got := 0
				for _, a := range found {
					if a.Kind != kind {
						continue
					}
					got++
					if !a.Citizen.IsZero() && a.Region != region || !a.For(console.Staff{Unit: unit}) {
						w.Errorf("of %q: %+v", unit, a)
					}
				}
				counts, err := w.s.AlarmCounts(ctx, unit, w.now)
				w.ok(err)
				i := slices.IndexFunc(counts, func(c console.AlarmCount) bool { return "alarm."+c.Rule == string(kind) })
				if i < 0 || counts[i].Count != want || got != want {
					w.Errorf("of %q: %d, and %+v", unit, got, counts)
				}
			}
			all, err := w.s.UnseenAlarms(ctx, "", w.now)
			w.ok(err)
			if fewer, err := w.s.UnseenAlarms(ctx, "99", w.now); err != nil || fewer >= all {
				w.Errorf("%d of %d, %v", fewer, all, err)
			}
		}},
	}
}
