package loss

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/jose"
)

// A What says what was lost.
type What string

// What can be lost.
const (
	Phone  What = "phone"  // the phone: its key, and every passkey that lives on one device
	Card   What = "card"   // the whole card: nobody signs in with it any more
	Device What = "device" // one device, chosen from a list by somebody signed in
)

// Valid reports whether w can be lost.
func (w What) Valid() bool { return w == Phone || w == Card || w == Device }

// A Report is what storage has to do in one transaction.
type Report struct {
	Citizen identity.ID
	What    What
	Device  identity.ID // for Device: which
	// Spare is a device the citizen has just used to report, so that it is in their
	// hand. It stays, unless the whole card goes.
	Spare identity.ID
	// SparePasskey is the passkey that was used; it stays as well.
	SparePasskey identity.ID
	// Keep is the login that reports and lives on, unless it stands on what was lost.
	Keep identity.ID

	// Tie, By and ByLogin: a relative reports, by a tie that stands, in a login of theirs
	// that is alive.
	Tie, By, ByLogin identity.ID

	// What proved the report and can be used once is used up with it.
	TOTP     identity.ID
	Step     int64
	Recovery []byte

	Key    []byte // by which the receipt is found
	Signed string
}

// A Receipt is what a report leaves in the citizen's hand. It names nobody.
type Receipt struct {
	Number Number
	What   What
	At     time.Time
	Signed string // JWS; empty when there was no key
}

// Store is what the desk asks of whoever remembers.
type Store interface {
	// ReportLoss ends, in one transaction with e, what r says: devices are suspended,
	// with the passkeys on them; a card becomes temp_lost; and the epoch rises, so that
	// every session, half-finished login, code, token and remembered browser of before
	// is dead. Relying parties are told. It answers identity.ErrEnded when the card is
	// not normal or login Keep or ByLogin not alive, identity.ErrSpent or ErrNotFound when the
	// proof was used before or is none, and ErrNotFound for a device that is not there or not
	// active and for a tie that does not stand.
	ReportLoss(ctx context.Context, r Report, e audit.Event) error
	// LossReceipt finds a receipt by its key.
	LossReceipt(ctx context.Context, key []byte) (what What, at time.Time, signed string, err error)
}

// A Desk takes reports. All of it is needed.
type Desk struct {
	Store  Store
	Issuer string
	// Signer is the SM2 key of the moment; an error means that there is none.
	Signer func() (jose.Key, error)
	// Keyed is a keyed hash, the same on every replica.
	Keyed func(message []byte) ([]byte, error)
	Rand  io.Reader
	Log   *slog.Logger
}

// claims are the receipt's, in the words of RFC 7519 where it has them.
type claims struct {
	Issuer string `json:"iss"`
	Number string `json:"jti"`
	At     int64  `json:"iat"`
	What   What   `json:"lost"`
}

// ReceiptType is the typ of a receipt.
const ReceiptType = "loss-receipt+jwt"

// Report has everything end that hung on what was lost. When it returns nil it has.
// e says who reports, and gets the receipt's number and text.
func (d *Desk) Report(ctx context.Context, r Report, e audit.Event) (Receipt, error) {
	number, err := NewNumber(d.Rand)
	if err != nil {
		return Receipt{}, err
	}
	if r.Key, err = d.key(number); err != nil {
		return Receipt{}, err
	}
	r.Signed = d.sign(ctx, claims{d.Issuer, number.String(), e.At.Unix(), r.What})
	e.Kind, e.Citizen, e.Notify = audit.LossReported, r.Citizen, true
	if r.What == Device {
		e.Device = r.Device
	}
	detail := map[string]string{"lost": string(r.What), "receipt": number.String()}
	if r.Signed != "" {
		detail["signed"] = r.Signed
	}
	for k, v := range e.Detail {
		detail[k] = v
	}
	e.Detail = detail
	if err := d.Store.ReportLoss(ctx, r, e); err != nil {
		return Receipt{}, fmt.Errorf("reporting a loss: %w", err)
	}
	return Receipt{number, r.What, e.At, r.Signed}, nil
}

// sign returns nothing when it cannot: a loss does not wait for a key.
func (d *Desk) sign(ctx context.Context, c claims) string {
	key, err := d.Signer()
	signed := ""
	if err == nil {
		signed, err = jose.Sign(key, ReceiptType, c)
	}
	if err != nil {
		d.Log.ErrorContext(ctx, "a loss is reported without a signed receipt", "cause", err)
		return ""
	}
	return signed
}

// Receipt looks a receipt up; identity.ErrNotFound for none.
func (d *Desk) Receipt(ctx context.Context, n Number) (Receipt, error) {
	key, err := d.key(n)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{Number: n}
	if r.What, r.At, r.Signed, err = d.Store.LossReceipt(ctx, key); err != nil {
		return Receipt{}, fmt.Errorf("reading a receipt: %w", err)
	}
	return r, nil
}

func (d *Desk) key(n Number) ([]byte, error) {
	k, err := d.Keyed([]byte("loss receipt\x00" + string(n)))
	if err != nil {
		return nil, fmt.Errorf("keying a receipt: %w", err)
	}
	return k, nil
}
