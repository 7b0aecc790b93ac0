package identity

// A CardState is where a card stands (DESIGN D9). Only CardNormal signs in.
type CardState string

// The card's states.
const (
	CardNormal    CardState = "normal"
	CardFrozen    CardState = "frozen"
	CardTempLost  CardState = "temp_lost"
	CardLost      CardState = "lost"
	CardCancelled CardState = "cancelled"
)

// MaySignIn reports whether the card's holder may sign in.
func (s CardState) MaySignIn() bool { return s == CardNormal }

// Valid reports whether s is a state we know.
func (s CardState) Valid() bool {
	switch s {
	case CardNormal, CardFrozen, CardTempLost, CardLost, CardCancelled:
		return true
	}
	return false
}

// MayBecome reports whether a card moves from s to the other state. Freezing is
// cheap, and a card that is lost for good is replaced and not found again.
func (s CardState) MayBecome(to CardState) bool {
	switch to {
	case CardNormal:
		return s == CardFrozen || s == CardTempLost
	case CardFrozen, CardTempLost:
		return s == CardNormal
	case CardLost:
		return s == CardNormal || s == CardFrozen || s == CardTempLost
	case CardCancelled:
		return s.Valid() && s != CardCancelled
	}
	return false
}

// A DeviceState is where a device stands (DESIGN D8). Lost and revoked are final:
// such a key returns only through a new enrolment.
type DeviceState string

// The device's states.
const (
	DeviceActive    DeviceState = "active"
	DeviceSuspended DeviceState = "suspended"
	DeviceLost      DeviceState = "lost"
	DeviceRevoked   DeviceState = "revoked"
)

// MayBecome reports whether a device moves from s to the other state.
func (s DeviceState) MayBecome(to DeviceState) bool {
	switch to {
	case DeviceActive:
		return s == DeviceSuspended
	case DeviceSuspended:
		return s == DeviceActive
	case DeviceLost, DeviceRevoked:
		return s == DeviceActive || s == DeviceSuspended
	}
	return false
}

// A DeviceKind says what a device is.
type DeviceKind string

// The kinds of device. An authenticator is the piece of hardware behind a
// device-bound passkey: it is listed, named and reported lost like the others.
const (
	DevicePhone         DeviceKind = "phone"
	DeviceBrowser       DeviceKind = "browser"
	DeviceAuthenticator DeviceKind = "authenticator"
)

// A KeyLevel is how well a phone's key is known to be kept, by attestation.
type KeyLevel string

// The key levels, weakest first.
const (
	KeyUnattested    KeyLevel = "unattested"
	KeySoftware      KeyLevel = "software"
	KeyTEE           KeyLevel = "tee"
	KeySecureElement KeyLevel = "secure-element"
)

// Hardware reports whether the key is proved to be kept in hardware.
func (l KeyLevel) Hardware() bool { return l == KeyTEE || l == KeySecureElement }
