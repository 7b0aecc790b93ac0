package identity

import (
	"strings"
	"testing"
)

// TestStates spells out every move there is (DESIGN D8, D9). What is not here is none.
func TestStates(t *testing.T) {
	cards := []CardState{CardNormal, CardFrozen, CardTempLost, CardLost, CardCancelled, ""}
	var got []string
	for _, from := range cards {
		for _, to := range cards {
			if from.MayBecome(to) {
				got = append(got, string(from)+">"+string(to))
			}
		}
	}
	want := "normal>frozen normal>temp_lost normal>lost normal>cancelled frozen>normal frozen>lost frozen>cancelled " +
		"temp_lost>normal temp_lost>lost temp_lost>cancelled lost>cancelled"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("cards: %s, want %s", s, want)
	}
	devices := []DeviceState{DeviceActive, DeviceSuspended, DeviceLost, DeviceRevoked, ""}
	got = nil
	for _, from := range devices {
		for _, to := range devices {
			if from.MayBecome(to) {
				got = append(got, string(from)+">"+string(to))
			}
		}
	}
	want = "active>suspended active>lost active>revoked suspended>active suspended>lost suspended>revoked"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("devices: %s, want %s", s, want)
	}
}
