package templates

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"sync"
	"text/template/parse"
	"time"
)

//go:embed html/*.html
var htmlFiles embed.FS

// A Page is one of this package's page structs.
type Page interface {
	file() string // its template, without .html
}

// Pages are parsed, checked and ready. Safe for concurrent use.
type Pages struct {
	site   site
	assets map[string]asset
	sets   map[Locale]*template.Template // every page of a language, and the frame
	langs  map[Locale]lexicon
	desk   func() (*desk, error) // the console's pages, parsed when first asked for
}

// site is what the frame says about us.
type site struct {
	Authority, AuthorityEnglish, Domain, Helpline string
	Demo                                          bool
	Links                                         Links
	Style, Script, Icon                           string
}

// frame is what a template sees. The page's own blocks see it without what they
// themselves become.
type frame struct {
	View View
	Site site
	Page Page

	Title, Main, After template.HTML // written by the blocks of these names
}

// The blocks a page's file may define, and the names they have in the set, where the
// frame and the parts are there once for all pages.
const (
	blockTitle = "title"
	blockMain  = "main"
	blockAfter = "after" // may be left out
)

func inSet(page, block string) string { return page + "/" + block }

// chinaTime: the country keeps one. A fixed zone needs no zone database.
func chinaTime() *time.Location { return time.FixedZone("UTC+8", 8*60*60) }

// New parses every page in every language and refuses when a page or a sentence is
// missing, unused, or differs in its gaps between languages, so that a half
// translated build does not start.
func New(c Config) (*Pages, error) { return load(c, htmlFiles, localeFiles) }

