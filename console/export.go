package console

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ecardid/audit"
	"ecardid/templates"
)

// maxExported entries are in one file: what is more is for a narrower search, or for
// `ecardid audit export`, which can be verified as well.
const maxExported = 100_000

func (v *visit) exportOrder(s Search) Order {
	return Order{Act: AuditExport, Citizen: s.Citizen, Client: s.Client}
}

// askExport asks for the passkey and then for the reason.
func (v *visit) askExport() error {
	s, err := v.search(v.r.URL.Query())
	if err != nil {
		return err
	}
	if o := v.exportOrder(s); !v.fresh(o) {
		return v.stepUp(o, auditPath+"/export?"+s.query().Encode())
	}
	return v.showExport(s, "")
}

func (v *visit) showExport(s Search, reason string) error {
	page := templates.ConsoleExport{Desk: v.desk(), Filter: filterOf(s), Max: maxExported, Typed: templates.Text(reason), BackURL: auditPath + "?" + s.query().Encode()}
	return v.show(page)
}

// export hands out what a search finds, as a file. That it does is in the trail first;
// what cannot be written down is not handed out (SECURITY AD3).
func (v *visit) export() error {
	s, err := v.search(v.form)
	if err != nil {
		return err
	}
	o := v.exportOrder(s)
	if !v.fresh(o) {
		return v.stepUp(o, auditPath+"/export?"+s.query().Encode())
	}
	reason := v.field("reason")
	if !goodReason(reason) {
		v.problem = templates.Say(templates.ConsoleProblemReason)
		v.status = http.StatusBadRequest
		return v.showExport(s, reason)
	}
	form := "csv"
	if v.form.Get("export-ndjson") != "" {
		form = "ndjson"
	}
	e := v.event()
	e.Kind, e.Actor, e.Standing, e.Reason = audit.TrailExported, v.staff.By(), v.standing(), reason
	e.Citizen, e.Client = s.Citizen, s.Client
	e.Detail = map[string]string{"form": form}
	for name, values := range s.query() {
		if name != "citizen" && name != "client" {
			e.Detail[name] = values[0]
		}
	}
	if err := v.Recorder.Record(v.r.Context(), e); err != nil {
		return fmt.Errorf("recording an export: %w", err)
	}
	h := v.w.Header()
	h.Set("Content-Disposition", `attachment; filename="audit-`+v.now.In(china()).Format("20060102-150405")+"."+form+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	var out sheet = &lines{json.NewEncoder(v.w)}
	if form == "csv" {
		h.Set("Content-Type", "text/csv; charset=utf-8")
		out = &cells{csv.NewWriter(v.w)}
	} else {
		h.Set("Content-Type", "application/x-ndjson")
	}
	if err := v.write(out, s); err != nil {
		// It has begun, and its last line is missing.
		v.Log.ErrorContext(v.r.Context(), "export broken off", "cause", err)
	}
	return nil
}

func (v *visit) write(out sheet, s Search) error {
	if err := out.begin(); err != nil {
		return err
	}
	written := 0
	for below := int64(0); ; {
		found, next, err := v.Trail.SearchTrail(v.r.Context(), s, below, 1000)
		if err != nil {
			return err
		}
		for _, e := range found {
			if written == maxExported {
				return out.end(written)
			}
			written++
			if err := out.entry(e); err != nil {
				return err
			}
		}
		if next == 0 {
			return out.end(written)
		}
		below = next
	}
}

// A sheet is a file of entries being written. Its last line says how many there are, so
// that half a file does not look like a whole one.
type sheet interface {
	begin() error
	entry(e Entry) error
	end(entries int) error
}

// columns are the names of the cells, in both forms.
func columns() []string {
	return []string{"seq", "number", "at", "kind", "actor", "citizen", "login", "device", "client", "reason", "place", "detail"}
}

func values(e Entry) []string {
	detail := make([]string, 0, len(e.Detail))
	for _, name := range sorted(e.Detail) {
		detail = append(detail, name+"="+e.Detail[name])
	}
	id := func(zero bool, s string) string {
		if zero {
			return ""
		}
		return s
	}
	return []string{
		strconv.FormatInt(e.Seq, 10), strconv.FormatInt(e.Number, 10), e.At.UTC().Format(time.RFC3339Nano), string(e.Kind), string(e.Actor),
		id(e.Citizen.IsZero(), e.Citizen.String()), id(e.Login.IsZero(), e.Login.String()), id(e.Device.IsZero(), e.Device.String()),
		e.Client, e.Reason, e.Place, strings.Join(detail, "; "),
	}
}

func sorted(detail map[string]string) []string { return slices.Sorted(maps.Keys(detail)) }

// cells is CSV, for a table.
type cells struct{ w *csv.Writer }

func (c *cells) begin() error { return c.w.Write(columns()) }

func (c *cells) entry(e Entry) error {
	row := values(e)
	for i := range row {
		row[i] = cell(row[i])
	}
	return c.w.Write(row)
}

func (c *cells) end(entries int) error {
	last := make([]string, len(columns()))
	last[0], last[1] = "end", strconv.Itoa(entries)
	err := c.w.Write(last)
	c.w.Flush()
	return errors.Join(err, c.w.Error())
}

// cell keeps a text from being a formula where the file is opened as a table, and from
// moving the cursor where it is printed (SECURITY AD3).
func cell(s string) string {
	s = plain(s)
	if s != "" && strings.ContainsRune("=+-@|%＝＋－＠", first(s)) {
		return "'" + s
	}
	return s
}

func first(s string) rune {
	r, _ := utf8.DecodeRuneInString(strings.TrimSpace(s))
	return r
}

// plain takes control and direction characters away; a terminal would act on them.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, s)
}

// lines is one JSON object for each entry.
type lines struct{ w *json.Encoder }

func (*lines) begin() error { return nil }

func (l *lines) entry(e Entry) error {
	row := make(map[string]string, len(columns()))
	all := values(e)
	for i, name := range columns() {
		if all[i] != "" {
			row[name] = plain(all[i])
		}
	}
	return l.w.Encode(row)
}

func (l *lines) end(entries int) error { return l.w.Encode(map[string]int{"end": entries}) }
