package storage

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/internal/seal"
)

// This file is what operators do at the command line. It is called by cmd and by
// nobody else, so it has no interface in a room.

// A NewCitizen is a row of an import, its numbers checked by their types.
type NewCitizen struct {
	ID       identity.ID // made by the caller: the activation code is hashed over it
	Name     string
	IDNumber idnumber.ID
	Phone    idnumber.Phone
	Card     idnumber.Card
	Claims   map[string]any // further standard claims, by name; whoever imports has checked them
	Code     []byte         // keyed hash of the activation code; nil for none yet
	Expires  time.Time
}

func (c NewCitizen) aliases() []authn.Alias {
	return []authn.Alias{
		{Kind: authn.AliasCard, Value: c.Card.Reveal()},
		{Kind: authn.AliasID, Value: c.IDNumber.Reveal()},
		{Kind: authn.AliasPhone, Value: c.Phone.Reveal()},
	}
}

// A Taken number is why a citizen could not be imported: it is somebody's already.
type Taken struct {
	Row  int // in what was to be imported, from 0
	Kind authn.AliasKind
	By   int // the row that has it, or -1 for a citizen who was there before
}

// An ImportError lists every number that is taken. Nothing was imported.
type ImportError struct{ Taken []Taken }

func (e *ImportError) Error() string {
	return fmt.Sprintf("%d numbers belong to somebody already", len(e.Taken))
}

// userHandleSize is what WebAuthn allows at most (§5.4.3) and recommends.
const userHandleSize = 64

// sealedCitizen is a citizen ready to be written.
type sealedCitizen struct {
	indexes [][]byte // in the order of aliases
	args    []any
}

func (s *Store) sealCitizen(c NewCitizen, now time.Time) (sealedCitizen, error) {
	var done sealedCitizen
	for _, a := range c.aliases() {
		idx, err := s.index(a)
		if err != nil {
			return sealedCitizen{}, err
		}
		done.indexes = append(done.indexes, idx)
	}
	handle := make([]byte, userHandleSize)
	if _, err := io.ReadFull(rand.Reader, handle); err != nil {
		return sealedCitizen{}, fmt.Errorf("drawing a user handle: %w", err)
	}
	done.args = []any{bin(c.ID), string(identity.CardNormal), ms(now)}
	for _, f := range []struct{ column, value string }{
		{"name", c.Name}, {"id_number", c.IDNumber.Reveal()}, {"phone", c.Phone.Reveal()}, {"card_number", c.Card.Reveal()},
	} {
		blob, err := s.sealed(seal.PII, "citizens", f.column, c.ID[:], []byte(f.value))
		if err != nil {
			return sealedCitizen{}, fmt.Errorf("sealing a citizen's %s: %w", f.column, err)
		}
		done.args = append(done.args, blob)
	}
	var further []byte
	if len(c.Claims) > 0 {
		plain, err := json.Marshal(c.Claims)
		if err != nil {
			return sealedCitizen{}, fmt.Errorf("encoding a citizen's claims: %w", err)
		}
		if further, err = s.sealed(seal.PII, "citizens", "claims", c.ID[:], plain); err != nil {
			return sealedCitizen{}, fmt.Errorf("sealing a citizen's claims: %w", err)
		}
	}
	done.args = append(done.args, handle, nilBytes(c.Code), msOrNull(c.Expires), nilBytes(further), regionOf(c))
	return done, nil
}

// regionOf is the division an ID number was given out in (GB 11643): a county, and nobody.
func regionOf(c NewCitizen) any {
	const digits = 6
	if id := c.IDNumber.Reveal(); len(id) > digits {
		return id[:digits]
	}
	return nil
}

// ImportCitizens stores all of them or, with an *ImportError, none. e is written
// once for each, with the citizen's id. Three statements a citizen, and sealing
// is done before the first: the one SQLite writer is not ours alone.
func (s *Store) ImportCitizens(ctx context.Context, citizens []NewCitizen, e audit.Event) error {
	ready := make([]sealedCitizen, len(citizens))
	rowOf := make(map[identity.ID]int, len(citizens))
	for i, c := range citizens {
		var err error
		if ready[i], err = s.sealCitizen(c, e.At); err != nil {
			return known(err, "importing citizens")
		}
		rowOf[c.ID] = i
	}
	var refused *ImportError
	err := s.db.tx(ctx, func(ctx context.Context, tx db) error {
		refused = nil
		var taken []Taken
		for i, c := range citizens {
			n, err := tx.exec(ctx, `INSERT INTO aliases (idx, kind, citizen_id) VALUES ($1, 'card', $4), ($2, 'id', $4), ($3, 'phone', $4)
 ON CONFLICT (idx) DO NOTHING`, ready[i].indexes[0], ready[i].indexes[1], ready[i].indexes[2], bin(c.ID))
			if err != nil {
				return err
			}
			if n < int64(len(ready[i].indexes)) {
				if taken, err = takenBy(ctx, tx, taken, i, c, ready[i].indexes, rowOf); err != nil {
					return err
				}
			}
			if len(taken) > 0 {
				continue // nothing will be kept; only look for what else is taken
			}
			if _, err := tx.exec(ctx, `INSERT INTO citizens (id, state, state_at, name, id_number, phone, card_number, user_handle, activation_hash, activation_expires, created_at, updated_at, claims, region)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $3, $3, $11, $12)`, ready[i].args...); err != nil {
				return err
			}
			one := e
			one.Citizen = c.ID
			if err := record(ctx, tx, one); err != nil {
				return err
			}
		}
		if len(taken) > 0 {
			refused = &ImportError{taken}
			return refused
		}
		return nil
	})
	if refused != nil && errors.Is(err, refused) {
		return refused
	}
	return wrap(err, "importing citizens")
}

