package account

import (
	"net/http"

	"ecardid/templates"
)

// A note is a word in the query that makes the next page say what was done. It
// carries no text: the worst a made-up link can do is say "Saved."
type note string

// The notes.
const (
	noNote           note = ""
	saved            note = "saved"
	removed          note = "removed"
	passwordChanged  note = "password-changed"
	deviceEnded      note = "device-ended"
	sessionEnded     note = "session-ended"
	sessionsEnded    note = "sessions-ended"
	consentWithdrawn note = "consent-withdrawn"
	phoneAdded       note = "phone-added"
	deviceRestored   note = "device-restored"
	relativeAsked    note = "relative-asked"
)

func (n note) message() templates.Message {
	key, ok := map[note]templates.Key{
		saved:            templates.NoticeSaved,
		removed:          templates.NoticeRemoved,
		passwordChanged:  templates.NoticePasswordChanged,
		deviceEnded:      templates.NoticeDeviceEnded,
		sessionEnded:     templates.NoticeSessionEnded,
		sessionsEnded:    templates.NoticeSessionsEnded,
		consentWithdrawn: templates.NoticeConsentWithdrawn,
		phoneAdded:       templates.NoticePhoneAdded,
		deviceRestored:   templates.NoticeDeviceRestored,
		relativeAsked:    templates.NoticeRelativeAsked,
	}[n]
	if !ok {
		return templates.Message{}
	}
	return templates.Say(key)
}

// on is the path of a page that says n.
func (n note) on(path string) string {
	if n == noNote {
		return path
	}
	return path + "?notice=" + string(n)
}

// notice is what the query asks to say: one word of the list, or nothing.
func notice(r *http.Request) templates.Message {
	words := r.URL.Query()["notice"]
	if len(words) != 1 {
		return templates.Message{}
	}
	return note(words[0]).message()
}
