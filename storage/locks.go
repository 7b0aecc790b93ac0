package storage

import (
	"context"
	"errors"
	"time"

	"ecardid/authn"
	"ecardid/identity"
)

// Whatever changes what a citizen's logins, devices or factors may do is a
// transaction that locks the citizen's row before anything else. Two of them
// therefore see each other whole, whichever comes first: a login is either made
// before the loss of its device is reported, and ends with it, or not made. And
// because there is one first lock, nobody waits in a circle.
//
// Issuing and using grants takes no lock. Those statements compare the epoch and
// the end of the login they hang on, so what slipped in beside a revocation is
// dead anyway (DESIGN D3).

// held is a citizen whose row is locked until the transaction ends.
type held struct {
	epoch int64
	state identity.CardState
}

// hold locks the citizen's row. The one writer of SQLite needs no telling.
func (s *Store) hold(ctx context.Context, tx db, citizen identity.ID) (held, error) {
	sql := `SELECT epoch, state FROM citizens WHERE id = $1`
	if s.dialect == postgres {
		sql += ` FOR NO KEY UPDATE`
	}
	var h held
	err := tx.queryRow(ctx, sql, bin(citizen)).Scan(&h.epoch, &h.state)
	if errors.Is(err, errNoRows) {
		return held{}, identity.ErrNotFound
	}
	return h, err
}

// act is hold for what a citizen does of their own accord: the card must be normal
// and the login they do it from, if there is one, alive now. Without this, a
// request on its way while its login was ended could still leave a new factor
// behind (SECURITY G6). The answer is then identity.ErrEnded.
func (s *Store) act(ctx context.Context, tx db, citizen, login identity.ID, now time.Time) error {
	h, err := s.hold(ctx, tx, citizen)
	if err != nil {
		return err
	}
	if !h.state.MaySignIn() {
		return identity.ErrEnded
	}
	if login.IsZero() {
		return nil
	}
	return aliveIn(ctx, tx, h, citizen, login, now)
}

// actIn is act for what a citizen does in flow f; without one it is act. The flow
// must be there, unfinished, and begun in the citizen's epoch: one that was on its
// way while everything was ended leaves nothing behind either.
func (s *Store) actIn(ctx context.Context, tx db, citizen, login identity.ID, f *authn.Flow, now time.Time) error {
	if f == nil {
		return s.act(ctx, tx, citizen, login, now)
	}
	h, err := s.hold(ctx, tx, citizen)
	if err != nil {
		return err
	}
	if !h.state.MaySignIn() || h.epoch != f.Epoch || f.Citizen != citizen {
		return identity.ErrEnded
	}
	var one int
	err = tx.queryRow(ctx, `SELECT 1 FROM flows WHERE id = $1 AND browser = $2 AND expires_at > $3`, bin(f.ID), f.Browser, ms(now)).Scan(&one)
	if errors.Is(err, errNoRows) {
		return identity.ErrEnded
	}
	if err != nil || f.Login.IsZero() {
		return err
	}
	return aliveIn(ctx, tx, h, citizen, f.Login, now)
}

// aliveIn answers identity.ErrEnded unless the held citizen's login is alive.
func aliveIn(ctx context.Context, tx db, h held, citizen, login identity.ID, now time.Time) error {
	var one int
	err := tx.queryRow(ctx, `SELECT 1 FROM logins WHERE id = $1 AND citizen_id = $2 AND epoch = $3 AND ended_at IS NULL
 AND expires_at > $4 AND idle_at > $4`, bin(login), bin(citizen), h.epoch, ms(now)).Scan(&one)
	if errors.Is(err, errNoRows) {
		return identity.ErrEnded
	}
	return err
}

// holdFor is act when there is a login to act from, and hold when there is none.
func (s *Store) holdFor(ctx context.Context, tx db, citizen, login identity.ID, now time.Time) error {
	if login.IsZero() {
		_, err := s.hold(ctx, tx, citizen)
		return err
	}
	return s.act(ctx, tx, citizen, login, now)
}
