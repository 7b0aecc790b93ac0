package console

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/identity"
	"ecardid/templates"
)

// Consents shows what a citizen agreed to, in the language of the request.
type Consents interface {
	ListConsents(r *http.Request, citizen identity.ID) ([]templates.Consented, error)
}

const (
	citizensPath = "/console/citizens"
	bulkPath     = "/console/bulk"
	momentsPage  = 20
)

// How often staff may look (SECURITY AD4): more than a counter serves in an hour, and
// fewer than it takes to walk through a town. Answers of callers count per citizen too,
// whoever of staff hears them.
func searchRule() authn.Rule {
	return authn.Rule{Free: 120, Base: time.Minute, Cap: 15 * time.Minute, Per: time.Hour}
}

// fileRule is for files: with the way back to one after each act, and not a register read
// from end to end.
func fileRule() authn.Rule {
	return authn.Rule{Free: 360, Base: time.Minute, Cap: 15 * time.Minute, Per: time.Hour}
}

// cardRule is for the cards of lists, by the hundred: two of the longest lists an hour.
func cardRule() authn.Rule {
	return authn.Rule{Free: 2 * MaxBulk / cardsCounted, Base: time.Hour, Cap: time.Hour, Per: time.Hour}
}

const cardsCounted = 100

func listRule() authn.Rule {
	return authn.Rule{Free: 10, Base: 5 * time.Minute, Cap: time.Hour, Per: time.Hour}
}

func callerRule() authn.Rule {
	return authn.Rule{Free: 3, Base: 15 * time.Minute, Cap: 4 * time.Hour, Per: 24 * time.Hour}
}

func (s *Service) citizenRoutes() []Route {
	answers := []string{"answers-submit"}
	for _, q := range allQuestions() {
		answers = append(answers, string(q))
	}
	return []Route{
		s.get(citizensPath, CitizenSearch, s.showSearch),
		s.post(citizensPath, CitizenSearch, s.search, "number", "citizen-search"),
		s.get(citizensPath+"/{citizen}", CitizenRead, s.showCitizen),
		s.get(citizensPath+"/{citizen}/questions", LossReport, s.showQuestions),
		s.post(citizensPath+"/{citizen}/questions", LossReport, s.answer, answers...),
		s.get(bulkPath, BulkLoss, s.showBulk),
		s.post(bulkPath, BulkLoss, s.bulk, "bulk-check", "act-confirm", "what", "cards", "citizens", "reason"),
	}
}

func allQuestions() []loss.Question {
	return []loss.Question{loss.AskIDEnd, loss.AskBirth, loss.AskDistrict, loss.AskCardEnd, loss.AskPhoneEnd, loss.AskActivated, loss.AskBound}
}

// can reports whether an act is there, and theirs.
func (v *visit) can(a Act) bool { return v.Performers[a] != nil && Permit(v.staff.Roles, a) }

// counted counts one use of a counter that words name.
func (v *visit) counted(rule authn.Rule, words ...string) (bool, error) {
	ok, _, err := v.count(v.r, v.now, rule, words...)
	return ok, err
}

func (s *Service) count(r *http.Request, now time.Time, rule authn.Rule, words ...string) (ok bool, key []byte, err error) {
	if key, err = s.Throttle([]byte("console\x00" + strings.Join(words, "\x00"))); err != nil {
		return false, nil, fmt.Errorf("keying a counter: %w", err)
	}
	tallies, err := s.Attempts.Attempt(r.Context(), now, authn.Try{Key: key, Rule: rule})
	if err != nil {
		return false, nil, fmt.Errorf("counting an attempt: %w", err)
	}
	return len(tallies) == 1 && tallies[0].Allowed, key, nil
}

// note writes down what staff looked at. What cannot be written down is not shown
// (SECURITY AD3).
func (v *visit) note(kind audit.Kind, citizen identity.ID, detail map[string]string) error {
	e := signed(v.event(), v.caller(), Order{Citizen: citizen}, v.now)
	e.Kind, e.Detail = kind, detail
	if err := v.Recorder.Record(v.r.Context(), e); err != nil {
		return fmt.Errorf("recording %s: %w", kind, err)
	}
	return nil
}

