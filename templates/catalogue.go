package templates

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"slices"
	"strings"
	"time"
)

//go:embed locales/*.json
var localeFiles embed.FS

// A lexicon is one locale's sentences, cut at their gaps.
type lexicon struct {
	locale    Locale
	zone      *time.Location
	sentences map[Key]sentence
}

// A sentence alternates text and gap: text at even places, a gap's name at odd ones.
// An argument that contains "{name}" itself is therefore only text.
type sentence []string

func (s sentence) gaps() []string {
	var names []string
	for i := 1; i < len(s); i += 2 {
		if !slices.Contains(names, s[i]) {
			names = append(names, s[i])
		}
	}
	slices.Sort(names)
	return names
}

func loadLanguages(files fs.FS, zone *time.Location) (map[Locale]lexicon, error) {
	languages := make(map[Locale]lexicon)
	for _, l := range Locales() {
		b, err := fs.ReadFile(files, "locales/"+string(l)+".json")
		if err != nil {
			return nil, fmt.Errorf("sentences: %w", err)
		}
		var raw map[Key]string
		if err := json.Unmarshal(b, &raw); err != nil {
			return nil, fmt.Errorf("sentences in %s: %w", l, err)
		}
		lang := lexicon{l, zone, make(map[Key]sentence, len(raw))}
		for key, text := range raw {
			s, err := parseSentence(text)
			if err != nil {
				return nil, fmt.Errorf("sentence %s in %s: %w", key, l, err)
			}
			lang.sentences[key] = s
		}
		languages[l] = lang
	}
	return languages, nil
}

func parseSentence(text string) (sentence, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("is empty")
	}
	var s sentence
	for {
		before, rest, open := strings.Cut(text, "{")
		s = append(s, before)
		if !open {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") != "" {
			return nil, fmt.Errorf("has a broken gap after %q", before)
		}
		s, text = append(s, name), after
	}
	for i := 0; i < len(s); i += 2 {
		if strings.Contains(s[i], "}") {
			return nil, errors.New("has a stray }")
		}
	}
	return s, nil
}

// compare refuses languages that do not say the same things with the same gaps.
func compare(languages map[Locale]lexicon, needed map[Key][]string) error {
	var errs []error
	first := languages[ZhCN]
	for _, l := range Locales() {
		for key, gaps := range needed {
			s, ok := languages[l].sentences[key]
			switch {
			case !ok:
				errs = append(errs, fmt.Errorf("%s lacks the sentence %s", l, key))
			case gaps != nil && !slices.Equal(gaps, s.gaps()):
				errs = append(errs, fmt.Errorf("%s: %s has gaps %v, its page fills %v", l, key, s.gaps(), gaps))
			}
		}
		for key, s := range languages[l].sentences {
			if _, ok := needed[key]; !ok {
				errs = append(errs, fmt.Errorf("%s: nobody says %s", l, key))
			}
			if f, ok := first.sentences[key]; ok && !slices.Equal(f.gaps(), s.gaps()) {
				errs = append(errs, fmt.Errorf("%s: %s has gaps %v, %s has %v", l, key, s.gaps(), ZhCN, f.gaps()))
			}
		}
	}
	return errors.Join(errs...)
}

// t is what templates call: {{t "login.title"}}, {{t "x" "name" .Name}}.
func (l lexicon) t(key Key, args ...any) (string, error) {
	s, ok := l.sentences[key]
	if !ok {
		return "", fmt.Errorf("no sentence %q in %s", key, l.locale)
	}
	if len(args)%2 != 0 {
		return "", fmt.Errorf("sentence %s: arguments come in pairs", key)
	}
	var b strings.Builder
	for i, part := range s {
		if i%2 == 0 {
			b.WriteString(part)
			continue
		}
		value, err := l.fill(part, args)
		if err != nil {
			return "", fmt.Errorf("sentence %s: %w", key, err)
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

func (l lexicon) fill(gap string, args []any) (string, error) {
	for i := 0; i < len(args); i += 2 {
		if args[i] == gap {
			return l.argument(args[i+1])
		}
	}
	return "", fmt.Errorf("nothing given for {%s}", gap)
}

// say speaks a message that came from Go.
func (l lexicon) say(m Message) (string, error) { return l.t(m.Key, m.Args...) }

// moment writes a time the way a person reads it, in the zone of the service.
func (l lexicon) moment(t time.Time) string {
	t = t.In(l.zone)
	if l.locale == ZhCN {
		return t.Format("2006年1月2日 15:04")
	}
	return t.Format("2 January 2006, 15:04")
}

// when is moment for machines as well.
func (l lexicon) when(t time.Time) template.HTML {
	if t.IsZero() {
		return "—"
	}
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `">` + template.HTMLEscapeString(l.moment(t)) + `</time>`)
}

// qr draws a code with its spoken name in this language.
func (l lexicon) qr(text string, label Key) (template.HTML, error) {
	if text == "" {
		return "", nil
	}
	spoken, err := l.t(label)
	if err != nil {
		return "", err
	}
	return QR(text, spoken)
}
