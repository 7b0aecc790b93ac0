package authn

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ecardid/audit"
	"ecardid/authn/risk"
	"ecardid/identity"
	"ecardid/templates"
)

// Risks keeps what sign-ins are weighed by (package risk). The sign-ins of before are
// the logins that [Flows] made.
type Risks interface {
	// SignIns is what is remembered about a sign-in. One read.
	SignIns(ctx context.Context, q risk.Query) (risk.History, error)
	// Weighed moves the flow as MoveFlow does, and with it stores the hold and writes the
	// event, where there are any. A hold of that name which is not over stays as it is.
	Weighed(ctx context.Context, f *Flow, h *risk.Hold, e *audit.Event, now time.Time) error
}

// A Weighing is what was decided about a flow and holds until its end: a hold until its
// own, and all of it as long as the browser stays where it was.
type Weighing struct {
	Citizen identity.ID    `json:"citizen"`
	From    string         `json:"from"`
	Verdict risk.Verdict   `json:"verdict"`
	Level   identity.Level `json:"level,omitempty"` // of a step-up: at least
	Since   time.Time      `json:"since,omitzero"`  // of a step-up: proofs from before do not count
	Until   time.Time      `json:"until,omitzero"`  // of a hold
	// Note is what the audit trail is told when the flow is finished.
	Note map[string]string `json:"note,omitempty"`
}

// owes is the need with what the weighing added to it.
func (f Flow) owes() (level identity.Level, since time.Time) {
	level, since = max(f.Need.Level, identity.LevelBasic), f.Need.Since
	if w := f.State.Weighing; w != nil {
		level, since = max(level, w.Level), later(since, w.Since)
	}
	return level, since
}

// doubt is the level the weighing asks for; none where it has no doubts.
func (f Flow) doubt() identity.Level {
	if w := f.State.Weighing; w != nil && w.Citizen == f.Citizen && w.Verdict == risk.StepUp {
		return w.Level
	}
	return identity.LevelNone
}

// weighed reports whether a step comes after the sign-in was weighed: whoever stands
// there has proved what was asked for, or what lets them make a new key.
func (s Step) weighed() bool {
	switch s.Kind {
	case StepEnrol, StepKey, StepLiveness, StepCodes, StepDevice, StepDone:
		return true
	}
	return false
}

// weighIn asks the rules about the sign-in, once, as soon as whoever is there has proved
// enough to be let in: before that nobody learns anything from what we think of it
// (SECURITY PW1), and after that nothing is made or given without it.
func (v *visit) weighIn() error {
	f := &v.flow
	if w := f.State.Weighing; w != nil && (w.Citizen != f.Citizen || w.From != place(v.Source(v.r)) || w.Verdict == risk.Pause && !w.Until.After(v.now)) {
		f.State.Weighing = nil
	}
	need, _ := f.owes()
	if err := v.gather(need); err != nil {
		return err
	}
	v.step = Next(*f, v.means, v.now)
	if f.Citizen.IsZero() || f.State.Weighing != nil || !v.step.weighed() || !v.Config.Risk.NeedsHistory() {
		return nil
	}
	facts, hold, err := v.facts()
	if err != nil {
		return err
	}
	d := v.Config.Risk.Decide(facts, v.now)
	if err := v.reach(&d); err != nil {
		return err
	}
	if err := v.raiseAlarms(d); err != nil {
		return err
	}
	return v.settleOn(d, hold)
}

// reach puts the decision into the flow, and where a step-up leads nowhere makes it a
// hold. It never ends in making a key or a generator, whatever the need: whoever is
// doubted does not get to add one. Beside a hold it looks as well, so that nobody waits
// for the one and then for the other.
func (v *visit) reach(d *risk.Decision) error {
	if d.Level > identity.LevelNone && d.Verdict != risk.Refuse && !d.Resumed() {
		if err := v.gather(d.Level); err != nil {
			return err
		}
		_, since := v.flow.owes()
		if d.Fresh > 0 {
			since = later(since, v.now.Add(-d.Fresh))
		}
		have := identity.Assess(v.flow.Proofs, since, v.flow.Need.Txn, v.now).Level
		if best := v.means.best(v.flow, v.now); max(have, best) < d.Level {
			*d = d.OutOfReach(max(have, best), v.now)
		}
	}
	v.noteDecision(*d)
	return nil
}

