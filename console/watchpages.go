package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/templates"
)

const (
	auditPath  = "/console/audit"
	alarmsPath = "/console/alarms"

	entriesShown = 50
	alarmsShown  = 50
	alarmDays    = 14
	maxFilter    = 100 // characters
	dayForm      = "2006-01-02"
)

func (s *Service) watchRoutes() []Route {
	all := []Route{
		s.get(auditPath, AuditRead, (*visit).searchTrail),
		s.post(auditPath, AuditRead, (*visit).findTrailOf, append(filterFields(), "number", "audit-find")...),
		s.get(auditPath+"/export", AuditExport, (*visit).askExport),
		s.post(auditPath+"/export", AuditExport, (*visit).export, append(filterFields(), "citizen", "reason", "export-csv", "export-ndjson")...),
		s.get(alarmsPath, AlarmRead, (*visit).listAlarms),
	}
	if s.Streams != nil {
		all = append(all, s.get("/console/streams", StreamRead, (*visit).listStreams))
	}
	return all
}

func filterFields() []string { return []string{"kind", "actor", "client", "since", "until"} }

// china is where days are counted.
func china() *time.Location { return time.FixedZone("UTC+8", 8*60*60) }

// search reads a filter. What cannot be read is no filter but an error: less would be
// found, or more, than was asked for (SECURITY G8).
func (v *visit) search(from url.Values) (Search, error) {
	s := Search{Kind: strings.TrimSpace(from.Get("kind")), Actor: strings.TrimSpace(from.Get("actor")), Client: strings.TrimSpace(from.Get("client"))}
	for _, text := range []string{s.Kind, s.Actor, s.Client} {
		if len(text) > maxFilter || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return s, ErrInvalid
		}
	}
	for _, d := range []struct {
		name string
		at   *time.Time
		plus int
	}{{"since", &s.Since, 0}, {"until", &s.Until, 1}} {
		text := from.Get(d.name)
		if text == "" {
			continue
		}
		day, err := time.ParseInLocation(dayForm, text, china())
		if err != nil {
			return s, ErrInvalid
		}
		*d.at = day.AddDate(0, 0, d.plus)
	}
	if text := from.Get("citizen"); text != "" {
		id, err := identity.ParseID(text)
		if err != nil {
			return s, errMissing
		}
		s.Citizen = id
	}
	return s, v.mayWatch(s)
}

// errUnit: who serves one division reads the trail of its citizens, one at a time.
var errUnit = fmt.Errorf("%w: the whole trail is not theirs", ErrInvalid)

// mayWatch looks at the object as every act does (SECURITY AD1).
func (v *visit) mayWatch(s Search) error {
	if v.staff.Unit == "" {
		return nil
	}
	if s.Citizen.IsZero() {
		return errUnit
	}
	region, err := v.Citizens.RegionOf(v.r.Context(), s.Citizen)
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return fmt.Errorf("reading a region: %w", err)
	}
	if err != nil {
		return errMissing
	}
	if !v.staff.Within(region) {
		if err := v.refuse(v, "unit", AuditRead); err != nil {
			return err
		}
		return errMissing
	}
	return nil
}

// query is the filter as an address has it, and what a page token belongs to.
func (s Search) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("kind", s.Kind)
	set("actor", s.Actor)
	set("client", s.Client)
	if !s.Since.IsZero() {
		set("since", s.Since.In(china()).Format(dayForm))
	}
	if !s.Until.IsZero() {
		set("until", s.Until.In(china()).AddDate(0, 0, -1).Format(dayForm))
	}
	if !s.Citizen.IsZero() {
		set("citizen", s.Citizen.String())
	}
	return q
}

