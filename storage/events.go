package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/seal"
)

// maxReason clips what an operator writes as a reason, in characters.
const maxReason = 200

// insertEvent writes an audit entry. Its parameters are eventArgs', in order.
const insertEvent = `INSERT INTO audit (at, kind, actor, citizen_id, login_id, device_id, client_id, reason, detail, place, mac)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

// A witness is a db with the key that vouches for what is recorded through it.
type witness struct {
	db
	keys *atomic.Pointer[seal.Keys]
}

func (w witness) tx(ctx context.Context, fn func(ctx context.Context, db db) error) error {
	return w.db.tx(ctx, func(ctx context.Context, tx db) error { return fn(ctx, witness{tx, w.keys}) })
}

// vouch returns the MAC of an entry. Without a key nothing is recorded, and so
// nothing that has to be is done.
func vouch(d db, e audit.Entry) ([]byte, error) {
	w, ok := d.(witness)
	if !ok {
		return nil, ErrLockedAway
	}
	keys := w.keys.Load()
	if keys == nil {
		return nil, ErrLockedAway
	}
	return e.Vouch(identity.NewID(), auditMAC(keys))
}

// record writes the event, what receivers of shared signals are told of it and, when it
// says so, the citizen's notice. It runs in the transaction of the act it describes, so
// that none stands alone. What staff do comes to nothing here when they may not any more, or
// when the warrant for it was used (SECURITY AD1, AD2).
func record(ctx context.Context, d db, e audit.Event) error {
	if err := stand(ctx, d, e); err != nil {
		return err
	}
	if err := spendWarrant(ctx, d, e); err != nil {
		return err
	}
	if err := enter(ctx, d, e); err != nil {
		return err
	}
	if err := signal(ctx, d, e); err != nil {
		return fmt.Errorf("telling of %s: %w", e.Kind, err)
	}
	return leaveNotice(ctx, d, e)
}

// enter writes the entry alone, of what is part of an act that is recorded beside it.
func enter(ctx context.Context, d db, e audit.Event) error {
	args, err := eventArgs(d, e)
	if err != nil {
		return err
	}
	if _, err := d.exec(ctx, insertEvent, args...); err != nil {
		return fmt.Errorf("recording %s: %w", e.Kind, err)
	}
	return nil
}

// leaveNotice writes the notice for the citizen, if there is to be one.
func leaveNotice(ctx context.Context, d db, e audit.Event) error {
	if !notifies(e) {
		return nil
	}
	detail, err := detailJSON(e)
	if err != nil {
		return err
	}
	if _, err := d.exec(ctx, `INSERT INTO notices (id, citizen_id, kind, detail, place, at) VALUES ($1, $2, $3, $4, $5, $6)`,
		bin(identity.NewID()), bin(e.Citizen), string(e.Kind), detail, printable(e.Place, maxReason), ms(e.At)); err != nil {
		return fmt.Errorf("noting %s: %w", e.Kind, err)
	}
	return nil
}

// notifies reports whether a citizen is to hear of the event.
func notifies(e audit.Event) bool { return e.Notify && !e.Citizen.IsZero() }

func eventArgs(d db, e audit.Event) ([]any, error) {
	if e.Kind == "" || e.At.IsZero() {
		return nil, fmt.Errorf("storage: an event needs kind and time, got %q at %v", e.Kind, e.At)
	}
	detail, err := detailJSON(e)
	if err != nil {
		return nil, err
	}
	row := audit.Entry{
		At: ms(e.At), Kind: string(e.Kind), Actor: string(e.Actor), Citizen: e.Citizen, Login: e.Login, Device: e.Device,
		Client: printable(e.Client, maxReason), Reason: printable(e.Reason, maxReason), Detail: detail, Place: printable(e.Place, maxReason),
	}
	mac, err := vouch(d, row)
	if err != nil {
		return nil, fmt.Errorf("recording %s: %w", e.Kind, err)
	}
	return []any{row.At, row.Kind, row.Actor, bin(row.Citizen), bin(row.Login), bin(row.Device),
		orNull(row.Client), row.Reason, row.Detail, row.Place, mac}, nil
}

func detailJSON(e audit.Event) (string, error) {
	if len(e.Detail) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(e.Detail)
	if err != nil {
		return "", fmt.Errorf("storage: detail of %s: %w", e.Kind, err)
	}
	return string(b), nil
}

// printable strips what could forge a line of a log or a cell of a table, and
// clips to n characters.
func printable(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, s)
	if utf8.RuneCountInString(s) > n {
		s = string([]rune(s)[:n])
	}
	return s
}

// ms is how the tables keep a time.
func ms(t time.Time) int64 { return t.UnixMilli() }

// msOrNull keeps the zero time as NULL.
func msOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// fromMS reads a time back; NULL is the zero time.
func fromMS(v *int64) time.Time {
	if v == nil {
		return time.Time{}
	}
	return time.UnixMilli(*v).UTC()
}

func at(v int64) time.Time { return time.UnixMilli(v).UTC() }

// bin is how the tables keep an id; the zero id is NULL.
func bin(id identity.ID) any {
	if id.IsZero() {
		return nil
	}
	return id[:]
}

// orNull keeps the empty text as NULL.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
