package passkey

import (
	"bytes"
	"errors"
	"testing"
)

// What did not parse gives nothing, and every refusal has a kind.
func FuzzAnswers(f *testing.F) {
	r := newRelying(f, testConfig(testClock()))
	s := newSoft(f, -7)
	cred := register(f, r, s)
	regOptions, regCer, err := r.BeginRegistration(zhang, Open)
	if err != nil {
		f.Fatal(err)
	}
	options, cer, err := r.BeginSignIn()
	if err != nil {
		f.Fatal(err)
	}
	s.counter++
	f.Add([]byte(s.get(f, options)))
	for _, alg := range []int{-7, -8} { // an RSA key takes too long to make
		f.Add([]byte(newSoft(f, alg).create(f, regOptions)))
	}
	self := newSoft(f, -7)
	self.format = "packed"
	f.Add([]byte(self.create(f, regOptions)))
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var refusal *Error
		got, err := r.FinishRegistration(t.Context(), regCer, bytes.NewReader(body))
		if err != nil && (!errors.As(err, &refusal) || len(got.ID) != 0) {
			t.Errorf("registration: %v, %+v", err, got)
		}
		if err == nil && (len(got.ID) == 0 || !got.UserVerified() || !bytes.Equal(got.UserHandle, zhang.Handle)) {
			t.Errorf("registered %+v", got)
		}
		res, err := r.FinishLogin(t.Context(), cer, bytes.NewReader(body), stored(cred))
		if err != nil && (!errors.As(err, &refusal) || !errors.Is(err, ErrCloned) && len(res.Credential.ID) != 0) {
			t.Errorf("login: %v, %+v", err, res)
		}
		if err == nil && !res.UserVerified {
			t.Errorf("signed in %+v", res)
		}
	})
}
