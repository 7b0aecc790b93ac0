package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/seal"
)

// maxFlows caps what strangers can make us keep (SECURITY DS3): a quarter of an
// hour of a hundred sign-ins begun each second.
const maxFlows = 90_000

// flowBody is the sealed part of a flow: it holds what a person typed.
type flowBody struct {
	Need   identity.Need    `json:"need"`
	Back   string           `json:"back"`
	Proofs []identity.Proof `json:"proofs,omitempty"`
	State  authn.FlowState  `json:"state"`
}

func (s *Store) sealFlow(f authn.Flow) ([]byte, error) {
	b, err := json.Marshal(flowBody{f.Need, f.Back, f.Proofs, f.State})
	if err != nil {
		return nil, fmt.Errorf("encoding a flow: %w", err)
	}
	return s.sealed(seal.PII, "flows", "body", f.ID[:], b)
}

// A crowd knows about how many rows of a table that strangers fill are alive. It is
// counted once a second and not at each sign-in, because counting many costs more than a sign-in does; what
// other replicas begin within that second may go over the cap.
type crowd struct {
	mu  sync.Mutex
	at  time.Time
	n   int
	max int // maxFlows when zero
}

// admit counts one more, or says that there is no room.
func (c *crowd) admit(ctx context.Context, d db, table string, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := c.max
	if most == 0 {
		most = maxFlows
	}
	if now.Sub(c.at).Abs() >= time.Second {
		if err := d.queryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM `+table+` WHERE expires_at > $1 LIMIT $2) n`, ms(now), most).Scan(&c.n); err != nil {
			return err
		}
		c.at = now
	}
	if c.n >= most {
		return identity.ErrConflict
	}
	c.n++
	return nil
}

// BeginFlow implements authn.Flows. A step-up is begun by somebody we know and is
// never turned away.
func (s *Store) BeginFlow(ctx context.Context, f authn.Flow) error {
	body, err := s.sealFlow(f)
	if err != nil {
		return known(err, "sealing a flow")
	}
	if f.Login.IsZero() {
		if err := s.flowing.admit(ctx, s.db, "flows", f.Created); err != nil {
			return known(err, "counting flows")
		}
	}
	_, err = s.db.exec(ctx, `INSERT INTO flows (id, browser, body, citizen_id, epoch, login_id, version, created_at, expires_at)
 VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8)`,
		bin(f.ID), f.Browser, body, bin(f.Citizen), f.Epoch, bin(f.Login), ms(f.Created), ms(f.Expires))
	return wrap(err, "beginning a flow")
}

// Flow implements authn.Flows.
func (s *Store) Flow(ctx context.Context, id identity.ID, browser []byte, now time.Time) (authn.Flow, error) {
	row := flowRow{f: authn.Flow{ID: id, Browser: browser}}
	err := s.db.queryRow(ctx, `SELECT `+flowColumns+` FROM flows f `+liveFlow, bin(id), browser, ms(now)).Scan(row.dest()...)
	if err != nil {
		return authn.Flow{}, notFound(err, "reading a flow")
	}
	return s.openFlow(row)
}

// Visit implements authn.Flows.
func (s *Store) Visit(ctx context.Context, id identity.ID, browser []byte, now time.Time) (authn.Flow, authn.Account, error) {
	row := flowRow{f: authn.Flow{ID: id, Browser: browser}}
	a, err := s.scanAccount(s.db.queryRow(ctx, `SELECT `+accountColumns+`, `+flowColumns+` FROM flows f LEFT JOIN citizens c ON c.id = f.citizen_id `+liveFlow,
		bin(id), browser, ms(now)), row.dest()...)
	if err != nil {
		return authn.Flow{}, authn.Account{}, notFound(err, "reading a flow and its citizen")
	}
	f, err := s.openFlow(row)
	if err != nil {
		return authn.Flow{}, authn.Account{}, err
	}
	return f, a, nil
}

const (
	flowColumns = ` f.body, f.citizen_id, f.epoch, f.login_id, f.version, f.created_at, f.expires_at `
	liveFlow    = ` WHERE f.id = $1 AND f.browser = $2 AND f.expires_at > $3 `
)

// A flowRow takes flowColumns in.
type flowRow struct {
	f                authn.Flow
	body             []byte
	created, expires int64
}

func (r *flowRow) dest() []any {
	return []any{&r.body, &r.f.Citizen, &r.f.Epoch, &r.f.Login, &r.f.Version, &r.created, &r.expires}
}

func (s *Store) openFlow(r flowRow) (authn.Flow, error) {
	f := r.f
	plain, err := s.unsealed(seal.PII, "flows", "body", f.ID[:], r.body)
	if err != nil {
		return authn.Flow{}, known(err, "opening a flow")
	}
	var body flowBody
	if err := json.Unmarshal(plain, &body); err != nil {
		return authn.Flow{}, fmt.Errorf("decoding a flow: %w", err)
	}
	f.Need, f.Back, f.Proofs, f.State = body.Need, body.Back, body.Proofs, body.State
	f.Created, f.Expires = at(r.created), at(r.expires)
	return f, nil
}

// MoveFlow implements authn.Flows.
func (s *Store) MoveFlow(ctx context.Context, f *authn.Flow, now time.Time) error {
	body, err := s.sealFlow(*f)
	if err != nil {
		return known(err, "sealing a flow")
	}
	ok, err := changed(ctx, s.db, moveFlow, moveArgs(*f, body, now)...)
	if err != nil {
		return known(err, "moving a flow")
	}
	if !ok {
		return identity.ErrSpent
	}
	f.Version++
	return nil
}

const moveFlow = `UPDATE flows SET body = $1, citizen_id = $2, epoch = $3, login_id = $4, version = version + 1
 WHERE id = $5 AND browser = $6 AND version = $7 AND expires_at > $8`

func moveArgs(f authn.Flow, body []byte, now time.Time) []any {
	return []any{body, bin(f.Citizen), f.Epoch, bin(f.Login), bin(f.ID), f.Browser, f.Version, ms(now)}
}

// FinishFlow implements authn.Flows. It is one transaction: the flow's deletion
// decides who finishes it, and holding the citizen's row makes a revocation either
// see the login or be seen by it.
func (s *Store) FinishFlow(ctx context.Context, f authn.Flow, n authn.NewLogin, replaces identity.ID, e audit.Event) error {
	l := n.Login
	proofs, err := json.Marshal(l.Proofs)
	if err != nil {
		return fmt.Errorf("encoding proofs: %w", err)
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		h, err := s.hold(ctx, tx, f.Citizen)
		if errors.Is(err, identity.ErrNotFound) || err == nil && (!h.state.MaySignIn() || h.epoch != f.Epoch) {
			return identity.ErrEnded
		}
		if err != nil {
			return err
		}
		for _, id := range devicesOf(l) {
			if err := usedIn(ctx, tx, h, f.Citizen, id, n); err != nil {
				return err
			}
		}
		if err := only(ctx, tx, identity.ErrSpent, `DELETE FROM flows WHERE id = $1 AND browser = $2 AND version = $3 AND expires_at > $4`,
			bin(f.ID), f.Browser, f.Version, ms(l.Started)); err != nil {
			return err
		}
		if !f.Login.IsZero() {
			// Its proofs came from that login: whoever ended it meant them too.
			if err := aliveIn(ctx, tx, h, f.Citizen, f.Login, l.Started); err != nil {
				return err
			}
		}
		session, err := replaceLogin(ctx, tx, replaces, f.Citizen, l)
		if err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `INSERT INTO logins (id, citizen_id, epoch, device_id, token, proofs, locale, agent, place, created_at, seen_at, idle_at, expires_at, session, source)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12, $13, $14)`,
			bin(l.ID), bin(f.Citizen), h.epoch, bin(l.Device), n.Token, string(proofs), l.Locale, printable(n.Agent, maxReason), printable(n.Place, maxReason),
			ms(l.Started), ms(l.Started.Add(n.Idle)), ms(l.Ends), bin(session), nilBytes(n.Source)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "finishing a flow")
}

// usedIn notes when and where the held citizen's device was used, and answers
// identity.ErrEnded unless it is active. A trusted browser is one in its own epoch only,
// and the time of its last use is that of its cookie. A phone is not where the browser is.
func usedIn(ctx context.Context, tx db, h held, citizen, device identity.ID, n authn.NewLogin) error {
	return only(ctx, tx, identity.ErrEnded, `UPDATE devices SET last_used_at = CASE WHEN kind = 'browser' THEN last_used_at ELSE $1 END,
   place = CASE WHEN kind = 'phone' THEN place ELSE $2 END
 WHERE id = $3 AND citizen_id = $4 AND state = 'active' AND (kind <> 'browser' OR epoch = $5)`,
		ms(n.Login.Started), printable(n.Place, maxReason), bin(device), bin(citizen), h.epoch)
}

// replaceLogin ends the login that l takes the place of. What that one gave to
// applications goes on with l: to prove more in the same browser is not to sign
// out everywhere. But only if l stands on every device the old one stood on;
// otherwise the loss of one of them would not reach those grants any more
// (SECURITY DV2), and they end here.
//
// It returns the sitting that l belongs to: the old login's, when all goes on, or else
// one of its own.
func replaceLogin(ctx context.Context, tx db, replaces, citizen identity.ID, l identity.Login) (session identity.ID, err error) {
	if replaces.IsZero() {
		return l.ID, nil
	}
	old, err := scanLogin(tx.queryRow(ctx, `SELECT `+loginColumns+` FROM logins l WHERE l.id = $1 AND l.citizen_id = $2 AND l.ended_at IS NULL`,
		bin(replaces), bin(citizen)))
	if errors.Is(err, errNoRows) {
		return l.ID, nil // it had ended by itself
	}
	if err != nil {
		return identity.ID{}, err
	}
	have := devicesOf(l)
	if slices.ContainsFunc(devicesOf(old), func(id identity.ID) bool { return !slices.Contains(have, id) }) {
		session, err = l.ID, farewell(ctx, tx, citizen, l.Started, thisLogin, replaces)
	} else {
		session = old.Session
		_, err = tx.exec(ctx, `UPDATE grants SET login_id = $1 WHERE login_id = $2 AND revoked_at IS NULL`, bin(l.ID), bin(replaces))
	}
	if err != nil {
		return identity.ID{}, err
	}
	if _, err := tx.exec(ctx, `UPDATE logins SET ended_at = $1, end_reason = 'replaced' WHERE id = $2`, ms(l.Started), bin(replaces)); err != nil {
		return identity.ID{}, err
	}
	return session, dropFlowsOf(ctx, tx, replaces)
}

// devicesOf lists the devices a login stands on, each once.
func devicesOf(l identity.Login) []identity.ID {
	var ids []identity.ID
	add := func(id identity.ID) {
		if !id.IsZero() && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	add(l.Device)
	for _, p := range l.Proofs {
		add(p.Device)
	}
	return ids
}

// DropFlow implements authn.Flows.
func (s *Store) DropFlow(ctx context.Context, id identity.ID) error {
	_, err := s.db.exec(ctx, `DELETE FROM flows WHERE id = $1`, bin(id))
	return wrap(err, "dropping a flow")
}
