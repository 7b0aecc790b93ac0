package deviceapi

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/phone"
	"ecardid/identity"
)

// pending serves GET /device/v1/approvals: what browsers ask the phone's owner.
func (a *API) pending(w http.ResponseWriter, c *call) error {
	now := a.Clock.Now()
	list, err := a.Store.PendingApprovals(c.Context(), c.phone.Citizen, now)
	if err != nil {
		return fmt.Errorf("reading approvals: %w", err)
	}
	type question struct {
		ID identity.ID `json:"approval_id"`
		// Context as a text and not as an object: its hash is signed, and whatever
		// writes JSON anew may write it otherwise.
		Context   string `json:"context"`
		Choices   []int  `json:"choices"`
		Age       int    `json:"age"`
		ExpiresIn int    `json:"expires_in"`
	}
	out := struct {
		Approvals []question `json:"approvals"`
	}{Approvals: []question{}}
	for _, p := range list {
		if p.Citizen != c.phone.Citizen {
			return errors.New("storage gave somebody else's approval")
		}
		out.Approvals = append(out.Approvals, question{
			p.ID, string(p.Context), p.Choices, seconds(now.Sub(p.Created)), seconds(p.Expires.Sub(now)),
		})
	}
	a.answer(w, http.StatusOK, out)
	return nil
}

func seconds(d time.Duration) int { return int(max(d, 0) / time.Second) }

// decide serves POST /device/v1/approvals/{id}: one answer to one question. A wrong
// number refuses it for good (notes on scanning to log in: one guess).
func (a *API) decide(w http.ResponseWriter, c *call) error {
	id, err := pathID(c.Request)
	if err != nil {
		return err
	}
	in := parseMembers(c.body, "approval_id", "decision", "number?", "context_hash?", "uv?")
	if in.Err() != nil {
		return invalidRequest("The body does not fit: see the protocol.").because(in.Err())
	}
	answer, err := phone.ParseApproval(c.body)
	if err != nil {
		return invalidRequest("The body does not fit: see the protocol.").because(err)
	}
	if answer.ID != id {
		return invalidRequest("The body answers another approval than the address names.").because(nil)
	}
	ctx, now := c.Context(), a.Clock.Now()
	p, err := a.Store.Approval(ctx, id, now)
	if err := over(err, "reading an approval"); err != nil {
		return err
	}
	switch {
	case p.Citizen != c.phone.Citizen:
		return notFound().because(errors.New("another citizen's approval"))
	case p.State != authn.ApprovalPending:
		return answered().because(nil)
	}
	outcome, err := answer.Judge(phone.Pending{ID: p.ID, Context: p.Context, Number: p.Number, Expires: p.Expires}, now)
	switch {
	case errors.Is(err, phone.ErrExpired):
		return notFound().because(err)
	case errors.Is(err, phone.ErrRefused):
		// Nothing is decided: the phone may ask its owner and come again.
		return needsVerification().because(err)
	case err != nil:
		return fmt.Errorf("judging an approval: %w", err)
	}
	return a.settle(w, c, p, answer, outcome)
}

// settle makes the outcome a fact: one conditional write, of whose callers one wins
// (SECURITY G1).
func (a *API) settle(w http.ResponseWriter, c *call, p authn.Approval, answer phone.Approval, outcome phone.Outcome) error {
	state, kind, reason := authn.ApprovalDenied, audit.PhoneDenied, "denied"
	verified, hardware := false, false
	switch outcome {
	case phone.Approved:
		state, kind, reason = authn.ApprovalApproved, audit.PhoneApproved, ""
		verified, hardware = answer.UserVerified, c.phone.KeyLevel.Hardware()
	case phone.Alarmed:
		reason = "reported"
		if answer.Decision == phone.Approve {
			reason = "wrong number or context"
		}
	}
	ev := a.event(c.Request, kind, p.Citizen)
	ev.Device, ev.Reason = c.phone.ID, reason
	ev.Notify = outcome == phone.Alarmed
	// The hash is what the phone signed, and outlives the words it was made of.
	ev.Detail = map[string]string{"approval": p.ID.String(), "flow": p.Flow.String(), "context": phone.ContextHash(p.Context)}
	err := a.Store.AnswerApproval(c.Context(), p.ID, c.phone.ID, state, verified, hardware, a.Clock.Now(), ev)
	if errors.Is(err, identity.ErrConflict) {
		return answered().because(err)
	}
	if err := over(err, "answering an approval"); err != nil {
		return err
	}
	if outcome == phone.Alarmed && answer.Decision == phone.Approve {
		return wrongNumber().because(errors.New(reason))
	}
	a.answer(w, http.StatusOK, struct {
		State authn.ApprovalState `json:"state"`
	}{state})
	return nil
}
