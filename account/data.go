package account

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"ecardid/audit"
	"ecardid/templates"
)

const (
	activityTaken = 1000 // entries a question
	mostTaken     = 20_000
)

// data is where a citizen takes a copy of their data, and where the way out is.
func (s *Service) data(v *visit) error {
	return s.show(v, templates.AccountData{Account: v.said(), CloseURL: closePath})
}

// A takenEntry is an entry of the trail in a copy: what, when, by whom and from where. How
// we judge a sign-in is not among it.
type takenEntry struct {
	At     time.Time       `json:"at"`
	What   string          `json:"what"`
	By     templates.Actor `json:"by"`
	Client string          `json:"application,omitempty"`
	Reason string          `json:"reason,omitempty"` // of staff
	Place  string          `json:"place,omitempty"`
}

// download hands a copy of everything over, as a file. It is in the trail before the first
// byte of it leaves.
func (s *Service) download(v *visit) (note, string, error) {
	ctx, now := v.r.Context(), s.Clock.Now()
	c, err := s.Records.TakeOut(ctx, v.login.Citizen, v.login.ID, s.event(v, audit.DataTaken))
	if err != nil {
		return noNote, "", err
	}
	taken := struct {
		Issuer string    `json:"issuer"`
		Made   time.Time `json:"made"`
		Copy
		Activity []takenEntry `json:"activity"`
	}{Issuer: s.Origin, Made: now.UTC(), Copy: c}
	for below := int64(0); len(taken.Activity) < mostTaken; {
		entries, err := s.Records.Activity(ctx, v.login.Citizen, below, activityTaken)
		if err != nil {
			return noNote, "", err
		}
		for _, e := range entries {
			said := activityOf(e)
			taken.Activity = append(taken.Activity, takenEntry{said.At, e.Kind, said.By, e.Client, string(said.Reason), e.Place})
			below = e.Seq
		}
		if len(entries) < activityTaken {
			break
		}
	}
	body, err := json.MarshalIndent(taken, "", "  ")
	if err != nil {
		return noNote, "", fmt.Errorf("writing a copy: %w", err)
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="my-data-`+now.UTC().Format("20060102")+`.json"`)
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	v.w.WriteHeader(http.StatusOK)
	if _, err := v.w.Write(append(body, '\n')); err != nil {
		s.Log.InfoContext(ctx, "a copy was not taken whole", "cause", err)
	}
	return noNote, shown, nil
}

// event begins the entry of what a citizen does here; they hear of it.
func (s *Service) event(v *visit, kind audit.Kind) audit.Event {
	return audit.Event{
		Kind: kind, At: s.Clock.Now(), Actor: audit.ByCitizen, Citizen: v.login.Citizen, Login: v.login.ID, Place: s.Place(v.r), Notify: true,
	}
}
