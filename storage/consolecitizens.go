package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/console"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/internal/seal"
)

// FindCitizen implements console.Citizens.
func (s *Store) FindCitizen(ctx context.Context, a authn.Alias) (id identity.ID, region string, err error) {
	idx, err := s.index(a)
	if err != nil {
		return identity.ID{}, "", err
	}
	err = s.db.queryRow(ctx, `SELECT c.id, coalesce(c.region, '') FROM aliases x JOIN citizens c ON c.id = x.citizen_id WHERE x.idx = $1`, idx).Scan(&id, &region)
	if err != nil {
		return identity.ID{}, "", notFound(err, "finding a citizen")
	}
	return id, region, nil
}

// RegionOf implements console.Citizens.
func (s *Store) RegionOf(ctx context.Context, citizen identity.ID) (region string, err error) {
	err = s.db.queryRow(ctx, `SELECT coalesce(region, '') FROM citizens WHERE id = $1`, bin(citizen)).Scan(&region)
	return region, notFound(err, "reading where a citizen belongs")
}

// numbers are a citizen's sealed fields, by column.
type numbers map[string][]byte

const numberColumns = ` c.name, c.id_number, c.phone, c.card_number `

func (n numbers) dest() []any {
	var d []any
	for _, f := range console.Fields() {
		d = append(d, sealedInto{n, string(f)})
	}
	return d
}

// sealedInto is where one column of numbers goes.
type sealedInto struct {
	n      numbers
	column string
}

// Scan implements sql.Scanner.
func (i sealedInto) Scan(src any) error {
	switch b := src.(type) {
	case nil:
		return nil
	case []byte:
		if len(b) > 0 { // else it was destroyed with the account
			i.n[i.column] = slices.Clone(b)
		}
		return nil
	}
	return fmt.Errorf("a sealed field cannot be read from a %T", src)
}

// open unseals one of them; what was destroyed is empty.
func (s *Store) openNumber(citizen identity.ID, n numbers, column string) (string, error) {
	plain, err := s.unsealed(seal.PII, "citizens", column, citizen[:], n[column])
	if err != nil {
		return "", fmt.Errorf("opening a citizen's %s: %w", column, err)
	}
	return string(plain), nil
}

// FileOf implements console.Citizens.
func (s *Store) FileOf(ctx context.Context, citizen identity.ID, now time.Time) (console.File, error) {
	f := console.File{ID: citizen}
	n := numbers{}
	var since, created int64
	var activated, expires, cooling *int64
	err := s.db.queryRow(ctx, `SELECT c.state, c.state_at, c.created_at, c.activated_at, c.activation_expires, c.cooling_until, coalesce(c.region, ''), c.password IS NOT NULL,
 EXISTS (SELECT 1 FROM totps t WHERE t.citizen_id = c.id AND t.confirmed_at IS NOT NULL),
 (SELECT count(*) FROM recovery_codes r WHERE r.citizen_id = c.id AND r.used_at IS NULL), `+numberColumns+` FROM citizens c WHERE c.id = $1`, bin(citizen)).
		Scan(append([]any{&f.State, &since, &created, &activated, &expires, &cooling, &f.Region, &f.Password, &f.TOTP, &f.Recovery}, n.dest()...)...)
	if err != nil {
		return console.File{}, notFound(err, "reading a citizen's file")
	}
	f.StateSince, f.Created, f.Activated, f.CodeExpires, f.Cooling = at(since), at(created), fromMS(activated), fromMS(expires), fromMS(cooling)
	if err := s.maskInto(&f, n); err != nil {
		return console.File{}, known(err, "reading a citizen's file")
	}
	for _, read := range []func(context.Context, *console.File, time.Time) error{s.filedDevices, s.filedPasskeys, s.filedSessions} {
		if err := read(ctx, &f, now); err != nil {
			return console.File{}, known(err, "reading a citizen's file")
		}
	}
	return f, nil
}

func (s *Store) maskInto(f *console.File, n numbers) error {
	for _, one := range []struct {
		field console.Field
		set   func(plain string)
	}{
		{console.FieldName, func(p string) { f.Name = idnumber.MaskName(p) }},
		{console.FieldID, func(p string) { f.IDNumber = masked(idnumber.ParseID(p, f.Created)) }},
		{console.FieldPhone, func(p string) { f.Phone = masked(idnumber.ParsePhone(p)) }},
		{console.FieldCard, func(p string) { f.Card = masked(idnumber.ParseCard(p)) }},
	} {
		plain, err := s.openNumber(f.ID, n, string(one.field))
		if err != nil {
			return err
		}
		one.set(plain)
	}
	return nil
}