// takenBy adds to taken which of a citizen's numbers were somebody's before.
func takenBy(ctx context.Context, tx db, taken []Taken, row int, c NewCitizen, indexes [][]byte, rowOf map[identity.ID]int) ([]Taken, error) {
	for k, a := range c.aliases() {
		var owner identity.ID
		if err := tx.queryRow(ctx, `SELECT citizen_id FROM aliases WHERE idx = $1`, indexes[k]).Scan(&owner); err != nil {
			return nil, err
		}
		if owner == c.ID {
			continue
		}
		by, here := rowOf[owner]
		if !here {
			by = -1
		}
		taken = append(taken, Taken{Row: row, Kind: a.Kind, By: by})
	}
	return taken, nil
}

// A CitizenSummary is what an operator sees of a citizen: numbers masked, factors
// counted.
type CitizenSummary struct {
	ID          identity.ID        `json:"id"`
	Name        string             `json:"name"`
	IDNumber    string             `json:"id_number"`
	Phone       string             `json:"phone"`
	Card        string             `json:"card_number"`
	State       identity.CardState `json:"state"`
	StateSince  time.Time          `json:"state_since"`
	Activated   time.Time          `json:"activated,omitzero"`
	CodeExpires time.Time          `json:"activation_code_expires,omitzero"`
	Password    bool               `json:"password"`
	TOTP        bool               `json:"totp"`
	Passkeys    int                `json:"passkeys"`
	Phones      int                `json:"phones"`
	Recovery    int                `json:"recovery_codes"`
	Created     time.Time          `json:"created"`
}

// CitizenByAlias finds a citizen for an operator.
func (s *Store) CitizenByAlias(ctx context.Context, alias authn.Alias) (CitizenSummary, error) {
	idx, err := s.index(alias)
	if err != nil {
		return CitizenSummary{}, err
	}
	var c CitizenSummary
	var number, phone, card []byte
	var since, created int64
	var activated, expires *int64
	a, err := s.scanAccount(s.db.queryRow(ctx, `SELECT `+accountColumns+`, c.state_at, c.activated_at, c.activation_expires, c.created_at, c.id_number, c.phone, c.card_number
 FROM aliases x JOIN citizens c ON c.id = x.citizen_id WHERE x.idx = $1`, idx),
		&since, &activated, &expires, &created, &number, &phone, &card)
	if err != nil {
		return CitizenSummary{}, notFound(err, "finding a citizen")
	}
	c.ID, c.Name, c.State, c.StateSince, c.Created = a.ID, a.MaskedName, a.State, at(since), at(created)
	c.Activated, c.CodeExpires = fromMS(activated), fromMS(expires)
	c.Password, c.TOTP, c.Passkeys, c.Phones, c.Recovery = a.Password != "", a.Factors.TOTP, a.Factors.Passkeys, a.Factors.Phones, a.Factors.Recovery
	for _, f := range []struct {
		column string
		blob   []byte
		set    func(plain string)
	}{
		{"id_number", number, func(p string) { c.IDNumber = masked(idnumber.ParseID(p, c.Created)) }},
		{"phone", phone, func(p string) { c.Phone = masked(idnumber.ParsePhone(p)) }},
		{"card_number", card, func(p string) { c.Card = masked(idnumber.ParseCard(p)) }},
	} {
		plain, err := s.unsealed(seal.PII, "citizens", f.column, c.ID[:], f.blob)
		if err != nil {
			return CitizenSummary{}, fmt.Errorf("opening a citizen's %s: %w", f.column, err)
		}
		f.set(string(plain))
	}
	return c, nil
}

// masked shows nothing of a number that does not parse any more.
func masked(number interface{ Mask() string }, err error) string {
	if err != nil {
		return "***"
	}
	return number.Mask()
}

