package templates

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"maps"
	"path"
	"strings"
)

//go:embed html/console/*.html
var consoleHTML embed.FS

//go:embed locales/console
var consoleLocales embed.FS

// A ConsolePage is a page of the staff's console: a struct here, a file of its name in
// html/console, sentences in locales/console. Forms have the hidden inputs of [View],
// post to View.Path unless they say otherwise, and have ids that are their names.
type ConsolePage interface {
	consoleFile() string // its template, without .html
}

// A Console is a console page in its frame. The zero Who is somebody not signed in, who
// sees no navigation.
type Console struct {
	Who  ConsoleStaff
	Nav  []ConsoleLink
	Page ConsolePage
}

// ConsoleStaff is whoever is signed in.
type ConsoleStaff struct {
	Name  Text
	Roles []string // words of "console.role"
	Unit  Text     // "" is everywhere
}

// A ConsoleLink is an item of the navigation: a word of "console.nav".
type ConsoleLink struct {
	Word, URL string
	Current   bool
}

func (c Console) file() string { return "console/" + c.Page.consoleFile() }

// Desk is what console pages have in common.
type Desk struct {
	Problem Message
	Notice  Message
}

func (d Desk) problem() Message { return d.Problem }
func (d Desk) notice() Message  { return d.Notice }

// deskFrame is what a console template sees.
type deskFrame struct {
	View View
	Site site
	Who  ConsoleStaff
	Nav  []ConsoleLink
	Page ConsolePage

	Title, Main, After template.HTML
}

// desk is the console's own set of pages and sentences. The sentences of the other
// pages may be said as well.
type desk struct {
	sets  map[Locale]*template.Template
	langs map[Locale]lexicon
}

// A vocabulary is a family of sentences chosen by a word: {{word "console.act" .Act}} says
// "console.act.card.freeze". A word that is not listed is shown as it is, cleaned.
type vocabulary struct {
	prefix string
	words  []string
}

func deskVocabularies() []vocabulary {
	return append(append(staffVocabularies(), citizensVocabularies()...), clientsVocabularies()...)
}

func everyDeskPage() []ConsolePage {
	return append(append(staffPages(), citizensPages()...), clientsPages()...)
}

func deskSpoken() []Key {
	return append(append(staffSpoken(), citizensSpoken()...), clientsSpoken()...)
}

// ConsoleWords returns the words of a vocabulary, for tests that hold them against what
// the console has.
func ConsoleWords(prefix string) []string {
	var all []string
	for _, v := range deskVocabularies() {
		if v.prefix == prefix {
			all = append(all, v.words...)
		}
	}
	return all
}

func loadDesk(html, base, locales fs.FS, langs map[Locale]lexicon) (*desk, error) {
	d := &desk{sets: make(map[Locale]*template.Template), langs: make(map[Locale]lexicon)}
	own := make(map[Locale]lexicon)
	needed := make(map[Key][]string)
	for _, k := range deskSpoken() {
		needed[k] = nil
	}
	for _, v := range deskVocabularies() {
		for _, w := range v.words {
			needed[Key(v.prefix+"."+w)] = []string{}
		}
	}
	for _, l := range Locales() {
		mine, err := loadDeskLanguage(locales, langs[l])
		if err != nil {
			return nil, err
		}
		own[l] = mine
		both := lexicon{l, mine.zone, maps.Clone(langs[l].sentences)}
		maps.Copy(both.sentences, mine.sentences)
		d.langs[l] = both
		if d.sets[l], err = parseDesk(html, base, both); err != nil {
			return nil, err
		}
	}
	if err := collect(d.sets[ZhCN], needed); err != nil {
		return nil, err
	}
	for k := range langs[ZhCN].sentences {
		delete(needed, k)
	}
	if err := compare(own, needed); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	return d, nil
}

// loadDeskLanguage reads locales/console/LANGUAGE/*.json: a file for each part of the
// console. A sentence is in one file.
func loadDeskLanguage(files fs.FS, base lexicon) (lexicon, error) {
	all := lexicon{base.locale, base.zone, make(map[Key]sentence)}
	names, err := fs.Glob(files, "locales/console/"+string(base.locale)+"/*.json")
	if err != nil || len(names) == 0 {
		return all, fmt.Errorf("console: no sentences in %s", base.locale)
	}
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return all, fmt.Errorf("console: sentences: %w", err)
		}
		var raw map[Key]string
		if err := json.Unmarshal(b, &raw); err != nil {
			return all, fmt.Errorf("%s: %w", name, err)
		}
		for key, text := range raw {
			_, there := all.sentences[key]
			_, below := base.sentences[key]
			if there || below {
				return all, fmt.Errorf("%s: the sentence %s is somewhere else as well", name, key)
			}
			if all.sentences[key], err = parseSentence(text); err != nil {
				return all, fmt.Errorf("%s: sentence %s: %w", name, key, err)
			}
		}
	}
	return all, nil
}

func parseDesk(html, base fs.FS, lang lexicon) (*template.Template, error) {
	set, err := template.New("frame").Funcs(lang.funcs()).ParseFS(base, "html/_*.html")
	if err != nil {
		return nil, err
	}
	if set, err = set.ParseFS(html, "html/console/_*.html"); err != nil {
		return nil, err
	}
	known := make(map[string]bool)
	for _, page := range everyDeskPage() {
		name := page.consoleFile()
		if known[name] {
			continue
		}
		known[name] = true
		if err := addPage(set, lang, html, "html/console/", name); err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
	}
	files, err := fs.Glob(html, "html/console/[^_]*.html")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if name := strings.TrimSuffix(path.Base(f), ".html"); !known[name] {
			return nil, fmt.Errorf("%s belongs to no page", f)
		}
	}
	return set, nil
}

func (p *Pages) renderConsole(w io.Writer, v View, c Console) error {
	if c.Page == nil {
		return fmt.Errorf("templates: a console without a page")
	}
	if err := v.check(); err != nil {
		return fmt.Errorf("rendering %s: %w", c.file(), err)
	}
	d, err := p.desk()
	if err != nil {
		return err
	}
	f := deskFrame{View: v, Site: p.site, Who: c.Who, Nav: c.Nav, Page: c.Page}
	return render(w, d.sets[v.Locale], "console-frame", c.Page.consoleFile(), &f,
		map[string]*template.HTML{blockTitle: &f.Title, blockMain: &f.Main, blockAfter: &f.After})
}

// word says a word of a vocabulary.
func (l lexicon) word(prefix string, word any) string {
	w := fmt.Sprint(word)
	if s, ok := l.sentences[Key(prefix+"."+w)]; ok && len(s) == 1 {
		return s[0]
	}
	return Clean(w, maxText)
}
