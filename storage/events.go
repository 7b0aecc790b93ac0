package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ecardid/audit"
	"ecardid/identity"
)

// maxReason clips what an operator writes as a reason, in characters.
const maxReason = 200

// insertEvent writes an audit entry. Its parameters are eventArgs', in order.
const insertEvent = `INSERT INTO audit (at, kind, actor, citizen_id, login_id, device_id, client_id, reason, detail, place)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

// record writes the event and, when it says so, the citizen's notice. It runs in
// the transaction of the act it describes, so that neither stands alone.
func record(ctx context.Context, d db, e audit.Event) error {
	args, err := eventArgs(e)
	if err != nil {
		return err
	}
	if _, err := d.exec(ctx, insertEvent, args...); err != nil {
		return fmt.Errorf("recording %s: %w", e.Kind, err)
	}
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

func eventArgs(e audit.Event) ([]any, error) {
	if e.Kind == "" || e.At.IsZero() {
		return nil, fmt.Errorf("storage: an event needs kind and time, got %q at %v", e.Kind, e.At)
	}
	detail, err := detailJSON(e)
	if err != nil {
		return nil, err
	}
	return []any{ms(e.At), string(e.Kind), string(e.Actor), bin(e.Citizen), bin(e.Login), bin(e.Device),
		orNull(printable(e.Client, maxReason)), printable(e.Reason, maxReason), detail, printable(e.Place, maxReason)}, nil
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
