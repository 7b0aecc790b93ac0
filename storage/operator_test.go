package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/console"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/internal/seal"
)

var opNow = time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)

func opKEK(t testing.TB, b byte) *seal.KEK {
	t.Helper()
	kek, err := seal.ParseKEK(fmt.Appendf(nil, "%064x", []byte{b, 1, 2, 3}), "test")
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

// opStores runs test on an unlocked store with the real schema, on both databases.
func opStores(t *testing.T, test func(t *testing.T, s *Store)) {
	for _, d := range dialects {
		t.Run(string(d), func(t *testing.T) {
			dsn := "sqlite:" + filepath.Join(t.TempDir(), "real.db")
			if d == postgres {
				dsn = emptyDSN(t, postgres)
			}
			if err := Migrate(t.Context(), dsn); err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), dsn, Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			if err := s.Unlock(t.Context(), opKEK(t, 7), opNow); err != nil {
				t.Fatal(err)
			}
			test(t, s)
		})
	}
}

func opCitizen(t testing.TB, number, phone, card string) NewCitizen {
	t.Helper()
	id, err := idnumber.ParseID(number, opNow)
	if err != nil {
		t.Fatal(err)
	}
	p, err := idnumber.ParsePhone(phone)
	if err != nil {
		t.Fatal(err)
	}
	c, err := idnumber.ParseCard(card)
	if err != nil {
		t.Fatal(err)
	}
	return NewCitizen{ID: identity.NewID(), Name: "王秀英", IDNumber: id, Phone: p, Card: c, Code: []byte("hash of " + card), Expires: opNow.Add(time.Hour)}
}

func opEvent(kind audit.Kind) audit.Event {
	return audit.Event{Kind: kind, At: opNow, Actor: audit.ByOperator}
}

func opCount(t testing.TB, s *Store, sql string, args ...any) (n int) {
	t.Helper()
	if err := s.db.queryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestImportIsAllOrNothing(t *testing.T) {
	opStores(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		first := opCitizen(t, "11010519491231002X", "13800001111", "A12345678")
		if err := s.ImportCitizens(ctx, []NewCitizen{first}, opEvent(audit.CitizenImported)); err != nil {
			t.Fatal(err)
		}
		rows := []NewCitizen{
			opCitizen(t, "440524188001010014", "13800002222", "B12345678"),
			opCitizen(t, "110105194912310038", "13800002222", "C12345678"), // row 0's phone
			opCitizen(t, "11010519491231002X", "13800003333", "A12345678"), // first's ID and card
		}
		err := s.ImportCitizens(ctx, rows, opEvent(audit.CitizenImported))
		var refused *ImportError
		if !errors.As(err, &refused) {
			t.Fatalf("got %v, want an ImportError", err)
		}
		want := []Taken{{1, authn.AliasPhone, 0}, {2, authn.AliasCard, -1}, {2, authn.AliasID, -1}}
		if fmt.Sprint(refused.Taken) != fmt.Sprint(want) {
			t.Errorf("taken: %v, want %v", refused.Taken, want)
		}
		if n := opCount(t, s, `SELECT count(*) FROM citizens`); n != 1 {
			t.Errorf("%d citizens after a refused import, want 1", n)
		}
		if n := opCount(t, s, `SELECT count(*) FROM aliases`); n != 3 {
			t.Errorf("%d aliases after a refused import, want 3", n)
		}
		if n := opCount(t, s, `SELECT count(*) FROM audit WHERE kind = 'citizen.import'`); n != 1 {
			t.Errorf("%d entries, want 1", n)
		}
		c, err := s.CitizenByAlias(ctx, authn.Alias{Kind: authn.AliasCard, Value: "A12345678"})
		if err != nil {
			t.Fatal(err)
		}
		if c.Name != "王**" || c.IDNumber != "1****************X" || c.Phone != "138****1111" || c.Card != "A******78" || c.State != identity.CardNormal {
			t.Errorf("summary: %+v", c)
		}
		if _, err := s.CitizenByAlias(ctx, authn.Alias{Kind: authn.AliasCard, Value: "B12345678"}); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("a citizen of a refused import: %v", err)
		}
	})
}