// within is errMissing for a citizen who is not theirs to serve, like for one who is not
// there.
func (v *visit) within(citizen identity.ID, act Act) error {
	region, err := v.Citizens.RegionOf(v.r.Context(), citizen)
	if err != nil {
		return fmt.Errorf("reading where a citizen belongs: %w", err)
	}
	if v.staff.Within(region) {
		return nil
	}
	if err := v.refuse(v, "unit", act); err != nil {
		return err
	}
	return errMissing
}

func (s *Service) showSearch(v *visit) error {
	p := templates.ConsoleCitizens{Desk: v.desk()}
	if v.can(BulkLoss) {
		p.BulkURL = bulkPath
	}
	return v.show(p)
}

// often says that they looked too often, unless err says something else.
func (v *visit) often(err error) error {
	if err != nil {
		return err
	}
	v.status, v.problem = http.StatusTooManyRequests, templates.Say(templates.CitizensProblemOften)
	return v.showSearch(v)
}

// search leads to somebody's file. Nobody's number and that of somebody whom they may not
// serve are answered alike.
func (s *Service) search(v *visit) error {
	if ok, err := v.counted(searchRule(), "search", v.staff.ID.String()); err != nil || !ok {
		return v.often(err)
	}
	citizen, err := s.find(v.r, v.now, v.staff, v.field("number"), v.note)
	if errors.Is(err, identity.ErrNotFound) {
		v.status, v.problem = http.StatusNotFound, templates.Say(templates.CitizensProblemNobody)
		return s.showSearch(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(citizensPath + "/" + citizen.String())
}

// find looks for a number's citizen within a caller's unit, and has it written down,
// found or not, but not the number.
func (s *Service) find(r *http.Request, now time.Time, by Staff, typed string, note func(audit.Kind, identity.ID, map[string]string) error) (identity.ID, error) {
	alias, ok := readNumber(typed, now)
	if !ok {
		return identity.ID{}, identity.ErrNotFound
	}
	detail := map[string]string{"by": string(alias.Kind)}
	citizen, region, err := s.Citizens.FindCitizen(r.Context(), alias)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		detail["found"] = "nobody"
		if err := note(audit.CitizenSearched, identity.ID{}, detail); err != nil {
			return identity.ID{}, err
		}
		return identity.ID{}, identity.ErrNotFound
	case err != nil:
		return identity.ID{}, fmt.Errorf("finding a citizen: %w", err)
	case !by.Within(region):
		detail["found"] = "elsewhere"
		if err := note(audit.CitizenSearched, citizen, detail); err != nil {
			return identity.ID{}, err
		}
		return identity.ID{}, identity.ErrNotFound
	}
	detail["found"] = "yes"
	return citizen, note(audit.CitizenSearched, citizen, detail)
}

func (s *Service) showCitizen(v *visit) error {
	citizen, err := v.id("citizen")
	if err != nil {
		return err
	}
	if ok, err := v.counted(fileRule(), "file", v.staff.ID.String()); err != nil || !ok {
		return v.often(err)
	}
	if err := v.within(citizen, CitizenRead); err != nil {
		return err
	}
	list := momentsOf(citizen)
	below, err := s.Pager.Below(list, v.staff.ID, v.r.URL.Query().Get("older"))
	if err != nil {
		return fmt.Errorf("reading a page token: %w", err)
	}
	if err := v.note(audit.CitizenRead, citizen, nil); err != nil {
		return err
	}
	f, err := s.Citizens.FileOf(v.r.Context(), citizen, v.now)
	if err != nil {
		return fmt.Errorf("reading a citizen's file: %w", err)
	}
	moments, err := s.Citizens.Moments(v.r.Context(), citizen, below, momentsPage+1)
	if err != nil {
		return fmt.Errorf("reading a timeline: %w", err)
	}
	p := v.file(f)
	if s.Consents != nil {
		if p.Consents, err = s.Consents.ListConsents(v.r, citizen); err != nil {
			return fmt.Errorf("reading a citizen's consents: %w", err)
		}
	}
	here := citizensPath + "/" + citizen.String()
	if below > 0 {
		p.FirstURL = here
	}
	if len(moments) > momentsPage {
		moments = moments[:momentsPage]
		token, err := s.Pager.Token(list, v.staff.ID, moments[momentsPage-1].Seq)
		if err != nil {
			return fmt.Errorf("making a page token: %w", err)
		}
		p.NextURL = here + "?older=" + token
	}
	for _, m := range moments {
		p.Moments = append(p.Moments, moment(m))
	}
	return v.show(p)
}

func momentsOf(citizen identity.ID) string { return "moments " + citizen.String() }

// moment is an entry in words. Whoever of staff did it is "staff": their names are the
// auditor's.
func moment(m Moment) templates.ConsoleMoment {
	actor, _, _ := strings.Cut(string(m.Actor), ":")
	one := templates.ConsoleMoment{
		Kind: string(m.Kind), Actor: actor, At: m.At, Client: templates.Text(m.Client), Place: templates.Text(m.Place), Reason: templates.Text(m.Reason),
	}
	for name, value := range m.Detail {
		one.Details = append(one.Details, templates.ConsoleDetail{Word: name, Value: templates.Text(value)})
	}
	slices.SortFunc(one.Details, func(a, b templates.ConsoleDetail) int { return strings.Compare(a.Word, b.Word) })
	return one
}

// orderURL is the address of an order's preview, which comes back to the citizen's file.
func orderURL(o Order) string { return ActPath(o, citizensPath+"/"+o.Citizen.String()) }

// dos leads to those of the orders that are theirs and possible.
func (v *visit) dos(f File, words []string, orders ...Order) []templates.ConsoleDo {
	var all []templates.ConsoleDo
	for i, o := range orders {
		o.Citizen = f.ID
		if c, ok := v.Performers[o.Act].(*Counter); ok && v.can(o.Act) && c.could(f, o, v.now) == nil {
			all = append(all, templates.ConsoleDo{Word: words[i], URL: orderURL(o)})
		}
	}
	return all
}

// file is a citizen's file as a page, with what they may do.
func (v *visit) file(f File) templates.ConsoleCitizen {
	p := templates.ConsoleCitizen{
		Desk: v.desk(), Region: templates.Text(f.Region), State: string(f.State), StateSince: f.StateSince, Created: f.Created, Activated: f.Activated,
		CodeUntil: f.CodeExpires, Password: f.Password, TOTP: f.TOTP, Recovery: f.Recovery, SearchURL: citizensPath,
	}
	if f.Cools(v.now) {
		p.Cools = f.Cooling
	}
	for _, fact := range []struct {
		field  Field
		masked string
	}{{FieldName, f.Name}, {FieldID, f.IDNumber}, {FieldPhone, f.Phone}, {FieldCard, f.Card}} {
		one := templates.ConsoleFact{Field: string(fact.field), Masked: templates.Text(fact.masked)}
		if v.can(CitizenReveal) {
			one.RevealURL = orderURL(Order{Act: CitizenReveal, Citizen: f.ID, Value: string(fact.field)})
		}
		p.Facts = append(p.Facts, one)
	}
	if v.can(LossReport) && f.State.MaySignIn() {
		p.QuestionsURL = citizensPath + "/" + f.ID.String() + "/questions"
	}
	p.Acts = v.dos(f, []string{"loss-phone", "loss-card", "freeze", "unfreeze", "cancel"},
		Order{Act: LossReport, Value: LostPhone}, Order{Act: LossReport, Value: LostCard}, Order{Act: CardFreeze}, Order{Act: CardUnfreeze}, Order{Act: CardCancel})
	p.FactorActs = v.dos(f, []string{"totp-remove", "factors-reset"}, Order{Act: FactorRemove, Value: FactorTOTP}, Order{Act: FactorRemove, Value: FactorsAll})
	names := map[identity.ID]string{}
	for _, d := range f.Devices {
		names[d.ID] = d.Name
		p.Devices = append(p.Devices, templates.ConsoleDevice{
			Name: templates.Text(d.Name), Kind: string(d.Kind), State: string(d.State), Level: string(d.KeyLevel), Bound: d.Bound, LastUse: d.LastUse, Place: templates.Text(d.Place),
			Acts: v.dos(f, []string{"suspend", "restore", "end-lost", "end-revoked", "confirm"}, Order{Act: DeviceSuspend, Target: d.ID}, Order{Act: DeviceRestore, Target: d.ID},
				Order{Act: DeviceEnd, Target: d.ID, Value: EndLost}, Order{Act: DeviceEnd, Target: d.ID, Value: EndRevoked}, Order{Act: DeviceConfirm, Target: d.ID}),
		})
	}
	for _, k := range f.Passkeys {
		p.Passkeys = append(p.Passkeys, templates.ConsolePasskey{
			Name: templates.Text(k.Name), Device: templates.Text(names[k.Device]), Made: k.Made, LastUse: k.LastUse,
			Acts: v.dos(f, []string{"passkey-remove"}, Order{Act: FactorRemove, Target: k.ID, Value: FactorPasskey}),
		})
	}
	for _, l := range f.Sessions {
		one := filedSession(l)
		one.Acts = v.dos(f, []string{"session-end"}, Order{Act: SessionEnd, Target: l.ID})
		p.Sessions = append(p.Sessions, one)
	}
	for _, l := range f.Before {
		p.Before = append(p.Before, filedSession(l))
	}
	if len(f.Sessions) > 0 {
		p.SessionActs = v.dos(f, []string{"sessions-end"}, Order{Act: SessionEnd})
	}
	return p
}

func filedSession(l FiledSession) templates.ConsoleSession {
	return templates.ConsoleSession{Agent: templates.Text(l.Agent), Place: templates.Text(l.Place), Began: l.Began, Seen: l.Seen}
}

func (s *Service) showQuestions(v *visit) error {
	citizen, err := v.id("citizen")
	if err != nil {
		return err
	}
	if err := v.within(citizen, LossReport); err != nil {
		return err
	}
	if ok, err := v.counted(fileRule(), "file", v.staff.ID.String()); err != nil || !ok {
		return v.often(err)
	}
	if err := v.note(audit.CitizenRead, citizen, map[string]string{"at": "questions"}); err != nil {
		return err
	}
	facts, err := s.Citizens.FactsOf(v.r.Context(), citizen)
	if err != nil {
		return fmt.Errorf("reading what a caller may be asked: %w", err)
	}
	p := templates.ConsoleQuestions{Desk: v.desk(), BackURL: citizensPath + "/" + citizen.String()}
	for _, q := range loss.Questions(facts) {
		p.Questions = append(p.Questions, string(q))
	}
	return v.show(p)
}

// answer judges a caller's answers. It is counted before it is judged, for the citizen,
// whoever hears the caller; neither which answer was wrong nor the answers are kept.
func (s *Service) answer(v *visit) error {
	citizen, err := v.id("citizen")
	if err != nil {
		return err
	}
	if err := v.within(citizen, LossReport); err != nil {
		return err
	}
	ok, key, err := s.count(v.r, v.now, callerRule(), "caller", citizen.String())
	if err != nil {
		return err
	}
	if !ok {
		v.status, v.problem = http.StatusTooManyRequests, templates.Say(templates.CitizensProblemOften)
		return s.showQuestions(v)
	}
	facts, err := s.Citizens.FactsOf(v.r.Context(), citizen)
	if err != nil {
		return fmt.Errorf("reading what a caller may be asked: %w", err)
	}
	answers, given := map[loss.Question]string{}, 0
	for _, q := range allQuestions() {
		if typed := v.field(string(q)); typed != "" {
			answers[q] = typed
			given++
		}
	}
	e := signed(v.event(), v.caller(), Order{Act: LossReport, Citizen: citizen}, v.now)
	passed := loss.Passes(facts, answers)
	e.Kind, e.Detail = audit.CallerRefused, map[string]string{"count": fmt.Sprint(given)}
	e.Notify = !passed // somebody rings in their name
	if passed {
		e.Kind = audit.CallerPassed
	}
	if err := s.Recorder.Record(v.r.Context(), e); err != nil {
		return fmt.Errorf("recording a caller: %w", err)
	}
	if !passed {
		v.status, v.problem = http.StatusForbidden, templates.Say(templates.CitizensProblemAnswers)
		return s.showQuestions(v)
	}
	if err := s.Attempts.Forgive(v.r.Context(), key); err != nil {
		return fmt.Errorf("forgiving a caller's tries: %w", err)
	}
	v.notice = templates.Say(templates.CitizensNoticeQuestions)
	var acts []templates.ConsoleDo
	for _, one := range []struct{ word, value string }{{"loss-phone", LostPhone}, {"loss-card", LostCard}} {
		acts = append(acts, templates.ConsoleDo{Word: one.word, URL: orderURL(Order{Act: LossReport, Citizen: citizen, Value: one.value})})
	}
	return v.show(templates.ConsoleQuestions{Desk: v.desk(), Passed: true, Acts: acts, BackURL: citizensPath + "/" + citizen.String()})
}
