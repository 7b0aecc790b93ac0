package templates

// Connect asks for the code that a device shows (RFC 8628).
type Connect struct {
	Step
	Code Text // what a link brought along, or what they typed
}

// Connected tells what was decided about a device.
type Connected struct{ Allowed bool }

func (Connect) file() string   { return "connect" }
func (Connected) file() string { return "connected" }
