package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ecardid/authn/notify"
	"ecardid/identity"
	"ecardid/internal/seal"
)

// noticeLife is how long the gateway is tried. What it did not take stands in the
// citizen's own pages all the same.
const noticeLife = 24 * time.Hour

// TakeNotices implements notify.Outbox. Every notice is due from the moment it is
// written; without a gateway nobody asks, and it grows old. What an account was closed
// with goes where the citizen was reached until then (lastNotices).
func (s *Store) TakeNotices(ctx context.Context, now time.Time, lease time.Duration, n int) ([]notify.Notice, error) {
	if n <= 0 {
		return nil, nil
	}
	skip := `FOR UPDATE SKIP LOCKED` // not those another replica is at
	if s.dialect == sqlite {
		skip = ``
	}
	var whose []identity.ID
	taken, err := list(ctx, s.db, func(r row) (notify.Notice, error) {
		var one notify.Notice
		var citizen identity.ID
		var when int64
		var locale nullable
		var phone []byte
		err := r.Scan(&one.ID, &citizen, &one.Kind, &one.Place, &when, &one.Tries, &locale, &phone)
		one.At, whose = at(when), append(whose, citizen)
		if err == nil && len(phone) > 0 {
			one.Locale = string(locale)
			one.Phone, err = s.number(citizen, phone)
		}
		return one, err
	}, fmt.Sprintf(`WITH due (due_id) AS MATERIALIZED (SELECT id FROM notices WHERE due_at IS NOT NULL AND due_at <= $1 AND at > $2 ORDER BY at LIMIT %d %s)
 UPDATE notices SET due_at = $3, tries = tries + 1 FROM due WHERE id = due_id RETURNING id, citizen_id, kind, place, at, tries - 1, locale, phone`, n, skip),
		ms(now), ms(now.Add(-noticeLife)), ms(now.Add(lease)))
	if err != nil {
		return nil, wrap(err, "taking notices")
	}
	for i := range taken {
		if taken[i].Phone != "" {
			continue
		}
		if taken[i].Locale, taken[i].Phone, err = s.reach(ctx, whose[i]); err != nil {
			return nil, wrap(err, "reading whom a notice is for")
		}
	}
	return taken, nil
}

// reach is how a citizen is written to; nothing when they are gone.
func (s *Store) reach(ctx context.Context, citizen identity.ID) (locale, phone string, err error) {
	var blob []byte
	err = s.db.queryRow(ctx, `SELECT locale, phone FROM citizens WHERE id = $1`, bin(citizen)).Scan(&locale, &blob)
	if errors.Is(err, errNoRows) || err == nil && len(blob) == 0 {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	phone, err = s.number(citizen, blob)
	return locale, phone, err
}

// number opens a citizen's telephone number, which is the same bytes on a last notice.
func (s *Store) number(citizen identity.ID, blob []byte) (string, error) {
	plain, err := s.unsealed(seal.PII, "citizens", "phone", citizen[:], blob)
	return string(plain), err
}

// lastNotices leaves of a citizen's notices those that still have to be brought, and writes
// on them where to, because the account that said so is being closed. It is called while it
// still says so.
func lastNotices(ctx context.Context, tx db, citizen identity.ID, now time.Time) error {
	const waiting = ` due_at IS NOT NULL AND at > $2 `
	if _, err := tx.exec(ctx, `DELETE FROM notices WHERE citizen_id = $1 AND NOT (`+waiting+`)`, bin(citizen), ms(now.Add(-noticeLife))); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `UPDATE notices SET locale = c.locale, phone = c.phone FROM citizens c WHERE c.id = $1 AND notices.citizen_id = $1`, bin(citizen))
	return err
}

// NoticeSent implements notify.Outbox. What nobody can read any more goes.
func (s *Store) NoticeSent(ctx context.Context, id identity.ID) error {
	gone, err := changed(ctx, s.db, `DELETE FROM notices WHERE id = $1 AND phone IS NOT NULL`, bin(id))
	if err == nil && !gone {
		_, err = s.db.exec(ctx, `UPDATE notices SET due_at = NULL WHERE id = $1`, bin(id))
	}
	return wrap(err, "settling a notice")
}

// NoticeUnsent implements notify.Outbox.
func (s *Store) NoticeUnsent(ctx context.Context, id identity.ID, next time.Time) error {
	_, err := s.db.exec(ctx, `UPDATE notices SET due_at = $1 WHERE id = $2`, ms(next), bin(id))
	return wrap(err, "putting a notice off")
}

var _ notify.Outbox = (*Store)(nil)
