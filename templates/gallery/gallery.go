// Package gallery has one filled-in example, or more, of every page, for tests that
// look at pages: rendering, accessibility, screenshots. Nothing in it is anybody's.
package gallery

import (
	"slices"
	"time"

	"ecardid/templates"
)

// A Sample is a page as somebody might meet it. Names are unique and fit a file name.
type Sample struct {
	Name string
	Page templates.Page
}

// Config names an authority and a domain that do not exist.
func Config() templates.Config {
	return templates.Config{
		Authority:        "示例省人力资源和社会保障厅",
		AuthorityEnglish: "Example Province Department of Human Resources and Social Security",
		Domain:           "login.ecard.example",
		Demo:             true,
	}
}

// View is a frame in the given language, with a nonce that Policy accepts.
func View(locale templates.Locale, elder bool) templates.View {
	return templates.View{
		Locale: locale,
		Elder:  elder,
		Nonce:  "c2FtcGxlLW5vbmNlLTEyMzQ1Ng",
		CSRF:   "sample-csrf",
		Flow:   "sample-flow",
		Path:   "/login",
	}
}

// All returns the samples: every page at least once.
func All() []Sample {
	return slices.Concat(signIn(), enrol(), account(), outcome(), consoleStaff(), consoleCitizens(), consoleClients())
}

func day(d, hour, minute int) time.Time {
	return time.Date(2026, time.November, d, hour, minute, 0, 0, time.FixedZone("UTC+8", 8*60*60))
}

func step() templates.Step {
	return templates.Step{
		Asker: templates.Asker{Name: "养老金服务大厅", Host: "pension.example.cn", Admission: templates.Admitted},
	}
}

func known() templates.Step {
	s := step()
	s.Greeting = "院子里的桂花开了"
	return s
}

func deviceStep() templates.Step {
	return templates.Step{Asker: templates.Asker{Name: "市民服务自助终端", Admission: templates.Admitted}}
}

func with(s templates.Step, problem templates.Message, others ...templates.Option) templates.Step {
	s.Problem, s.Others = problem, others
	return s
}

func by(f templates.Factor) templates.Option {
	return templates.Option{Factor: f, URL: "/login/" + string(f)}
}

func noProblem() templates.Message { return templates.Message{} }

func ceremony() templates.Ceremony {
	return templates.Ceremony{OptionsURL: "/login/passkey/options", FinishURL: "/login/passkey/finish"}
}

