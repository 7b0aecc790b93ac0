package console

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/authn"
	"ecardid/identity"
)

// crew has nobody, and reel nothing; what was read of a trail was written down before.
type crew struct{ Staffs }

func (crew) ListStaff(context.Context) ([]Staff, error) { return nil, nil }

type reel struct {
	Trail
	c *centre
}

func (r reel) SearchTrail(context.Context, Search, int64, int) ([]Entry, int64, error) {
	if len(r.c.recorded) == 0 {
		r.c.t.Error("shown before it was written down")
	}
	return nil, 0, nil
}

// counters are attempts by key, none of which may go on beyond most.
type counters struct {
	authn.Attempts
	most int
	at   map[string]int
}

func (c *counters) Attempt(_ context.Context, _ time.Time, tries ...authn.Try) ([]authn.Tally, error) {
	key := string(tries[0].Key)
	c.at[key]++
	return []authn.Tally{{Count: c.at[key], Allowed: c.at[key] <= min(c.most, tries[0].Rule.Free)}}, nil
}

// TestLooks: whoever looks somebody up, by whichever door, is in the trail before anything
// is shown, and does it so often (SECURITY AD3, AD4).
func TestLooks(t *testing.T) {
	for name, tc := range map[string]struct {
		role Role
		unit string
		do   func(v *visit) error
		form url.Values
		want string // of the trail: kind, whom, how
		free bool   // it is not counted: what leads to it is
	}{
		"a number":          {role: Registrar, do: func(v *visit) error { return v.Service.search(v) }, form: url.Values{"number": {"A12345678"}}, want: "citizen.search them found=yes"},
		"a file":            {role: Registrar, do: func(v *visit) error { return v.showCitizen(v) }, want: "citizen.read them"},
		"questions":         {role: Registrar, do: func(v *visit) error { return v.showQuestions(v) }, want: "citizen.read them at=questions"},
		"the trail of":      {role: Auditor, do: (*visit).searchTrail, want: "citizen.read them at=audit", free: true},
		"the trail by card": {role: Auditor, do: (*visit).findTrailOf, form: url.Values{"number": {"A12345678"}}, want: "citizen.search them at=audit found=yes"},
		"of nobody":         {role: Auditor, do: (*visit).findTrailOf, form: url.Values{"number": {"Z87654321"}}, want: "citizen.search nobody at=audit found=nobody"},
		"of another unit's": {role: Auditor, unit: "31", do: (*visit).findTrailOf, form: url.Values{"number": {"A12345678"}}, want: "citizen.search them at=audit found=elsewhere"},
		"a list":            {role: DeviceOfficer, do: func(v *visit) error { return v.checkBulk(v, LostCard) }, form: url.Values{"cards": {"A12345678\nZ87654321"}}, want: "citizen.search them at=list found=yes"},
		"a list of strangers": {role: DeviceOfficer, unit: "31", do: func(v *visit) error { return v.checkBulk(v, LostCard) }, form: url.Values{"cards": {"A12345678"}},
			want: "citizen.search them at=list found=elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, most := range []int{1 << 20, 0} {
				c := newCentre(t)
				c.s.Staffs, c.s.Trail, c.s.Attempts = crew{}, reel{c: c}, &counters{most: most, at: map[string]int{}}
				status, shown := 0, 0
				c.s.Render = func(_ http.ResponseWriter, _ *http.Request, a authn.Answer) { status, shown = a.Status, shown+1 }
				visitor := func() *visit {
					r := httptest.NewRequest(http.MethodGet, "/console/x?citizen="+c.file.ID.String(), nil)
					r.SetPathValue("citizen", c.file.ID.String())
					return &visit{Service: c.s, w: httptest.NewRecorder(), r: r, now: noon, form: tc.form,
						staff: Staff{ID: identity.ID{9}, Roles: []Role{tc.role}, Unit: tc.unit, State: StaffActive}}
				}
				err := tc.do(visitor())
				if most == 0 {
					if !tc.free && (err != nil || status != http.StatusTooManyRequests || len(c.recorded) > 0) {
						t.Errorf("too often: %d, %v, %d entries", status, err, len(c.recorded))
					}
					continue
				}
				if err != nil || len(c.recorded) == 0 {
					t.Fatalf("%v, %d entries", err, len(c.recorded))
				}
				e := c.recorded[0]
				whom := "them"
				if e.Citizen != c.file.ID {
					whom = "nobody"
				}
				got := string(e.Kind) + " " + whom
				for _, name := range []string{"at", "found"} {
					if e.Detail[name] != "" {
						got += " " + name + "=" + e.Detail[name]
					}
				}
				if got != tc.want || e.Standing.Staff != (identity.ID{9}) {
					t.Errorf("%q, want %q: %+v", got, tc.want, e)
				}
				// What cannot be written down is not shown.
				shown, c.fail = 0, errors.New("read-only")
				if err := tc.do(visitor()); !errors.Is(err, c.fail) || shown > 0 {
					t.Errorf("shown all the same: %v", err)
				}
			}
		})
	}
}

// TestListsAreCountedByCards: a list is as many looks as it has lines.
func TestListsAreCountedByCards(t *testing.T) {
	c := newCentre(t)
	all := &counters{most: 1 << 20, at: map[string]int{}}
	c.s.Attempts = all
	status := 0
	c.s.Render = func(_ http.ResponseWriter, _ *http.Request, a authn.Answer) { status = a.Status }
	var cards strings.Builder
	for i := range MaxBulk {
		cards.WriteString("B" + strings.Repeat("0", 5) + string([]byte{'0' + byte(i/100), '0' + byte(i/10%10), '0' + byte(i%10)}) + "\n")
	}
	for n, want := range []int{0, 0, http.StatusTooManyRequests} {
		v := &visit{Service: c.s, w: httptest.NewRecorder(), r: httptest.NewRequest(http.MethodPost, bulkPath, nil), now: noon, form: url.Values{"cards": {cards.String()}},
			staff: Staff{ID: identity.ID{9}, Roles: []Role{DeviceOfficer}, State: StaffActive}}
		if err := v.checkBulk(v, LostCard); err != nil || status != want {
			t.Errorf("list %d: %d, %v", n, status, err)
		}
	}
}

// TestAlarmsOfAUnit: an alarm about somebody is theirs who serve them.
func TestAlarmsOfAUnit(t *testing.T) {
	w := &Watch{Trail: bell{rung: Alarm{Citizen: identity.NewID(), Region: "110105", Moment: Moment{Seq: 7, Kind: "alarm.risk", At: noon}}}}
	o := Order{Act: AlarmSee, Value: "7"}
	for unit, want := range map[string]error{"": nil, "11": nil, "110105": nil, "31": identity.ErrNotFound, "1101051": identity.ErrNotFound} {
		if _, err := w.Preview(t.Context(), Staff{Unit: unit}, o); !errors.Is(err, want) {
			t.Errorf("of %q: %v, want %v", unit, err, want)
		}
	}
	if !(Alarm{}).For(Staff{Unit: "31"}) {
		t.Error("one about nobody is hidden")
	}
	if (Alarm{Citizen: identity.NewID()}).For(Staff{Unit: "31"}) {
		t.Error("one about somebody of nowhere is shown")
	}
}

type bell struct {
	Trail
	rung Alarm
}

func (b bell) Alarm(context.Context, int64) (Alarm, error) { return b.rung, nil }
