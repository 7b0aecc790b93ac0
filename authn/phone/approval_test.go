package phone

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/identity"
)

func TestApproval(t *testing.T) {
	id := identity.NewID()
	context, err := Context{ApprovalID: id, Action: "sign-in", Client: "市第一医院", Browser: "Chrome", Place: "杭州", At: now, Choices: []int{17, 42, 80}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	pending := Pending{ID: id, Context: context, Number: 42, Expires: now.Add(time.Minute)}
	good := Approval{ID: id, Decision: Approve, Number: 42, ContextHash: ContextHash(context), UserVerified: true}
	for _, c := range []struct {
		name string
		bend func(*Approval)
		wait time.Duration
		want Outcome
		err  error
	}{
		{name: "approve", want: Approved},
		{name: "deny", bend: func(a *Approval) { a.Decision = Deny }, want: Denied},
		{name: "report", bend: func(a *Approval) { a.Decision = Report }, want: Alarmed},
		{name: "wrong-number", bend: func(a *Approval) { a.Number = 17 }, want: Alarmed},
		{name: "other-context", bend: func(a *Approval) { a.ContextHash = ContextHash([]byte("{}")) }, want: Alarmed},
		{name: "no-user-verification", bend: func(a *Approval) { a.UserVerified = false }, err: ErrRefused},
		{name: "other-question", bend: func(a *Approval) { a.ID = identity.NewID() }, err: ErrRefused},
		{name: "late", wait: time.Minute, err: ErrExpired},
		{name: "deny-late", bend: func(a *Approval) { a.Decision = Deny }, wait: time.Minute, err: ErrExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := good
			if c.bend != nil {
				c.bend(&a)
			}
			body, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			sent, err := ParseApproval(body)
			if err != nil {
				t.Fatal(err)
			}
			got, err := sent.Judge(pending, now.Add(c.wait))
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("%q, %v; want %q, %v", got, err, c.want, c.err)
			}
		})
	}
	if got, err := (Approval{}).Judge(Pending{}, now); got != "" || err == nil {
		t.Errorf("nothing answered nothing: %q", got)
	}
	if got, err := (Approval{ID: id, Decision: "maybe"}).Judge(pending, now); got != "" || err == nil {
		t.Errorf("an unknown decision: %q", got)
	}
}

func TestParseApprovalRefused(t *testing.T) {
	id, hash := identity.NewID().String(), ContextHash([]byte("x"))
	full := func(number, uv string) string {
		return fmt.Sprintf(`{"approval_id":%q,"decision":"approve","number":%s,"context_hash":%q,"uv":%s}`, id, number, hash, uv)
	}
	if _, err := ParseApproval([]byte(full("42", "true"))); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"empty": "", "null": "null", "array": "[]",
		"no-id":          `{"decision":"deny"}`,
		"zero-id":        `{"approval_id":"AAAAAAAAAAAAAAAAAAAAAA","decision":"deny"}`,
		"no-decision":    fmt.Sprintf(`{"approval_id":%q}`, id),
		"other-decision": fmt.Sprintf(`{"approval_id":%q,"decision":"APPROVE"}`, id),
		"bare-approve":   fmt.Sprintf(`{"approval_id":%q,"decision":"approve"}`, id),
		"no-uv":          fmt.Sprintf(`{"approval_id":%q,"decision":"approve","number":42,"context_hash":%q}`, id, hash),
		"number-text":    full(`"42"`, "true"),
		"number-null":    full("null", "true"),
		"number-small":   full("9", "true"),
		"number-large":   full("100", "true"),
		"number-half":    full("42.5", "true"),
		"uv-text":        full("42", `"true"`),
		"uv-number":      full("42", "1"),
		"short-hash":     strings.Replace(full("42", "true"), hash, "AAAA", 1),
		"decision-twice": strings.Replace(full("42", "true"), `{`, `{"decision":"deny",`, 1),
		"decision-cased": strings.Replace(full("42", "true"), `{`, `{"Decision":"deny",`, 1),
		"trailing":       full("42", "true") + "x",
	} {
		if a, err := ParseApproval([]byte(body)); !errors.Is(err, ErrMalformed) || a != (Approval{}) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

func TestNumbers(t *testing.T) {
	place := map[int]int{}
	for range 3000 {
		right, offered, err := NewNumbers(rand.Reader)
		if err != nil || len(offered) != 3 || !slices.IsSorted(offered) || offered[0] == offered[1] || offered[1] == offered[2] {
			t.Fatal(right, offered, err)
		}
		i := slices.Index(offered, right)
		if i < 0 || offered[0] < 10 || offered[2] > 99 {
			t.Fatal(right, offered)
		}
		place[i]++
	}
	for i := range 3 {
		if place[i] < 850 || place[i] > 1150 { // 1000 ± 5.8 standard deviations
			t.Errorf("the right one is at place %d %d times of 3000", i, place[i])
		}
	}
	if _, offered, err := NewNumbers(strings.NewReader("\x01")); err == nil || offered != nil {
		t.Error("a dry source gave numbers")
	}
}

func FuzzApproval(f *testing.F) {
	f.Add([]byte(`{"approval_id":"AAAAAAAAAAAAAAAAAAAAAQ","decision":"deny"}`))
	b, _ := json.Marshal(Approval{ID: identity.NewID(), Decision: Approve, Number: 42, ContextHash: ContextHash(nil), UserVerified: true})
	f.Add(b)
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := ParseApproval(body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || a != (Approval{}) {
				t.Errorf("%v, %+v", err, a)
			}
			return
		}
		again, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := ParseApproval(again); err != nil || b != a {
			t.Errorf("%+v is %+v again, %v", a, b, err)
		}
	})
}
