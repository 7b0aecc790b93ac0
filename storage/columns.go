package storage

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// nullable reads a column of text in which NULL is as good as empty. A *string would
// do as well; this makes no garbage of its own, and hot rows have many of them.
type nullable string

// Scan implements sql.Scanner.
func (n *nullable) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*n = ""
	case string:
		*n = nullable(v)
	case []byte:
		*n = nullable(v)
	default:
		return fmt.Errorf("a text cannot be read from a %T", src)
	}
	return nil
}

// ScanText implements pgtype.TextScanner.
func (n *nullable) ScanText(v pgtype.Text) error {
	*n = nullable(v.String)
	return nil
}

// json is a JSON column as it is kept; NULL is nil.
func (n nullable) json() json.RawMessage {
	if n == "" {
		return nil
	}
	return json.RawMessage(n)
}

// textList reads a JSON array of strings. In nearly all that we keep nothing is escaped,
// and then the quotation marks are where the strings end.
func textList(text string) (all []string, err error) {
	inner, ok := strings.CutPrefix(text, `["`)
	if ok {
		inner, ok = strings.CutSuffix(inner, `"]`)
	}
	if ok && !strings.ContainsRune(inner, '\\') && strings.Count(inner, `"`) == 2*strings.Count(inner, `","`) {
		return strings.Split(inner, `","`), nil
	}
	err = json.Unmarshal([]byte(text), &all)
	return all, err
}