func signIn() []Sample {
	trial := with(step(), templates.Say(templates.ProblemThrottled, "minutes", 5))
	trial.Asker = templates.Asker{Name: "新开的药房", Host: "yaofang.example.cn", Admission: templates.Trial}
	return []Sample{
		{"login", templates.Login{Step: step(), Passkey: ceremony()}},
		{"login-own", templates.Login{Passkey: ceremony()}},
		{"login-known", templates.Login{Step: known(), Account: "wangxiuying", Passkey: ceremony(), Notice: templates.Say(templates.NoticeActivated)}},
		{"login-problem", templates.Login{Step: with(step(), templates.Say(templates.ProblemCredentials)), Account: "wangxiuying", Passkey: ceremony()}},
		{"login-throttled", templates.Login{Step: trial, Account: "wangxiuying", Passkey: ceremony()}},
		{"second-factor", templates.SecondFactor{Step: with(known(), noProblem(), by(templates.FactorPasskey), by(templates.FactorTOTP), by(templates.FactorPhone), by(templates.FactorRecovery))}},
		{"totp-code", templates.TOTPCode{Step: with(known(), noProblem(), by(templates.FactorPasskey), by(templates.FactorRecovery))}},
		{"totp-code-problem", templates.TOTPCode{Step: with(known(), templates.Say(templates.ProblemCode), by(templates.FactorRecovery))}},
		{"recovery-code", templates.RecoveryCode{Step: with(known(), noProblem(), by(templates.FactorTOTP))}},
		{"phone-approve", templates.PhoneApprove{
			Step: with(known(), noProblem(), by(templates.FactorTOTP)), Phone: "王女士的手机", Number: "47", PollURL: "/login/phone/state",
		}},
		{"phone-approve-ask", templates.PhoneApprove{Step: with(known(), templates.Say(templates.ProblemPhoneRefused), by(templates.FactorTOTP))}},
		{"passkey-step", templates.PasskeyStep{Step: with(known(), noProblem(), by(templates.FactorPhone)), Passkey: ceremony()}},
		{"bind-device", templates.BindDevice{Step: known(), Device: "Chrome 浏览器（Windows 电脑）", Days: 30}},
		{"step-up", templates.StepUp{
			Step:   known(),
			Done:   []templates.Factor{templates.FactorPassword},
			Needed: []templates.Factor{templates.FactorPasskey, templates.FactorFace},
		}},
		{"liveness-start", templates.LivenessStart{
			Step: known(), Provider: "示例活体检测服务", ProviderHost: "liveness.example.cn", AlternativeURL: "/login/other",
		}},
		{"liveness-start-demo", templates.LivenessStart{
			Step:     with(known(), templates.Say(templates.ProblemFaceConsent)),
			Provider: "模拟检测", ProviderHost: "127.0.0.1:8082", Standin: true,
		}},
		{"liveness-waiting", templates.LivenessWaiting{Step: known(), PollURL: "/login/liveness/state"}},
		{"liveness-passed", templates.LivenessResult{Step: known(), Passed: true}},
		{"liveness-failed", templates.LivenessResult{Step: known(), Left: 2, AlternativeURL: "/login/other"}},
		{"liveness-over", templates.LivenessResult{Step: known()}},
		{"consent", templates.Consent{
			Step: step(), Account: "王*英（尾号 002X）", Until: day(30, 9, 0),
			Scopes: []templates.Scope{
				{Title: "社会保障卡基本信息", Purpose: "确认您的参保身份", Claims: []templates.Text{"姓名", "发卡地区", "卡状态"}},
				{Title: "领取养老金资格认证", Purpose: "办理本年度资格认证", Basis: "《中华人民共和国社会保险法》第七十四条", Claims: []templates.Text{"认证结果"}, New: true},
			},
		}},
		{"consent-payment", templates.Consent{
			Step: known(), Account: "王*英（尾号 002X）",
			Payments: []templates.Payment{
				{Amount: "1,234.50", Payee: "示例省第一人民医院", Account: "6222-0201-0000-1234", Reference: "MZ-2026-11-0042"},
				{Amount: "23.00", Payee: "A&B Pharmacy <Downtown>"},
			},
			Scopes: []templates.Scope{{Title: "使用医保支付", Purpose: "用您的医保账户支付费用"}},
		}},
		{"consent-device", templates.Consent{
			Step: deviceStep(), Account: "王*英（尾号 002X）", DeviceCode: "WDJB-MJHT",
			Scopes: []templates.Scope{{Title: "社会保障卡基本信息", Purpose: "确认您的参保身份", Claims: []templates.Text{"姓名", "发卡地区"}}},
		}},
		{"connect", templates.Connect{}},
		{"connect-link", templates.Connect{Code: "WDJB-MJHT"}},
		{"connect-problem", templates.Connect{Step: templates.Step{Problem: templates.Say(templates.ProblemDeviceCode)}, Code: "WDJB-MJHX"}},
		{"connect-tries", templates.Connect{Step: templates.Step{Problem: templates.Say(templates.ProblemDeviceTries, "minutes", 15)}}},
		{"connected", templates.Connected{Allowed: true}},
		{"connected-declined", templates.Connected{}},
		{"consent-claims", templates.Consent{
			Step: step(), Account: "王*英（尾号 002X）",
			Scopes: []templates.Scope{
				{Title: "确认您的身份", Purpose: "向该应用证明是您本人在登录"},
				{Title: "姓名", New: true}, {Title: "手机号码", New: true},
			},
		}},
		{"form-post", templates.FormPost{Action: "https://pension.example.cn/callback", Fields: []templates.Field{{Name: "code", Value: "sample"}, {Name: "state", Value: "sample"}}}},
		{"consent-open", templates.Consent{Step: step(), Scopes: []templates.Scope{{Title: "登录", Purpose: "识别您的账户"}}}},
	}
}

func enrol() []Sample {
	return []Sample{
		{"activate", templates.Activate{}},
		{"activate-problem", templates.Activate{Step: templates.Step{Problem: templates.Say(templates.ProblemActivation)}, Card: "A12345678"}},
		{"activate-password", templates.ActivatePassword{Account: "wangxiuying", MinLength: 8}},
		{"activate-password-problem", templates.ActivatePassword{
			Step: templates.Step{Problem: templates.Say(templates.ProblemPasswordShort, "min", 8)}, Account: "wangxiuying", MinLength: 8,
		}},
		{"activate-greeting", templates.ActivateGreeting{}},
		{"enrol-choice", templates.EnrolChoice{Step: with(templates.Step{}, noProblem(), by(templates.FactorPasskey), by(templates.FactorTOTP), by(templates.FactorPhone)), LaterURL: "/account"}},
		{"enrol-totp", templates.EnrolTOTP{
			URI:    "otpauth://totp/%E7%94%B5%E5%AD%90%E7%A4%BE%E4%BF%9D%E5%8D%A1:wangxiuying?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=%E7%94%B5%E5%AD%90%E7%A4%BE%E4%BF%9D%E5%8D%A1",
			Secret: "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP", BackURL: "/enrol",
		}},
		{"enrol-passkey", templates.EnrolPasskey{Passkey: ceremony(), BackURL: "/enrol"}},
		{"recovery-codes", templates.RecoveryCodes{Codes: []string{
			"f7kq-29xm-hd4t-w8pa", "m3vz-k6rj-92cb-tq5n", "x8dh-p4ws-7gkm-3fyz", "b2nt-q9vc-h6xr-5jdw",
			"k5mw-8zpf-3tqh-c7gx", "r9xj-d2bk-w4nv-6mhs", "h3qf-t7gz-5pcx-k8rw", "w6cv-m4jn-9dkb-2xtq",
		}}},
	}
}

