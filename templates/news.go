package templates

import (
	"slices"
	"time"
)

// News is something that happened to the account and that its owner should know
// of, whoever did it.
type News struct {
	What  Message
	At    time.Time
	Place Text
}

const newsOther = "other"

// newsKinds are the events that have a sentence of their own, by the names the
// audit trail gives them.
func newsKinds() []string {
	return []string{
		"login.finish", "citizen.activate", "citizen.freeze", "citizen.restore", "activation.issue", "factors.reset",
		"password.change", "greeting.change", "totp.bind", "totp.remove", "recovery.renew", "recovery.use",
		"passkey.bind", "passkey.remove", "passkey.clone", "device.bind", "device.end", "device.restore", "loss.report", "loss.undo", "device.reuse",
		"phone.deny", "consent.give", "consent.cooloff", "consent.withdraw",
		"citizen.cancel", "citizen.reveal", "device.suspend", "device.confirm", "login.end", "login.end-all", "caller.refuse",
		"risk.hold", "risk.refuse",
		"relative.ask", "relative.agree", "relative.end", newsOther,
	}
}

// NewsOf puts the kind of an event into words.
func NewsOf(kind string) Message {
	if !slices.Contains(newsKinds(), kind) {
		kind = newsOther
	}
	return Say(Key("news." + kind))
}
