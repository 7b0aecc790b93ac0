package storage

import (
	"context"
	"errors"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/internal/seal"
)

// NameRelative implements authn.Relatives. Holding the citizen makes two namings side by
// side count each other.
func (s *Store) NameRelative(ctx context.Context, n authn.Relative, number authn.Alias, e audit.Event) error {
	idx, err := s.index(number)
	if err != nil {
		return err
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := s.act(ctx, tx, n.Citizen, e.Login, e.At); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM relatives WHERE citizen_id = $1 AND expires_at <= $2`, bin(n.Citizen), ms(e.At)); err != nil {
			return err
		}
		if err := only(ctx, tx, identity.ErrConflict, `INSERT INTO relatives (id, citizen_id, relative_id, number, card, asked_at, expires_at)
 SELECT $1, $2, $3, $4, $5, $6, $7 WHERE (SELECT count(*) FROM relatives WHERE citizen_id = $2) < $8 ON CONFLICT DO NOTHING`,
			bin(n.ID), bin(n.Citizen), bin(n.Other), idx, n.Card, ms(n.Asked), ms(n.Ends), authn.MaxRelatives); err != nil {
			return err
		}
		if err := record(ctx, tx, e); err != nil {
			return err
		}
		asked := toOther(e, n.Other)
		if err := record(ctx, tx, asked); err != nil || !n.Other.IsZero() {
			return err
		}
		// Of a number nobody has as much is written, for as long, about nobody: a notice
		// whose citizen there is not is never sent (SECURITY PW1).
		asked.Citizen = n.ID
		return leaveNotice(ctx, tx, asked)
	}), "naming a relative")
}

// toOther is the entry for the other side of what e says one side did.
func toOther(e audit.Event, other identity.ID) audit.Event {
	kind := e.Kind
	if kind == audit.RelativeNamed {
		kind = audit.RelativeAsked
	}
	return audit.Event{Kind: kind, At: e.At, Actor: e.Actor, Citizen: other, Detail: map[string]string{"by": "relative"}, Notify: true}
}

// endTies deletes the ties and questions that which selects, with the citizen as $1, as
// part of act e. The other side of a tie is told.
func endTies(ctx context.Context, tx db, citizen identity.ID, which string, e audit.Event) error {
	type tie struct {
		other  identity.ID
		agreed bool
	}
	all, err := list(ctx, tx, func(r row) (t tie, err error) {
		err = r.Scan(&t.other, &t.agreed)
		return t, err
	}, `DELETE FROM relatives WHERE `+which+` RETURNING CASE WHEN citizen_id = $1 THEN relative_id ELSE citizen_id END, agreed_at IS NOT NULL`, bin(citizen))
	if err != nil {
		return err
	}
	for _, t := range all {
		if !t.agreed {
			continue
		}
		e.Kind = audit.RelativeEnded
		if err := record(ctx, tx, toOther(e, t.other)); err != nil {
			return err
		}
	}
	return nil
}

// AgreeRelative implements authn.Relatives.
func (s *Store) AgreeRelative(ctx context.Context, id identity.ID, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := s.act(ctx, tx, e.Citizen, e.Login, e.At); err != nil {
			return err
		}
		var named identity.ID
		err := tx.queryRow(ctx, `UPDATE relatives SET agreed_at = $1, expires_at = NULL
 WHERE id = $2 AND relative_id = $3 AND agreed_at IS NULL AND expires_at > $1 RETURNING citizen_id`, ms(e.At), bin(id), bin(e.Citizen)).Scan(&named)
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := record(ctx, tx, e); err != nil {
			return err
		}
		return record(ctx, tx, toOther(e, named))
	}), "agreeing to be a relative")
}

// EndRelative implements authn.Relatives. Whoever refuses a question takes themselves out
// of it; for whoever asked it then looks like a number nobody has.
func (s *Store) EndRelative(ctx context.Context, id identity.ID, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := s.act(ctx, tx, e.Citizen, e.Login, e.At); err != nil {
			return err
		}
		refused, err := changed(ctx, tx, `UPDATE relatives SET relative_id = NULL WHERE id = $1 AND relative_id = $2 AND agreed_at IS NULL AND expires_at > $3`,
			bin(id), bin(e.Citizen), ms(e.At))
		if err != nil {
			return err
		}
		if refused {
			return record(ctx, tx, e)
		}
		var named, other identity.ID
		err = tx.queryRow(ctx, `DELETE FROM relatives WHERE id = $1 AND (citizen_id = $2 OR relative_id = $2 AND agreed_at IS NOT NULL) RETURNING citizen_id, relative_id`,
			bin(id), bin(e.Citizen)).Scan(&named, &other)
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := record(ctx, tx, e); err != nil {
			return err
		}
		if other == e.Citizen {
			other = named
		}
		if other.IsZero() {
			return nil
		}
		return record(ctx, tx, toOther(e, other))
	}), "ending a tie")
}

// ListRelatives implements authn.Relatives.
func (s *Store) ListRelatives(ctx context.Context, citizen identity.ID, now time.Time) ([]authn.Relative, error) {
	all, err := s.relatives(ctx, s.db, citizen, now)
	return all, wrap(err, "listing relatives")
}

func (s *Store) relatives(ctx context.Context, d db, citizen identity.ID, now time.Time) ([]authn.Relative, error) {
	return list(ctx, d, func(r row) (authn.Relative, error) {
		var t authn.Relative
		var name []byte
		var side identity.ID
		var asked int64
		var agreed, ends *int64
		if err := r.Scan(&t.ID, &t.Citizen, &t.Other, &t.Card, &asked, &agreed, &ends, &side, &name); err != nil {
			return authn.Relative{}, err
		}
		t.Named, t.Asked, t.Agreed, t.Ends = t.Other == citizen, at(asked), fromMS(agreed), fromMS(ends)
		if t.Named {
			t.Card = ""
		} else if t.Agreed.IsZero() {
			t.Other = identity.ID{}
			return t, nil
		}
		plain, err := s.unsealed(seal.PII, "citizens", "name", side[:], name)
		t.Name = idnumber.MaskName(string(plain))
		return t, err
	}, `SELECT r.id, r.citizen_id, r.relative_id, r.card, r.asked_at, r.agreed_at, r.expires_at, c.id, c.name
 FROM relatives r LEFT JOIN citizens c ON c.id = CASE WHEN r.citizen_id = $1 THEN r.relative_id ELSE r.citizen_id END
 WHERE (r.citizen_id = $1 OR r.relative_id = $1) AND (r.expires_at IS NULL OR r.expires_at > $2) ORDER BY r.asked_at, r.id`, bin(citizen), ms(now))
}

// byRelative looks whether a relative who reports is one, in a login that is alive, and
// writes what they did into their own trail.
func byRelative(ctx context.Context, tx db, r loss.Report, e audit.Event) error {
	if r.Tie.IsZero() != r.By.IsZero() || r.By.IsZero() != r.ByLogin.IsZero() {
		return errors.New("storage: a report by half a relative")
	}
	if r.By.IsZero() {
		return nil
	}
	var alive bool
	err := tx.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM logins l JOIN citizens c ON c.id = l.citizen_id WHERE l.id = $1 AND l.citizen_id = $2 AND `+asOf(liveLogin, "$3")+`)
 FROM relatives r WHERE r.id = $4 AND r.citizen_id = $5 AND r.relative_id = $2 AND r.agreed_at IS NOT NULL`,
		bin(r.ByLogin), bin(r.By), ms(e.At), bin(r.Tie), bin(r.Citizen)).Scan(&alive)
	switch {
	case errors.Is(err, errNoRows):
		return identity.ErrNotFound
	case err != nil:
		return err
	case !alive:
		return identity.ErrEnded
	}
	return record(ctx, tx, audit.Event{Kind: audit.RelativeReported, At: e.At, Actor: audit.ByCitizen, Citizen: r.By, Login: r.ByLogin, Place: e.Place,
		Detail: map[string]string{"lost": string(r.What)}})
}
