package templates

import "time"

// Console problems of the pages of those who admit and watch.
const (
	ConsoleProblemRecord Key = "clients.problem.record"
	ConsoleProblemFilter Key = "audit.problem.filter"
	ConsoleProblemUnit   Key = "audit.problem.unit"
	ConsoleProblemNobody Key = "audit.problem.nobody"
)

// ConsoleClients lists relying parties.
type ConsoleClients struct {
	Desk
	Clients []ConsoleClientRow
}

// A ConsoleClientRow is one of them.
type ConsoleClientRow struct {
	ID, URL string
	Name    Text
	State   string // a word of "clients.state"
	Dynamic bool   // it registered itself
	Ends    time.Time
	Ending  bool
}

// ConsoleClient is a relying party: what it registered, what it was admitted to, what it
// does.
type ConsoleClient struct {
	Desk
	ConsoleClientRow
	Profile, Method           string
	Created, Updated          time.Time
	Redirects, Grants, Scopes []Text
	Record                    ConsoleRecord
	Chart                     ConsoleChart
	Refusals                  []ConsoleEvent
	Orders                    []ConsoleDo // words of "clients.do"
	ListURL                   string
}

// A ConsoleRecord is what a relying party was assessed as.
type ConsoleRecord struct {
	Assessor, Reference Text
	Assessed, Expires   string // days
	Scopes              []ConsoleBasis
	Testers             []string
}

// IsZero reports whether nothing was written down.
func (r ConsoleRecord) IsZero() bool {
	return r.Assessor == "" && r.Reference == "" && r.Assessed == "" && r.Expires == "" && len(r.Scopes)+len(r.Testers) == 0
}

// A ConsoleBasis is a scope that may be allowed, and by which law.
type ConsoleBasis struct {
	Scope            string
	Allowed          bool
	Chinese, English Text
}

// ConsoleAdmission asks for the record.
type ConsoleAdmission struct {
	Desk
	Name     Text
	State    string
	Record   ConsoleRecord
	Revision string
	Typed    Text // the reason
	Approved bool // it has to be, by others
	BackURL  string
}

// A ConsoleDay is what a relying party did on a day.
type ConsoleDay struct {
	Day                                   string // 2006-01-02
	Codes, Refreshes, Refusals, Overasked int
}

// A ConsoleChart draws days side by side: what was granted upwards, what was refused
// beside it. Its measures are those of the drawing.
type ConsoleChart struct {
	Days          []ConsoleDay
	Bars          []ConsoleBar
	Width, Height int
	Most          int //  what the highest bar stands for
	Total         ConsoleDay
}

// A ConsoleBar is one bar; Kind is a class of the style sheet.
type ConsoleBar struct {
	X, Y, Width, Height int
	Kind                string
}

const (
	chartHeight = 120
	chartDay    = 20 // the room of a day
	chartBar    = 8
)

// ChartOf draws them.
func ChartOf(days []ConsoleDay) ConsoleChart {
	c := ConsoleChart{Days: days, Width: max(1, len(days)) * chartDay, Height: chartHeight}
	for _, d := range days {
		c.Most = max(c.Most, d.Codes+d.Refreshes, d.Refusals+d.Overasked)
		c.Total.Codes, c.Total.Refreshes = c.Total.Codes+d.Codes, c.Total.Refreshes+d.Refreshes
		c.Total.Refusals, c.Total.Overasked = c.Total.Refusals+d.Refusals, c.Total.Overasked+d.Overasked
	}
	for i, d := range days {
		for j, one := range []struct {
			n    int
			kind string
		}{{d.Codes + d.Refreshes, "bar-used"}, {d.Refusals + d.Overasked, "bar-refused"}} {
			if one.n <= 0 {
				continue
			}
			height := max(1, int(float64(one.n)/float64(c.Most)*chartHeight)) // what there is, is seen
			c.Bars = append(c.Bars, ConsoleBar{X: i*chartDay + 1 + j*(chartBar+1), Y: chartHeight - height, Width: chartBar, Height: height, Kind: one.kind})
		}
	}
	return c
}

// ConsoleFilter is what the trail is searched by.
type ConsoleFilter struct {
	Kind, Actor, Client   Text
	Since, Until, Citizen string
}

// ConsoleTrail is the audit trail, the newest first.
type ConsoleTrail struct {
	Desk
	Filter                       ConsoleFilter
	Entries                      []ConsoleEvent
	FirstURL, NextURL, ExportURL string
}

// A ConsoleEvent is one entry of the trail.
type ConsoleEvent struct {
	Seq, Number int64
	At          time.Time
	Kind        string
	Actor       Text
	By          Text // the name of whoever of staff it was
	Citizen     string
	Client      Text
	Reason      Text
	Place       Text
	Detail      []Text
}

// ConsoleExport asks why somebody wants the trail as a file.
type ConsoleExport struct {
	Desk
	Filter  ConsoleFilter
	Max     int
	Typed   Text
	BackURL string
}

// ConsoleAlarms lists alarms, and counts them by rule and day.
type ConsoleAlarms struct {
	Desk
	Alarms            []ConsoleAlarm
	Counts            []ConsoleAlarmCount
	Days              int
	FirstURL, NextURL string
}

// A ConsoleAlarm is one, and who saw to it.
type ConsoleAlarm struct {
	ConsoleEvent
	Seen     time.Time
	By, Note Text
	SeeURL   string // "" when not theirs, or done
}

// A ConsoleAlarmCount is how often a rule raised one on a day.
type ConsoleAlarmCount struct {
	Day   string // 2006-01-02
	Rule  Text
	Count int
}

// ConsoleStreams lists streams of shared signals.
type ConsoleStreams struct {
	Desk
	Streams []ConsoleStream
}

// A ConsoleStream is one, and how far it is behind.
type ConsoleStream struct {
	Client            Text
	Method, Status    string // words of "streams.method", "streams.status"
	Pending, Failures int
	Lag               time.Duration // how long the oldest has waited
	Delivered         time.Time
	Error             Text
}

func (ConsoleClients) consoleFile() string   { return "clients" }
func (ConsoleClient) consoleFile() string    { return "client" }
func (ConsoleAdmission) consoleFile() string { return "admission" }
func (ConsoleTrail) consoleFile() string     { return "audit" }
func (ConsoleExport) consoleFile() string    { return "export" }
func (ConsoleAlarms) consoleFile() string    { return "alarms" }
func (ConsoleStreams) consoleFile() string   { return "streams" }

func clientsPages() []ConsolePage {
	return []ConsolePage{
		ConsoleClients{}, ConsoleClient{}, ConsoleAdmission{}, ConsoleTrail{}, ConsoleExport{}, ConsoleAlarms{}, ConsoleStreams{},
	}
}

func clientsVocabularies() []vocabulary {
	return []vocabulary{
		{"clients.state", []string{"draft", "testing", "assessed", "live", "suspended", "withdrawn"}},
		{"clients.do", []string{"record", "testing", "assessed", "draft", "admit", "suspend", "withdraw"}},
		{"streams.method", []string{"push", "poll"}},
		{"streams.status", []string{"enabled", "paused", "disabled"}},
		{"console.line", []string{"client-state", "assessor", "reference", "assessed", "expires", "scope", "testers", "alarm", "at"}},
		{"console.act", []string{"alarm.see"}},
	}
}

func clientsSpoken() []Key {
	return []Key{ConsoleProblemRecord, ConsoleProblemFilter, ConsoleProblemUnit, ConsoleProblemNobody}
}
