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
	"ecardid/identity"
	"ecardid/internal/jose"
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

// beforeMAC is the versions row with the last seq that was written before entries
// had a MAC (migration 0004). Raising it helps nobody once one entry that has a MAC
// is linked: none without may follow.
const beforeMAC = "audit-before-mac"

// entryColumns are read by scanLinked. An entry that is not linked has number 0.
const entryColumns = ` seq, at, kind, actor, citizen_id, login_id, device_id, coalesce(client_id, ''), reason, detail, place, mac, coalesce(link, 0), hash `

// scanLinked reads a row of whatever somebody made of it.
func scanLinked(r row) (audit.Linked, error) {
	var l audit.Linked
	var ids [3][]byte
	err := r.Scan(&l.Seq, &l.At, &l.Kind, &l.Actor, &ids[0], &ids[1], &ids[2], &l.Client, &l.Reason, &l.Detail, &l.Place, &l.MAC, &l.Number, &l.Hash)
	if err != nil {
		return audit.Linked{}, err
	}
	for i, id := range []*identity.ID{&l.Citizen, &l.Login, &l.Device} {
		switch len(ids[i]) {
		case 0:
		case len(id):
			copy(id[:], ids[i])
		default:
			l.Odd = true
		}
	}
	return l, nil
}

func auditMAC(keys *seal.Keys) audit.MAC {
	return func(m []byte) ([]byte, error) { return keys.MAC(seal.Audit, m) }
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

// AuditCheck checks the MACs of an exported trail.
func (s *Store) AuditCheck() (audit.Check, error) {
	_, check, err := s.auditKeys()
	return check, err
}

// CheckpointKey signs checkpoints.
func (s *Store) CheckpointKey() (jose.Key, error) {
	mac, _, err := s.auditKeys()
	if err != nil {
		return jose.Key{}, err
	}
	return audit.CheckpointKey(mac)
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
// is where the chain was left. begun says that the last entry has a MAC of its own.
func readHead(ctx context.Context, d db, check audit.Check) (head audit.Head, begun bool, err error) {
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
		return audit.Head{}, false, err
	}
	var number int64 // of the last entry; 0 without one
	var hash []byte
	err = d.queryRow(ctx, `SELECT link, hash, mac IS NOT NULL FROM audit WHERE link IS NOT NULL ORDER BY link DESC LIMIT 1`).Scan(&number, &hash, &begun)
	wrong := func(number int64, cause error) (audit.Head, bool, error) {
		return audit.Head{}, false, &audit.TrailError{Number: number, Cause: cause}
	}
	switch {
	case err != nil && !errors.Is(err, errNoRows):
		return audit.Head{}, false, err
	case len(rows) != 1:
		return wrong(number, audit.ErrHead)
	case number < rows[0].number:
		return wrong(rows[0].number, audit.ErrTruncated)
	case number > rows[0].number:
		return wrong(number, audit.ErrHead)
	}
	if number > 0 {
		if head, err = audit.Stored(number, hash); err != nil {
			return wrong(number, err)
		}
	}
	tag, err := hex.DecodeString(strings.TrimPrefix(rows[0].name, headPrefix))
	if err != nil || !head.Sealed(tag, check) {
		return wrong(number, audit.ErrHead)
	}
	return head, begun, nil
}

// lockTrail lets one at a time look at the end of the trail or move it.
func (s *Store) lockTrail(ctx context.Context, tx db) error {
	if s.dialect != postgres {
		return nil
	}
	_, err := tx.exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(trailLock))
	return err
}

// AuditHead is where the chain ends, to be attested. A trail whose end is not where
// it was left is an *audit.TrailError, and so is one that earlier heads, zero ones apart,
// are no part of: it went back since they were seen, whether it has grown again or not.
func (s *Store) AuditHead(ctx context.Context, earlier ...audit.Head) (head audit.Head, err error) {
	_, check, err := s.auditKeys()
	if err != nil {
		return audit.Head{}, err
	}
	// What is read may be wrong without the reading having failed.
	var wrong *audit.TrailError
	err = s.db.tx(ctx, func(ctx context.Context, tx db) error { // both reads see one moment
		if err := s.lockTrail(ctx, tx); err != nil {
			return err
		}
		var err error
		if head, _, err = readHead(ctx, tx, check); err == nil {
			err = remains(ctx, tx, head, earlier)
		}
		if errors.As(err, &wrong) {
			return nil
		}
		wrong = nil
		return err
	})
	if err == nil && wrong != nil {
		return audit.Head{}, wrong
	}
	return head, wrap(err, "reading the head of the audit trail")
}