// IssueActivation gives a citizen who has not come in yet a new activation code;
// the one before is dead. For one who has, or whose card is not normal, it is
// identity.ErrConflict: a code would be a way around their password.
func (s *Store) IssueActivation(ctx context.Context, citizen identity.ID, code []byte, expires time.Time, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrConflict, `UPDATE citizens SET activation_hash = $1, activation_expires = $2, updated_at = $3
 WHERE id = $4 AND activated_at IS NULL AND state = 'normal'`, code, ms(expires), ms(e.At), bin(citizen)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "issuing an activation code")
}

// cardMoves lists from where a card may come into a state (DESIGN D9).
func cardMoves(to identity.CardState) []identity.CardState {
	return slices.DeleteFunc([]identity.CardState{
		identity.CardNormal, identity.CardFrozen, identity.CardTempLost, identity.CardLost, identity.CardCancelled,
	}, func(from identity.CardState) bool { return !from.MayBecome(to) })
}

// SetCardState moves a card. Every move ends everything that was made before it,
// a pending activation code included, so that restoring a card brings back the
// card and nothing else (SECURITY G6). A move that the card's state does not
// allow is identity.ErrConflict.
func (s *Store) SetCardState(ctx context.Context, citizen identity.ID, to identity.CardState, e audit.Event) error {
	from := cardMoves(to)
	if len(from) == 0 {
		return identity.ErrConflict
	}
	var in []string
	args := []any{string(to), ms(e.At), bin(citizen)}
	for _, f := range from {
		args = append(args, string(f))
		in = append(in, fmt.Sprintf("$%d", len(args)))
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrConflict, `UPDATE citizens SET state = $1, state_at = $2, activation_hash = NULL, activation_expires = NULL
 WHERE id = $3 AND state IN (`+strings.Join(in, ", ")+`)`, args...); err != nil {
			return err
		}
		if err := upheave(ctx, tx, citizen, identity.ID{}, e.At); err != nil {
			return err
		}
		if to != identity.CardNormal {
			return overtake(ctx, tx, citizen, e)
		}
		return record(ctx, tx, e)
	}), "moving a card")
}

// ResetFactors takes every way of signing in from a citizen, phones and password
// included, ends what was made with them, and leaves an activation code with
// which they begin anew, or without one until IssueActivation. Whoever could report losses
// for them no longer can. Nobody chooses or sees a
// secret of theirs on the way (SECURITY PW5). A frozen or lost card stays what it is: what was lost with it is
// dead before anybody unfreezes it.
func (s *Store) ResetFactors(ctx context.Context, citizen identity.ID, code []byte, expires time.Time, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrConflict, `UPDATE citizens SET password = NULL, password_at = NULL, greeting = NULL, activated_at = NULL,
   activation_hash = $1, activation_expires = $2 WHERE id = $3 AND state <> 'cancelled'`, nilBytes(code), msOrNull(expires), bin(citizen)); err != nil {
			return err
		}
		for _, sql := range []string{
			`DELETE FROM totps WHERE citizen_id = $1`,
			`DELETE FROM recovery_codes WHERE citizen_id = $1`,
		} {
			if _, err := tx.exec(ctx, sql, bin(citizen)); err != nil {
				return err
			}
		}
		keys, err := list(ctx, tx, scanID, `UPDATE passkeys SET state = 'disabled' WHERE citizen_id = $1 AND state = 'active' RETURNING id`, bin(citizen))
		if err != nil {
			return err
		}
		devices, err := list(ctx, tx, scanID, `UPDATE devices SET state = 'revoked', state_at = $1, state_reason = 'factors reset', cookie = NULL, cookie_before = NULL
 WHERE citizen_id = $2 AND state IN ('active', 'suspended') RETURNING id`, ms(e.At), bin(citizen))
		if err != nil {
			return err
		}
		if err := ended(ctx, tx, e, devices, keys); err != nil {
			return err
		}
		// Whom a stranger has named, nobody can tell from those whom the citizen has.
		if err := endTies(ctx, tx, citizen, `citizen_id = $1`, e); err != nil {
			return err
		}
		if err := upheave(ctx, tx, citizen, identity.ID{}, e.At); err != nil {
			return err
		}
		return overtake(ctx, tx, citizen, e)
	}), "resetting factors")
}

// RewrapKeys wraps every data key under another key-encryption key: all or none.
func (s *Store) RewrapKeys(ctx context.Context, from, to seal.KeyProvider, e audit.Event) error {
	rows, err := s.DataKeys(ctx)
	if err != nil {
		return err
	}
	fresh, err := seal.Rewrap(from, to, rows)
	if err != nil {
		return err
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		for i, k := range fresh {
			// A key that somebody else wrapped or rotated meanwhile is not touched.
			ok, err := changed(ctx, tx, `UPDATE data_keys SET wrapped = $1 WHERE id = $2 AND wrapped = $3 AND state = $4`,
				k.Wrapped, int64(k.ID), rows[i].Wrapped, string(rows[i].State))
			if err != nil {
				return err
			}
			if !ok && k.State != seal.Destroyed {
				return identity.ErrConflict
			}
		}
		n := 0
		if err := tx.queryRow(ctx, `SELECT count(*) FROM data_keys`).Scan(&n); err != nil {
			return err
		}
		if n != len(fresh) {
			return identity.ErrConflict
		}
		return record(ctx, tx, e)
	}), "rewrapping data keys")
}