func TestCardsMoveAndResets(t *testing.T) {
	opStores(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		c := opCitizen(t, "11010519491231002X", "13800001111", "A12345678")
		if err := s.ImportCitizens(ctx, []NewCitizen{c}, opEvent(audit.CitizenImported)); err != nil {
			t.Fatal(err)
		}
		card := authn.Alias{Kind: authn.AliasCard, Value: "A12345678"}
		set := func(to identity.CardState) error { return s.SetCardState(ctx, c.ID, to, opEvent(audit.CitizenFrozen)) }
		epoch := func() int64 {
			a, err := s.Account(ctx, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			return a.Epoch
		}
		before := epoch()
		for _, step := range []struct {
			to   identity.CardState
			want error
		}{
			{identity.CardNormal, identity.ErrConflict}, // it is
			{identity.CardFrozen, nil},
			{identity.CardFrozen, identity.ErrConflict},
			{identity.CardTempLost, identity.ErrConflict},
			{identity.CardNormal, nil},
			{"nonsense", identity.ErrConflict},
		} {
			if err := set(step.to); !errors.Is(err, step.want) {
				t.Errorf("to %s: got %v, want %v", step.to, err, step.want)
			}
		}
		if epoch() != before+2 {
			t.Errorf("epoch %d, want %d: each move ends what was before", epoch(), before+2)
		}
		// The code from the import died with the freeze and did not come back.
		if _, err := s.CheckActivation(ctx, card, c.Code, opNow); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("an activation code survived freezing: %v", err)
		}
		if err := s.IssueActivation(ctx, c.ID, []byte("second"), opNow.Add(time.Hour), opEvent(audit.ActivationIssued)); err != nil {
			t.Fatal(err)
		}
		if err := s.Activate(ctx, c.ID, []byte("second"), "encoded", "hello", opEvent(audit.CitizenActivated)); err != nil {
			t.Fatal(err)
		}
		// Whoever is in needs no activation code, and must not lose their password to one.
		if err := s.IssueActivation(ctx, c.ID, []byte("third"), opNow.Add(time.Hour), opEvent(audit.ActivationIssued)); !errors.Is(err, identity.ErrConflict) {
			t.Errorf("a code for somebody activated: %v", err)
		}
		f := authn.TOTPFactor{ID: identity.NewID(), Citizen: c.ID, Seed: bytes.Repeat([]byte{1}, 20), Algorithm: "rfc6238", Created: opNow}
		if err := s.ProposeTOTP(ctx, f); err != nil {
			t.Fatal(err)
		}
		if err := s.ConfirmTOTP(ctx, c.ID, f.ID, 1, identity.ID{}, nil, opEvent(audit.TOTPBound)); err != nil {
			t.Fatal(err)
		}
		before = epoch()
		if err := s.ResetFactors(ctx, c.ID, []byte("fourth"), opNow.Add(time.Hour), opEvent(audit.FactorsReset)); err != nil {
			t.Fatal(err)
		}
		a, err := s.Account(ctx, c.ID)
		if err != nil || a.Password != "" || a.Factors.Any() || a.Epoch != before+1 || a.Greeting != "" {
			t.Errorf("after a reset: %+v, %v", a, err)
		}
		if id, err := s.CheckActivation(ctx, card, []byte("fourth"), opNow); err != nil || id != c.ID {
			t.Errorf("the code of the reset: %v, %v", id, err)
		}
	})
}

func TestStaffAndKeys(t *testing.T) {
	opStores(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		n := console.Staff{ID: identity.NewID(), Name: "li.na", Roles: []console.Role{console.Auditor}}
		if err := s.InviteStaff(ctx, n, []byte("h"), opNow, opEvent(audit.StaffAdded)); err != nil {
			t.Fatal(err)
		}
		n.ID = identity.NewID()
		if err := s.InviteStaff(ctx, n, []byte("h"), opNow, opEvent(audit.StaffAdded)); !errors.Is(err, identity.ErrConflict) {
			t.Errorf("a name twice: %v", err)
		}
		old, fresh := opKEK(t, 7), opKEK(t, 8)
		if err := s.RewrapKeys(ctx, fresh, old, opEvent(audit.DataKeyRewrapped)); !errors.Is(err, seal.ErrWrongKEK) {
			t.Errorf("rewrapping from the wrong key: %v", err)
		}
		if err := s.RewrapKeys(ctx, old, fresh, opEvent(audit.DataKeyRewrapped)); err != nil {
			t.Fatal(err)
		}
		if err := s.Unlock(ctx, old, opNow); !errors.Is(err, seal.ErrWrongKEK) {
			t.Errorf("the old key still opens: %v", err)
		}
		if err := s.Unlock(ctx, fresh, opNow); err != nil {
			t.Error(err)
		}
	})
}

