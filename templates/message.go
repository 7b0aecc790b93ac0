package templates

import (
	"fmt"
	"strconv"
	"time"
)

// A Key names a sentence of the catalogue.
type Key string

// Sentences the rooms may say. Each is in every language, or [New] fails.
const (
	ProblemCredentials   Key = "problem.credentials"    // whatever was wrong with a name and a password
	ProblemThrottled     Key = "problem.throttled"      // too many attempts, with "minutes"
	ProblemCode          Key = "problem.code"           // a code that did not verify, also a used one
	ProblemCodeFormat    Key = "problem.code-format"    // not six digits
	ProblemRecoveryCode  Key = "problem.recovery-code"  // a recovery code that did not verify
	ProblemPasskey       Key = "problem.passkey"        // an assertion that did not verify
	ProblemPasskeyMake   Key = "problem.passkey-create" // a registration that did not verify
	ProblemPhoneRefused  Key = "problem.phone-refused"  // the citizen refused, or chose another number
	ProblemPhoneWaiting  Key = "problem.phone-waiting"  // "continue" before the phone has answered
	ProblemExpired       Key = "problem.expired"        // this step took too long
	ProblemForm          Key = "problem.form"           // the form's token or origin did not fit
	ProblemFaceConsent   Key = "problem.face-consent"   // liveness without the separate consent
	ProblemLiveness      Key = "problem.liveness"       // not passed
	ProblemLivenessDown  Key = "problem.liveness-down"  // provider unreachable
	ProblemActivation    Key = "problem.activation"     // card number or activation code
	ProblemPasswordShort Key = "problem.password-short" // with "min"
	ProblemPasswordLong  Key = "problem.password-long"  // over the input bound
	ProblemPasswordWeak  Key = "problem.password-weak"  // blocklisted or guessable
	ProblemPasswordWrong Key = "problem.password-wrong" // the current password, when changing it
	ProblemGreeting      Key = "problem.greeting"       // empty, too long, or looks like a secret
	ProblemName          Key = "problem.name"           // a device or passkey name
	ProblemLastFactor    Key = "problem.last-factor"    // would fall below policy
	ProblemFreshLogin    Key = "problem.fresh-login"    // needs a fresh second factor first
	ProblemDeviceCode    Key = "problem.device-code"    // a device's code: unknown, over or answered
	ProblemDeviceTries   Key = "problem.device-tries"   // too many of them, with "minutes"
	ProblemLost          Key = "problem.lost"           // a report of a loss, whatever was wrong with it
	ProblemUndo          Key = "problem.undo"           // undoing one, likewise
	ProblemCard          Key = "problem.card"           // no card number, or one's own
	ProblemRelatives     Key = "problem.relatives"      // enough of them, or named already; with "most"
	ProblemReported      Key = "problem.reported"       // the card was reported before, or ended
	ProblemTomorrow      Key = "problem.tomorrow"       // enough of this for one day
	ProblemPhrase        Key = "problem.phrase"         // not what was to be typed
	ProblemOtherPhone    Key = "problem.other-phone"    // another phone has taken its place
	ProblemUnusual       Key = "problem.unusual"        // one more proof, because this sign-in is not like the others

	NoticeSaved            Key = "notice.saved"
	NoticeRemoved          Key = "notice.removed"
	NoticePasswordChanged  Key = "notice.password-changed"
	NoticeDeviceEnded      Key = "notice.device-ended"
	NoticeSessionEnded     Key = "notice.session-ended"
	NoticeSessionsEnded    Key = "notice.sessions-ended"
	NoticeConsentWithdrawn Key = "notice.consent-withdrawn"
	NoticeActivated        Key = "notice.activated"
	NoticePhoneAdded       Key = "notice.phone-added"
	NoticeDeviceRestored   Key = "notice.device-restored"
	NoticeRelativeAsked    Key = "notice.relative-asked"

	ClosePhrase Key = "account-close.phrase" // to be typed by whoever closes their account

	ErrorTitle        Key = "error.title"         // anything without a better name
	ErrorNext         Key = "error.next"          //
	ErrorRequestTitle Key = "error.request.title" // the application's request is wrong; not the person's fault
	ErrorRequestNext  Key = "error.request.next"
	ErrorLapsedTitle  Key = "error.lapsed.title" // the application's admission has run out
	ErrorLapsedNext   Key = "error.lapsed.next"
	ErrorTestingTitle Key = "error.testing.title" // the application is tested, and not with this person
	ErrorTestingNext  Key = "error.testing.next"
	ErrorExpiredTitle Key = "error.expired.title" // the flow is gone, or belongs to another browser
	ErrorExpiredNext  Key = "error.expired.next"
	ErrorUnusualTitle Key = "error.unusual.title" // 403: the rules about sign-ins refuse this one
	ErrorUnusualNext  Key = "error.unusual.next"
	ErrorMissingTitle Key = "error.missing.title" // 404
	ErrorMissingNext  Key = "error.missing.next"
	ErrorDeniedTitle  Key = "error.denied.title" // 403: form token, origin, or not yours
	ErrorDeniedNext   Key = "error.denied.next"
	ErrorLevelTitle   Key = "error.level.title" // the demanded level cannot be reached with what this person has
	ErrorLevelNext    Key = "error.level.next"
	ErrorMethodTitle  Key = "error.method.title" // 405, 413, 415: an odd request
	ErrorMethodNext   Key = "error.method.next"
)

