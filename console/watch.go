package console

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"ecardid/audit"
	"ecardid/identity"
)

// A Search says which entries of the trail somebody is after; zero fields are any.
type Search struct {
	Kind         string // its beginning: "client." finds all about clients
	Actor        string // its beginning: "staff:" finds all that staff did
	Citizen      identity.ID
	Client       string
	Since, Until time.Time
}

// An Entry is one entry of the trail.
type Entry struct {
	Moment
	Number         int64 // in the chain; 0: not linked yet
	Citizen, Login identity.ID
	Device         identity.ID
}

// An Alarm is an entry whose kind begins with "alarm.", and whether somebody saw to it.
type Alarm struct {
	Moment
	Citizen identity.ID
	Region  string    // of the citizen
	Seen    time.Time // zero: nobody did
	By      string    // the name of who did
	Note    string
}

// An AlarmCount is how often a rule raised an alarm on a day.
type AlarmCount struct {
	Day   time.Time
	Rule  string
	Count int
}

// For reports whether an alarm is somebody's to see: one about a citizen is theirs who
// serve the citizen, and one about nobody is everybody's who watches.
func (a Alarm) For(s Staff) bool { return a.Citizen.IsZero() || s.Within(a.Region) }

// Trail reads the audit trail. It verifies nothing: `ecardid audit verify` does.
type Trail interface {
	// SearchTrail returns up to n entries before number below (0: the newest), the newest
	// first. next is where to go on, 0 at the end. It looks at so much at a time: a page
	// may be short, even empty, and there is more behind it.
	SearchTrail(ctx context.Context, s Search, below int64, n int) (found []Entry, next int64, err error)
	// ClientRefusals returns the last n entries about refusals of a relying party.
	ClientRefusals(ctx context.Context, clientID string, n int) ([]Moment, error)
	// Alarms returns up to n alarms before number below (0: the newest), the newest first:
	// those that are for staff of the unit, see Alarm.For. So do those who count them.
	Alarms(ctx context.Context, unit string, below int64, n int) ([]Alarm, error)
	// Alarm reads one; identity.ErrNotFound for an entry that is none.
	Alarm(ctx context.Context, seq int64) (Alarm, error)
	// AlarmCounts counts alarms by day and rule, from a moment on.
	AlarmCounts(ctx context.Context, unit string, since time.Time) ([]AlarmCount, error)
	// UnseenAlarms counts those nobody has seen to, from a moment on.
	UnseenAlarms(ctx context.Context, unit string, since time.Time) (int, error)
	// SeeAlarm notes that somebody of staff saw to one; identity.ErrConflict when somebody has.
	SeeAlarm(ctx context.Context, seq int64, staff identity.ID, note string, e audit.Event) error
}

// A Stream is a stream of shared signals to a relying party, and how far it is behind.
type Stream struct {
	Client, Method, Status string
	Pending, Failures      int
	Oldest, Delivered      time.Time
	Error                  string
}

// Streams lists them.
type Streams interface {
	Streams(ctx context.Context) ([]Stream, error)
}

// Watch performs what those who watch do: noting that an alarm was seen to. The reason of
// the order is the note.
type Watch struct{ Trail Trail }

var _ Performer = (*Watch)(nil)

// Acts lists what it performs.
func (*Watch) Acts() []Act { return []Act{AlarmSee} }

// Preview implements Performer.
func (w *Watch) Preview(ctx context.Context, by Staff, o Order) ([]Line, error) {
	a, err := w.alarm(ctx, o)
	if err != nil {
		return nil, err
	}
	if !a.For(by) {
		return nil, identity.ErrNotFound
	}
	if !a.Seen.IsZero() {
		return nil, identity.ErrConflict
	}
	return []Line{{What: "alarm", Name: string(a.Kind)}, {What: "at", Name: a.At.UTC().Format(time.RFC3339)}}, nil
}

// Perform implements Performer.
func (w *Watch) Perform(ctx context.Context, o Order, e audit.Event) (string, error) {
	a, err := w.alarm(ctx, o)
	if err != nil {
		return "", err
	}
	e.Kind = audit.AlarmSeen
	if e.Detail == nil {
		e.Detail = map[string]string{}
	}
	e.Detail["alarm"] = strconv.FormatInt(a.Seq, 10)
	return "", w.Trail.SeeAlarm(ctx, a.Seq, e.Standing.Staff, o.Reason, e)
}

func (w *Watch) alarm(ctx context.Context, o Order) (Alarm, error) {
	seq, err := strconv.ParseInt(o.Value, 10, 64)
	if err != nil || o.Act != AlarmSee || strconv.FormatInt(seq, 10) != o.Value {
		return Alarm{}, fmt.Errorf("%w: no number of an alarm", ErrInvalid)
	}
	return w.Trail.Alarm(ctx, seq)
}