func TestTheTrailShowsTampering(t *testing.T) {
	opStores(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		for n := range 7 {
			e := opEvent(audit.LoginFinished)
			e.Reason = fmt.Sprint("number ", n)
			if err := s.Record(ctx, e); err != nil {
				t.Fatal(err)
			}
			if n == 3 { // half before, half after
				if done, err := s.ChainAudit(ctx); err != nil || done != 4 {
					t.Fatalf("chained %d, %v", done, err)
				}
			}
		}
		r, err := s.VerifyAudit(ctx, audit.Head{})
		if err != nil || r.Entries != 4 || r.Waiting != 3 {
			t.Fatalf("half-way: %+v, %v", r, err)
		}
		early := r.Head
		if done, err := s.ChainAudit(ctx); err != nil || done != 3 {
			t.Fatalf("chained %d, %v", done, err)
		}
		if r, err = s.VerifyAudit(ctx, early); err != nil || r.Entries != 7 {
			t.Fatalf("whole: %+v, %v", r, err)
		}
		var lines []string
		if err := s.ExportAudit(ctx, time.Time{}, func(l []byte) error { lines = append(lines, string(l)); return nil }); err != nil {
			t.Fatal(err)
		}
		var last struct{ Number int64 }
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != 7 || last.Number != 7 {
			t.Errorf("export: %d lines, the last %q, %v", len(lines), lines[len(lines)-1], err)
		}

		for _, test := range []struct {
			name string
			sql  []string
			want error
		}{
			{"edit", []string{`UPDATE audit SET reason = 'x' WHERE link = 2`}, audit.ErrAltered},
			{"delete", []string{`DELETE FROM audit WHERE link = 2`}, audit.ErrGap},
			{"reorder", []string{`UPDATE audit SET link = 100 WHERE link = 2`, `UPDATE audit SET link = 2 WHERE link = 3`, `UPDATE audit SET link = 3 WHERE link = 100`}, audit.ErrAltered},
			{"cut-the-end", []string{`DELETE FROM audit WHERE link >= 6`}, audit.ErrTruncated},
			{"cut-all", []string{`DELETE FROM audit`}, audit.ErrTruncated},
			{"cut-and-move-the-head", []string{`DELETE FROM audit WHERE link >= 6`, `UPDATE versions SET version = 5 WHERE name LIKE 'audit-head:%'`}, audit.ErrHead},
			{"cut-and-drop-the-head", []string{`DELETE FROM audit WHERE link >= 6`, `DELETE FROM versions WHERE name LIKE 'audit-head:%'`}, audit.ErrHead},
			{"wipe", []string{`DELETE FROM audit`, `DELETE FROM versions WHERE name LIKE 'audit-head:%'`}, audit.ErrHead},
			{"wipe-and-begin-anew", []string{`DELETE FROM audit`, `UPDATE versions SET version = 0 WHERE name LIKE 'audit-head:%'`}, audit.ErrHead},
			{"a-second-head", []string{`INSERT INTO versions (name, version) VALUES ('audit-head:00', 7)`}, audit.ErrHead},
			{"unlink", []string{`UPDATE audit SET link = NULL, hash = NULL WHERE link = 7`}, audit.ErrTruncated},
			{"slip-in", []string{`UPDATE audit SET link = -1 WHERE link = 1`}, audit.ErrGap},
		} {
			t.Run(test.name, func(t *testing.T) {
				undo := errors.New("undo")
				err := s.db.tx(ctx, func(ctx context.Context, tx db) error {
					for _, sql := range test.sql {
						if _, err := tx.exec(ctx, sql); err != nil {
							return err
						}
					}
					// The store as it would be, seen from inside the transaction.
					inside := &Store{db: tx, dialect: s.dialect, backend: s.backend, hot: s.hot}
					inside.keys.Store(s.keys.Load())
					_, err := inside.VerifyAudit(ctx, audit.Head{})
					var wrong *audit.TrailError
					if !errors.Is(err, test.want) || !errors.As(err, &wrong) {
						t.Errorf("verify: got %v, want %v", err, test.want)
					}
					return undo
				})
				if !errors.Is(err, undo) {
					t.Error(err)
				}
			})
		}
		// An old copy of everything, head and seal included, is consistent with itself.
		ahead := r.Head
		ahead.Number++
		if _, err := s.VerifyAudit(ctx, ahead); !errors.Is(err, audit.ErrTruncated) {
			t.Errorf("a trail shorter than the head written down: %v", err)
		}
		ahead.Number = early.Number
		if _, err := s.VerifyAudit(ctx, ahead); !errors.Is(err, audit.ErrRewritten) {
			t.Errorf("a trail other than the one written down: %v", err)
		}
		// A trail that was cut is not continued: that would hide the cut.
		if _, err := s.db.exec(ctx, `DELETE FROM audit WHERE link = 7`); err != nil {
			t.Fatal(err)
		}
		if err := s.Record(ctx, opEvent(audit.LoginFinished)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ChainAudit(ctx); !errors.Is(err, audit.ErrTruncated) {
			t.Errorf("chaining after a cut: %v", err)
		}
	})
}

