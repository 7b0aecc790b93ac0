package loss

import (
	"crypto/sha256"
	"crypto/subtle"
	"strconv"
	"strings"
	"time"
	"unicode"

	"ecardid/internal/idnumber"
)

// This file is what staff ask somebody on the telephone who has neither phone nor card
// at hand. The caller's answers are typed in; what would be right is shown to nobody,
// nor which answer was not, so that neither the page nor the person before it can be
// made to tell.

// A Question is something only the citizen and the file know.
type Question string

// The questions. Months and days are those of Beijing.
const (
	AskIDEnd     Question = "id-end"     // the last four characters of the ID number
	AskBirth     Question = "birth"      // the day of birth
	AskDistrict  Question = "district"   // the first six digits of the ID number
	AskCardEnd   Question = "card-end"   // the last four digits of the card number
	AskPhoneEnd  Question = "phone-end"  // the last four digits of the phone number on file
	AskActivated Question = "activated"  // the month the card was activated
	AskBound     Question = "bound"      // the month the latest phone or key was added
	endLength             = 4            // characters of a number's end
	regionLength          = 6            // of its beginning that say where (GB 11643)
	minPassing            = 3            // right answers
	maxWrong              = 1            // forgiven: people mishear and forget
	maxAnswer             = 64           // bytes
	monthLayout           = "2006-01"    // how a month is compared
	dayLayout             = "2006-01-02" // and a day
)

// Facts is what the file holds. What is zero is not asked.
type Facts struct {
	IDNumber  idnumber.ID
	Card      idnumber.Card
	Phone     idnumber.Phone
	Activated time.Time
	Bound     time.Time // the latest phone or key that is in use
}

// a source is where an answer can be read off by somebody else.
type source byte

const (
	ofPurse   source = iota // the identity card and the social security card, which are lost together
	ofPhone                 // whoever knows the citizen's number
	ofHistory               // what the citizen did here
)

type known struct {
	q     Question
	from  source
	right string
	read  func(typed string) string // "" for what cannot be an answer
}

// known lists what can be asked, always in the same order: questions drawn by lot would
// let a caller ring again until the easy ones come.
func (f Facts) known() []known {
	var k []known
	if id := f.IDNumber.Reveal(); len(id) > regionLength {
		k = append(k,
			known{AskIDEnd, ofPurse, id[len(id)-endLength:], readEnd},
			known{AskBirth, ofPurse, f.IDNumber.Birth().Format(dayLayout), readDay},
			known{AskDistrict, ofPurse, id[:regionLength], readRegion})
	}
	if card := f.Card.Reveal(); len(card) > endLength {
		k = append(k, known{AskCardEnd, ofPurse, card[len(card)-endLength:], readEnd})
	}
	if phone := f.Phone.Reveal(); len(phone) > endLength {
		k = append(k, known{AskPhoneEnd, ofPhone, phone[len(phone)-endLength:], readEnd})
	}
	beijing := time.FixedZone("CST", 8*60*60)
	if !f.Activated.IsZero() {
		k = append(k, known{AskActivated, ofHistory, f.Activated.In(beijing).Format(monthLayout), readMonth})
	}
	if !f.Bound.IsZero() {
		k = append(k, known{AskBound, ofHistory, f.Bound.In(beijing).Format(monthLayout), readMonth})
	}
	return k
}

// Questions lists what to ask the caller, in order. It is the same list each time, and
// says of the citizen only what is on file at all.
func Questions(f Facts) []Question {
	var qs []Question
	for _, k := range f.known() {
		qs = append(qs, k.q)
	}
	return qs
}

// Passes judges a caller's answers: at least three right ones, at most one wrong, and not
// all read off the cards in one purse, for whoever found it could do that as well. An
// empty answer is one the caller did not know: neither. An answer to something that was
// not asked is wrong.
//
// Every answer is compared, in the same time right or wrong. The caller of this function
// counts the tries (SECURITY PW2).
func Passes(f Facts, answers map[Question]string) bool {
	right, given, sources := 0, 0, 0
	for _, k := range f.known() {
		typed := strings.TrimSpace(answers[k.q])
		if typed != "" {
			given++
		}
		ok := subtle.ConstantTimeSelect(equal(k.read(typed), k.right), 1, 0)
		right += ok
		sources |= ok << k.from
	}
	for q, typed := range answers {
		if strings.TrimSpace(typed) != "" && !f.asks(q) {
			given++
		}
	}
	several := sources&(sources-1) != 0
	return right >= minPassing && given-right <= maxWrong && several
}

func (f Facts) asks(q Question) bool {
	for _, k := range f.known() {
		if k.q == q {
			return true
		}
	}
	return false
}

// equal compares hashes, so that neither length nor beginning shows; nothing equals nothing.
func equal(typed, right string) int {
	a, b := sha256.Sum256([]byte(typed)), sha256.Sum256([]byte(right))
	return subtle.ConstantTimeCompare(a[:], b[:]) & (1 - subtle.ConstantTimeEq(int32(len(typed)), 0))
}

// readEnd is the last four characters of a number; a card's may be letters.
func readEnd(typed string) string { return plain(typed, endLength) }

func readRegion(typed string) string { return plain(typed, regionLength) }

func plain(typed string, n int) string {
	s := strings.ToUpper(strings.ReplaceAll(typed, " ", ""))
	if len(s) != n || strings.ContainsFunc(s, func(r rune) bool { return (r < '0' || r > '9') && (r < 'A' || r > 'Z') }) {
		return ""
	}
	return s
}

// readDay reads a date as people write it: 1949-12-31, 1949/12/31, 19491231, 1949年12月31日.
func readDay(typed string) string { return date(typed, []int{4, 2, 2}, dayLayout) }

// readMonth reads 2026-03, 2026/3, 202603, 2026年3月.
func readMonth(typed string) string { return date(typed, []int{4, 2}, monthLayout) }

func date(typed string, lengths []int, layout string) string {
	if len(typed) > maxAnswer {
		return ""
	}
	parts := strings.FieldsFunc(typed, func(r rune) bool { return !unicode.IsDigit(r) })
	total := 0
	for _, n := range lengths {
		total += n
	}
	if len(parts) == 1 && len(parts[0]) == total {
		whole := parts[0]
		parts = nil
		for _, n := range lengths {
			parts, whole = append(parts, whole[:n]), whole[n:]
		}
	}
	if len(parts) != len(lengths) {
		return ""
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || len(p) > lengths[i] {
			return ""
		}
		parts[i] = strconv.Itoa(n)
		if n < 10 {
			parts[i] = "0" + parts[i]
		}
	}
	t, err := time.Parse(layout, strings.Join(parts, "-"))
	if err != nil {
		return ""
	}
	return t.Format(layout)
}
