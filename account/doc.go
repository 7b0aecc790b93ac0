// Package account is the citizen's own pages, /account and below: how they sign in,
// which devices are theirs, where they are signed in, whom they allowed to know
// what. Everything here is about the citizen of the login and nobody else: ids that
// arrive with a form are only ever looked up together with that citizen's, so
// somebody else's passkey, device, session or consent is not there (SECURITY DV3).
//
//	page                          what is done there
//	GET  /account                 greets, tells of the last sign-in
//	     /account/security        do=passkey-rename | passkey-remove | totp-add | totp-remove | recovery-renew
//	     /account/password        change the password
//	     /account/totp/{id}       shows and confirms a seed, which a button on the page before it makes
//	     /account/passkeys        makes a passkey; /options and /finish speak JSON with the script
//	     /account/recovery        the codes, shown once, in answer to recovery-renew
//	     /account/devices         do=device-rename | device-lost | device-restore | device-end
//	     /account/devices/phone   shows the code the card app scans; /state is polled
//	     /account/sessions        do=session-end | sessions-end-others
//	     /account/consents        do=consent-withdraw
//	     /account/activity        the citizen's own part of the trail, in pages
//	     /account/relatives       do=relative-name | relative-agree | relative-end | relative-report
//	     /account/data            hands a copy of everything over, as a JSON file
//	     /account/close           ends the account for good, when its phrase was typed
//	POST /account/sign-out
//
// Every change is a POST, reads the login anew and wants two fresh factors
// (SECURITY PW5, MF3); where they are stale the browser is sent to prove them and
// comes back to the page, with nothing done. Pages that read or make factors want
// them as well. What went well is told after a 303 by a word of a fixed list in the
// query; what went wrong is told on the page itself.
//
// authn changes factors, devices and sessions and looks at how fresh the login is
// once more; oauth's consents come through a small interface; pages are templates'.
// CSRF tokens, Origin checks and headers are server's, before any of this runs.
package account