// maxFiled bounds each list of a file.
const maxFiled = 100

func (s *Store) filedDevices(ctx context.Context, f *console.File, _ time.Time) (err error) {
	f.Devices, err = list(ctx, s.db, func(r row) (console.FiledDevice, error) {
		var d console.FiledDevice
		var level *string
		var created, used int64
		err := r.Scan(&d.ID, &d.Kind, &d.Name, &d.State, &level, &created, &used, &d.Place)
		if level != nil {
			d.KeyLevel = identity.KeyLevel(*level)
		}
		d.Bound, d.LastUse = at(created), at(used)
		return d, err
	}, fmt.Sprintf(`SELECT d.id, d.kind, d.name, d.state, d.key_level, d.created_at, d.last_used_at, d.place FROM devices d JOIN citizens c ON c.id = d.citizen_id
 WHERE d.citizen_id = $1 AND (d.kind <> 'browser' OR d.epoch = c.epoch AND d.state = 'active')
 ORDER BY CASE d.state WHEN 'active' THEN 0 WHEN 'suspended' THEN 1 ELSE 2 END, d.created_at DESC LIMIT %d`, maxFiled), bin(f.ID))
	return err
}

func (s *Store) filedPasskeys(ctx context.Context, f *console.File, _ time.Time) (err error) {
	f.Passkeys, err = list(ctx, s.db, func(r row) (console.FiledPasskey, error) {
		var p console.FiledPasskey
		var created int64
		var used *int64
		err := r.Scan(&p.ID, &p.Device, &p.Name, &created, &used)
		p.Made, p.LastUse = at(created), fromMS(used)
		return p, err
	}, fmt.Sprintf(`SELECT p.id, p.device_id, p.name, p.created_at, p.last_used_at FROM passkeys p WHERE p.citizen_id = $1 AND p.state = 'active' ORDER BY p.created_at DESC LIMIT %d`, maxFiled), bin(f.ID))
	return err
}

// lastSignIns is how many ended sign-ins a file shows.
const lastSignIns = 10

func (s *Store) filedSessions(ctx context.Context, f *console.File, now time.Time) error {
	scan := func(r row) (console.FiledSession, error) {
		var l console.FiledSession
		var began, seen int64
		err := r.Scan(&l.ID, &l.Agent, &l.Place, &began, &seen)
		l.Began, l.Seen = at(began), at(seen)
		return l, err
	}
	const columns = `SELECT l.id, l.agent, l.place, l.created_at, l.seen_at FROM logins l JOIN citizens c ON c.id = l.citizen_id WHERE l.citizen_id = $1 AND `
	var err error
	if f.Sessions, err = list(ctx, s.db, scan, fmt.Sprintf(columns+asOf(liveLogin, "$2")+` ORDER BY l.created_at DESC LIMIT %d`, maxFiled), bin(f.ID), ms(now)); err != nil {
		return err
	}
	f.Before, err = list(ctx, s.db, scan, fmt.Sprintf(columns+`NOT (`+asOf(liveLogin, "$2")+`) AND coalesce(l.end_reason, '') <> 'replaced' ORDER BY l.created_at DESC LIMIT %d`, lastSignIns), bin(f.ID), ms(now))
	return err
}

// FactsOf implements console.Citizens.
func (s *Store) FactsOf(ctx context.Context, citizen identity.ID) (loss.Facts, error) {
	var f loss.Facts
	n := numbers{}
	var created int64
	var activated, phone, key *int64
	err := s.db.queryRow(ctx, `SELECT c.created_at, c.activated_at,
 (SELECT max(d.created_at) FROM devices d WHERE d.citizen_id = c.id AND d.kind <> 'browser' AND d.state = 'active'),
 (SELECT max(p.created_at) FROM passkeys p WHERE p.citizen_id = c.id AND `+usablePasskey+`), `+numberColumns+` FROM citizens c WHERE c.id = $1`, bin(citizen)).
		Scan(append([]any{&created, &activated, &phone, &key}, n.dest()...)...)
	if err != nil {
		return loss.Facts{}, notFound(err, "reading what a caller may be asked")
	}
	f.Activated, f.Bound = fromMS(activated), fromMS(phone)
	if k := fromMS(key); k.After(f.Bound) {
		f.Bound = k
	}
	plain := map[console.Field]string{}
	for _, field := range []console.Field{console.FieldID, console.FieldPhone, console.FieldCard} {
		if plain[field], err = s.openNumber(citizen, n, string(field)); err != nil {
			return loss.Facts{}, known(err, "reading what a caller may be asked")
		}
	}
	// A number that does not parse any more is not asked about.
	f.IDNumber, _ = idnumber.ParseID(plain[console.FieldID], at(created))
	f.Phone, _ = idnumber.ParsePhone(plain[console.FieldPhone])
	f.Card, _ = idnumber.ParseCard(plain[console.FieldCard])
	return f, nil
}

