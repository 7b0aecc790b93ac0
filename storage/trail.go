package storage

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/internal/seal"
)

// trailLock is the advisory lock of whoever chains the audit trail: "ecard" and a
// number. On SQLite the one writer is the lock.
const trailLock = 0x6563617264_02

const (
	chainBatch = 500 // entries a turn at the writer
	trailPage  = 1000
)

// headPrefix begins the name of the one versions row that holds the sealed head:
// its version is the number of the last entry, the rest of its name the seal. It is
// there from the first Unlock on, over no entry at all.
const headPrefix = "audit-head:"

// A TrailError says which entry of the trail is wrong; its cause is one of the
// errors of package audit.
type TrailError struct {
	Number int64 // in the chain; 0 when not one is left
	Cause  error
}

func (e *TrailError) Error() string {
	if e.Number == 0 {
		return fmt.Sprintf("audit trail: %v", e.Cause)
	}
	return fmt.Sprintf("audit entry %d: %v", e.Number, e.Cause)
}

// Unwrap returns the cause.
func (e *TrailError) Unwrap() error { return e.Cause }

const entryColumns = ` seq, at, kind, actor, citizen_id, login_id, device_id, coalesce(client_id, ''), reason, detail, place `

func scanEntry(r row, more ...any) (audit.Entry, error) {
	var e audit.Entry
	dest := []any{&e.Seq, &e.At, &e.Kind, &e.Actor, &e.Citizen, &e.Login, &e.Device, &e.Client, &e.Reason, &e.Detail, &e.Place}
	return e, r.Scan(append(dest, more...)...)
}

func (s *Store) auditKeys() (audit.MAC, audit.Check, error) {
	keys := s.keys.Load()
	if keys == nil {
		return nil, nil, ErrLockedAway
	}
	check := func(tag, m []byte) bool {
		ok, _ := keys.VerifyMAC(seal.Audit, tag, m)
		return ok
	}
	return auditMAC(keys), check, nil
}

func auditMAC(keys *seal.Keys) audit.MAC {
	return func(m []byte) ([]byte, error) { return keys.MAC(seal.Audit, m) }
}

// writeHead seals where the chain ends, in place of where it ended before.
func writeHead(ctx context.Context, d db, head audit.Head, mac audit.MAC) error {
	tag, err := head.Seal(mac)
	if err != nil {
		return err
	}
	if _, err := d.exec(ctx, `DELETE FROM versions WHERE name >= $1 AND name < $2`, headPrefix, headPrefix+"~"); err != nil {
		return err
	}
	_, err = d.exec(ctx, `INSERT INTO versions (name, version) VALUES ($1, $2)`, headPrefix+hex.EncodeToString(tag), head.Number)
	return err
}

// readHead returns the sealed head; the zero Head before the first entry was
// chained. Number and digest come from the last entry: the seal decides whether that
// is where the chain was left.
func readHead(ctx context.Context, d db, check audit.Check) (audit.Head, error) {
	type sealed struct {
		name   string
		number int64
	}
	rows, err := list(ctx, d, func(r row) (sealed, error) {
		var one sealed
		err := r.Scan(&one.name, &one.number)
		return one, err
	}, `SELECT name, version FROM versions WHERE name >= $1 AND name < $2`, headPrefix, headPrefix+"~")
	if err != nil {
		return audit.Head{}, err
	}
	var number int64 // of the last entry; 0 without one
	var hash []byte
	err = d.queryRow(ctx, `SELECT link, hash FROM audit WHERE link IS NOT NULL ORDER BY link DESC LIMIT 1`).Scan(&number, &hash)
	switch {
	case err != nil && !errors.Is(err, errNoRows):
		return audit.Head{}, err
	case len(rows) != 1:
		return audit.Head{}, &TrailError{number, audit.ErrHead}
	case number < rows[0].number:
		return audit.Head{}, &TrailError{rows[0].number, audit.ErrTruncated}
	case number > rows[0].number:
		return audit.Head{}, &TrailError{number, audit.ErrHead}
	}
	var head audit.Head
	if number > 0 {
		if head, err = audit.Stored(number, hash); err != nil {
			return audit.Head{}, &TrailError{number, err}
		}
	}
	tag, err := hex.DecodeString(strings.TrimPrefix(rows[0].name, headPrefix))
	if err != nil || !head.Sealed(tag, check) {
		return audit.Head{}, &TrailError{number, audit.ErrHead}
	}
	return head, nil
}

// ChainAudit links the entries written since the last time, in the order of seq,
// and returns how many there were. One replica at a time does it. A trail whose
// end is not where it was left is a *TrailError and stays as it is: going on from
// there would hide what happened.
func (s *Store) ChainAudit(ctx context.Context) (int, error) {
	total := 0
	for {
		n, err := s.chainSome(ctx)
		total += n
		if err != nil || n < chainBatch {
			return total, wrap(err, "chaining the audit trail")
		}
	}
}

