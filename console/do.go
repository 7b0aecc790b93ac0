package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/secret"
)

const (
	minReason, maxReason = 5, 200
	// maxDigits in a row of a reason: a date has eight, a number of somebody's eleven and
	// more, and those do not belong into the trail.
	maxDigits = 10
)

// Fresh reports whether the passkey was shown for purpose within the last minutes.
func (s Session) Fresh(purpose string, now time.Time) bool {
	return purpose != "" && s.Purpose == purpose && !s.At.IsZero() && now.Sub(s.At) < StepUpLife
}

// Do is the one way anything is done, by pages and by programs: the act exists, the
// caller may, the reason is one, the passkey was shown for it, and a preview finds the
// subject within the caller's unit. Then it is performed, or filed for others to approve.
func (s *Service) Do(ctx context.Context, c Caller, o Order, e audit.Event) (Outcome, error) {
	now := s.Clock.Now()
	rule, err := s.allowed(c, o)
	if err != nil {
		return Outcome{}, err
	}
	if o.Reason = strings.TrimSpace(o.Reason); rule.Reason && !goodReason(o.Reason) {
		return Outcome{}, ErrReason
	}
	if rule.StepUp && c.Client == "" && !c.Session.Fresh(o.Purpose(), now) {
		return Outcome{}, ErrStepUp
	}
	if _, err := s.Performers[o.Act].Preview(ctx, c.Staff, o); err != nil {
		return Outcome{}, fmt.Errorf("previewing %s: %w", o.Act, err)
	}
	e = signed(e, c, o, now)
	if rule.Needs > 0 {
		return s.file(ctx, c, o, e)
	}
	told, err := s.Performers[o.Act].Perform(ctx, o, e)
	if err != nil {
		return Outcome{}, fmt.Errorf("performing %s: %w", o.Act, err)
	}
	return Outcome{Told: told}, nil
}

// Preview says what an order would do, to a caller who may give it.
func (s *Service) Preview(ctx context.Context, c Caller, o Order) ([]Line, error) {
	if _, err := s.allowed(c, o); err != nil {
		return nil, err
	}
	lines, err := s.Performers[o.Act].Preview(ctx, c.Staff, o)
	if err != nil {
		return nil, fmt.Errorf("previewing %s: %w", o.Act, err)
	}
	return lines, nil
}

// allowed asks the table, and nobody touches themselves (SECURITY AD1).
func (s *Service) allowed(c Caller, o Order) (Rule, error) {
	rule, ok := RuleOf(o.Act)
	if !ok || s.Performers[o.Act] == nil {
		return Rule{}, ErrForbidden
	}
	may := slices.Contains(c.Acts, o.Act)
	if c.Client == "" {
		may = !c.Staff.ID.IsZero() && Permit(c.Staff.Roles, o.Act)
	}
	if !may {
		return Rule{}, ErrForbidden
	}
	if !o.well() {
		return Rule{}, ErrInvalid
	}
	if !c.Staff.ID.IsZero() && o.Target == c.Staff.ID {
		return Rule{}, ErrOwn
	}
	return rule, nil
}

// signed puts into the event who does what to whom, and why.
func signed(e audit.Event, c Caller, o Order, now time.Time) audit.Event {
	e.At, e.Citizen, e.Reason = now, o.Citizen, o.Reason
	if o.Client != "" {
		e.Client = o.Client
	}
	if c.Client != "" {
		e.Actor = audit.Actor("client:" + c.Client)
	} else {
		e.Actor, e.Standing = c.Staff.By(), audit.Standing{Staff: c.Staff.ID, Version: c.Staff.Version}
	}
	e.Detail = map[string]string{"act": string(o.Act)}
	return e
}

// goodReason: words, for the trail and for whom it concerns, and no numbers of theirs.
func goodReason(text string) bool {
	if n := utf8.RuneCountInString(text); n < minReason || n > maxReason || !utf8.ValidString(text) {
		return false
	}
	digits := 0
	for _, r := range text {
		switch {
		case unicode.IsControl(r):
			return false
		case unicode.IsDigit(r):
			if digits++; digits > maxDigits {
				return false
			}
		case r != ' ' && r != '-':
			digits = 0
		}
	}
	return true
}

// file stores the order for others to approve. Of an invitation's code whoever asks is
// told the first half, and whoever approves the second: neither of them comes in with it.
func (s *Service) file(ctx context.Context, c Caller, o Order, e audit.Event) (Outcome, error) {
	told := ""
	if o.Act == StaffInvite {
		half := secret.From(s.Rand, InvitationSize)
		o.Half, told = halfHash(half.Reveal()), half.Reveal()
	}
	r := Request{ID: identity.IDFrom(s.Rand), Order: o, By: c.Staff, Client: c.Client, State: RequestOpen, Created: e.At, Expires: e.At.Add(RequestLife)}
	for _, one := range o.Each() {
		r.Warrants = append(r.Warrants, Warrant{ID: identity.IDFrom(s.Rand), Order: one})
	}
	if len(r.Warrants) == 0 {
		return Outcome{}, ErrInvalid
	}
	e.Kind = audit.RequestFiled
	e.Detail["request"] = r.ID.String()
	if err := s.Requests.FileRequest(ctx, r, e); err != nil {
		return Outcome{}, fmt.Errorf("filing a request: %w", err)
	}
	return Outcome{Request: r.ID, Told: told}, nil
}