func load(c Config, html, locales fs.FS) (*Pages, error) {
	if strings.TrimSpace(c.Authority) == "" || strings.TrimSpace(c.Domain) == "" {
		return nil, errors.New("templates: Authority and Domain are shown on every page and must be given")
	}
	assets, err := loadAssets()
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	langs, err := loadLanguages(locales, chinaTime())
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	p := &Pages{
		site: site{
			Authority: c.Authority, AuthorityEnglish: c.AuthorityEnglish, Domain: c.Domain, Helpline: c.Helpline,
			Demo: c.Demo, Links: c.Links.orDefaults(),
			Style: assets["style.css"].path, Script: assets["app.js"].path, Icon: assets["icon.svg"].path,
		},
		assets: assets,
		sets:   make(map[Locale]*template.Template),
		langs:  langs,
	}
	if p.site.Helpline == "" {
		p.site.Helpline = "12333"
	}
	if p.site.AuthorityEnglish == "" {
		p.site.AuthorityEnglish = c.Authority
	}
	needed := make(map[Key][]string)
	for _, k := range spoken() {
		needed[k] = nil // gaps are filled at run time; compare holds the languages against each other
	}
	// The languages are independent of each other, and starting is waited for.
	var working sync.WaitGroup
	parsed, errs := make([]*template.Template, len(Locales())), make([]error, len(Locales()))
	for i, l := range Locales() {
		working.Go(func() {
			sentences := needed
			if i > 0 {
				sentences = nil // the pages are the same, and so is what they say
			}
			parsed[i], errs[i] = parsePages(html, langs[l], sentences)
		})
	}
	working.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	for i, l := range Locales() {
		p.sets[l] = parsed[i]
	}
	if err := compare(langs, needed); err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	// A server whose console cannot be shown does not start. What was parsed for this is
	// let go: most replicas never show it.
	if _, err := loadDesk(consoleHTML, html, consoleLocales, langs); err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	p.desk = sync.OnceValues(func() (*desk, error) { return loadDesk(consoleHTML, html, consoleLocales, langs) })
	// html/template escapes at the first execution; have that behind us, and with it
	// every misspelt field.
	for i, l := range Locales() {
		working.Go(func() {
			for _, page := range every() {
				if err := p.Render(io.Discard, View{Locale: l, Path: "/"}, page); err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	working.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	return p, nil
}

// parsePages reads one language's pages into one set and, unless needed is nil, notes
// which sentences they say.
//
// A page is written into the frame as text that this package has escaped, and not
// as a template the frame calls: every page would then need a frame of its own,
// escaped for it, and forty of them in two languages were most of the memory of a
// server that has nothing to do.
func parsePages(html fs.FS, lang lexicon, needed map[Key][]string) (*template.Template, error) {
	set, err := template.New("frame").Funcs(lang.funcs()).ParseFS(html, "html/_*.html")
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool)
	for _, page := range every() {
		name := page.file()
		if known[name] {
			continue
		}
		known[name] = true
		if err := addPage(set, lang, html, "html/", name); err != nil {
			return nil, err
		}
	}
	if needed != nil {
		if err := collect(set, needed); err != nil {
			return nil, err
		}
	}
	files, err := fs.Glob(html, "html/[^_]*.html")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if name := strings.TrimSuffix(strings.TrimPrefix(f, "html/"), ".html"); !known[name] {
			return nil, fmt.Errorf("%s belongs to no page", f)
		}
	}
	return set, nil
}

// addPage parses one page's file and puts its blocks into the set.
func addPage(set *template.Template, lang lexicon, html fs.FS, dir, name string) error {
	t, err := template.New(name).Funcs(lang.funcs()).ParseFS(html, dir+name+".html")
	if err != nil {
		return err
	}
	for _, block := range []string{blockTitle, blockMain} {
		if t.Lookup(block) == nil {
			return fmt.Errorf("page %s has no %s", name, block)
		}
	}
	for _, b := range t.Templates() {
		switch block := b.Name(); {
		case b.Tree == nil || block == name+".html": // what is outside the blocks: nothing
		case block != blockTitle && block != blockMain && block != blockAfter:
			return fmt.Errorf("page %s has a block %s that nothing shows", name, block)
		default:
			if _, err := set.AddParseTree(inSet(name, block), b.Tree); err != nil {
				return err
			}
		}
	}
	return nil
}

// Render writes the page. It renders into a buffer first: on an error nothing has
// been written, and the caller can still answer with another page.
func (p *Pages) Render(w io.Writer, v View, page Page) error {
	if page == nil {
		return errors.New("templates: no page")
	}
	v.Locale = v.Locale.known()
	if c, ok := page.(Console); ok {
		return p.renderConsole(w, v, c)
	}
	if err := v.check(); err != nil {
		return fmt.Errorf("rendering %s: %w", page.file(), err)
	}
	f := frame{View: v, Site: p.site, Page: page}
	return render(w, p.sets[v.Locale], "frame", page.file(), &f, map[string]*template.HTML{blockTitle: &f.Title, blockMain: &f.Main, blockAfter: &f.After})
}

// render executes a page's blocks, one by one, into f, and then the frame around them.
func render(w io.Writer, set *template.Template, around, name string, f any, into map[string]*template.HTML) error {
	var b bytes.Buffer
	for block, text := range into {
		t := set.Lookup(inSet(name, block))
		if t == nil {
			continue
		}
		b.Reset()
		if err := t.Execute(&b, f); err != nil {
			return fmt.Errorf("rendering %s: %w", name, err)
		}
		*text = template.HTML(b.String()) // the template has escaped it
	}
	b.Reset()
	if err := set.ExecuteTemplate(&b, around, f); err != nil {
		return fmt.Errorf("rendering %s: %w", name, err)
	}
	_, err := b.WriteTo(w)
	return err
}

// Say speaks a message outside a page: in the JSON the script shows.
func (p *Pages) Say(l Locale, m Message) (string, error) { return p.langs[l.known()].say(m) }

// funcs are what templates can call. step, problem, notice and section look at the
// page's kind, so that the frame shows them and no page can forget to.
func (l lexicon) funcs() template.FuncMap {
	return template.FuncMap{
		"t": l.t, "say": l.say, "when": l.when, "qr": l.qr, "icon": icon,
		"step": func(p Page) Step {
			if s, ok := p.(interface{ step() Step }); ok {
				return s.step()
			}
			return Step{}
		},
		"word": l.word,
		"problem": func(p any) Message {
			if s, ok := p.(interface{ problem() Message }); ok {
				return s.problem()
			}
			return Message{}
		},
		"notice": func(p any) Message {
			if s, ok := p.(interface{ notice() Message }); ok {
				return s.notice()
			}
			return Message{}
		},
		"section": func(p Page) string {
			if s, ok := p.(interface{ section() string }); ok {
				return s.section()
			}
			return ""
		},
	}
}

// collect notes the sentences a template set says: {{t "key" "gap" value …}} and
// {{qr text "key"}}. Keys are literal, or nobody could check them.
func collect(t *template.Template, needed map[Key][]string) error {
	var errs []error
	for _, t := range t.Templates() {
		if t.Tree == nil {
			continue
		}
		commands(reflect.ValueOf(t.Tree.Root), func(c *parse.CommandNode) {
			id, ok := c.Args[0].(*parse.IdentifierNode)
			if !ok || id.Ident != "t" && id.Ident != "qr" {
				return
			}
			at, gaps := 1, []string{}
			if id.Ident == "qr" {
				at = 2
			}
			if len(c.Args) <= at {
				errs = append(errs, fmt.Errorf("%s: %s says nothing", t.Name(), c))
				return
			}
			key, ok := c.Args[at].(*parse.StringNode)
			if !ok {
				errs = append(errs, fmt.Errorf("%s: the key in %s is not literal", t.Name(), c))
				return
			}
			for i := at + 1; i < len(c.Args); i += 2 {
				gap, ok := c.Args[i].(*parse.StringNode)
				if !ok {
					errs = append(errs, fmt.Errorf("%s: a gap's name in %s is not literal", t.Name(), c))
					return
				}
				gaps = append(gaps, gap.Text)
			}
			slices.Sort(gaps)
			needed[Key(key.Text)] = gaps
		})
	}
	return errors.Join(errs...)
}

// commands visits every command below a node of a parse tree. Walking by
// reflection costs a millisecond at start and cannot forget a kind of node.
func commands(v reflect.Value, visit func(*parse.CommandNode)) {
	switch v.Kind() {
	case reflect.Interface:
		commands(v.Elem(), visit)
	case reflect.Pointer:
		if v.IsNil() || v.Type() == reflect.TypeFor[*parse.Tree]() {
			return
		}
		if c, ok := v.Interface().(*parse.CommandNode); ok {
			visit(c)
		}
		commands(v.Elem(), visit)
	case reflect.Slice:
		for i := range v.Len() {
			commands(v.Index(i), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				commands(v.Field(i), visit)
			}
		}
	}
}