func account() []Sample {
	return []Sample{
		{"account-home", templates.AccountHome{
			Name: "王*英", Greeting: "院子里的桂花开了", Devices: 2, Sessions: 2, Consents: 1,
			News: []templates.News{
				{What: templates.NewsOf("device.bind"), At: day(21, 19, 42), Place: "192.0.2.0/24"},
				{What: templates.NewsOf("password.change"), At: day(20, 8, 5), Place: "192.0.2.0/24"},
			},
			LastLogin: templates.Event{At: day(21, 19, 42), Place: "杭州市", Device: "Chrome 浏览器（Windows 电脑）"},
		}},
		{"account-home-first", templates.AccountHome{
			Account: templates.Account{Notice: templates.Say(templates.NoticeActivated)}, Name: "王*英", WeakLogin: true,
		}},
		{"account-security", templates.AccountSecurity{
			Account:         templates.Account{Notice: templates.Say(templates.NoticeSaved)},
			PasswordChanged: day(3, 10, 5),
			Passkeys: []templates.Passkey{
				{ID: "k1", Name: "王女士的手机", Made: day(3, 10, 9), LastUsed: day(21, 19, 42)},
				{ID: "k2", Name: "家里的平板", Synced: true, Made: day(8, 20, 30)},
			},
			TOTP: true, TOTPSince: day(3, 10, 12), RecoveryLeft: 7,
			PasswordURL: "/account/security/password", PasskeyURL: "/account/security/passkey",
		}},
		{"account-security-bare", templates.AccountSecurity{
			Account:         templates.Account{Problem: templates.Say(templates.ProblemLastFactor)},
			PasswordChanged: day(3, 10, 5), PasswordURL: "/account/security/password",
			PasskeyURL: "/account/security/passkey",
		}},
		{"password-change", templates.PasswordChange{Username: "wangxiuying", MinLength: 8, BackURL: "/account/security"}},
		{"password-change-problem", templates.PasswordChange{
			Account: templates.Account{Problem: templates.Say(templates.ProblemPasswordWeak)}, Username: "wangxiuying", MinLength: 8,
		}},
		{"account-devices", templates.AccountDevices{
			AddPhoneURL: "/account/devices/phone",
			Devices: []templates.Device{
				{ID: "d1", Name: "王女士的手机", Phone: true, State: templates.DeviceActive, Hardware: true, Bound: day(3, 10, 20), LastSeen: day(21, 19, 41), Place: "杭州市"},
				{ID: "d2", Name: "Chrome 浏览器（Windows 电脑）", State: templates.DeviceActive, Current: true, Bound: day(5, 9, 1), LastSeen: day(22, 8, 15), Place: "杭州市"},
				{ID: "d3", Name: "旧手机", Phone: true, State: templates.DeviceLost, Bound: day(1, 9, 0), LastSeen: day(2, 17, 30)},
				{ID: "d4", Name: "办公室电脑", State: templates.DeviceSuspended, Bound: day(1, 9, 0), LastSeen: day(2, 17, 30)},
			},
		}},
		{"account-devices-none", templates.AccountDevices{AddPhoneURL: "/account/devices/phone"}},
		{"add-phone", templates.AddPhone{
			URI: "https://login.ecard.example/device/enrol?c=7Q2M-K9RX-41TB", Code: "7Q2M-K9RX-41TB", Expires: day(22, 10, 30),
			PollURL: "/account/devices/phone/state", BackURL: "/account/devices",
		}},
		{"account-sessions", templates.AccountSessions{Sessions: []templates.Session{
			{ID: "s1", Device: "Chrome 浏览器（Windows 电脑）", Place: "杭州市", Began: day(22, 8, 10), LastSeen: day(22, 8, 15), Current: true, Clients: []templates.Text{"养老金服务大厅"}},
			{ID: "s2", Device: "王女士的手机", Place: "绍兴市", Began: day(21, 19, 42), LastSeen: day(21, 20, 3), Clients: []templates.Text{"市第一人民医院", "医保药房"}},
		}}},
		{"account-consents", templates.AccountConsents{Consents: []templates.Consented{
			{ID: "c1", Client: "养老金服务大厅", Host: "pension.example.cn", Scopes: []templates.Agreed{{Title: "社会保障卡基本信息", Purpose: "查看卡状态、发卡地和有效期"}, {Title: "领取养老金资格认证"}}, Since: day(4, 14, 0), LastUsed: day(22, 8, 11)},
		}}},
		{"account-consents-none", templates.AccountConsents{}},
		{"account-activity", templates.AccountActivity{NewestURL: "/account/activity", OlderURL: "/account/activity?page=AAAA", Entries: []templates.Activity{
			{What: templates.ActivityOf("login.finish", templates.BySelf), By: templates.BySelf, At: day(22, 8, 10), Place: "192.0.2.0/24 Chrome · Windows"},
			{What: templates.ActivityOf("citizen.read", templates.ByStaff), By: templates.ByStaff, At: day(21, 10, 2), Reason: "来电咨询，工单 20260421-07"},
			{What: templates.ActivityOf("loss.report.relative", templates.ByRelative), By: templates.ByRelative, At: day(20, 9, 41)},
			{What: templates.ActivityOf("consent.give", templates.BySelf), By: templates.BySelf, At: day(4, 14, 0), Client: "pension"},
		}}},
		{"account-activity-none", templates.AccountActivity{}},
		{"account-relatives", templates.AccountRelatives{Most: 5,
			Asking: []templates.Relative{{ID: "r1", Name: "王**", Ends: day(28, 9, 0)}},
			Mine:   []templates.Relative{{ID: "r2", Name: "李**", Card: "A******78", Agreed: day(3, 9, 0)}, {ID: "r3", Card: "B******12", Ends: day(28, 9, 0)}},
			Theirs: []templates.Relative{{ID: "r4", Name: "张**", Agreed: day(2, 16, 20)}},
		}},
		{"account-relatives-none", templates.AccountRelatives{Most: 5, Account: templates.Account{Problem: templates.Say(templates.ProblemCard)}}},
		{"account-data", templates.AccountData{CloseURL: "/account/close"}},
		{"account-close", templates.AccountClose{Phrase: "注销账户", BackURL: "/account/data"}},
		{"account-closed", templates.AccountClosed{}},
	}
}

