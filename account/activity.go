package account

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/templates"
)

const (
	activityShown = 30 // entries a page
	seqSize       = 8
	tagSize       = 16
)

// activity is the citizen's own part of the trail, in plain words.
func (s *Service) activity(v *visit) error {
	below, err := s.pageOf(v)
	if err != nil {
		return err
	}
	// One more than is shown tells whether there is another page.
	entries, err := s.Records.Activity(v.r.Context(), v.login.Citizen, below, activityShown+1)
	if err != nil {
		return err
	}
	page := templates.AccountActivity{Account: v.said()}
	if below > 0 {
		page.NewestURL = activityPath
	}
	if len(entries) > activityShown {
		entries = entries[:activityShown]
		token, err := s.pageToken(v.login.Citizen, entries[activityShown-1].Seq)
		if err != nil {
			return err
		}
		page.OlderURL = activityPath + "?page=" + token
	}
	agreed, err := s.Consents.ListConsents(v.r, v.login.Citizen)
	if err != nil {
		return err
	}
	names := make(map[string]templates.Text, len(agreed))
	for _, c := range agreed {
		names[c.ID] = c.Client
	}
	for _, e := range entries {
		said := activityOf(e)
		if name := names[e.Client]; name != "" {
			said.Client = name
		}
		page.Entries = append(page.Entries, said)
	}
	return s.show(v, page)
}

// activityOf puts an entry into words. Of what staff did the reason they gave belongs to
// it; the reasons of our own are words for operators.
func activityOf(e audit.Entry) templates.Activity {
	a := templates.Activity{At: time.UnixMilli(e.At).UTC(), Place: templates.Text(e.Place), Client: templates.Text(e.Client), By: actorOf(e.Actor)}
	var detail map[string]string
	if err := json.Unmarshal([]byte(e.Detail), &detail); err != nil {
		detail = nil // what does not read as facts has none to tell
	}
	kind := e.Kind
	if detail["by"] == "relative" {
		switch audit.Kind(kind) {
		case audit.LossReported:
			kind, a.By = "loss.report.relative", templates.ByRelative
		case audit.DeviceEnded, audit.PasskeyRemoved: // with the report
			a.By = templates.ByRelative
		}
	}
	a.What = templates.ActivityOf(kind, a.By)
	if a.By == templates.ByStaff {
		a.Reason = templates.Text(e.Reason)
	}
	return a
}

// actorOf is who did it, as far as a citizen is told: which member of staff it was is in
// the trail, and for those to find out who look into a complaint.
func actorOf(actor string) templates.Actor {
	name, _, _ := strings.Cut(actor, ":")
	switch audit.Actor(name) {
	case audit.ByCitizen, "phone":
		return templates.BySelf
	case "staff", audit.ByOperator:
		return templates.ByStaff
	case "client":
		return templates.ByClient
	}
	return templates.BySystem
}

// pageToken names the page below an entry of this citizen's; nobody can make one up, and
// one of somebody else's is none (SECURITY AD4).
func (s *Service) pageToken(citizen identity.ID, below int64) (string, error) {
	token := binary.BigEndian.AppendUint64(nil, uint64(below))
	tag, err := s.pageTag(citizen, token)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(token, tag...)), nil
}

func (s *Service) pageTag(citizen identity.ID, seq []byte) ([]byte, error) {
	m := append([]byte("account activity page\x00"), citizen[:]...)
	tag, err := s.Keyed(append(m, seq...))
	if err != nil {
		return nil, fmt.Errorf("keying a page: %w", err)
	}
	if len(tag) < tagSize {
		return nil, fmt.Errorf("keying a page: %d bytes are too few", len(tag))
	}
	return tag[:tagSize], nil
}

// pageOf is the page asked for: 0 is the first one.
func (s *Service) pageOf(v *visit) (int64, error) {
	given := v.r.URL.Query()["page"]
	if len(given) == 0 {
		return 0, nil
	}
	// The decoder passes over line breaks, and a token has one spelling.
	if len(given) > 1 || len(given[0]) != base64.RawURLEncoding.EncodedLen(seqSize+tagSize) {
		return 0, fmt.Errorf("%w: page", errBadRequest)
	}
	token, err := base64.RawURLEncoding.Strict().DecodeString(given[0])
	if err != nil || len(token) != seqSize+tagSize {
		return 0, fmt.Errorf("%w: page", errBadRequest)
	}
	tag, err := s.pageTag(v.login.Citizen, token[:seqSize])
	if err != nil {
		return 0, err
	}
	if !hmac.Equal(tag, token[seqSize:]) {
		return 0, fmt.Errorf("%w: page", errBadRequest)
	}
	return int64(binary.BigEndian.Uint64(token)), nil
}