// remains looks for earlier heads in a trail that ends with head.
func remains(ctx context.Context, d db, head audit.Head, earlier []audit.Head) error {
	for _, was := range earlier {
		switch {
		case was == audit.Head{}:
			continue
		case was.Number > head.Number:
			return &audit.TrailError{Number: head.Number + 1, Cause: audit.ErrTruncated}
		}
		is, err := storedHead(ctx, d, `SELECT link, hash FROM audit WHERE link = $1`, was.Number)
		if err != nil {
			return err
		}
		if is != was {
			return &audit.TrailError{Number: was.Number, Cause: audit.ErrRewritten}
		}
	}
	return nil
}

// ChainAudit links the entries written since the last time, in the order of seq,
// and returns how many there were. One replica at a time does it. A trail whose
// end is not where it was left is an *audit.TrailError and stays as it is: going on
// from there would hide what happened. So is one in which something waits that
// nobody with the key has written.
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
		if err := s.lockTrail(ctx, tx); err != nil {
			return err
		}
		head, begun, err := readHead(ctx, tx, check)
		if err != nil {
			return err
		}
		gate := audit.Gate{Begun: begun}
		if gate.Before, err = readBefore(ctx, tx); err != nil {
			return err
		}
		entries, err := list(ctx, tx, scanLinked, fmt.Sprintf(`SELECT %s FROM audit WHERE link IS NULL ORDER BY seq LIMIT %d`, entryColumns, chainBatch))
		if err != nil || len(entries) == 0 {
			return err
		}
		for _, l := range entries {
			if l.Odd || !gate.Admit(l.Entry, check) {
				return &audit.TrailError{Seq: l.Seq, Cause: audit.ErrInserted}
			}
			next, hash, err := head.Append(l.Entry, mac)
			if err != nil {
				return err
			}
			if _, err := tx.exec(ctx, `UPDATE audit SET link = $1, hash = $2 WHERE seq = $3 AND link IS NULL`, next.Number, hash, l.Seq); err != nil {
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

// readBefore returns up to which seq entries may be without a MAC.
func readBefore(ctx context.Context, d db) (before int64, err error) {
	err = d.queryRow(ctx, `SELECT coalesce(max(version), 0) FROM versions WHERE name = $1`, beforeMAC).Scan(&before)
	return before, err
}

// A TrailReport is what VerifyAudit found when all was well.
type TrailReport struct {
	Entries int64      // in the chain
	Waiting int64      // written, not chained yet
	Head    audit.Head // to be written down somewhere else
}

// VerifyAudit walks the whole trail, and what waits to be linked. What is wrong is
// an *audit.TrailError. Heads that are expected, zero ones apart, were written down
// or attested earlier and have to be part of the trail: they show what no database
// can show by itself, that an older copy of it was put back.
func (s *Store) VerifyAudit(ctx context.Context, expect ...audit.Head) (TrailReport, error) {
	_, check, err := s.auditKeys()
	if err != nil {
		return TrailReport{}, err
	}
	before, err := readBefore(ctx, s.db)
	if err != nil {
		return TrailReport{}, wrap(err, "verifying the audit trail")
	}
	sealed, err := s.AuditHead(ctx)
	// A wrong end is the last thing to report: what is wrong before it says more.
	var end *audit.TrailError
	if err != nil && !errors.As(err, &end) {
		return TrailReport{}, err
	}
	walk, err := audit.NewWalk(audit.Head{}, before, check, expect...)
	if err != nil {
		return TrailReport{}, err
	}
	err = s.pages(ctx, math.MinInt64, func(l audit.Linked) error {
		if end == nil && l.Number > sealed.Number {
			return nil // chained while we read; next time
		}
		return walk.Next(l)
	})
	switch {
	case err != nil:
		return TrailReport{}, wrap(err, "verifying the audit trail")
	case end != nil:
		return TrailReport{}, end
	case walk.Head() != sealed:
		return TrailReport{}, &audit.TrailError{Number: walk.Head().Number + 1, Cause: audit.ErrTruncated}
	}
	if err := walk.End(); err != nil {
		return TrailReport{}, err
	}
	report := TrailReport{Entries: sealed.Number, Head: sealed}
	for after := int64(math.MinInt64); ; {
		page, err := list(ctx, s.db, scanLinked, fmt.Sprintf(`SELECT %s FROM audit WHERE link IS NULL AND seq > $1 ORDER BY seq LIMIT %d`, entryColumns, trailPage), after)
		if err != nil {
			return TrailReport{}, wrap(err, "verifying what waits for the audit trail")
		}
		for _, l := range page {
			if err := walk.Waiting(l); err != nil {
				return TrailReport{}, err
			}
			after = l.Seq
		}
		if report.Waiting += int64(len(page)); len(page) < trailPage {
			return report, nil
		}
	}
}

// pages calls fn for every chained entry after a number, in the order of the chain.
func (s *Store) pages(ctx context.Context, after int64, fn func(audit.Linked) error) error {
	for {
		page, err := list(ctx, s.db, scanLinked, fmt.Sprintf(`SELECT %s FROM audit WHERE link > $1 ORDER BY link LIMIT %d`, entryColumns, trailPage), after)
		if err != nil {
			return err
		}
		for _, l := range page {
			if err := fn(l); err != nil {
				return err
			}
			after = l.Number
		}
		if len(page) < trailPage {
			return nil
		}
	}
}

// AuditTrail hands the chain to fn, entry by entry, from the first that was written
// at or after since. begin is called ahead of that with what the entries will be;
// its checkpoint is left to the caller. It does not verify, so that a broken trail
// can be shown to somebody; whole is false when already its end is not what it was,
// which then nobody should attest.
func (s *Store) AuditTrail(ctx context.Context, since time.Time, begin func(p audit.Preamble, whole bool) error, fn func(audit.Linked) error) error {
	p, whole, err := s.preamble(ctx, since)
	if err != nil {
		return wrap(err, "exporting the audit trail")
	}
	if err := begin(p, whole); err != nil {
		return err
	}
	return wrap(s.pages(ctx, p.After.Number, func(l audit.Linked) error {
		if l.Number > p.Head.Number {
			return nil // chained while we read
		}
		return fn(l)
	}), "exporting the audit trail")
}

func (s *Store) preamble(ctx context.Context, since time.Time) (p audit.Preamble, whole bool, err error) {
	var wrong *audit.TrailError
	p.Head, err = s.AuditHead(ctx)
	if whole = err == nil; errors.As(err, &wrong) {
		p.Head, err = storedHead(ctx, s.db, `SELECT link, hash FROM audit WHERE link IS NOT NULL AND link > $1 ORDER BY link DESC LIMIT 1`, 0)
	}
	if err != nil {
		return audit.Preamble{}, false, err
	}
	if p.Before, err = readBefore(ctx, s.db); err != nil || since.IsZero() {
		return p, whole, err
	}
	var last int64 // of those that stay out
	err = s.db.queryRow(ctx, `SELECT coalesce((SELECT min(link) - 1 FROM audit WHERE link IS NOT NULL AND at >= $1), $2)`, ms(since), p.Head.Number).Scan(&last)
	if err != nil || last < 1 {
		return p, whole, err
	}
	p.After, err = storedHead(ctx, s.db, `SELECT link, hash FROM audit WHERE link = $1`, last)
	return p, whole, err
}

// storedHead is the head that a row claims; the zero one without such a row.
func storedHead(ctx context.Context, d db, sql string, arg int64) (audit.Head, error) {
	var number int64
	var hash []byte
	err := d.queryRow(ctx, sql, arg).Scan(&number, &hash)
	if errors.Is(err, errNoRows) {
		return audit.Head{}, nil
	}
	if err != nil {
		return audit.Head{}, err
	}
	head, err := audit.Stored(number, hash)
	if err != nil {
		return audit.Head{}, nil // verify says so
	}
	return head, nil
}

// ExportAudit hands every chained entry from since on to fn as a line of JSON.
func (s *Store) ExportAudit(ctx context.Context, since time.Time, fn func(line []byte) error) error {
	return s.AuditTrail(ctx, since, func(audit.Preamble, bool) error { return nil }, func(l audit.Linked) error {
		line, err := l.Line()
		if err != nil {
			return err
		}
		return fn(line)
	})
}

// A TrailQuery narrows what SearchAudit returns. Zero fields do not.
type TrailQuery struct {
	Citizen      identity.ID
	Kind         audit.Kind
	Client       string
	Since, Until time.Time // from, and before
	Below        int64     // seq: the page before another
	Limit        int       // 1 to MaxFound
}

// MaxFound bounds one page of a search.
const MaxFound = 1000

// SearchAudit returns entries, linked or not, the newest first. It does not verify.
func (s *Store) SearchAudit(ctx context.Context, q TrailQuery) ([]audit.Linked, error) {
	var where []string
	var args []any
	narrow := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, fmt.Sprintf(condition, len(args)))
	}
	narrow(`seq < $%d`, int64(math.MaxInt64))
	if q.Below > 0 {
		args[0] = q.Below
	}
	if !q.Citizen.IsZero() {
		narrow(`citizen_id = $%d`, bin(q.Citizen))
	}
	if q.Kind != "" {
		narrow(`kind = $%d`, string(q.Kind))
	}
	if q.Client != "" {
		narrow(`client_id = $%d`, q.Client)
	}
	if !q.Since.IsZero() {
		narrow(`at >= $%d`, ms(q.Since))
	}
	if !q.Until.IsZero() {
		narrow(`at < $%d`, ms(q.Until))
	}
	found, err := list(ctx, s.db, scanLinked, fmt.Sprintf(`SELECT %s FROM audit WHERE %s ORDER BY seq DESC LIMIT %d`,
		entryColumns, strings.Join(where, " AND "), min(max(q.Limit, 1), MaxFound)), args...)
	return found, wrap(err, "searching the audit trail")
}
