package e2e

import (
	"testing"

	"ecardid/e2e/browser"
	"ecardid/e2e/house"
	"ecardid/internal/pgtest"
)

func TestMain(m *testing.M) {
	// When a test has failed pgtest ends the process, and the browser with it.
	defer browser.Close()
	defer house.Sweep()
	pgtest.Main(m)
}