// best is the level one more proof, beside a fresh password, gets to. A recovery code is
// none: what comes of it is a new factor.
func (m Means) best(f Flow, now time.Time) identity.Level {
	if !f.State.RecoveryAt.IsZero() {
		return identity.LevelBasic
	}
	with := []identity.Proof{{Factor: identity.FactorPassword, At: now}}
	if recovered(f.Proofs) {
		with = append(with, identity.Proof{Factor: identity.FactorRecovery, At: now})
	}
	most := identity.LevelBasic
	for _, w := range m.ways() {
		most = max(most, identity.Assess(append(slices.Clone(with), w.proof(now)), time.Time{}, "", now).Level)
	}
	return most
}

func (v *visit) noteDecision(d risk.Decision) {
	w := &Weighing{Citizen: v.flow.Citizen, From: place(v.Source(v.r)), Verdict: d.Verdict, Note: explained(d)}
	switch d.Verdict {
	case risk.StepUp:
		w.Level = d.Level
		if d.Fresh > 0 {
			w.Since = v.now.Add(-d.Fresh)
		}
	case risk.Pause:
		w.Until = d.Until
	}
	v.flow.State.Weighing = w
}

// explained is a decision in the words of the audit trail; nil when no rule matched.
func explained(d risk.Decision) map[string]string {
	if len(d.Rules)+len(d.Trial) == 0 {
		return nil
	}
	note := map[string]string{"decision": d.Verdict.String()}
	maps.Copy(note, d.Because)
	if len(d.Rules) > 0 {
		note["rules"] = strings.Join(d.Rules, " ")
	}
	if len(d.Trial) > 0 {
		note["dry_run"], note["would"] = strings.Join(d.Trial, " "), d.Would.String()
	}
	return note
}

// settleOn acts on the decision: on to the next step with no word where nothing more is
// asked, and otherwise with an entry in the trail that tells why.
func (v *visit) settleOn(d risk.Decision, hold []byte) error {
	v.step = Next(v.flow, v.means, v.now)
	outcome := d.Verdict.String()
	var e *audit.Event
	var h *risk.Hold
	say := func(kind audit.Kind, notify bool) {
		event := v.event(v.r, kind, v.flow.Citizen)
		event.Login, event.Detail, event.Notify = v.flow.Login, v.flow.State.Weighing.Note, notify
		if a := v.flow.Need.Asker; a != nil {
			event.Client = a.ClientID
		}
		e = &event
	}
	switch {
	case d.Verdict == risk.Refuse:
		say(audit.SignInRefused, true)
	case d.Verdict == risk.Pause:
		say(audit.SignInHeld, !d.Resumed())
		if !d.Resumed() && !slices.Contains(d.Rules, risk.Unreadable) {
			h = &risk.Hold{Key: hold, Held: d.Held()}
		}
	case d.Verdict == risk.StepUp && !v.step.weighed():
		v.flow.State.problem(templates.ProblemUnusual)
		say(audit.SignInQuestioned, false)
	case d.Verdict == risk.StepUp:
		outcome = "met"
	}
	v.Observer.Observe("risk", outcome)
	if len(d.Trial) > 0 {
		v.Observer.Observe("risk-dry-run", d.Would.String())
	}
	if e == nil && v.step.Kind == StepDone {
		return nil // FinishFlow writes it down
	}
	err := v.Store.Weighed(v.r.Context(), &v.flow, h, e, v.now)
	if errors.Is(err, identity.ErrSpent) {
		return errMoved
	}
	return wrapIf(err, "weighing a sign-in")
}

