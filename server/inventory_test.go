package server_test

import (
	"strings"
	"testing"

	"ecardid/server"
)

// inventory has a row for every address: class, who, method, pattern and, where
// there is a body, its one content type (SECURITY §18). Whoever adds a route says
// here who may come; how much they may send is the same for all (limits.go).
//
// The classes are what is checked on the way in: page (cookie, CSRF token, origin),
// entry (cookie), protocol (authenticates clients and phones itself), public.
const inventory = `
page     anybody  GET  /{$}
page     anybody  GET  /lost
page     anybody  POST /lost form
page     anybody  POST /lost/passkey/options json
page     anybody  POST /lost/passkey/finish json
page     anybody  GET  /lost/receipt/{number}
page     anybody  GET  /lost/undo
page     anybody  POST /lost/undo form
page     anybody  GET  /goodbye
page     anybody  GET  /privacy
page     anybody  POST /preferences form
public   anybody  GET  /assets/
public   anybody  GET  /healthz
protocol anybody  GET  /readyz

page     flow     GET  /login
page     flow     GET  /login/activate
page     flow     POST /login/activate form
page     flow     GET  /login/activate/greeting
page     flow     POST /login/activate/greeting form
page     flow     GET  /login/activate/password
page     flow     POST /login/activate/password form
page     flow     GET  /login/cancel
page     flow     POST /login/cancel form
page     flow     POST /login/choose form
page     flow     GET  /login/code
page     flow     POST /login/code form
page     flow     GET  /login/codes
page     flow     POST /login/codes form
page     flow     GET  /login/device
page     flow     POST /login/device form
page     flow     GET  /login/enrol
page     flow     GET  /login/enrol/passkey
page     flow     POST /login/enrol/passkey/finish json
page     flow     POST /login/enrol/passkey/options json
page     flow     GET  /login/enrol/totp
page     flow     POST /login/enrol/totp form
page     flow     GET  /login/factor
page     flow     GET  /login/held
page     flow     GET  /login/impossible
page     flow     GET  /login/key
page     flow     POST /login/key form
page     flow     GET  /login/liveness
page     flow     POST /login/liveness form
page     flow     GET  /login/liveness/return
page     flow     GET  /login/liveness/state
page     flow     GET  /login/passkey
page     flow     POST /login/passkey/finish json
page     flow     POST /login/passkey/options json
page     flow     GET  /login/password
page     flow     POST /login/password form
page     flow     GET  /login/phone
page     flow     POST /login/phone form
page     flow     GET  /login/phone/state
page     flow     GET  /login/recovery
page     flow     POST /login/recovery form
page     flow     GET  /logout
page     flow     POST /logout form
page     flow     GET  /signed-out

page     staff    GET  /console/citizens
page     staff    POST /console/citizens form
page     staff    GET  /console/citizens/{citizen}
page     staff    GET  /console/citizens/{citizen}/questions
page     staff    POST /console/citizens/{citizen}/questions form
page     staff    GET  /console/bulk
page     staff    POST /console/bulk form
page     staff    GET  /console/clients
page     staff    GET  /console/clients/{client}
page     staff    GET  /console/clients/{client}/admission
page     staff    POST /console/clients/{client}/admission form
page     staff    GET  /console/audit
page     staff    POST /console/audit form
page     staff    GET  /console/audit/export
page     staff    POST /console/audit/export form
page     staff    GET  /console/alarms
page     staff    GET  /console/streams
page     staff    GET  /console/acts/client.prepare
page     staff    POST /console/acts/client.prepare form
page     staff    GET  /console/acts/client.admit
page     staff    POST /console/acts/client.admit form
page     staff    GET  /console/acts/client.suspend
page     staff    POST /console/acts/client.suspend form
page     staff    GET  /console/acts/client.withdraw
page     staff    POST /console/acts/client.withdraw form
page     staff    GET  /console/acts/alarm.see
page     staff    POST /console/acts/alarm.see form
page     staff    GET  /console/acts/citizen.reveal
page     staff    POST /console/acts/citizen.reveal form
page     staff    GET  /console/acts/loss.report
page     staff    POST /console/acts/loss.report form
page     staff    GET  /console/acts/card.freeze
page     staff    POST /console/acts/card.freeze form
page     staff    GET  /console/acts/card.unfreeze
page     staff    POST /console/acts/card.unfreeze form
page     staff    GET  /console/acts/card.cancel
page     staff    POST /console/acts/card.cancel form
page     staff    GET  /console/acts/device.end
page     staff    POST /console/acts/device.end form
page     staff    GET  /console/acts/device.suspend
page     staff    POST /console/acts/device.suspend form
page     staff    GET  /console/acts/device.restore
page     staff    POST /console/acts/device.restore form
page     staff    GET  /console/acts/device.confirm
page     staff    POST /console/acts/device.confirm form
page     staff    GET  /console/acts/session.end
page     staff    POST /console/acts/session.end form
page     staff    GET  /console/acts/factor.remove
page     staff    POST /console/acts/factor.remove form
page     staff    GET  /console/acts/bulk.loss
page     staff    POST /console/acts/bulk.loss form
protocol program  GET  /console/api/v1/openapi.json
protocol program  POST /console/api/v1/searches json
protocol program  GET  /console/api/v1/citizens/{citizen}
protocol program  GET  /console/api/v1/citizens/{citizen}/timeline
protocol program  POST /console/api/v1/previews json
protocol program  POST /console/api/v1/acts json
protocol program  GET  /console/api/v1/requests/{request}

page     citizen  GET  /account
page     citizen  GET  /account/activity
page     citizen  GET  /account/close
page     citizen  POST /account/close form
page     citizen  GET  /account/consents
page     citizen  POST /account/consents form
page     citizen  GET  /account/data
page     citizen  POST /account/data form
page     citizen  GET  /account/devices
page     citizen  POST /account/devices form
page     citizen  GET  /account/devices/phone
page     citizen  POST /account/devices/phone form
page     citizen  GET  /account/devices/phone/state
page     citizen  GET  /account/passkeys
page     citizen  POST /account/passkeys/finish json
page     citizen  POST /account/passkeys/options json
page     citizen  GET  /account/password
page     citizen  POST /account/password form
page     citizen  GET  /account/recovery
page     citizen  POST /account/recovery form
page     citizen  GET  /account/relatives
page     citizen  POST /account/relatives form
page     citizen  GET  /account/security
page     citizen  POST /account/security form
page     citizen  GET  /account/sessions
page     citizen  POST /account/sessions form
page     citizen  GET  /account/sign-out
page     citizen  POST /account/sign-out form
page     citizen  GET  /account/totp/{id}
page     citizen  POST /account/totp/{id} form

page     anybody  GET  /console/sign-in
page     anybody  POST /console/sign-in/options json
page     anybody  POST /console/sign-in/finish json
page     anybody  GET  /console/invitation/{id}
page     anybody  POST /console/invitation/{id} form
page     anybody  POST /console/invitation/{id}/options json
page     anybody  POST /console/invitation/{id}/finish json
page     staff    GET  /console
page     staff    GET  /console/step-up
page     staff    POST /console/step-up/options json
page     staff    POST /console/step-up/finish json
page     staff    POST /console/sign-out form
page     staff    GET  /console/requests
page     staff    GET  /console/requests/{id}
page     staff    POST /console/requests/{id}/approve form
page     staff    POST /console/requests/{id}/reject form
page     staff    POST /console/requests/{id}/withdraw form
page     staff    POST /console/requests/{id}/continue form
page     staff    GET  /console/staff
page     staff    GET  /console/staff/invite
page     staff    POST /console/staff/invite form
page     staff    GET  /console/staff/{id}/roles
page     staff    POST /console/staff/{id}/roles form
page     staff    GET  /console/acts/staff.invite
page     staff    POST /console/acts/staff.invite form
page     staff    GET  /console/acts/staff.roles
page     staff    POST /console/acts/staff.roles form
page     staff    GET  /console/acts/staff.deactivate
page     staff    POST /console/acts/staff.deactivate form

protocol phone    POST /device/v1/enrolments json
protocol phone    POST /device/v1/enrolments/{id} json
protocol phone    GET  /device/v1/nonce
protocol phone    GET  /device/v1/devices/{id}
protocol phone    PATCH /device/v1/devices/{id} json
protocol phone    DELETE /device/v1/devices/{id}
protocol phone    GET  /device/v1/approvals
protocol phone    POST /device/v1/approvals/{id} json

entry    anybody  GET  /authorize
entry    anybody  POST /authorize form
protocol client   POST /par form
page     citizen  GET  /consent
page     citizen  POST /consent form
entry    anybody  GET  /end-session
entry    anybody  POST /end-session form
page     citizen  GET  /end-session/confirm
page     citizen  POST /end-session/confirm form
page     citizen  GET  /end-session/done
protocol client   POST /device-authorization form
page     citizen  GET  /connect
page     citizen  POST /connect form
page     citizen  GET  /connect/done
protocol client   POST /token form
protocol client   GET  /userinfo
protocol client   POST /userinfo form
protocol client   POST /introspect form
protocol client   POST /revoke form
protocol client   POST /register json
protocol client   GET  /register/{id}
protocol client   PUT  /register/{id} json
protocol client   DELETE /register/{id}
public   anybody  GET  /.well-known/ssf-configuration
protocol client   GET  /ssf/stream
protocol client   POST /ssf/stream json
protocol client   PATCH /ssf/stream json
protocol client   PUT  /ssf/stream json
protocol client   DELETE /ssf/stream
protocol client   GET  /ssf/status
protocol client   POST /ssf/status json
protocol client   POST /ssf/subjects/add json
protocol client   POST /ssf/subjects/remove json
protocol client   POST /ssf/verify json
protocol client   POST /ssf/poll/{id} json
public   anybody  GET  /jwks
public   anybody  GET  /sm2-jwks
public   anybody  GET  /.well-known/openid-configuration
public   anybody  GET  /.well-known/oauth-authorization-server
`

// row writes a route as the inventory does.
func row(r server.Route) string {
	class := map[server.Class]string{server.Page: "page", server.Entry: "entry", server.Protocol: "protocol", server.Public: "public"}[r.Class]
	takes := map[string]string{"": "", "application/x-www-form-urlencoded": "form", "application/json": "json"}[r.Takes]
	who := strings.TrimPrefix(r.Who, "browser of the ")
	return strings.TrimSpace(strings.Join([]string{class, who, r.Method, r.Pattern, takes}, " "))
}

func TestInventory(t *testing.T) {
	rows := map[string]bool{}
	for line := range strings.Lines(inventory) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			rows[line] = false
		}
	}
	for _, r := range newHouse(t).server.Routes() {
		seen, ok := rows[row(r)]
		if !ok || seen {
			t.Errorf("a route without a row of its own: %s", row(r))
		}
		rows[row(r)] = true
		if r.Class == server.Page && r.Method != "GET" && r.Takes == "" {
			t.Errorf("%s: says not what it takes", row(r))
		}
	}
	for line, seen := range rows {
		if !seen {
			t.Errorf("a row without a route: %s", line)
		}
	}
}