func (v *visit) searchTrail() error {
	q := v.r.URL.Query()
	s, err := v.search(q)
	page := templates.ConsoleTrail{Desk: v.desk(), Filter: filterOf(s)}
	if errors.Is(err, ErrInvalid) {
		return v.badFilter(page, err)
	}
	if err != nil {
		return err
	}
	list := "audit?" + s.query().Encode()
	below, err := v.Pager.Below(list, v.staff.ID, q.Get("page"))
	if err != nil {
		return err
	}
	if !s.Citizen.IsZero() { // that somebody read all about somebody is to be read as well
		if err := v.note(audit.CitizenRead, s.Citizen, map[string]string{"at": "audit"}); err != nil {
			return err
		}
	}
	found, next, err := v.Trail.SearchTrail(v.r.Context(), s, below, entriesShown)
	if err != nil {
		return fmt.Errorf("searching the trail: %w", err)
	}
	names, err := v.names()
	if err != nil {
		return err
	}
	for _, e := range found {
		one := entryOf(e)
		one.By = names[e.Actor]
		page.Entries = append(page.Entries, one)
	}
	page.ExportURL = auditPath + "/export?" + s.query().Encode()
	if below > 0 {
		page.FirstURL = auditPath + "?" + s.query().Encode()
	}
	if page.NextURL, err = v.next(list, auditPath, s.query(), next); err != nil {
		return err
	}
	return v.show(page)
}

// names are those of staff, by how the trail calls them.
func (v *visit) names() (map[audit.Actor]templates.Text, error) {
	all, err := v.Staffs.ListStaff(v.r.Context())
	if err != nil {
		return nil, fmt.Errorf("listing staff: %w", err)
	}
	names := make(map[audit.Actor]templates.Text, len(all))
	for _, s := range all {
		names[s.By()] = templates.Text(s.Name)
	}
	return names, nil
}

// next is the address of the page that begins below a number; empty at the end.
func (v *visit) next(list, path string, q url.Values, below int64) (string, error) {
	if below <= 0 {
		return "", nil
	}
	token, err := v.Pager.Token(list, v.staff.ID, below)
	if err != nil {
		return "", fmt.Errorf("making a page token: %w", err)
	}
	q.Set("page", token)
	return path + "?" + q.Encode(), nil
}

func (v *visit) badFilter(page templates.ConsoleTrail, err error) error {
	page.Problem = templates.Say(templates.ConsoleProblemFilter)
	if errors.Is(err, errUnit) {
		page.Problem = templates.Say(templates.ConsoleProblemUnit)
	}
	v.status, _ = verdict(err)
	return v.show(page)
}

// findTrailOf looks somebody up by a number of theirs, which is posted and never in an
// address. That somebody looked is in the trail.
func (v *visit) findTrailOf() error {
	number := v.field("number")
	from := url.Values{}
	for _, name := range filterFields() {
		from.Set(name, v.field(name))
	}
	if number == "" {
		s, err := v.search(from)
		if errors.Is(err, ErrInvalid) {
			return v.badFilter(templates.ConsoleTrail{Desk: v.desk(), Filter: filterOf(s)}, err)
		}
		if err != nil {
			return err
		}
		return v.redirect(auditPath + "?" + s.query().Encode())
	}
	nobody := func(status int, problem templates.Key) error {
		s, _ := v.search(from)
		page := templates.ConsoleTrail{Desk: v.desk(), Filter: filterOf(s)}
		page.Problem, v.status = templates.Say(problem), status
		return v.show(page)
	}
	ok, err := v.counted(searchRule(), "search", v.staff.ID.String())
	if err != nil {
		return err
	}
	if !ok {
		return nobody(http.StatusTooManyRequests, templates.CitizensProblemOften)
	}
	citizen, err := v.find(v.r, v.now, v.staff, number, func(kind audit.Kind, citizen identity.ID, detail map[string]string) error {
		detail["at"] = "audit"
		return v.note(kind, citizen, detail)
	})
	if errors.Is(err, identity.ErrNotFound) {
		return nobody(http.StatusNotFound, templates.ConsoleProblemNobody)
	}
	if err != nil {
		return err
	}
	from.Set("citizen", citizen.String())
	s, err := v.search(from)
	if errors.Is(err, ErrInvalid) {
		return v.badFilter(templates.ConsoleTrail{Desk: v.desk(), Filter: filterOf(s)}, err)
	}
	if err != nil {
		return err
	}
	return v.redirect(auditPath + "?" + s.query().Encode())
}

func (v *visit) standing() audit.Standing {
	return audit.Standing{Staff: v.staff.ID, Version: v.staff.Version}
}

