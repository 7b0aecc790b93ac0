package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/console"
	"ecardid/e2e/browser"
	"ecardid/e2e/house"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/storage"
)

// heard returns what the trail says of a citizen, the newest first.
func heard(t *testing.T, h *house.House, citizen identity.ID, kind audit.Kind) []storage.TrailQuery {
	t.Helper()
	found, err := h.Store.SearchAudit(t.Context(), storage.TrailQuery{Citizen: citizen, Kind: kind, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var all []storage.TrailQuery
	for _, l := range found {
		all = append(all, storage.TrailQuery{Kind: audit.Kind(l.Kind), Client: string(l.Actor), Citizen: l.Citizen})
	}
	return all
}

// masked fails when an answer shows a number or name of the citizen's.
func masked(t *testing.T, what, body string, c *house.Citizen) {
	t.Helper()
	for _, secret := range []string{c.Name, c.IDNumber, c.Phone, c.Card} {
		if strings.Contains(body, secret) {
			t.Errorf("%s shows %s", what, secret)
		}
	}
}

// bare is a page without what differs by the second or by the request.
func bare(body string) string {
	return regexp.MustCompile(`nonce="[^"]*"|name="csrf" value="[^"]*"|<strong id="staff-name">.*?</strong>|<span class="hint">[^<]*</span></span></p>`).ReplaceAllString(body, "")
}

// TestCallCentre: somebody rings, is found, is asked, and their phone is dead; a field is
// shown once to whom it may be; and other units see nothing of it.
func TestCallCentre(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c, neighbour := h.Citizen(t), h.Citizen(t)
	officer := h.Invite(t, "1101", console.DeviceOfficer).Join(t)
	registrar := h.Join(t, console.Registrar)
	far := h.Invite(t, "31", console.DeviceOfficer, console.Registrar).Join(t)
	here := "/console/citizens/" + c.ID.String()

	search := func(d *house.Desk, number string) *house.Answer {
		return d.Get("/console/citizens").Submit("citizen-search", "number", number)
	}
	for _, number := range []string{c.Card, strings.ToLower(c.Card), c.IDNumber, c.Phone, "+86 " + c.Phone} {
		if a := search(officer, number); a.Status != http.StatusOK || a.Path != here {
			t.Fatalf("found at %s (%d)", a.Path, a.Status)
		} else {
			masked(t, "the file", a.Body, c)
		}
	}
	// Nobody's number, half a number, and that of somebody elsewhere are one answer.
	nobody := search(officer, "Z00000000")
	if nobody.Status != http.StatusNotFound || !nobody.Has("problem") || strings.Contains(nobody.Body, "Z00000000") {
		t.Errorf("nobody: %d", nobody.Status)
	}
	for _, number := range []string{c.Card[:5], "%", "' OR 1=1 --", strings.Repeat("9", 40)} {
		if a := search(officer, number); a.Status != nobody.Status || bare(a.Body) != bare(nobody.Body) {
			t.Errorf("%q: another answer than for nobody (%d)", number, a.Status)
		}
	}
	elsewhere := search(far, c.Card)
	if at := search(far, "Z00000000"); elsewhere.Status != at.Status || bare(elsewhere.Body) != bare(at.Body) {
		t.Errorf("another unit can tell who is there (%d, %d)", elsewhere.Status, at.Status)
	}
	for _, path := range []string{here, here + "/questions", console.ActPath(console.Order{Act: console.CardFreeze, Citizen: c.ID}, here),
		console.ActPath(console.Order{Act: console.CitizenReveal, Citizen: c.ID, Value: "phone"}, here), "/console/citizens/" + identity.NewID().String(), "/console/citizens/x"} {
		if a := far.Open(path); a.Status != http.StatusNotFound {
			t.Errorf("another unit at %s: %d", path, a.Status)
		}
	}
	// A page of the timeline is a token's, and its owner's.
	for _, token := range []string{"AAAAAAAAAAE", "1", "%2e", strings.Repeat("A", 40)} {
		if a := officer.Get(here + "?older=" + token); a.Status != http.StatusNotFound {
			t.Errorf("a forged page: %d", a.Status)
		}
	}

	// Answers: too few, then right ones, as people write them.
	ask := officer.Get(here + "/questions")
	masked(t, "the questions", ask.Body, c)
	if a := ask.Submit("answers-submit", "id-end", c.IDNumber[14:], "birth", c.IDNumber[6:14]); a.Status != http.StatusForbidden || !a.Has("problem") || strings.Contains(a.Body, c.IDNumber[14:]) {
		t.Errorf("two answers off one paper: %d", a.Status)
	}
	a := ask.Submit("answers-submit", "id-end", strings.ToLower(c.IDNumber[14:]), "birth", c.IDNumber[6:10]+"-"+c.IDNumber[10:12]+"-"+c.IDNumber[12:14], "card-end", "0000", "phone-end", c.Phone[7:])
	if a.Status != http.StatusOK || !strings.Contains(a.Body, "loss.report") {
		t.Fatalf("right answers: %d %s", a.Status, a.Text("problem"))
	}
	if n := len(heard(t, h, c.ID, audit.CallerRefused)); n != 1 {
		t.Errorf("%d entries of wrong answers", n)
	}
	// They are counted for the citizen, and then right ones are as wrong.
	for range 4 {
		ask.Submit("answers-submit", "id-end", "0000")
	}
	if a := ask.Submit("answers-submit", "id-end", c.IDNumber[14:], "birth", c.IDNumber[6:14], "card-end", c.Card[5:]); a.Status != http.StatusTooManyRequests {
		t.Errorf("the fifth try: %d", a.Status)
	}

	// The loss: a receipt, and the session of before is dead.
	phone := h.Robot(t)
	if a := c.SignIn(phone.Get("/account")); a.Path != "/account" {
		t.Fatalf("signed in at %s", a.Path)
	}
	done := officer.Act(console.Order{Act: console.LossReport, Citizen: c.ID, Value: "phone"}, "来电人通过核实，手机被盗")
	number := done.Text("told")
	if done.Status != http.StatusOK || len(number) != 14 {
		t.Fatalf("reported: %d %q", done.Status, number)
	}
	if a := phone.Get("/account"); strings.HasPrefix(a.Path, "/account") {
		t.Error("the session lives on")
	}
	if a := h.Robot(t).Get("/lost/receipt/" + number); a.Status != http.StatusOK {
		t.Errorf("the receipt: %d", a.Status)
	}
	file := officer.Get(here)
	if !strings.Contains(file.Body, number) || !strings.Contains(file.Body, "来电人通过核实") {
		t.Error("the timeline does not say so")
	}

	// One field, once, with a reason, and the citizen is told; not for everybody.
	reveal := console.Order{Act: console.CitizenReveal, Citizen: c.ID, Value: "phone"}
	if a := officer.Open(console.ActPath(reveal, here)); a.Status != http.StatusNotFound {
		t.Errorf("a device officer sees fields: %d", a.Status)
	}
	if a := registrar.Act(reveal, "短"); a.Status != http.StatusBadRequest || strings.Contains(a.Body, c.Phone) {
		t.Errorf("without a reason: %d", a.Status)
	}
	shown := registrar.Act(reveal, "核对联系电话以便回访")
	if shown.Text("told") != c.Phone || shown.Header.Get("Cache-Control") != "no-store" || strings.Contains(shown.Path, c.Phone) {
		t.Errorf("shown %q", shown.Text("told"))
	}
	if n := len(heard(t, h, c.ID, audit.CitizenRevealed)); n != 1 {
		t.Errorf("%d entries", n)
	}
	if news, err := h.Store.Notices(t.Context(), c.ID, 10); err != nil || news[0].Kind != audit.CitizenRevealed {
		t.Errorf("the citizen reads %v, %v", news, err)
	}
	masked(t, "the file afterwards", registrar.Get(here).Body, c)

	// All factors: asked for by one, allowed by another, and no code is shown to either.
	security := h.Join(t, console.SecurityOfficer)
	path := house.RequestOf(registrar.Act(console.Order{Act: console.FactorRemove, Citizen: neighbour.ID, Value: "all"}, "本人到柜台，全部凭据遗失"))
	if a := registrar.Approve(path); a.Has("request-approve") {
		t.Error("their own request")
	}
	if a := security.Approve(path); a.Status != http.StatusOK || a.Has("told") {
		t.Errorf("approved: %d, told %q", a.Status, a.Text("told"))
	}
	if acc, err := h.Store.Account(t.Context(), neighbour.ID); err != nil || acc.Password != "" || acc.Factors.Any() {
		t.Errorf("%+v, %v", acc.Factors, err)
	}
	for _, secret := range []string{c.Card, c.Phone, c.IDNumber, c.Name} {
		if strings.Contains(h.Log(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

// TestBulk: a list of cards becomes one request, and each loss is reported once.
func TestBulk(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	one, two, lost := h.Citizen(t), h.Citizen(t), h.Citizen(t)
	officer, security := h.Join(t, console.DeviceOfficer), h.Join(t, console.SecurityOfficer)
	if a := security.Get("/console/bulk"); a.Status != http.StatusNotFound {
		t.Errorf("who approves files: %d", a.Status)
	}
	form := officer.Open("/console/bulk")
	for _, list := range []string{"", one.Card + "," + two.Card, one.Card + "\n" + strings.ToLower(one.Card), "\"" + one.Card} {
		if a := form.Submit("bulk-check", "what", "card", "cards", list); a.Status != http.StatusUnprocessableEntity || a.Has("act-confirm") {
			t.Errorf("%q: %d", list, a.Status)
		}
	}
	a := form.Submit("bulk-check", "what", "card", "cards", "card_number\r\n"+one.Card+"\r\nZ00000000\r\n=HYPERLINK(1)\r\n"+two.Card+"\n"+lost.Card)
	if a.Status != http.StatusOK || !a.Has("act-confirm") || !slices.Equal(a.Texts("unknown", "li"), []string{"第 3 行 Z******00", "第 4 行"}) {
		t.Fatalf("%d, unknown %q", a.Status, a.Texts("unknown", "li"))
	}
	masked(t, "the list", a.Body, one)
	// One of them freezes their card meanwhile: the others are reported all the same.
	filed := a.Submit("act-confirm", "reason", "仓库失窃，一批卡片遗失")
	path := house.RequestOf(filed)
	if path == "" {
		t.Fatalf("filed at %s (%d) %s", filed.Path, filed.Status, filed.Text("problem"))
	}
	state(t, h, one, identity.CardNormal)
	if a := officer.Act(console.Order{Act: console.CardFreeze, Citizen: lost.ID}, "本人要求冻结"); a.Status != http.StatusOK {
		t.Fatal(a.Status)
	}
	if a := security.Approve(path); a.Status != http.StatusOK || !slices.Equal(a.Texts("orders", "span"), []string{"已执行", "已执行", "未能执行"}) {
		t.Errorf("approved: %d %q", a.Status, a.Texts("orders", "span"))
	}
	if a := security.Get(path); a.Has("request-approve") {
		t.Error("it can be approved again")
	}
	state(t, h, one, identity.CardTempLost)
	state(t, h, two, identity.CardTempLost)
	state(t, h, lost, identity.CardFrozen)
	if n := len(heard(t, h, one.ID, audit.LossReported)); n != 1 {
		t.Errorf("reported %d times", n)
	}
	// Ids that come back from the page are nobody's word for whom they may serve.
	far := h.Invite(t, "31", console.DeviceOfficer).Join(t)
	page := far.Open("/console/bulk")
	_, fields := page.Form("bulk-check")
	for _, ids := range []string{one.ID.String(), one.ID.String() + " x", "", strings.Repeat(one.ID.String()+" ", console.MaxBulk+1)} {
		a := far.Post("/console/bulk", url.Values{"csrf": fields["csrf"], "act-confirm": {"1"}, "what": {"card"}, "citizens": {ids}, "reason": {"另一辖区的人"}})
		if a.Status != http.StatusNotFound && a.Status != http.StatusBadRequest && a.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%.30q: %d", ids, a.Status)
		}
	}
}

// A program calls the console's API.
type program struct {
	t     *testing.T
	h     *house.House
	bank  *house.Bank
	token string
}

func (p program) call(method, path, body string, header http.Header) (int, map[string]any, http.Header) {
	p.t.Helper()
	const api = "/console/api/v1"
	if header == nil {
		header = http.Header{"Authorization": {"DPoP " + p.token}, "DPoP": {p.bank.Holder.Proof(p.t, method, p.h.Issuer+api+strings.Split(path, "?")[0], p.token)}}
	}
	media := ""
	if body != "" {
		media = "application/json"
	}
	a := p.h.Robot(p.t).Raw(method, api+path, media, strings.NewReader(body), header)
	var out map[string]any
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil && a.Body != "" {
		p.t.Fatalf("%s %s: %d %q", method, path, a.Status, a.Body)
	}
	return a.Status, out, a.Header
}

func callCentre(t *testing.T, h *house.House, id, scope string) program {
	t.Helper()
	b := h.Bank(t, id, jose.ES256, map[string]any{"grant_types": []string{"client_credentials"}, "scope": scope, "redirect_uris": []string{}, "response_types": []string{}, "response_modes": []string{}, "authorization_details_types": []string{}})
	_, out := b.Post(h.Issuer, "/token", b.Holder, url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "scope": {scope}})
	token, _ := out["access_token"].(string)
	if token == "" {
		t.Fatalf("no token: %v", out)
	}
	return program{t, h, b, token}
}

// TestConsoleAPI: a call centre's program does what staff on the telephone do, with a token
// that is bound to its key and with nothing else.
func TestConsoleAPI(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{Postgres: true})
	c := h.Citizen(t)
	p := callCentre(t, h, "centre", strings.Join(console.Scopes(), " "))
	status, out, _ := p.call("POST", "/searches", fmt.Sprintf(`{"number":%q}`, c.Phone), nil)
	if status != 200 || out["citizen"] != c.ID.String() {
		t.Fatalf("%d %v", status, out)
	}
	status, out, _ = p.call("GET", "/citizens/"+c.ID.String(), "", nil)
	if status != 200 || out["state"] != "normal" {
		t.Errorf("%d %v", status, out)
	}
	masked(t, "the API", fmt.Sprint(out), c)
	if status, out, _ = p.call("GET", "/citizens/"+c.ID.String()+"/timeline", "", nil); status != 200 || len(out["entries"].([]any)) == 0 {
		t.Errorf("%d %v", status, out)
	}
	freeze := fmt.Sprintf(`{"act":"card.freeze","citizen":%q,"reason":"来电人要求冻结"}`, c.ID)
	if status, out, _ = p.call("POST", "/acts", freeze, nil); status != 200 {
		t.Fatalf("%d %v", status, out)
	}
	state(t, h, c, identity.CardFrozen)
	if e := heard(t, h, c.ID, audit.CitizenFrozen); len(e) != 1 || e[0].Client != "client:centre" {
		t.Errorf("the trail says %v", e)
	}
	// Four eyes: the program asks, somebody at the console says yes.
	status, out, header := p.call("POST", "/acts", fmt.Sprintf(`{"act":"card.unfreeze","citizen":%q,"reason":"本人核验通过"}`, c.ID), nil)
	request, _ := out["request"].(string)
	if status != 202 || request == "" || header.Get("Location") != "/console/api/v1/requests/"+request {
		t.Fatalf("%d %v", status, out)
	}
	state(t, h, c, identity.CardFrozen)
	security := h.Join(t, console.SecurityOfficer)
	if a := security.Approve("/console/requests/" + request); a.Status != http.StatusOK {
		t.Errorf("approved: %d", a.Status)
	}
	state(t, h, c, identity.CardNormal)
	if status, out, _ = p.call("GET", "/requests/"+request, "", nil); status != 200 || out["state"] != "done" {
		t.Errorf("%d %v", status, out)
	}

	// Whatever is not bound, or is of somebody or something else, is nobody's.
	path, uri := "/citizens/"+c.ID.String(), h.Issuer+"/console/api/v1/citizens/"+c.ID.String()
	proof := p.bank.Holder.Proof(t, "GET", uri, p.token)
	stranger := house.NewHolder(t, h)
	other := callCentre(t, h, "insurer", "card.status")
	for name, hd := range map[string]http.Header{
		"nothing":                 {},
		"as a bearer token":       {"Authorization": {"Bearer " + p.token}},
		"without a proof":         {"Authorization": {"DPoP " + p.token}},
		"somebody else's key":     {"Authorization": {"DPoP " + p.token}, "DPoP": {stranger.Proof(t, "GET", uri, p.token)}},
		"of another method":       {"Authorization": {"DPoP " + p.token}, "DPoP": {p.bank.Holder.Proof(t, "POST", uri, p.token)}},
		"of another address":      {"Authorization": {"DPoP " + p.token}, "DPoP": {p.bank.Holder.Proof(t, "GET", uri+"x", p.token)}},
		"of another token":        {"Authorization": {"DPoP " + p.token}, "DPoP": {p.bank.Holder.Proof(t, "GET", uri, other.token)}},
		"two proofs":              {"Authorization": {"DPoP " + p.token}, "DPoP": {proof, proof}},
		"for another resource":    {"Authorization": {"DPoP " + other.token}, "DPoP": {other.bank.Holder.Proof(t, "GET", uri, other.token)}},
		"a cookie of staff":       {"Cookie": {"__Host-staff=" + security.Cookies["__Host-staff"]}},
		"two tokens in one place": {"Authorization": {"DPoP " + p.token, "DPoP " + p.token}, "DPoP": {proof}},
	} {
		if status, out, _ := p.call("GET", path, "", hd); status != http.StatusUnauthorized && status != http.StatusBadRequest || out["name"] != nil {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	once := http.Header{"Authorization": {"DPoP " + p.token}, "DPoP": {proof}}
	if status, _, _ := p.call("GET", path, "", once.Clone()); status != 200 {
		t.Errorf("the proof: %d", status)
	}
	if status, _, _ := p.call("GET", path, "", once.Clone()); status != http.StatusUnauthorized {
		t.Errorf("the proof again: %d", status)
	}
	// A client whose tokens are bound to nothing gets one, and is not let in with it.
	h.Register(t, map[string]any{"client_id": "careless", "client_name": "Careless", "client_name#zh-CN": "无绑定", "token_endpoint_auth_method": "private_key_jwt",
		"jwks": mustSet(t, p.bank.Key), "grant_types": []string{"client_credentials"}, "scope": "console.read"})
	careless := *p.bank
	careless.ID = "careless"
	_, out = careless.Post(h.Issuer, "/token", nil, url.Values{"grant_type": {"client_credentials"}, "client_id": {"careless"}, "scope": {"console.read"}})
	if bearer, _ := out["access_token"].(string); bearer == "" {
		t.Errorf("no token: %v", out)
	} else if status, out, _ := p.call("GET", path, "", http.Header{"Authorization": {"Bearer " + bearer}}); status != http.StatusUnauthorized || out["name"] != nil {
		t.Errorf("unbound: %d %v", status, out)
	}
	// Scopes are what they say, and a token is dead with its client.
	reader := callCentre(t, h, "reader", "console.read")
	if status, out, _ := reader.call("POST", "/acts", freeze, nil); status != http.StatusForbidden {
		t.Errorf("reading and acting: %d %v", status, out)
	}
	state(t, h, c, identity.CardNormal)
	if err := h.Store.SuspendClient(t.Context(), "reader", h.Clock.Now(), audit.Event{Kind: audit.ClientSuspended, At: h.Clock.Now(), Actor: audit.ByOperator, Client: "reader"}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(6 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		status, _, _ := reader.call("GET", path, "", nil)
		if status == http.StatusUnauthorized {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a suspended client is let in: %d", status)
		}
	}
}

func mustSet(t *testing.T, k jose.Key) jose.Set {
	t.Helper()
	s, err := jose.NewSet(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCitizensPages looks at each of the pages in a browser, in both languages, without
// JavaScript but for the passkey.
func TestCitizensPages(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c := h.Citizen(t)
	if a := c.SignIn(h.Robot(t).Get("/account")); a.Path != "/account" {
		t.Fatal(a.Path)
	}
	for i, lang := range []string{"zh-CN", "en"} {
		suffix := []string{"", "-en"}[i]
		tab := browser.New(t, browser.Speaking(lang))
		tab.Passkey(browser.Passkey{})
		s := h.Invite(t, "", console.Registrar, console.DeviceOfficer)
		tab.Go(s.Link)
		tab.Fill("#code", s.Code)
		tab.Press("#code-submit")
		tab.Click("#passkey-create")
		tab.WaitURL("/console/sign-in")
		tab.Click("#passkey-login")
		tab.WaitText("#staff-name", s.Name)
		tab.Set(browser.NoScript())
		tab.Go(h.Issuer + "/console")
		tab.Press("#nav-citizens")
		viewPlain(t, tab, "console-citizens"+suffix)
		tab.Fill("#number", "Z00000000")
		tab.Press("#citizen-search")
		viewPlain(t, tab, "console-citizens-nobody"+suffix)
		tab.Fill("#number", c.Card)
		tab.Press("#citizen-search")
		viewPlain(t, tab, "console-citizen"+suffix)
		tab.Press("#questions")
		viewPlain(t, tab, "console-questions"+suffix)
		tab.Fill("#birth", c.IDNumber[6:14])
		tab.Fill("#card-end", c.Card[5:])
		tab.Fill("#phone-end", c.Phone[7:])
		tab.Press("#answers-submit")
		viewPlain(t, tab, "console-questions-passed"+suffix)
		tab.Press("#questions-back")
		tab.Press("#reveal-phone")
		tab.Set(browser.Script())
		tab.Reload()
		tab.Click("#passkey-login")
		tab.WaitURL("/console/acts/citizen.reveal")
		tab.Set(browser.NoScript())
		tab.Fill("#reason", "核对联系电话")
		viewPlain(t, tab, "console-reveal"+suffix)
		tab.Press("#act-confirm")
		if tab.Text("#told") != c.Phone {
			t.Errorf("shown %q", tab.Text("#told"))
		}
		tab.Go(h.Issuer + "/console/citizens/" + c.ID.String())
		tab.Set(browser.Script())
		tab.Go(h.Issuer + "/console/bulk")
		tab.Click("#passkey-login")
		tab.WaitURL("/console/bulk")
		tab.Set(browser.NoScript())
		viewPlain(t, tab, "console-bulk"+suffix)
		tab.Fill("#cards", c.Card+"\nZ00000000\n")
		tab.Press("#bulk-check")
		tab.Set(browser.Script())
		view(t, tab, "console-bulk-checked"+suffix)
	}
}
