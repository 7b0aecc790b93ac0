package e2e

import (
	"net/http"
	"testing"

	"ecardid/audit"
	"ecardid/console"
	"ecardid/e2e/house"
	"ecardid/identity"
)

// TestOvertaken: what was asked for before somebody's card was frozen is not carried out
// after it, whoever approves it (SECURITY G6).
func TestOvertaken(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c := h.Citizen(t)
	registrar, officer, security := h.Join(t, console.Registrar), h.Join(t, console.DeviceOfficer), h.Join(t, console.SecurityOfficer)
	freeze := func(reason string) {
		t.Helper()
		if a := officer.Act(console.Order{Act: console.CardFreeze, Citizen: c.ID}, reason); a.Status != http.StatusOK {
			t.Fatal(a.Status)
		}
	}
	freeze("本人来电要求冻结")
	thaw := console.Order{Act: console.CardUnfreeze, Citizen: c.ID}
	old := house.RequestOf(registrar.Act(thaw, "本人到柜台要求解冻"))
	if old == "" {
		t.Fatal("nothing was filed")
	}
	// The operator was quicker; and then something else happened.
	e := audit.Event{Kind: audit.CitizenRestored, At: h.Clock.Now(), Actor: audit.ByOperator, Citizen: c.ID}
	if err := h.Store.SetCardState(t.Context(), c.ID, identity.CardNormal, e); err != nil {
		t.Fatal(err)
	}
	freeze("疑似冒领，立即冻结")
	if a := security.Approve(old); a.Status != http.StatusOK || a.Has("request-approve") {
		t.Errorf("the old request: %d", a.Status)
	}
	state(t, h, c, identity.CardFrozen)
	// Asked for again, knowing of it, it is.
	again := house.RequestOf(registrar.Act(thaw, "核实无误，解除冻结"))
	if a := security.Approve(again); a.Status != http.StatusOK {
		t.Errorf("asked again: %d at %s", a.Status, a.Path)
	}
	state(t, h, c, identity.CardNormal)
}
