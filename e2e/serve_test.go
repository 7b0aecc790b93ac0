package e2e

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"ecardid/e2e/house"
	"ecardid/internal/pgtest"
)

// TestServe is an operator's first day on PostgreSQL: migrate, import, start two
// replicas, and a citizen who is served by one and then by the other.
func TestServe(t *testing.T) {
	t.Parallel()
	p := house.OpenProduction(t, pgtest.DSN(t), 2)
	people := p.File(t, "people.csv", "name,id_number,phone,card_number\n欧阳修,11010519491231002X,13800138000,K12345678\n")
	codes := p.File(t, "codes.csv", "")
	p.Run(t, "citizen", "import", people, "--codes", codes)
	f, err := os.Open(codes)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 2 || len(rows[1]) < 4 {
		t.Fatalf("the codes are %v (%v)", rows, err)
	}
	p.Start(t)

	// First contact, each step at the other replica.
	r := p.Robot(t, 0)
	n := 0
	other := func() { n++; r.At = p.Replicas[n%len(p.Replicas)] }
	a := r.Get("/login/activate")
	other()
	a = a.Submit("activate-submit", "card", "K12345678", "code", rows[1][3])
	other()
	a = a.Submit("password-submit", "password", "three small boats at sea")
	other()
	a = a.Submit("greeting-submit", "greeting", "门前的老槐树").Click("way-totp")
	app := house.NewApp(t, a.Text("secret"))
	other()
	a = a.Submit("code-submit", "code", app.Code(t))
	other()
	a = a.Submit("codes-kept")
	other()
	if a = a.Submit("device-skip"); a.Path != "/account" || a.Status != http.StatusOK {
		t.Fatalf("first contact ended at %s (%d) %s", a.Path, a.Status, a.Text("problem"))
	}
	other()
	if a = r.Get("/account"); a.Path != "/account" {
		t.Errorf("the other replica does not know the session: %s", a.Path)
	}
	// What an operator does reaches both at once.
	if out := p.Run(t, "citizen", "show", "K12345678"); strings.Contains(out, "欧阳修") || strings.Contains(out, "13800138000") {
		t.Errorf("an operator is shown more than is needed: %s", out)
	}
	p.Run(t, "citizen", "freeze", "K12345678", "--reason", "test")
	for i := range p.Replicas {
		r.At = p.Replicas[i]
		if a := r.Get("/account"); !strings.HasPrefix(a.Path, "/login") {
			t.Errorf("replica %d still serves a frozen citizen: %s", i, a.Path)
		}
	}
	client := p.File(t, "client.json", `{"client_id":"late-comer","client_name":"Late comer","redirect_uris":["https://late.example/cb"],"scope":"openid"}`)
	p.Run(t, "client", "apply", client)
	for i := range p.Replicas {
		robot := p.Robot(t, i)
		q := "/authorize?" + url.Values{"client_id": {"late-comer"}, "redirect_uri": {"https://late.example/cb"}, "response_type": {"no"}, "state": {"12345678"}}.Encode()
		ok := house.Soon(func() bool { return robot.Raw(http.MethodGet, q, "", nil, nil).Location != "" })
		if !ok {
			t.Errorf("replica %d has not heard of a new client", i)
		}
	}
	if out := p.Run(t, "audit", "verify"); out == "" {
		t.Error("the audit trail says nothing")
	}
}
