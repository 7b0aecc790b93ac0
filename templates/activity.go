package templates

import (
	"slices"
	"time"
)

// An Actor is who did something, as the citizen is told.
type Actor string

// The actors.
const (
	BySelf     Actor = "citizen"
	ByRelative Actor = "relative"
	ByStaff    Actor = "staff"
	ByClient   Actor = "application"
	BySystem   Actor = "system"
)

// Activity is one entry of the trail in words.
type Activity struct {
	What   Message
	By     Actor
	At     time.Time
	Place  Text
	Client Text
	Reason Text // that staff gave
}

// activityKinds are the events that have a sentence here because they are no news, or read
// otherwise when the citizen did them.
func activityKinds() []string {
	return []string{
		"login.start", "login.finish", "login.raise", "login.refuse", "login.throttle", "login.end", "login.end-all",
		"citizen.import", "citizen.search", "citizen.read", "citizen.cancel", "passkey.rename", "device.rename", "phone.approve",
		"liveness.pass", "liveness.fail", "consent.deny", "grant.revoke", "grant.replay", "loss.report.relative",
		"relative.name", "relative.report", "data.take",
	}
}

// ActivityOf puts the kind of an event into words. What staff did is told as it is among
// the news, if it is among them.
func ActivityOf(kind string, by Actor) Message {
	own := slices.Contains(activityKinds(), kind)
	if own && (by != ByStaff || !slices.Contains(newsKinds(), kind)) {
		return Say(Key("activity." + kind))
	}
	return NewsOf(kind)
}
