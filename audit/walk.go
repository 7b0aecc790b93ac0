package audit

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/emmansun/gmsm/sm3"
)

// What is wrong with a trail. Each comes inside a *TrailError, which says where.
var (
	ErrAltered   = errors.New("the entry is not what was written, or not where it was written")
	ErrForged    = errors.New("the entry was hashed by somebody without the key")
	ErrInserted  = errors.New("the entry was written by somebody without the key")
	ErrRepeated  = errors.New("the entry is a copy of an earlier one")
	ErrGap       = errors.New("an entry is missing")
	ErrTruncated = errors.New("the end of the trail is missing")
	ErrHead      = errors.New("the head of the trail is missing or forged")
	ErrRewritten = errors.New("up to here the trail is not the one that was attested")
)

// A TrailError says which entry of the trail is wrong; its cause is one of the
// errors above.
type TrailError struct {
	Number int64 // in the chain; 0 when it is not linked, or when not one is left
	Seq    int64 // of an entry that is not linked; 0 otherwise
	Cause  error
}

func (e *TrailError) Error() string {
	switch {
	case e.Number != 0:
		return fmt.Sprintf("audit entry %d: %v", e.Number, e.Cause)
	case e.Seq != 0:
		return fmt.Sprintf("audit row %d, not linked yet: %v", e.Seq, e.Cause)
	}
	return fmt.Sprintf("audit trail: %v", e.Cause)
}

// Unwrap returns the cause.
func (e *TrailError) Unwrap() error { return e.Cause }

// A Gate lets entries into the chain. Those without a MAC are from before there
// were any: their seq is not above Before, and none comes after one that has a MAC.
type Gate struct {
	Before int64
	Begun  bool // an entry with a MAC has passed
}

// Admit reports whether e may come next. Without a check, whether it has a MAC at
// all is looked at and the MAC is not.
func (g *Gate) Admit(e Entry, check Check) bool {
	if len(e.MAC) == 0 {
		return !g.Begun && e.Seq <= g.Before
	}
	g.Begun = true
	return check == nil || e.Vouched(check)
}

// A Walk goes along a trail, entry by entry, and stops at the first that is wrong.
// It remembers the nonces it has met, 16 bytes an entry.
type Walk struct {
	gate   Gate
	check  Check
	head   Head
	expect map[int64][sm3.Size]byte
	last   int64 // the highest number expected
	seen   map[[nonceSize]byte]struct{}
}

// NewWalk begins after a head, the zero one for a whole trail. A nil check leaves
// the MACs alone, for those who do not have the key. Heads that are expected were
// written down or attested elsewhere and have to be part of the trail; zero ones,
// and those before the beginning, are not asked for.
func NewWalk(after Head, before int64, check Check, expect ...Head) (*Walk, error) {
	w := &Walk{
		gate: Gate{Before: before}, check: check, head: after,
		expect: map[int64][sm3.Size]byte{}, seen: map[[nonceSize]byte]struct{}{},
	}
	for _, h := range expect {
		if h.Number == 0 || h.Number < after.Number {
			continue
		}
		if known, ok := w.expect[h.Number]; ok && known != h.Digest {
			return nil, &TrailError{Number: h.Number, Cause: ErrRewritten} // two trails were attested
		}
		w.expect[h.Number], w.last = h.Digest, max(w.last, h.Number)
	}
	return w, w.compare()
}

// Head is how far the walk came.
func (w *Walk) Head() Head { return w.head }

// Next takes one step.
func (w *Walk) Next(l Linked) error {
	wrong := func(cause error) error { return &TrailError{Number: w.head.Number + 1, Cause: cause} }
	if l.Number != w.head.Number+1 {
		return wrong(ErrGap)
	}
	next := w.head.after(l.Entry)
	if l.Odd || len(l.Hash) <= sm3.Size || !bytes.Equal(l.Hash[:sm3.Size], next.Digest[:]) {
		return wrong(ErrAltered)
	}
	if w.check != nil && !w.check(l.Hash[sm3.Size:], next.message(entryLabel)) {
		return wrong(ErrForged)
	}
	if err := w.entry(l.Entry); err != nil {
		return wrong(err)
	}
	w.head = next
	return w.compare()
}

// Waiting looks at an entry that is not linked yet, after the last one that is.
func (w *Walk) Waiting(l Linked) error {
	err := w.entry(l.Entry)
	if l.Odd {
		err = ErrAltered
	}
	if err != nil {
		return &TrailError{Seq: l.Seq, Cause: err}
	}
	return nil
}

func (w *Walk) entry(e Entry) error {
	if !w.gate.Admit(e, w.check) {
		return ErrInserted
	}
	if len(e.MAC) > nonceSize {
		nonce := [nonceSize]byte(e.MAC[:nonceSize])
		if _, again := w.seen[nonce]; again {
			return ErrRepeated
		}
		w.seen[nonce] = struct{}{}
	}
	return nil
}

func (w *Walk) compare() error {
	if want, ok := w.expect[w.head.Number]; ok && want != w.head.Digest {
		return &TrailError{Number: w.head.Number, Cause: ErrRewritten}
	}
	return nil
}

// End reports whether the walk came as far as was expected.
func (w *Walk) End() error {
	if w.head.Number < w.last {
		return &TrailError{Number: w.head.Number + 1, Cause: ErrTruncated}
	}
	return nil
}
