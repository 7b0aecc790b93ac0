package gallery

import (
	"fmt"
	"time"

	"ecardid/templates"
)

func clientsDesk(role, here string, p templates.ConsolePage) templates.Page {
	all := []templates.ConsoleLink{{Word: "home", URL: "/console"}}
	for _, word := range map[string][]string{
		"administrator": {"requests", "clients", "streams", "staff"}, "security-officer": {"requests", "clients", "streams", "alarms", "staff"}, "auditor": {"alarms", "audit", "staff"},
	}[role] {
		all = append(all, templates.ConsoleLink{Word: word, URL: "/console/" + word, Current: word == here})
	}
	return templates.Console{Who: templates.ConsoleStaff{Name: "李伟", Roles: []string{role}}, Nav: all, Page: p}
}

func consoleClients() []Sample {
	live := templates.ConsoleClientRow{ID: "pension-hall", Name: "养老金服务大厅", State: "live", Ends: day(30, 24, 0), Ending: true, URL: "/console/clients/pension-hall"}
	rows := []templates.ConsoleClientRow{
		live, {ID: "clinic", Name: "社区医院挂号", State: "testing", URL: "/console/clients/clinic"},
		{ID: "c-1f00", Name: "library.example", State: "live", Dynamic: true, URL: "/console/clients/c-1f00"},
		{ID: "bank", Name: "城市银行", State: "suspended", URL: "/console/clients/bank"},
	}
	record := templates.ConsoleRecord{
		Assessor: "市网信办测评中心", Reference: "测评〔2026〕17 号", Assessed: "2025-12-01", Expires: "2026-11-30",
		Scopes: []templates.ConsoleBasis{
			{Scope: "openid", Allowed: true}, {Scope: "pension.read", Allowed: true, Chinese: "《中华人民共和国社会保险法》第七十四条", English: "Social Insurance Law, article 74"},
			{Scope: "phone"},
		},
		Testers: []string{"AAAAAAAAAAAAAAAAAAAAAA"},
	}
	var days []templates.ConsoleDay
	for i := range 30 {
		days = append(days, templates.ConsoleDay{Day: fmt.Sprintf("2026-11-%02d", i+1), Codes: 40 + 7*i%31, Refreshes: 90 + 13*i%53, Refusals: i % 6, Overasked: i % 3})
	}
	event := templates.ConsoleEvent{
		Seq: 4711, Number: 4711, At: day(22, 9, 12), Kind: "scope.refuse", Actor: "system", Client: "pension-hall", Reason: "a scope that is not the client's",
		Place: "192.0.2.0/24", Detail: []templates.Text{"scope: phone"},
	}
	staff := templates.ConsoleEvent{Seq: 4710, Number: 4710, At: day(22, 9, 2), Kind: "citizen.reveal", Actor: "staff:AAAAAAAAAAAAAAAAAAAAAA", By: "王芳", Citizen: "AAAAAAAAAAAAAAAAAAAAAA", Reason: "核对来电人身份"}
	do := func(words ...string) (all []templates.ConsoleDo) {
		for _, w := range words {
			all = append(all, templates.ConsoleDo{Word: w, URL: "/console/acts/client.suspend?client=pension-hall"})
		}
		return all
	}
	client := templates.ConsoleClient{
		ConsoleClientRow: live, Profile: "fapi2", Method: "private_key_jwt", Created: day(1, 9, 0), Updated: day(20, 9, 0),
		Redirects: []templates.Text{"https://pension.example/callback"}, Grants: []templates.Text{"authorization_code", "refresh_token"},
		Scopes: []templates.Text{"openid", "pension.read", "phone"}, Record: record, Chart: templates.ChartOf(days),
		Refusals: []templates.ConsoleEvent{event}, Orders: do("record", "suspend", "withdraw"), ListURL: "/console/clients",
	}
	bare := templates.ConsoleClient{ConsoleClientRow: rows[2], Profile: "oidc", Method: "none", Created: day(1, 9, 0), Updated: day(1, 9, 0), Chart: templates.ChartOf(make([]templates.ConsoleDay, 30)), ListURL: "/console/clients"}
	form := templates.ConsoleAdmission{Name: live.Name, State: "draft", Record: record, Revision: "r", BackURL: live.URL}
	wrong := form
	wrong.Desk.Problem, wrong.Approved, wrong.State, wrong.Typed = templates.Say(templates.ConsoleProblemRecord), true, "live", "续期评估完成"
	filter := templates.ConsoleFilter{Kind: "client.", Actor: "staff:", Since: "2026-11-01", Until: "2026-11-22"}
	trail := templates.ConsoleTrail{Filter: filter, Entries: []templates.ConsoleEvent{event, staff}, FirstURL: "/console/audit", NextURL: "/console/audit?page=AAAA", ExportURL: "/console/audit/export?kind=client."}
	nobody := templates.ConsoleTrail{Desk: templates.Desk{Problem: templates.Say(templates.ConsoleProblemNobody)}}
	of := templates.ConsoleTrail{Filter: templates.ConsoleFilter{Citizen: "AAAAAAAAAAAAAAAAAAAAAA"}, Entries: []templates.ConsoleEvent{staff}}
	alarm := templates.ConsoleEvent{Seq: 4600, At: day(21, 22, 1), Kind: "alarm.spraying", Actor: "system", Detail: []templates.Text{"rule: spraying", "count: 512"}}
	alarms := templates.ConsoleAlarms{
		Alarms: []templates.ConsoleAlarm{
			{ConsoleEvent: alarm, SeeURL: "/console/acts/alarm.see?value=4600"},
			{ConsoleEvent: templates.ConsoleEvent{Seq: 4500, At: day(20, 22, 1), Kind: "alarm.admission", Actor: "system", Client: "pension-hall"}, Seen: day(21, 9, 0), By: "王芳", Note: "已联系单位续期"},
		},
		Counts: []templates.ConsoleAlarmCount{{Day: "2026-11-21", Rule: "spraying", Count: 1}, {Day: "2026-11-20", Rule: "admission", Count: 1}}, Days: 14,
		FirstURL: "/console/alarms", NextURL: "/console/alarms?page=AAAA",
	}
	streams := templates.ConsoleStreams{Streams: []templates.ConsoleStream{
		{Client: "pension-hall", Method: "push", Status: "enabled", Delivered: day(22, 9, 0)},
		{Client: "bank", Method: "poll", Status: "paused", Pending: 12, Failures: 3, Lag: 95 * time.Minute, Error: "timeout"},
	}}
	export := templates.ConsoleExport{Filter: filter, Max: 100_000, BackURL: "/console/audit"}
	refused := export
	refused.Desk.Problem = templates.Say(templates.ConsoleProblemReason)
	return []Sample{
		{"console-clients", clientsDesk("administrator", "clients", templates.ConsoleClients{Clients: rows})},
		{"console-clients-none", clientsDesk("administrator", "clients", templates.ConsoleClients{})},
		{"console-client", clientsDesk("administrator", "clients", client)},
		{"console-client-bare", clientsDesk("security-officer", "clients", bare)},
		{"console-admission", clientsDesk("administrator", "clients", form)},
		{"console-admission-problem", clientsDesk("administrator", "clients", wrong)},
		{"console-audit", clientsDesk("auditor", "audit", trail)},
		{"console-audit-citizen", clientsDesk("auditor", "audit", of)},
		{"console-audit-nobody", clientsDesk("auditor", "audit", nobody)},
		{"console-export", clientsDesk("auditor", "audit", export)},
		{"console-export-problem", clientsDesk("auditor", "audit", refused)},
		{"console-alarms", clientsDesk("security-officer", "alarms", alarms)},
		{"console-alarms-quiet", clientsDesk("auditor", "alarms", templates.ConsoleAlarms{Days: 14})},
		{"console-streams", clientsDesk("security-officer", "streams", streams)},
		{"console-streams-none", clientsDesk("security-officer", "streams", templates.ConsoleStreams{})},
	}
}