// A trail that never began is one thing, one that was wiped out another: it neither
// verifies nor goes on (SECURITY AD3).
func TestAWipedTrailDoesNotBeginAnew(t *testing.T) {
	for _, early := range []bool{true, false} { // before anything was linked, and after
		for _, sql := range [][]string{
			{`DELETE FROM audit`, `DELETE FROM versions WHERE name LIKE 'audit-head:%'`},
			// Nor does a new audit key make a new beginning.
			{`DELETE FROM audit`, `DELETE FROM versions WHERE name LIKE 'audit-head:%'`, `DELETE FROM data_keys WHERE purpose = 'audit'`},
		} {
			opStores(t, func(t *testing.T, s *Store) {
				ctx := t.Context()
				if r, err := s.VerifyAudit(ctx, audit.Head{}); err != nil || r.Head != (audit.Head{}) {
					t.Fatalf("before the first entry: %+v, %v", r, err)
				}
				if err := s.Record(ctx, opEvent(audit.LoginFinished)); err != nil {
					t.Fatal(err)
				}
				if !early {
					if n, err := s.ChainAudit(ctx); err != nil || n != 1 {
						t.Fatalf("chained %d, %v", n, err)
					}
				}
				for _, one := range sql {
					if _, err := s.db.exec(ctx, one); err != nil {
						t.Fatal(err)
					}
				}
				for _, when := range []string{"at once", "after the next start"} {
					var wrong *audit.TrailError
					if _, err := s.VerifyAudit(ctx, audit.Head{}); !errors.Is(err, audit.ErrHead) || !errors.As(err, &wrong) {
						t.Errorf("%s, verify: %v", when, err)
					}
					if err := s.Record(ctx, opEvent(audit.LoginFinished)); err != nil {
						t.Fatal(err)
					}
					if n, err := s.ChainAudit(ctx); !errors.Is(err, audit.ErrHead) || n != 0 {
						t.Errorf("%s, chaining: %d, %v", when, n, err)
					}
					if err := s.Unlock(ctx, opKEK(t, 7), opNow); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// Replicas that start at once agree on the keys and on one beginning of the trail.
func TestUnlockingAtOnce(t *testing.T) {
	for _, d := range dialects {
		t.Run(string(d), func(t *testing.T) {
			ctx := t.Context()
			dsn := emptyDSN(t, d)
			if err := Migrate(ctx, dsn); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for range 4 {
				s, err := Open(ctx, dsn, Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				all.Go(func() {
					if err := s.Unlock(ctx, opKEK(t, 7), opNow); err != nil {
						t.Error(err)
						return
					}
					if err := s.Record(ctx, opEvent(audit.LoginFinished)); err != nil {
						t.Error(err)
					}
					if _, err := s.ChainAudit(ctx); err != nil {
						t.Error(err)
					}
					if _, err := s.VerifyAudit(ctx, audit.Head{}); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		})
	}
}

func TestSweepTakesWhatIsOverAndNothingElse(t *testing.T) {
	opStores(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		old, young := ms(opNow.Add(-time.Minute)), ms(opNow.Add(time.Minute))
		for i, at := range []int64{old, young} {
			for n := range 3 * sweepBatch / 2 {
				if _, err := s.db.exec(ctx, `INSERT INTO replay (key, expires_at) VALUES ($1, $2)`, fmt.Appendf(nil, "%d-%d", i, n), at); err != nil {
					t.Fatal(err)
				}
			}
		}
		for key, blocked := range map[string]int64{"over": 0, "blocked-for-good": 9000000000000000} {
			if _, err := s.db.exec(ctx, `INSERT INTO attempts (key, count, first_at, blocked_until, expires_at) VALUES ($1, 1, 0, $2, $3)`, []byte(key), blocked, old); err != nil {
				t.Fatal(err)
			}
		}
		gone, err := s.Sweep(ctx, opNow)
		if err != nil {
			t.Fatal(err)
		}
		if gone["replay"] != 3*sweepBatch/2 || gone["attempts"] != 1 {
			t.Errorf("gone: %v", gone)
		}
		if n := opCount(t, s, `SELECT count(*) FROM replay`); n != 3*sweepBatch/2 {
			t.Errorf("%d replay keys left", n)
		}
		if gone, err = s.Sweep(ctx, opNow); err != nil || len(gone) != 0 && gone["replay"] != 0 {
			t.Errorf("a second sweep found %v, %v", gone, err)
		}
		// Every condition is one both databases understand.
		for _, w := range sweeps() {
			if strings.TrimSpace(w.over) == "" {
				t.Errorf("%s would be emptied", w.table)
			}
		}
	})
}
