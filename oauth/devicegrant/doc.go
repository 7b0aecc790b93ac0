// Package devicegrant serves the device authorization grant (RFC 8628) for machines
// without a browser of their own, such as a counter terminal or a blood-pressure
// monitor: POST /device-authorization, where a device begins, and the /connect pages,
// where a citizen types the code that the device shows.
//
//	device                                        citizen
//	/device-authorization ─▶ device code,
//	      │                  user code ─ shown ─▶ /connect: the user code, guesses counted
//	      │                                          │ right
//	      ▼                                          ▼
//	/token, again and again                       /authorize?request_uri: sign-in, step-up
//	  authorization_pending, slow_down               │
//	      │                                          ▼
//	      ▼                                       /consent: always asked, and shows the code
//	  tokens ◀─── a grant with the device's code ◀── allow ─▶ /connect/done
//	  access_denied ◀─────────────────────────────── deny  ─▶ /connect/done
//
// The grant is off unless the configuration switches it on, is for clients registered
// with it, and never for those of profile fapi2 (SECURITY CO5).
//
// Its danger is a stranger who sends somebody a code of the stranger's own device (RFC
// 8628 §5.4). There is no redirect that would lead astray and no check that would tell;
// so the citizen is always asked, sees whom they let in and the code, and is told to
// look at the device.
//
// Its neighbours: oauth/authorize holds the question to the citizen, as it does those
// of applications; oauth/token/device.go answers the polls.
package devicegrant