// facts collects what the rules look at, and the name a hold would have. What cannot be
// read is a fact as well (SECURITY G5).
func (v *visit) facts() (risk.Facts, []byte, error) {
	f, p, from := &v.flow, v.Config.Risk, v.Source(v.r)
	source, err := v.sourceHash(v.r)
	if err != nil {
		return risk.Facts{}, nil, err
	}
	hold, err := v.key("risk-hold", f.Citizen.String(), SourceKey(from))
	if err != nil {
		return risk.Facts{}, nil, err
	}
	here := risk.Here{
		Agent: agent(v.r.UserAgent()), Place: place(from),
		Remembered: !f.State.Browser.IsZero() && !f.State.DeviceAsked,
		Known:      !f.Login.IsZero() || f.State.Here == f.Citizen,
	}
	var facts risk.Facts
	h, err := v.Store.SignIns(v.r.Context(), risk.Query{
		Citizen: f.Citizen, Source: source, Hold: hold, Since: v.now.Add(-p.Remember), Window: v.now.Add(-p.Window), Now: v.now,
	})
	switch {
	case err == nil:
		facts = risk.Compare(h, here, p.Places, v.now)
	case v.r.Context().Err() != nil:
		return risk.Facts{}, nil, wrap(err, "reading earlier sign-ins")
	default:
		v.Log.ErrorContext(v.r.Context(), "a sign-in cannot be weighed", "alarm", true, "cause", err)
		facts = risk.Alone(here, p.Places)
	}
	facts.Spraying, facts.Failures, facts.Need = v.wary(v.now), f.State.Failures, risk.Level(max(f.Need.Level, identity.LevelBasic))
	return facts, hold, nil
}

// raiseAlarms tells operators of the rules that want it, each once in a while
// (SECURITY PW4): so many matches since the last time.
func (v *visit) raiseAlarms(d risk.Decision) error {
	for _, r := range d.Alarms {
		v.Observer.Observe("alarm", r.ID)
		count, due := v.alarms.ring(r.ID, v.now)
		if !due {
			continue
		}
		v.Log.WarnContext(v.r.Context(), "a rule about sign-ins matched", "alarm", true, "rule", r.ID, "decision", d.Verdict.String(), "count", count)
		detail := maps.Clone(d.Because)
		detail["rule"], detail["decision"], detail["count"] = r.ID, d.Verdict.String(), strconv.Itoa(count)
		if slices.Contains(d.Trial, r.ID) {
			detail["dry_run"] = "yes"
		}
		e := audit.Event{Kind: audit.AlarmRaised, At: v.now, Actor: audit.BySystem, Detail: detail, Place: v.where(v.r)}
		if err := v.record(v.r.Context(), e); err != nil {
			return err
		}
	}
	return nil
}

// bells are the alarms of the rules: each replica rings its own. There are as many as
// there are rules.
type bells struct {
	mu sync.Mutex
	by map[string]bell
}

type bell struct {
	quiet time.Time // until then
	count int       // since it rang
}

// ring counts one and says whether it is time to ring.
func (b *bells) ring(id string, now time.Time) (count int, due bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.by[id]
	one.count++
	if due = !now.Before(one.quiet); due {
		count, one = one.count, bell{quiet: now.Add(alarmFor)}
	}
	if b.by == nil {
		b.by = map[string]bell{}
	}
	b.by[id] = one
	return count, due
}

// showHeld is the page of a hold, or of a refusal.
func (v *visit) showHeld(step templates.Step) templates.Page {
	if v.step.Kind == StepRefused {
		return templates.Error{Title: templates.Say(templates.ErrorUnusualTitle), Next: templates.Say(templates.ErrorUnusualNext)}
	}
	// Pages say the minute: by the one they say it is over.
	until := v.flow.State.Weighing.Until.Add(time.Minute - time.Nanosecond).Truncate(time.Minute)
	return templates.Held{Step: step, Until: until, ContinueURL: v.path("")}
}