// HangingOn implements console.Citizens.
func (s *Store) HangingOn(ctx context.Context, citizen, device, session identity.ID, now time.Time) (console.Hanging, error) {
	var h console.Hanging
	var err error
	switch {
	case !session.IsZero():
		h, err = s.onSessions(ctx, citizen, now, func(l identity.Login) bool { return l.ID == session })
		if err == nil && h.Sessions == 0 {
			err = identity.ErrNotFound
		}
	case !device.IsZero():
		h, err = s.onDevice(ctx, citizen, device, now)
	default:
		h, err = s.onCitizen(ctx, citizen, now)
	}
	if err != nil {
		return console.Hanging{}, known(err, "counting what hangs on a citizen")
	}
	return h, nil
}

// grantCounts count codes, families and grants of opaque tokens among grants g.
const grantCounts = ` count(CASE WHEN g.code IS NOT NULL AND g.code_used_at IS NULL AND g.code_expires_at > $2 THEN 1 END),
 count(CASE WHEN g.refresh IS NOT NULL AND g.refresh_idle_at > $2 THEN 1 END),
 count(CASE WHEN g.opaque AND (g.code IS NULL OR g.code_used_at IS NOT NULL) THEN 1 END) `

func (s *Store) onCitizen(ctx context.Context, citizen identity.ID, now time.Time) (console.Hanging, error) {
	var h console.Hanging
	err := s.db.queryRow(ctx, `SELECT
 (SELECT count(*) FROM devices d WHERE d.citizen_id = c.id AND d.kind <> 'browser' AND d.state IN ('active', 'suspended')),
 (SELECT count(*) FROM devices d WHERE d.citizen_id = c.id AND d.kind = 'browser' AND d.state = 'active' AND d.epoch = c.epoch AND d.expires_at > $2),
 (SELECT count(*) FROM passkeys p WHERE p.citizen_id = c.id AND `+usablePasskey+`),
 (SELECT count(*) FROM totps t WHERE t.citizen_id = c.id AND t.confirmed_at IS NOT NULL),
 (SELECT count(*) FROM logins l WHERE l.citizen_id = c.id AND `+asOf(liveLogin, "$2")+`),
 (SELECT count(*) FROM flows f WHERE f.citizen_id = c.id AND f.epoch = c.epoch AND f.expires_at > $2)
 FROM citizens c WHERE c.id = $1`, bin(citizen), ms(now)).
		Scan(&h.Devices, &h.Browsers, &h.Passkeys, &h.TOTP, &h.Sessions, &h.Requests)
	if err != nil {
		return console.Hanging{}, notFound(err, "counting")
	}
	err = s.db.queryRow(ctx, `SELECT `+grantCounts+` FROM grants g JOIN logins l ON l.id = g.login_id JOIN citizens c ON c.id = g.citizen_id
 WHERE g.citizen_id = $1 AND `+asOf(alive, "$2"), bin(citizen), ms(now)).Scan(&h.Codes, &h.Grants, &h.Tokens)
	return h, err
}

func (s *Store) onDevice(ctx context.Context, citizen, device identity.ID, now time.Time) (console.Hanging, error) {
	var kind identity.DeviceKind
	var keys int
	err := s.db.queryRow(ctx, `SELECT d.kind, (SELECT count(*) FROM passkeys p WHERE p.device_id = d.id AND p.state = 'active')
 FROM devices d WHERE d.id = $1 AND d.citizen_id = $2 AND d.state IN ('active', 'suspended')`, bin(device), bin(citizen)).Scan(&kind, &keys)
	if err != nil {
		return console.Hanging{}, notFound(err, "counting")
	}
	h, err := s.onSessions(ctx, citizen, now, func(l identity.Login) bool { return slices.Contains(devicesOf(l), device) })
	if err != nil {
		return console.Hanging{}, err
	}
	if h.Passkeys = keys; kind == identity.DeviceBrowser {
		h.Browsers = 1
	} else {
		h.Devices = 1
	}
	return h, nil
}

