package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"ecardid/internal/jose"
)

// SM2 both ways with sm-crypto: they read ours and we read theirs. The same with
// OpenSSL is in internal/jose.
func TestSM2(t *testing.T) {
	if _, err := os.Stat("../node_modules/sm-crypto"); err != nil {
		t.Fatal("sm-crypto is not installed: ./scripts/setup test")
	}
	exchange(t, "sm2")
}

func exchange(t *testing.T, dir string) {
	t.Helper()
	ours, err := jose.Generate(jose.SM2, "ours")
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Sign(ours, "at+jwt", map[string]string{"sub": "公民"})
	if err != nil {
		t.Fatal(err)
	}
	question, err := json.Marshal(map[string]any{"keys": []jose.Key{ours.Public()}, "token": token})
	if err != nil {
		t.Fatal(err)
	}
	answer := talk(t, dir, string(question), "node", "exchange.mjs")
	set, err := jose.ParseSet([]byte(answer)) // token beside keys: members nobody knows are passed over
	if err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	var theirs struct{ Token string }
	if err := json.Unmarshal([]byte(answer), &theirs); err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.Parse(theirs.Token)
	if err != nil {
		t.Fatal(err)
	}
	verified, err := parsed.Verify(set, jose.SM2)
	if err != nil {
		t.Fatalf("we do not take what sm-crypto signed: %v", err)
	}
	var claims struct{ Iss, Sub string }
	if err := verified.Claims(&claims); err != nil || claims.Sub != "公民" || claims.Iss != "sm-crypto" {
		t.Errorf("%+v, %v", claims, err)
	}
}

// talk runs a program that reads what it is told.
func talk(t *testing.T, dir, in, name string, args ...string) string {
	t.Helper()
	cmd := command(t, dir, nil, name, args...)
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(in), &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

func command(t *testing.T, dir string, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	return cmd
}
