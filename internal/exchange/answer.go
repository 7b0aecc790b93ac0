package exchange

import (
	"encoding/json"
	"log/slog"
	"net/http"
)

// Answer writes v as JSON that nobody keeps: it is one person's business. What
// cannot be encoded is a fault of ours, and the world hears no more than that.
func Answer(w http.ResponseWriter, log *slog.Logger, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		log.Error("encoding JSON", "cause", err)
		status, body = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", JSONType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // whoever asked went away; nothing left to do
}
