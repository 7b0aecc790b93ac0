package gallery

import (
	"ecardid/templates"
)

func staffDesk(current, role string, p templates.ConsolePage) templates.Page {
	c := templates.Console{Who: templates.ConsoleStaff{Name: "chen.jie", Roles: []string{role}}, Page: p}
	for _, word := range []string{"home", "requests", "staff"} {
		url := "/console/" + word
		if word == "home" {
			url = "/console"
		}
		c.Nav = append(c.Nav, templates.ConsoleLink{Word: word, URL: url, Current: word == current})
	}
	return c
}

func consoleStaff() []Sample {
	const request = "AAAAAAAAAAAAAAAAAAAAAA"
	ceremony := templates.Ceremony{OptionsURL: "/login/options", FinishURL: "/login/finish"}
	asked := templates.ConsoleRequest{ID: request, Act: "card.unfreeze", State: "open", By: "wang.fang", Reason: "本人到柜台核验身份", Created: day(22, 9, 30), Expires: day(23, 9, 30)}
	done := asked
	done.Act, done.State = "bulk.loss", "approved"
	problem := templates.Desk{Problem: templates.Say(templates.ConsoleProblemReason)}
	whom := &templates.ConsoleWhom{Name: "欧**", Card: "T******01", URL: "/console/citizens/" + request}
	lines := []templates.ConsoleLine{{What: "devices", Count: 2}, {What: "sessions", Count: 3}, {What: "grants", Count: 12}}
	return []Sample{
		{"console-sign-in", templates.Console{Page: templates.ConsoleSignIn{Passkey: ceremony}}},
		{"console-sign-in-welcome", templates.Console{Page: templates.ConsoleSignIn{Desk: templates.Desk{Notice: templates.Say(templates.ConsoleNoticeWelcome)}, Passkey: ceremony}}},
		{"console-invitation", templates.Console{Page: templates.ConsoleInvitation{Desk: templates.Desk{Problem: templates.Say(templates.ConsoleProblemCode)}}}},
		{"console-invitation-key", templates.Console{Page: templates.ConsoleInvitation{Name: "wang.fang", Expires: day(22, 10, 0), Passkey: ceremony}}},
		{"console-home", staffDesk("home", "security-officer", templates.ConsoleHome{Started: day(22, 8, 30), Expires: day(22, 20, 30), Alarms: 2, Waiting: []templates.ConsoleRequest{asked}, Mine: []templates.ConsoleRequest{done}})},
		{"console-home-nothing", staffDesk("home", "administrator", templates.ConsoleHome{Started: day(22, 8, 30), Expires: day(22, 20, 30), Alarms: -1})},
		{"console-step-up", staffDesk("", "device-officer", templates.ConsoleStepUp{Act: "card.freeze", Passkey: ceremony, BackURL: "/console"})},
		{"console-act", staffDesk("", "device-officer", templates.ConsoleAct{Act: "loss.report", Whom: whom, Lines: lines, Reason: true, Fields: []templates.ConsoleField{{Name: "value", Value: "phone"}}, BackURL: "/console"})},
		{"console-act-request", staffDesk("", "registrar", templates.ConsoleAct{Desk: problem, Act: "card.unfreeze", Reason: true, Needs: 1, Typed: "短", BackURL: "/console"})},
		{"console-act-blocked", staffDesk("", "registrar", templates.ConsoleAct{Desk: templates.Desk{Problem: templates.Say(templates.ConsoleProblemConflict)}, Act: "card.unfreeze", Blocked: true, BackURL: "/console"})},
		{"console-done", staffDesk("", "device-officer", templates.ConsoleDone{Act: "loss.report", Told: "4821-0931-7742", BackURL: "/console"})},
		{"console-done-half", staffDesk("", "administrator", templates.ConsoleDone{Act: "staff.invite", Told: "k3J8v0dQx2mZrT5uYwB7nPcL1aE", BackURL: "/console"})},
		{"console-requests", staffDesk("requests", "security-officer", templates.ConsoleRequests{Requests: []templates.ConsoleRequest{asked, done}})},
		{"console-requests-none", staffDesk("requests", "registrar", templates.ConsoleRequests{})},
		{"console-request", staffDesk("requests", "security-officer", templates.ConsoleOneRequest{ConsoleRequest: asked, Whom: whom, Lines: lines, Needs: 1, MayApprove: true,
			Orders: []templates.ConsoleOrder{{Subject: request, State: "ready"}}})},
		{"console-request-mine", staffDesk("requests", "registrar", templates.ConsoleOneRequest{ConsoleRequest: asked, Needs: 2, Approved: []templates.Text{"li.na"}, MayDrop: true})},
		{"console-request-continue", staffDesk("requests", "security-officer", templates.ConsoleOneRequest{ConsoleRequest: done, Needs: 1, Approved: []templates.Text{"li.na"}, MayContinue: true, Told: "/console/invitation/" + request,
			Orders: []templates.ConsoleOrder{{Subject: request, State: "done"}, {Subject: request, State: "failed", Problem: "conflict"}, {Subject: request, State: "ready"}}})},
		{"console-staff", staffDesk("staff", "administrator", templates.ConsoleStaffList{InviteURL: "/console/staff/invite", Staff: []templates.ConsoleStaffRow{
			{ID: request, Name: "chen.jie", Roles: []string{"administrator"}, State: "active", Created: day(1, 9, 0), LastSeen: day(22, 8, 30)},
			{ID: request, Name: "wang.fang", Roles: []string{"registrar", "device-officer"}, Unit: "1101", State: "invited", Created: day(2, 9, 0), RolesURL: "/console/staff/x/roles", EndURL: "/console/acts/staff.deactivate?target=x"},
			{ID: request, Name: "li.na", Roles: []string{"auditor"}, State: "deactivated", Created: day(2, 9, 0), LastSeen: day(10, 9, 0)},
		}})},
		{"console-appointment", staffDesk("staff", "administrator", templates.ConsoleAppointment{Roles: []templates.ConsoleRole{{Role: "registrar", Held: true}, {Role: "auditor"}}})},
		{"console-appointment-change", staffDesk("staff", "administrator", templates.ConsoleAppointment{Desk: templates.Desk{Problem: templates.Say(templates.ConsoleProblemInvalid)}, Of: "wang.fang", Unit: "1101", Roles: []templates.ConsoleRole{{Role: "registrar", Held: true}, {Role: "auditor", Held: true}}})},
	}
}
