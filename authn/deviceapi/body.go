package deviceapi

import (
	"ecardid/internal/exchange"
	"ecardid/internal/strictjson"
)

const (
	jsonType = exchange.JSONType
	maxDepth = 16 // of JSON; our deepest document has four levels
)

// parseMembers reads one JSON object that has exactly the named members (SECURITY
// G8). A name that ends in "?" may be missing.
func parseMembers(raw []byte, names ...string) *strictjson.Fields {
	return strictjson.Limits{Bytes: exchange.MaxBody, Depth: maxDepth}.Fields(raw, names...)
}
