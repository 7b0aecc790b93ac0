package gallery

import (
	"ecardid/templates"
)

func citizensDesk(p templates.ConsolePage) templates.Page {
	return templates.Console{
		Who:  templates.ConsoleStaff{Name: "王芳", Roles: []string{"device-officer"}, Unit: "110105"},
		Nav:  []templates.ConsoleLink{{Word: "home", URL: "/console"}, {Word: "citizens", URL: "/console/citizens", Current: true}, {Word: "requests", URL: "/console/requests"}},
		Page: p,
	}
}

const sampleCitizen = "/console/citizens/AAAAAAAAAAAAAAAAAAAAAA"

func citizenDo(words ...string) []templates.ConsoleDo {
	var all []templates.ConsoleDo
	for _, w := range words {
		all = append(all, templates.ConsoleDo{Word: w, URL: "/console/acts/loss.report?citizen=AAAAAAAAAAAAAAAAAAAAAA"})
	}
	return all
}

func consoleCitizens() []Sample {
	file := templates.ConsoleCitizen{
		Facts: []templates.ConsoleFact{
			{Field: "name", Masked: "欧**", RevealURL: "/console/acts/citizen.reveal?value=name"}, {Field: "id_number", Masked: "1****************X", RevealURL: "/console/acts/citizen.reveal?value=id_number"},
			{Field: "phone", Masked: "138****1234"}, {Field: "card_number", Masked: "A******78"},
		},
		Region: "110105", State: "normal", StateSince: day(1, 9, 0), Created: day(1, 9, 0), Activated: day(2, 10, 30), Cools: day(23, 18, 0),
		Password: true, TOTP: true, Recovery: 7, QuestionsURL: sampleCitizen + "/questions", SearchURL: "/console/citizens",
		Acts: citizenDo("loss-phone", "loss-card", "freeze"), FactorActs: citizenDo("totp-remove", "factors-reset"), SessionActs: citizenDo("sessions-end"),
		Devices: []templates.ConsoleDevice{
			{Name: "小米 14", Kind: "phone", State: "active", Level: "tee", Bound: day(3, 9, 5), LastUse: day(22, 8, 1), Place: "192.0.2.0/24", Acts: citizenDo("suspend", "end-lost", "end-revoked", "confirm")},
			{Name: "Firefox", Kind: "browser", State: "active", Bound: day(3, 9, 5), LastUse: day(22, 8, 1)},
			{Name: "旧手机", Kind: "phone", State: "lost", Level: "software", Bound: day(1, 9, 5), LastUse: day(2, 8, 1)},
		},
		Passkeys: []templates.ConsolePasskey{{Name: "办公室", Made: day(4, 9, 0), LastUse: day(20, 9, 0), Acts: citizenDo("passkey-remove")}, {Name: "YubiKey", Device: "YubiKey", Made: day(5, 9, 0)}},
		Sessions: []templates.ConsoleSession{{Agent: "Firefox · Linux", Place: "192.0.2.0/24", Began: day(22, 8, 0), Seen: day(22, 8, 1), Acts: citizenDo("session-end")}},
		Before:   []templates.ConsoleSession{{Agent: "Safari · iOS", Place: "198.51.100.0/24", Began: day(20, 8, 0), Seen: day(20, 8, 30)}},
		Consents: []templates.Consented{{ID: "pension", Client: "养老金服务大厅", Scopes: []templates.Agreed{{Title: "您的姓名"}, {Title: "查询养老保险"}}, Since: day(10, 10, 0)}},
		Moments: []templates.ConsoleMoment{
			{Kind: "loss.report", Actor: "staff", At: day(22, 9, 0), Reason: "来电人通过核实", Details: []templates.ConsoleDetail{{Word: "lost", Value: "phone"}, {Word: "receipt", Value: "7Q2M-K9RX-41TB"}}},
			{Kind: "consent.give", Actor: "citizen", At: day(10, 10, 0), Client: "pension", Place: "192.0.2.0/24"},
		},
		FirstURL: sampleCitizen, NextURL: sampleCitizen + "?older=AAAA",
	}
	bare := templates.ConsoleCitizen{Facts: file.Facts[2:], State: "temp_lost", StateSince: day(22, 9, 0), Created: day(1, 9, 0), CodeUntil: day(29, 9, 0), SearchURL: "/console/citizens"}
	questions := []string{"id-end", "birth", "district", "card-end", "phone-end", "activated", "bound"}
	problem := func(k templates.Key) templates.Desk { return templates.Desk{Problem: templates.Say(k)} }
	bulk := templates.ConsoleBulk{What: "card", Max: 1000, BackURL: "/console/citizens"}
	checked := templates.ConsoleBulk{What: "card", Checked: true, Found: 2, Max: 1000, BackURL: "/console/citizens",
		Unknown: []templates.ConsoleUnknown{{Line: 3, Card: "B******11"}, {Line: 4}}, Lines: []templates.ConsoleLine{{What: "citizens", Count: 2}, {What: "devices", Count: 3}, {What: "tokens", Count: 1}},
		Fields: []templates.ConsoleField{{Name: "what", Value: "card"}, {Name: "citizens", Value: "AAAAAAAAAAAAAAAAAAAAAA"}}}
	return []Sample{
		{"console-citizens", citizensDesk(templates.ConsoleCitizens{BulkURL: "/console/bulk"})},
		{"console-citizens-nobody", citizensDesk(templates.ConsoleCitizens{Desk: problem(templates.CitizensProblemNobody)})},
		{"console-citizen", citizensDesk(file)},
		{"console-citizen-bare", citizensDesk(bare)},
		{"console-questions", citizensDesk(templates.ConsoleQuestions{Desk: problem(templates.CitizensProblemAnswers), Questions: questions, BackURL: sampleCitizen})},
		{"console-questions-passed", citizensDesk(templates.ConsoleQuestions{Desk: templates.Desk{Notice: templates.Say(templates.CitizensNoticeQuestions)}, Passed: true, Acts: citizenDo("loss-phone", "loss-card"), BackURL: sampleCitizen})},
		{"console-bulk", citizensDesk(bulk)},
		{"console-bulk-checked", citizensDesk(checked)},
	}
}