// onSessions counts what hangs on the live sessions that which picks.
func (s *Store) onSessions(ctx context.Context, citizen identity.ID, now time.Time, which func(identity.Login) bool) (console.Hanging, error) {
	live, err := list(ctx, s.db, func(r row) (identity.Login, error) { return scanLogin(r) }, `SELECT `+loginColumns+` FROM logins l JOIN citizens c ON c.id = l.citizen_id
 WHERE l.citizen_id = $1 AND `+asOf(liveLogin, "$2"), bin(citizen), ms(now))
	if err != nil {
		return console.Hanging{}, err
	}
	var h console.Hanging
	args := []any{bin(citizen), ms(now)}
	var in []string
	for _, l := range live {
		if which(l) {
			args = append(args, bin(l.ID))
			in = append(in, fmt.Sprintf("$%d", len(args)))
		}
	}
	if h.Sessions = len(in); h.Sessions == 0 {
		return h, nil
	}
	err = s.db.queryRow(ctx, `SELECT `+grantCounts+` FROM grants g JOIN logins l ON l.id = g.login_id JOIN citizens c ON c.id = g.citizen_id
 WHERE g.citizen_id = $1 AND g.login_id IN (`+strings.Join(in, ", ")+`) AND `+asOf(alive, "$2"), args...).Scan(&h.Codes, &h.Grants, &h.Tokens)
	return h, err
}

// shownInMoments picks the facts of an entry that a timeline shows. What is signed and
// what is long stays with the auditor.
func shownInMoments(name string) bool {
	return slices.Contains([]string{"lost", "receipt", "field", "state", "via", "count", "factor", "scope", "caller"}, name)
}

// Moments implements console.Citizens.
func (s *Store) Moments(ctx context.Context, citizen identity.ID, below int64, n int) ([]console.Moment, error) {
	if n < 1 || n > maxFiled {
		return nil, fmt.Errorf("storage: a page of %d moments", n)
	}
	sql, args := `SELECT seq, at, kind, actor, coalesce(client_id, ''), reason, place, detail FROM audit WHERE citizen_id = $1`, []any{bin(citizen)}
	for _, quiet := range console.Quiet() {
		args = append(args, string(quiet))
		sql += fmt.Sprintf(` AND kind <> $%d`, len(args))
	}
	if below > 0 {
		args = append(args, below)
		sql += fmt.Sprintf(` AND seq < $%d`, len(args))
	}
	all, err := list(ctx, s.db, scanMoment, sql+fmt.Sprintf(` ORDER BY seq DESC LIMIT %d`, n), args...)
	return all, wrap(err, "reading a timeline")
}

func scanMoment(r row) (console.Moment, error) {
	var m console.Moment
	var when int64
	var detail string
	if err := r.Scan(&m.Seq, &when, &m.Kind, &m.Actor, &m.Client, &m.Reason, &m.Place, &detail); err != nil {
		return console.Moment{}, err
	}
	m.At = at(when)
	var facts map[string]string
	if json.Unmarshal([]byte(detail), &facts) == nil { // else somebody has been at the table: verify says so
		for name := range facts {
			if !shownInMoments(name) {
				delete(facts, name)
			}
		}
		m.Detail = facts
	}
	return m, nil
}

// CallerPassed implements console.Citizens.
func (s *Store) CallerPassed(ctx context.Context, citizen identity.ID, by audit.Actor, since time.Time) (bool, error) {
	var passed bool
	err := s.db.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM audit WHERE citizen_id = $1 AND kind = $2 AND actor = $3 AND at >= $4)`,
		bin(citizen), string(audit.CallerPassed), string(by), ms(since)).Scan(&passed)
	return passed, wrap(err, "looking whether a caller passed")
}

// RevealCitizen implements console.Citizens. The entry comes first: when it cannot be
// written, nothing is unsealed, and what is returned is known to be durable.
func (s *Store) RevealCitizen(ctx context.Context, citizen identity.ID, field console.Field, e audit.Event) (string, error) {
	if !slices.Contains(console.Fields(), field) {
		return "", identity.ErrNotFound
	}
	n := numbers{}
	err := s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := record(ctx, tx, e); err != nil {
			return err
		}
		clear(n)
		return tx.queryRow(ctx, `SELECT c.`+string(field)+` FROM citizens c WHERE c.id = $1`, bin(citizen)).Scan(sealedInto{n, string(field)})
	})
	if err != nil {
		return "", notFound(err, "revealing a field")
	}
	plain, err := s.openNumber(citizen, n, string(field))
	return plain, wrap(err, "revealing a field")
}

var (
	_ console.Citizens = (*Store)(nil)
	_ console.Changes  = (*Store)(nil)
)