func (s *Store) chainSome(ctx context.Context) (n int, err error) {
	mac, check, err := s.auditKeys()
	if err != nil {
		return 0, err
	}
	// A look that takes nobody's turn: mostly there is nothing to do.
	var waiting bool
	if err := s.db.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM audit WHERE link IS NULL)`).Scan(&waiting); err != nil || !waiting {
		return 0, err
	}
	err = s.db.tx(ctx, func(ctx context.Context, tx db) error {
		n = 0
		if s.dialect == postgres {
			if _, err := tx.exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(trailLock)); err != nil {
				return err
			}
		}
		head, err := readHead(ctx, tx, check)
		if err != nil {
			return err
		}
		entries, err := list(ctx, tx, func(r row) (audit.Entry, error) { return scanEntry(r) },
			fmt.Sprintf(`SELECT %s FROM audit WHERE link IS NULL ORDER BY seq LIMIT %d`, entryColumns, chainBatch))
		if err != nil || len(entries) == 0 {
			return err
		}
		for _, e := range entries {
			next, hash, err := head.Append(e, mac)
			if err != nil {
				return err
			}
			if _, err := tx.exec(ctx, `UPDATE audit SET link = $1, hash = $2 WHERE seq = $3 AND link IS NULL`, next.Number, hash, e.Seq); err != nil {
				return err
			}
			head = next
		}
		n = len(entries)
		return writeHead(ctx, tx, head, mac)
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// A TrailReport is what VerifyAudit found when all was well.
type TrailReport struct {
	Entries int64      // in the chain
	Waiting int64      // written, not chained yet
	Head    audit.Head // to be written down somewhere else
}

// VerifyAudit walks the whole trail. What is wrong is a *TrailError. expect,
// unless zero, is a head that was written down earlier and has to be part of the
// trail: it shows what no database can show by itself, that an older copy of it
// was put back.
func (s *Store) VerifyAudit(ctx context.Context, expect audit.Head) (TrailReport, error) {
	_, check, err := s.auditKeys()
	if err != nil {
		return TrailReport{}, err
	}
	var sealed audit.Head
	err = s.db.tx(ctx, func(ctx context.Context, tx db) error { // both reads see one moment
		if s.dialect == postgres {
			if _, err := tx.exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(trailLock)); err != nil {
				return err
			}
		}
		var err error
		sealed, err = readHead(ctx, tx, check)
		return err
	})
	// A wrong end is the last thing to report: what is wrong before it says more.
	var end *TrailError
	if err != nil && !errors.As(err, &end) {
		return TrailReport{}, known(err, "reading the head of the audit trail")
	}
	var report TrailReport
	var head audit.Head
	err = s.pages(ctx, func(number int64, e audit.Entry, hash []byte) error {
		if end == nil && number > sealed.Number {
			return nil // chained while we read; next time
		}
		next, err := head.Follow(number, e, hash, check)
		if err != nil {
			return &TrailError{head.Number + 1, err}
		}
		if head = next; head.Number == expect.Number && head != expect {
			return &TrailError{head.Number, audit.ErrAltered}
		}
		return nil
	})
	switch {
	case err != nil:
		return TrailReport{}, wrap(err, "verifying the audit trail")
	case end != nil:
		return TrailReport{}, end
	case head != sealed:
		return TrailReport{}, &TrailError{head.Number + 1, audit.ErrTruncated}
	case head.Number < expect.Number:
		return TrailReport{}, &TrailError{head.Number + 1, audit.ErrTruncated}
	}
	report.Entries, report.Head = head.Number, head
	err = s.db.queryRow(ctx, `SELECT count(*) FROM audit WHERE link IS NULL`).Scan(&report.Waiting)
	return report, wrap(err, "counting waiting audit entries")
}

// pages calls fn for every chained entry, in the order of the chain.
func (s *Store) pages(ctx context.Context, fn func(number int64, e audit.Entry, hash []byte) error) error {
	type linked struct {
		audit.Entry
		number int64
		hash   []byte
	}
	for after := int64(math.MinInt64); ; {
		page, err := list(ctx, s.db, func(r row) (linked, error) {
			var l linked
			var err error
			l.Entry, err = scanEntry(r, &l.number, &l.hash)
			return l, err
		}, fmt.Sprintf(`SELECT %s, link, hash FROM audit WHERE link > $1 ORDER BY link LIMIT %d`, entryColumns, trailPage), after)
		if err != nil {
			return err
		}
		for _, l := range page {
			if err := fn(l.number, l.Entry, l.hash); err != nil {
				return err
			}
			after = l.number
		}
		if len(page) < trailPage {
			return nil
		}
	}
}

// ExportAudit hands every chained entry from since on to fn as a line of JSON. It
// does not verify.
func (s *Store) ExportAudit(ctx context.Context, since time.Time, fn func(line []byte) error) error {
	err := s.pages(ctx, func(number int64, e audit.Entry, hash []byte) error {
		if !since.IsZero() && e.At < ms(since) {
			return nil
		}
		var digest []byte
		if h, err := audit.Stored(number, hash); err == nil {
			digest = h.Digest[:]
		}
		line, err := e.Line(number, digest)
		if err != nil {
			return err
		}
		return fn(line)
	})
	return wrap(err, "exporting the audit trail")
}