// spoken lists every key that reaches a page from Go and not from a template. A
// test compares it with the constants above.
func spoken() []Key {
	keys := []Key{
		ProblemCredentials, ProblemLost, ProblemUndo, ProblemOtherPhone, ProblemThrottled, ProblemCode, ProblemCodeFormat, ProblemRecoveryCode, ProblemPasskey,
		ProblemPasskeyMake, ProblemPhoneRefused, ProblemPhoneWaiting, ProblemExpired, ProblemForm, ProblemFaceConsent,
		ProblemLiveness, ProblemLivenessDown, ProblemActivation, ProblemPasswordShort, ProblemPasswordLong,
		ProblemPasswordWeak, ProblemPasswordWrong, ProblemGreeting, ProblemName, ProblemLastFactor, ProblemFreshLogin,
		ProblemDeviceCode, ProblemDeviceTries, ProblemUnusual, ErrorUnusualTitle, ErrorUnusualNext,
		NoticeSaved, NoticeRemoved, NoticePasswordChanged, NoticeDeviceEnded, NoticeSessionEnded, NoticeSessionsEnded,
		NoticeConsentWithdrawn, NoticeActivated, NoticePhoneAdded, NoticeDeviceRestored, NoticeRelativeAsked, ClosePhrase,
		ProblemCard, ProblemRelatives, ProblemReported, ProblemTomorrow, ProblemPhrase,
		ErrorTitle, ErrorNext, ErrorLapsedTitle, ErrorLapsedNext, ErrorTestingTitle, ErrorTestingNext, ErrorRequestTitle, ErrorRequestNext, ErrorExpiredTitle, ErrorExpiredNext,
		ErrorMissingTitle, ErrorMissingNext, ErrorDeniedTitle, ErrorDeniedNext, ErrorLevelTitle, ErrorLevelNext,
		ErrorMethodTitle, ErrorMethodNext,
	}
	for _, f := range factors() {
		keys = append(keys, f.Title().Key, f.Hint().Key)
	}
	for _, kind := range newsKinds() {
		keys = append(keys, NewsOf(kind).Key)
	}
	for _, kind := range activityKinds() {
		keys = append(keys, ActivityOf(kind, BySelf).Key)
	}
	return keys
}

// A Message is a sentence and what belongs into its gaps. It holds no text of its
// own, so that what a person reads was written by us, in their language.
type Message struct {
	Key  Key
	Args []any // name, value, name, value …
}

// Say returns the message. Args alternate the gap's name and its value, which is a
// string, [Text], int or time.Time: Say(ProblemThrottled, "minutes", 5).
func Say(key Key, args ...any) Message { return Message{key, args} }

// Given reports whether there is anything to say.
func (m Message) Given() bool { return m.Key != "" }

// argument puts a value into words. Strings are cleaned, whoever wrote them.
func (l lexicon) argument(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return Clean(v, maxText), nil
	case Text:
		return v.String(), nil
	case int:
		return strconv.Itoa(v), nil
	case time.Time:
		return l.moment(v), nil
	default:
		return "", fmt.Errorf("%T is no argument for a sentence", v)
	}
}
