package console

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/templates"
)

// errList: a list of cards that is in no form of ours.
var errList = errors.New("console: not a list of card numbers")

// listHeading may be the first line of a list.
const listHeading = "card_number"

// A listed card is one line of a list; the zero Card is no number.
type listed struct {
	line int
	card idnumber.Card
}

// readList reads a CSV of one column (RFC 4180): card numbers, none twice.
func readList(typed string) ([]listed, error) {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(typed, "\ufeff")))
	r.FieldsPerRecord, r.TrimLeadingSpace = 1, true
	var all []listed
	seen := map[idnumber.Card]bool{}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errList
		}
		line, _ := r.FieldPos(0)
		if line == 1 && strings.TrimSpace(record[0]) == listHeading {
			continue
		}
		card, err := idnumber.ParseCard(record[0])
		switch {
		case err != nil:
			card = idnumber.Card{}
		case seen[card]:
			return nil, errList
		}
		seen[card] = true
		if all = append(all, listed{line, card}); len(all) > MaxBulk {
			return nil, errList
		}
	}
	if len(all) == 0 {
		return nil, errList
	}
	return all, nil
}

// showBulk asks for the list. The passkey comes first, so that nothing typed gets lost.
func (s *Service) showBulk(v *visit) error {
	if o := (Order{Act: BulkLoss}); !v.fresh(o) {
		return v.stepUp(o, bulkPath)
	}
	return v.show(templates.ConsoleBulk{Desk: v.desk(), What: LostCard, Max: MaxBulk, BackURL: citizensPath})
}

func (s *Service) bulk(v *visit) error {
	if o := (Order{Act: BulkLoss}); !v.fresh(o) {
		return v.stepUp(o, bulkPath)
	}
	what := v.form.Get("what")
	if what != LostCard && what != LostPhone {
		return fmt.Errorf("%w: neither the phone nor the card", errBadRequest)
	}
	switch check, file := v.form.Has("bulk-check"), v.form.Has("act-confirm"); {
	case check && !file:
		return s.checkBulk(v, what)
	case file && !check:
		return s.fileBulk(v, what)
	}
	return fmt.Errorf("%w: no button of this page, or both", errBadRequest)
}

// checkBulk looks the cards up and shows what would end. What is nobody's card, or that
// of somebody of another unit, is listed by its line.
func (s *Service) checkBulk(v *visit, what string) error {
	ok, err := v.counted(listRule(), "list", v.staff.ID.String())
	if err != nil {
		return err
	}
	again := func(status int, problem templates.Key) error {
		v.status, v.problem = status, templates.Say(problem)
		return v.show(templates.ConsoleBulk{Desk: v.desk(), What: what, Max: MaxBulk, BackURL: citizensPath})
	}
	if !ok {
		return again(http.StatusTooManyRequests, templates.CitizensProblemOften)
	}
	list, err := readList(v.form.Get("cards"))
	if err != nil {
		return again(http.StatusUnprocessableEntity, templates.CitizensProblemList)
	}
	for range (len(list) + cardsCounted - 1) / cardsCounted {
		if ok, err := v.counted(cardRule(), "cards", v.staff.ID.String()); err != nil {
			return err
		} else if !ok {
			return again(http.StatusTooManyRequests, templates.CitizensProblemOften)
		}
	}
	var found []identity.ID
	var unknown []templates.ConsoleUnknown
	for _, l := range list {
		citizen, region, err := identity.ID{}, "", identity.ErrNotFound
		if !l.card.IsZero() {
			citizen, region, err = s.Citizens.FindCitizen(v.r.Context(), authn.Alias{Kind: authn.AliasCard, Value: l.card.Reveal()})
		}
		if err == nil {
			where := "yes"
			if !v.staff.Within(region) {
				where, err = "elsewhere", identity.ErrNotFound
			}
			// Each has an entry of their own, like one who is looked for alone.
			if err := v.note(audit.CitizenSearched, citizen, map[string]string{"by": "card", "found": where, "at": "list"}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, identity.ErrNotFound):
			unknown = append(unknown, templates.ConsoleUnknown{Line: l.line, Card: templates.Text(l.card.Mask())})
		case err != nil:
			return fmt.Errorf("finding a citizen: %w", err)
		default:
			found = append(found, citizen)
		}
	}
	if err := v.note(audit.CitizenSearched, identity.ID{}, map[string]string{"by": "card", "count": strconv.Itoa(len(list)), "found": strconv.Itoa(len(found))}); err != nil {
		return err
	}
	return s.confirmBulk(v, what, found, unknown)
}

// confirmBulk shows what an order for those citizens would end, and asks why.
func (s *Service) confirmBulk(v *visit, what string, citizens []identity.ID, unknown []templates.ConsoleUnknown) error {
	p := templates.ConsoleBulk{Desk: v.desk(), What: what, Checked: true, Found: len(citizens), Unknown: unknown, Typed: templates.Text(v.field("reason")), Max: MaxBulk, BackURL: citizensPath}
	if len(citizens) > 0 {
		lines, err := s.Preview(v.r.Context(), v.caller(), Order{Act: BulkLoss, Value: what, Many: citizens})
		if err != nil {
			return err
		}
		for _, l := range lines {
			p.Lines = append(p.Lines, templates.ConsoleLine{What: l.What, Count: l.Count, Name: templates.Text(l.Name)})
		}
		ids := make([]string, len(citizens))
		for i, c := range citizens {
			ids[i] = c.String()
		}
		p.Fields = []templates.ConsoleField{{Name: "what", Value: what}, {Name: "citizens", Value: strings.Join(ids, " ")}}
	}
	return v.show(p)
}

// fileBulk asks for approval. Who is meant comes back from the page as ids: whether they
// may be served is asked again, for each.
func (s *Service) fileBulk(v *visit, what string) error {
	names := strings.Fields(v.form.Get("citizens"))
	if len(names) == 0 || len(names) > MaxBulk {
		return fmt.Errorf("%w: nobody, or too many", errBadRequest)
	}
	citizens := make([]identity.ID, len(names))
	for i, name := range names {
		var err error
		if citizens[i], err = identity.ParseID(name); err != nil {
			return fmt.Errorf("%w: not an id", errBadRequest)
		}
	}
	out, err := v.do(Order{Act: BulkLoss, Value: what, Many: citizens, Reason: v.field("reason")})
	switch {
	case errors.Is(err, ErrReason):
		v.status, v.problem = http.StatusUnprocessableEntity, problemOf(err)
		return s.confirmBulk(v, what, citizens, nil)
	case errors.Is(err, ErrStepUp):
		return v.stepUp(Order{Act: BulkLoss}, bulkPath)
	case err != nil:
		return err
	}
	return v.back("/console/requests/"+out.Request.String(), "filed")
}