// approvePurpose is what a step-up to approve a request is for, or to reject it, or to
// carry it out.
func approvePurpose(id identity.ID) string { return string(RequestApprove) + " " + id.String() }

// Approve says yes to a request of somebody else. The last yes that was needed has it
// carried out.
func (s *Service) Approve(ctx context.Context, in Session, id identity.ID, e audit.Event) (Outcome, error) {
	now := s.Clock.Now()
	r, err := s.Requests.StaffRequest(ctx, id)
	if err != nil {
		return Outcome{}, fmt.Errorf("reading a request: %w", err)
	}
	rule, ok := RuleOf(r.Order.Act)
	performer := s.Performers[r.Order.Act]
	switch {
	case !ok || performer == nil || rule.Needs == 0 || !MayApprove(in.Staff.Roles, r.Order.Act):
		return Outcome{}, ErrForbidden
	case r.By.ID == in.Staff.ID || r.Order.Target == in.Staff.ID:
		return Outcome{}, ErrOwn
	case !in.Fresh(approvePurpose(id), now):
		return Outcome{}, ErrStepUp
	}
	// What is not possible any more, or not within the approver's unit, is not approved.
	if _, err := performer.Preview(ctx, in.Staff, r.Order); err != nil {
		return Outcome{}, fmt.Errorf("previewing %s: %w", r.Order.Act, err)
	}
	c := Caller{Staff: in.Staff, Session: in}
	yes := signed(e, c, r.Order, now)
	yes.Kind = audit.RequestApproved
	yes.Detail["request"] = id.String()
	all, err := s.Requests.ApproveRequest(ctx, id, rule.Needs, yes)
	if err != nil || !all {
		return Outcome{Request: id}, err
	}
	return s.carryOut(ctx, c, r, e)
}

// Continue carries out what an approved request still has to: the process may have ended
// in the middle of many.
func (s *Service) Continue(ctx context.Context, in Session, id identity.ID, e audit.Event) (Outcome, error) {
	r, err := s.Requests.StaffRequest(ctx, id)
	if err != nil {
		return Outcome{}, fmt.Errorf("reading a request: %w", err)
	}
	if r.State != RequestApproved || s.Performers[r.Order.Act] == nil || !mayContinue(in.Staff, r) {
		return Outcome{}, ErrForbidden
	}
	if !in.Fresh(approvePurpose(id), s.Clock.Now()) {
		return Outcome{}, ErrStepUp
	}
	return s.carryOut(ctx, Caller{Staff: in.Staff, Session: in}, r, e)
}

// mayContinue: whoever asked and still may, and whoever approved and still may. Carrying
// out an invitation tells the second half of its code, which is not for who has the first.
func mayContinue(who Staff, r Request) bool {
	if r.By.ID == who.ID {
		return r.Order.Act != StaffInvite && Permit(who.Roles, r.Order.Act)
	}
	return MayApprove(who.Roles, r.Order.Act) && slices.ContainsFunc(r.Approved, func(a Staff) bool { return a.ID == who.ID })
}

// carryOut performs what is left of an approved request, each order in a transaction that
// spends its warrant: whoever comes second finds it spent and goes on to the next.
func (s *Service) carryOut(ctx context.Context, c Caller, r Request, e audit.Event) (Outcome, error) {
	out := Outcome{Request: r.ID}
	for _, w := range r.Warrants {
		if w.State == WarrantDone || w.State == WarrantFailed {
			continue
		}
		act := signed(e, c, w.Order, s.Clock.Now())
		act.Warrant = w.ID
		act.Detail["request"] = r.ID.String()
		if !r.By.ID.IsZero() {
			act.Detail["asked"] = r.By.ID.String()
		}
		told, err := s.Performers[r.Order.Act].Perform(ctx, w.Order, act)
		switch word := failure(err); {
		case err == nil:
			if told != "" {
				out.Told = told
			}
		case errors.Is(err, identity.ErrSpent): // somebody else was quicker
		case word == "": // ours: it is tried again
			return out, fmt.Errorf("carrying out %s: %w", r.Order.Act, err)
		default:
			note := act
			note.Kind, note.Warrant = audit.RequestFailed, identity.ID{}
			note.Detail = map[string]string{"act": string(w.Order.Act), "request": r.ID.String(), "problem": word}
			if err := s.Requests.FailWarrant(ctx, w.ID, word, note); err != nil && !errors.Is(err, identity.ErrSpent) {
				return out, fmt.Errorf("noting what failed: %w", err)
			}
		}
	}
	return out, nil
}

// failure is a word for why an order cannot be carried out, now or later; none for what
// may work the next time.
func failure(err error) string {
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return "missing"
	case errors.Is(err, identity.ErrConflict):
		return "conflict"
	case errors.Is(err, ErrInvalid):
		return "invalid"
	case errors.Is(err, ErrOwn):
		return "own"
	}
	return ""
}
