package passkey

// A Verdict says what a signature counter means for the sign-in.
type Verdict string

// The verdicts. The zero Verdict is none of them.
const (
	// Accept: the counter says nothing bad.
	Accept Verdict = "accept"
	// StepUp: something is odd. The passkey counts, together with another factor;
	// record it and tell the citizen.
	StepUp Verdict = "step-up"
	// Refuse: there are two copies of a key that cannot be copied honestly. The
	// credential is disabled; record it and tell the citizen.
	Refuse Verdict = "refuse"
)

// JudgeCounter decides what a counter that went back means (Level 3 §6.1.1,
// SECURITY WA3). warned is whether it did in this ceremony.
//
// A device-bound key with such a warning, new or old, is refused: the copy and
// the original look alike, and nobody can say which of them is signing. A synced
// key is copied by design and mostly counts nothing; a counter going back is then
// odd but no proof.
func JudgeCounter(stored Credential, warned bool) Verdict {
	switch {
	case !stored.BackupEligible() && (warned || stored.CloneWarning):
		return Refuse
	case warned:
		return StepUp
	}
	return Accept
}