func filterOf(s Search) templates.ConsoleFilter {
	q := s.query()
	return templates.ConsoleFilter{
		Kind: templates.Text(q.Get("kind")), Actor: templates.Text(q.Get("actor")), Client: templates.Text(q.Get("client")),
		Since: q.Get("since"), Until: q.Get("until"), Citizen: q.Get("citizen"),
	}
}

func momentOf(m Moment) templates.ConsoleEvent {
	one := templates.ConsoleEvent{
		Seq: m.Seq, At: m.At, Kind: string(m.Kind), Actor: templates.Text(m.Actor), Client: templates.Text(m.Client),
		Reason: templates.Text(m.Reason), Place: templates.Text(m.Place),
	}
	for _, name := range sorted(m.Detail) {
		if m.Detail[name] != "" { // scopes that there are none of, for one
			one.Detail = append(one.Detail, templates.Text(name+": "+m.Detail[name]))
		}
	}
	return one
}

func entryOf(e Entry) templates.ConsoleEvent {
	one := momentOf(e.Moment)
	one.Number = e.Number
	if !e.Citizen.IsZero() {
		one.Citizen = e.Citizen.String()
	}
	return one
}

func (v *visit) listAlarms() error {
	ctx, q := v.r.Context(), v.r.URL.Query()
	below, err := v.Pager.Below("alarms", v.staff.ID, q.Get("page"))
	if err != nil {
		return err
	}
	found, err := v.Trail.Alarms(ctx, v.staff.Unit, below, alarmsShown)
	if err != nil {
		return fmt.Errorf("reading alarms: %w", err)
	}
	today := v.now.In(china())
	since := time.Date(today.Year(), today.Month(), today.Day()-alarmDays+1, 0, 0, 0, 0, china())
	counts, err := v.Trail.AlarmCounts(ctx, v.staff.Unit, since)
	if err != nil {
		return fmt.Errorf("counting alarms: %w", err)
	}
	page := templates.ConsoleAlarms{Desk: v.desk(), Days: alarmDays}
	for _, c := range counts {
		page.Counts = append(page.Counts, templates.ConsoleAlarmCount{Day: c.Day.In(china()).Format(dayForm), Rule: templates.Text(c.Rule), Count: c.Count})
	}
	for _, a := range found {
		one := templates.ConsoleAlarm{ConsoleEvent: momentOf(a.Moment), Seen: a.Seen, By: templates.Text(a.By), Note: templates.Text(a.Note)}
		if a.Seen.IsZero() && v.Performers[AlarmSee] != nil && Permit(v.staff.Roles, AlarmSee) {
			one.SeeURL = ActPath(Order{Act: AlarmSee, Value: strconv.FormatInt(a.Seq, 10)}, alarmsPath)
		}
		page.Alarms = append(page.Alarms, one)
	}
	if below > 0 {
		page.FirstURL = alarmsPath
	}
	if len(found) == alarmsShown {
		if page.NextURL, err = v.next("alarms", alarmsPath, url.Values{}, found[len(found)-1].Seq); err != nil {
			return err
		}
	}
	return v.show(page)
}

// alarmCount is how many alarms of the last day nobody has seen to.
func (v *visit) alarmCount() (int, error) {
	n, err := v.Trail.UnseenAlarms(v.r.Context(), v.staff.Unit, v.now.Add(-24*time.Hour))
	if err != nil {
		return 0, fmt.Errorf("counting alarms: %w", err)
	}
	return n, nil
}

func (v *visit) listStreams() error {
	all, err := v.Streams.Streams(v.r.Context())
	if err != nil {
		return fmt.Errorf("reading streams: %w", err)
	}
	page := templates.ConsoleStreams{Desk: v.desk()}
	for _, s := range all {
		one := templates.ConsoleStream{
			Client: templates.Text(s.Client), Method: s.Method, Status: s.Status, Pending: s.Pending, Failures: s.Failures,
			Delivered: s.Delivered, Error: templates.Text(s.Error),
		}
		if !s.Oldest.IsZero() && v.now.After(s.Oldest) {
			one.Lag = v.now.Sub(s.Oldest).Round(time.Second)
		}
		page.Streams = append(page.Streams, one)
	}
	return v.show(page)
}