// How long what is over stays for those who ask what happened.
const (
	keepGrants = 24 * time.Hour
	keepLogins = 180 * 24 * time.Hour // the citizen's list of sign-ins, and liveness checks
	sweepBatch = 100                  // rows a statement: the one SQLite writer has others waiting
	sweepTable = 10_000               // rows looked up at a time
	sweepTurns = 20                   // times a table is looked at again while there was that much
)

// A sweeping is one table and what of it is over.
type sweeping struct {
	table, key, over string
	keep             time.Duration
}

// sweeps says what is over. $1 is now or earlier. Looking is done outside the
// writer's turn, so a condition may be without an index.
func sweeps() []sweeping {
	return []sweeping{
		{"flows", "id", "expires_at <= $1", 0},
		{"requests", "handle", "expires_at <= $1", 0},
		{"device_codes", "code", "expires_at <= $1", 0},
		{"ceremonies", "id", "expires_at <= $1", 0},
		{"enrolments", "id", "expires_at <= $1", 0},
		{"approvals", "id", "expires_at <= $1", 0},
		{"replay", "key", "expires_at <= $1", 0},
		// What is blocked stays blocked, however long ago it began.
		{"attempts", "key", "expires_at <= $1 AND blocked_until <= $1", 0},
		{"access_tokens", "token", "expires_at <= $1", 0},
		{"grants", "id", "(expires_at <= $1 OR revoked_at <= $1 OR code_used_at IS NULL AND code_expires_at <= $1)", keepGrants},
		{"logins", "id", "coalesce(ended_at, expires_at) <= $1", keepLogins},
		{"staff_sessions", "id", "coalesce(ended_at, ends_at) <= $1", keepLogins},
		{"risk_holds", "key", "expires_at <= $1", 0},
		{"relatives", "id", "expires_at <= $1", 0},
		{"initial_tokens", "hash", "expires_at <= $1", keepGrants},
		{"farewells", "id", "at <= $1", farewellLife},
		{"signals", "id", "at <= $1", signalLife},
		{"notices", "id", "phone IS NOT NULL AND at <= $1", noticeLife}, // of closed accounts; the others are the citizen's to read
		{"loss_receipts", "number", "at <= $1", keepLogins},
		{"liveness_sessions", "id", "ends_at <= $1", keepLogins},
	}
}

// Sweep deletes what is over and says how much of each table went. It never
// decides anything: whatever has expired is refused whether it was swept or not
// (DESIGN D3). Several replicas may sweep at once.
func (s *Store) Sweep(ctx context.Context, now time.Time) (map[string]int64, error) {
	gone := map[string]int64{}
	for _, w := range sweeps() {
		for range sweepTurns {
			n, err := s.sweep(ctx, w, ms(now.Add(-w.keep)))
			if n > 0 {
				gone[w.table] += n
			}
			if err != nil {
				return gone, fmt.Errorf("sweeping %s: %w", w.table, err)
			}
			if n < sweepTable {
				break
			}
		}
	}
	n, err := s.sweepUsage(ctx, now)
	if err != nil {
		return gone, fmt.Errorf("sweeping client_usage: %w", err)
	}
	if n > 0 {
		gone["client_usage"] = n
	}
	return gone, nil
}

// sweep deletes up to sweepTable rows of one table.
func (s *Store) sweep(ctx context.Context, w sweeping, before int64) (gone int64, err error) {
	keys, err := list(ctx, s.db, func(r row) ([]byte, error) {
		var key []byte
		err := r.Scan(&key)
		return key, err
	}, fmt.Sprintf(`SELECT %s FROM %s WHERE %s LIMIT %d`, w.key, w.table, w.over, sweepTable), before)
	if err != nil {
		return 0, err
	}
	for batch := range slices.Chunk(keys, sweepBatch) {
		args, in := []any{before}, make([]string, len(batch))
		for i, key := range batch {
			args = append(args, key)
			in[i] = fmt.Sprintf("$%d", len(args))
		}
		n, err := s.db.exec(ctx, fmt.Sprintf(`DELETE FROM %s WHERE %s AND %s IN (%s)`, w.table, w.over, w.key, strings.Join(in, ", ")), args...)
		if err != nil {
			return gone, err
		}
		gone += n
	}
	return gone, nil
}
