package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"ecardid/identity"
	"ecardid/internal/seal"
	"ecardid/oauth"
)

// claimColumns says which sealed column holds a claim's value. A claim that is
// not here has none.
func claimColumns() map[string]string {
	return map[string]string{
		"name":         "name",
		"phone_number": "phone",
		"card_number":  "card_number",
		"id_number":    "id_number",
	}
}

const personColumns = `, c.updated_at, c.locale, c.claims, c.name AS full_name, c.phone, c.card_number, c.id_number `

var (
	tokenPersonQuestion = newQuestion("", grantColumns+tokenColumns+personColumns, tokenFrom+aliveAt("$2"))
	grantPersonQuestion = newQuestion("", grantColumns+personColumns, grantFrom+aliveAt("$2"))
)

// UserInfo implements oauth.Tokens. It reads one row and opens only the columns
// that the claims asked for need.
func (s *Store) UserInfo(ctx context.Context, token []byte, grant identity.ID, claims []string, now time.Time, once ...oauth.Once) (oauth.TokenInfo, oauth.Person, error) {
	sealedCols := map[string]*[]byte{"name": new([]byte), "phone": new([]byte), "card_number": new([]byte), "id_number": new([]byte)}
	var updated int64
	var locale string
	var further []byte
	more := []any{&updated, &locale, &further, sealedCols["name"], sealedCols["phone"], sealedCols["card_number"], sealedCols["id_number"]}
	var t oauth.TokenInfo
	var err error
	if token != nil {
		t, err = scanToken(s.hot.ask(ctx, once, now, tokenPersonQuestion, token, ms(now)), more...)
	} else {
		t.Grant, err = scanGrant(s.hot.ask(ctx, once, now, grantPersonQuestion, bin(grant), ms(now)), more...)
	}
	if err != nil {
		return oauth.TokenInfo{}, oauth.Person{}, notFound(err, "reading userinfo")
	}
	p := oauth.Person{Citizen: t.Grant.Citizen, Claims: map[string]any{}, Updated: at(updated)}
	from := claimColumns()
	var others map[string]any // opened when the first of them is asked for
	for _, claim := range claims {
		switch claim {
		case "locale":
			p.Claims[claim] = locale
			continue
		case "updated_at":
			p.Claims[claim] = p.Updated.Unix()
			continue
		case "phone_number_verified":
			// The number comes from the card's issuer, not from the citizen.
			p.Claims[claim] = true
			continue
		}
		column, ok := from[claim]
		if !ok {
			if others == nil {
				if others, err = s.furtherClaims(t.Grant.Citizen, further); err != nil {
					return oauth.TokenInfo{}, oauth.Person{}, known(err, "opening userinfo")
				}
			}
			if v, ok := others[claim]; ok {
				p.Claims[claim] = v
			}
			continue
		}
		plain, err := s.unsealed(seal.PII, "citizens", column, t.Grant.Citizen[:], *sealedCols[column])
		if err != nil {
			return oauth.TokenInfo{}, oauth.Person{}, known(err, "opening userinfo")
		}
		p.Claims[claim] = string(plain)
	}
	return t, p, nil
}

// furtherClaims opens the claims that have no column of their own.
func (s *Store) furtherClaims(citizen identity.ID, blob []byte) (map[string]any, error) {
	plain, err := s.unsealed(seal.PII, "citizens", "claims", citizen[:], blob)
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	if plain == nil {
		return all, nil
	}
	if err := json.Unmarshal(plain, &all); err != nil {
		return nil, fmt.Errorf("citizen %v: claims: %w", citizen, err)
	}
	return all, nil
}
