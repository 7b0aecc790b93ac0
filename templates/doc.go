// Package templates is everything a person sees: one struct and one html/template
// file per page, one style sheet, one script, and the sentences in zh-CN and en.
// It decides nothing. authn, account and server fill a struct and call
// [Pages.Render]; what the struct lacks, the page cannot leak.
//
// # Frame
//
// [View] carries what every page needs. Each form posts back to View.Path with
// the hidden inputs "csrf" and, inside a login, "flow"; where a page has more
// than one button, the field "do" (and "id" on lists) says which was meant.
//
//	page                 fields                    buttons (id = name)
//	Login                username password         login-submit, passkey-login
//	SecondFactor         (links)
//	TOTPCode             code                      code-submit
//	RecoveryCode         code                      code-submit
//	PhoneApprove         -                         phone-continue
//	PasskeyStep          -                         passkey-login
//	Held                 (links)                   held-continue
//	BindDevice           -                         device-bind, device-skip
//	StepUp               -                         step-continue
//	LivenessStart        face-consent=yes          liveness-start
//	LivenessWaiting      -                         liveness-continue
//	LivenessResult       -                         liveness-continue | liveness-retry
//	Consent              token                     consent-allow, consent-deny
//	FormPost             (the answer's fields)     form-post, pressed by the script
//	Activate             card code                 activate-submit
//	ActivatePassword     password                  password-submit
//	ActivateGreeting     greeting                  greeting-submit
//	EnrolChoice          (links)
//	EnrolTOTP            code                      code-submit
//	EnrolPasskey         -                         passkey-create
//	RecoveryCodes        -                         codes-kept
//	Cancel               -                         cancel-confirm
//	LogoutConfirm        -                         logout-confirm
//	PasswordChange       current password          password-submit
//	AccountSecurity      do=passkey-rename (id, name) | passkey-remove (id) |
//	                     totp-add | totp-remove | recovery-renew
//	AccountDevices       do=device-rename (id, name) | device-lost (id) |
//	                     device-restore (id) | device-end (id)
//	Lost                 username, proof, what=phone|card   lost-submit
//	LossUndo             username, password, code   undo-submit
//	AccountSessions      do=session-end (id) | sessions-end-others
//	AccountConsents      do=consent-withdraw (id)
//	AccountRelatives     do=relative-name (card) | relative-agree (id) | relative-end (id) |
//	                     relative-report (id, what=phone|card)
//	AccountData          -                         data-take
//	AccountClose         confirm                   close-submit
//	AddPhone             -                         phone-continue
//
// Staff's pages are [ConsolePage]s in a [Console]: a second set with sentences of its own,
// parsed when somebody first asks for one. What holds for all of them:
//
//	page                 fields                    buttons (id = name)
//	ConsoleSignIn        -                         passkey-login
//	ConsoleInvitation    code                      code-submit, then passkey-create
//	ConsoleStepUp        -                         passkey-login
//	ConsoleAct           reason                    act-confirm
//	ConsoleCitizens      number                    citizen-search
//	ConsoleCitizen       (links)
//	ConsoleQuestions     a field for each          answers-submit
//	ConsoleBulk          what=phone|card, cards    bulk-check, then reason and act-confirm
//	ConsoleOneRequest    reason (to reject)        request-approve, request-reject,
//	                                               request-withdraw, request-continue
//	ConsoleAppointment   name role-ROLE unit       staff-submit
//	(the frame)          -                         sign-out, links nav-WORD
//
// The header's language and elder-mode switch posts to Links.Preferences with
// "csrf", "back" (View.Path) and one of "locale" (zh-CN or en) or "elder" (on or
// off). The handler answers 303 to "back" after checking that it is a path of ours.
//
// # Passkeys and polling: what the script expects
//
// The script is progressive: passkeys need it, nothing else does. A [Ceremony]
// gives it two URLs. Every POST is application/json with the header X-CSRF-Token.
//
//	POST OptionsURL  {}                    → 200 {"publicKey": {…}} as go-webauthn encodes
//	                                         CredentialAssertion or CredentialCreation
//	POST FinishURL   credential.toJSON()   → {"next": "/path"}: the browser goes there
//	                                       → {"problem": "text in the page's language"}
//
// The status of an answer that carries "problem" may be 4xx. An answer to an
// assertion may add "unknown_credential": true; the browser's passkey store is
// then told (WebAuthn §5.1.10, signalUnknownCredential). On Login the options are
// fetched once when the page loads (conditional mediation), again at most every
// four minutes while that waits, and again when the button is pressed: the latest
// challenge of a flow is the one that counts.
//
// PollURL (PhoneApprove, LivenessWaiting, AddPhone) is asked with GET every two
// seconds: {"next": "/path"} moves on, anything else waits.
//
// # Headers
//
// [Policy] writes the Content-Security-Policy. A page answer also needs
// Content-Language (View.Locale) and Vary: Cookie, Accept-Language. The
// Referrer-Policy of a page with a form should be same-origin: under no-referrer
// browsers send "Origin: null" with the form (Fetch §3.2), which an Origin check
// has to refuse.
package templates