func outcome() []Sample {
	return []Sample{
		{"error", templates.Error{Reference: "7F3K-92QX"}},
		{"error-request", templates.Error{
			Title: templates.Say(templates.ErrorRequestTitle), Next: templates.Say(templates.ErrorRequestNext), Reference: "7F3K-92QX",
		}},
		{"busy", templates.Busy{Seconds: 5, Reference: "7F3K-92QX"}},
		{"cancel", templates.Cancel{Step: step(), BackURL: "/login"}},
		{"held", templates.Held{Step: step(), Until: day(22, 9, 40), ContinueURL: "/login"}},
		{"logout-confirm", templates.LogoutConfirm{Step: step()}},
		{"signed-out", templates.SignedOut{}},
		{"signed-out-return", templates.SignedOut{Client: "养老金服务大厅", ReturnURL: "https://pension.example.cn/bye"}},
		{"signed-out-frames", templates.SignedOut{
			Client: "养老金服务大厅", ReturnURL: "https://pension.example.cn/bye", Frames: []string{"https://pension.example.cn/front?iss=x&sid=y"},
		}},
		{"lost", templates.Lost{PhonePasskey: ceremony(), CardPasskey: ceremony(), UndoURL: "/lost/undo"}},
		{"lost-problem", templates.Lost{Problem: templates.Say(templates.ProblemLost), Account: "A12345678", PhonePasskey: ceremony(), CardPasskey: ceremony(), UndoURL: "/lost/undo"}},
		{"loss-receipt", templates.LossReceipt{
			Number: "7Q2M-K9RX-41TB", Lost: templates.LostPhone, At: day(22, 8, 15), Signed: "eyJhbGciOiJTR0RfU00zX1NNMiJ9.eyJqdGkiOiI3UTJNLUs5UlgtNDFUQiJ9.c2FtcGxl", UndoURL: "/lost/undo",
		}},
		{"loss-receipt-card", templates.LossReceipt{Number: "7Q2M-K9RX-41TB", Lost: templates.LostCard, At: day(22, 8, 15), UndoURL: "/lost/undo"}},
		{"loss-receipt-device", templates.LossReceipt{Number: "7Q2M-K9RX-41TB", Lost: templates.LostDevice, At: day(22, 8, 15), UndoURL: "/lost/undo"}},
		{"loss-undo", templates.LossUndo{}},
		{"loss-undo-problem", templates.LossUndo{Problem: templates.Say(templates.ProblemUndo), Account: "A12345678"}},
		{"loss-undone", templates.LossUndo{Done: true, DevicesURL: "/account/devices"}},
		{"privacy", templates.Privacy{}},
	}
}
