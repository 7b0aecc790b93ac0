package house

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// A Robot is a browser without a screen: it keeps cookies, follows redirects within
// the house and posts forms with the headers a browser would send. Secure cookies
// travel over http here, as browsers let them on loopback.
type Robot struct {
	t    testing.TB
	site site
	http *http.Client

	At      string            // the replica it talks to
	Cookies map[string]string // by name
	Header  http.Header       // sent with everything
}

// A site is what visitors need to know of the place they visit.
type site struct {
	issuer string
	now    func() time.Time
	saw    func(what, value string) // a secret that travelled
	baked  func(line string)        // a Set-Cookie header
}

// Robot returns a browser nobody has seen, at an address of its own.
func (h *House) Robot(t testing.TB) *Robot {
	n := h.sources.Add(1)
	r := h.site().robot(t)
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255))
	return r
}

func (h *House) site() site { return site{h.Issuer, h.Clock.Now, h.secrets.saw, h.secrets.baked} }

func (s site) robot(t testing.TB) *Robot {
	return &Robot{
		t: t, site: s, At: s.issuer, Cookies: map[string]string{}, Header: http.Header{"Accept-Language": {"zh-CN"}},
		http: &http.Client{
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Clone is the same browser, for requests side by side.
func (r *Robot) Clone(t testing.TB) *Robot {
	c := *r
	c.t = t
	c.Cookies = map[string]string{}
	for k, v := range r.Cookies {
		c.Cookies[k] = v
	}
	c.Header = r.Header.Clone()
	return &c
}

// An Answer is what came back.
type Answer struct {
	robot  *Robot
	Status int
	Header http.Header
	Body   string
	Path   string // with the query
	// Location is where a redirect leads that was not followed.
	Location string

	parsed sync.Once
	doc    *html.Node
}

// Raw sends one request and follows nothing. Body may be nil.
func (r *Robot) Raw(method, target, contentType string, body io.Reader, more http.Header) *Answer {
	r.t.Helper()
	a, err := r.try(method, target, contentType, body, more)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

func (r *Robot) try(method, target, contentType string, body io.Reader, more http.Header) (*Answer, error) {
	if !strings.HasPrefix(target, "http") {
		target = r.At + target
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, target, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for _, hs := range []http.Header{r.Header, more} {
		for k, vs := range hs {
			req.Header[k] = vs
		}
	}
	var pairs []string
	for name, value := range r.Cookies {
		pairs = append(pairs, name+"="+value)
	}
	if len(pairs) > 0 && req.Header.Get("Cookie") == "" {
		req.Header.Set("Cookie", strings.Join(pairs, "; "))
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	a := &Answer{robot: r, Status: resp.StatusCode, Header: resp.Header, Body: string(text), Path: req.URL.RequestURI(), Location: resp.Header.Get("Location")}
	if u, err := url.Parse(a.Location); err == nil {
		r.site.saw("code", u.Query().Get("code"))
		r.site.saw("request handle", strings.TrimPrefix(u.Query().Get("request_uri"), "urn:ietf:params:oauth:request_uri:"))
	}
	for _, line := range resp.Header.Values("Set-Cookie") {
		r.site.baked(line)
	}
	for _, c := range resp.Cookies() {
		if c.MaxAge < 0 {
			delete(r.Cookies, c.Name)
		} else {
			r.Cookies[c.Name] = c.Value
			r.site.saw("cookie "+c.Name, c.Value)
		}
	}
	return a, nil
}

// browsed are the headers of a browser that was asked for a page by its person.
func (r *Robot) browsed(site string) http.Header {
	return http.Header{"Sec-Fetch-Site": {site}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}
}

// Get asks for a page and follows redirects within the house.
func (r *Robot) Get(target string) *Answer {
	r.t.Helper()
	return r.follow(r.Raw(http.MethodGet, target, "", nil, r.browsed("none")))
}

// Post sends a form as a page of ours would.
func (r *Robot) Post(target string, form url.Values) *Answer {
	r.t.Helper()
	return r.follow(r.PostOnce(target, form))
}

// PostOnce is Post that follows nothing.
func (r *Robot) PostOnce(target string, form url.Values) *Answer {
	r.t.Helper()
	a, err := r.TryPost(target, form)
	if err != nil {
		r.t.Fatalf("sending a form to %s: %v", target, err)
	}
	return a
}

// TryPost is PostOnce where the server may end before it has answered.
func (r *Robot) TryPost(target string, form url.Values) (*Answer, error) {
	h := r.browsed("same-origin")
	h.Set("Origin", r.site.issuer)
	return r.try(http.MethodPost, target, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), h)
}

func (r *Robot) follow(a *Answer) *Answer {
	r.t.Helper()
	const most = 12
	for range most {
		if a.Status < 300 || a.Status > 399 || a.Location == "" {
			return a
		}
		base, err := url.Parse(r.site.issuer + a.Path)
		if err != nil {
			r.t.Fatal(err)
		}
		to, err := base.Parse(a.Location)
		if err != nil {
			r.t.Fatalf("a redirect to %q: %v", a.Location, err)
		}
		if to.Scheme+"://"+to.Host != r.site.issuer {
			return a
		}
		a = r.Raw(http.MethodGet, to.RequestURI(), "", nil, r.browsed("same-origin"))
	}
	r.t.Fatalf("more than %d redirects, at %s", most, a.Path)
	return nil
}

// parse reads the page once, also when a crowd looks at it.
func (a *Answer) parse() *html.Node {
	a.robot.t.Helper()
	a.parsed.Do(func() {
		doc, err := html.Parse(strings.NewReader(a.Body))
		if err != nil {
			a.robot.t.Errorf("%s: %v", a.Path, err)
			doc = &html.Node{}
		}
		a.doc = doc
	})
	return a.doc
}

func attr(n *html.Node, name string) string {
	for _, x := range n.Attr {
		if x.Key == name {
			return x.Val
		}
	}
	return ""
}

// find returns the first element that fits.
func find(n *html.Node, ok func(*html.Node) bool) *html.Node {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && ok(d) {
			return d
		}
	}
	return nil
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// Has reports whether the page has an element with that id.
func (a *Answer) Has(id string) bool {
	a.robot.t.Helper()
	return find(a.parse(), func(n *html.Node) bool { return attr(n, "id") == id }) != nil
}

// Text is that of the element with the id or class, "" for none.
func (a *Answer) Text(name string) string {
	a.robot.t.Helper()
	n := find(a.parse(), func(n *html.Node) bool {
		return attr(n, "id") == name || slices.Contains(strings.Fields(attr(n, "class")), name)
	})
	if n == nil {
		return ""
	}
	return text(n)
}

// Texts are those of all elements of a kind below the one with the class.
func (a *Answer) Texts(class, tag string) []string {
	a.robot.t.Helper()
	n := find(a.parse(), func(n *html.Node) bool { return slices.Contains(strings.Fields(attr(n, "class")), class) })
	var all []string
	if n != nil {
		for d := range n.Descendants() {
			if d.Type == html.ElementNode && d.Data == tag {
				all = append(all, text(d))
			}
		}
	}
	return all
}

// Title is that of the page.
func (a *Answer) Title() string {
	a.robot.t.Helper()
	if n := find(a.parse(), func(n *html.Node) bool { return n.Data == "title" }); n != nil {
		return text(n)
	}
	return ""
}

// Form returns action and fields of the form in which the button or field of that
// name is.
func (a *Answer) Form(name string) (action string, fields url.Values) {
	a.robot.t.Helper()
	named := func(n *html.Node) bool {
		return (attr(n, "name") == name || attr(n, "id") == name) && (n.Data == "input" || n.Data == "button")
	}
	f := find(a.parse(), func(n *html.Node) bool { return n.Data == "form" && find(n, named) != nil })
	if f == nil {
		a.robot.t.Fatalf("%s (%d, %s) has no form with %s", a.Path, a.Status, a.Title(), name)
	}
	fields = url.Values{}
	for d := range f.Descendants() {
		if d.Type == html.ElementNode && d.Data == "input" && attr(d, "name") != "" && attr(d, "type") != "checkbox" {
			fields.Set(attr(d, "name"), attr(d, "value"))
		}
	}
	action = attr(f, "action")
	if action == "" {
		action = a.Path
	}
	return action, fields
}

// Click follows the link with the id.
func (a *Answer) Click(id string) *Answer {
	a.robot.t.Helper()
	n := find(a.parse(), func(n *html.Node) bool { return n.Data == "a" && attr(n, "id") == id })
	if n == nil {
		a.robot.t.Fatalf("%s (%d, %s) has no link %s", a.Path, a.Status, a.Title(), id)
	}
	return a.robot.Get(attr(n, "href"))
}

// Submit presses a button of the page, with fields filled in: name, value, name,
// value.
func (a *Answer) Submit(button string, fields ...string) *Answer {
	a.robot.t.Helper()
	action, form := a.Form(button)
	form.Set(button, "1")
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return a.robot.Post(action, form)
}

// secretBox remembers what travelled, so that a dump can be searched for it.
type secretBox struct {
	mu   sync.Mutex
	seen map[string]string // value → what it was
	jar  []string          // Set-Cookie headers
}

func (b *secretBox) baked(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.jar = append(b.jar, line)
}

// SetCookies are the Set-Cookie headers of every answer so far.
func (h *House) SetCookies() []string {
	h.secrets.mu.Lock()
	defer h.secrets.mu.Unlock()
	return slices.Clone(h.secrets.jar)
}

func (b *secretBox) saw(what, value string) {
	const shortest = 16 // shorter ones turn up by chance
	if len(value) < shortest {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen = map[string]string{}
	}
	b.seen[value] = what
}

// Secrets returns everything secret that travelled so far, by value.
func (h *House) Secrets() map[string]string {
	h.secrets.mu.Lock()
	defer h.secrets.mu.Unlock()
	out := map[string]string{}
	for v, what := range h.secrets.seen {
		out[v] = what
	}
	return out
}

// all returns an attribute of every element of a kind that has it.
func (a *Answer) all(tag, name string) []string {
	a.robot.t.Helper()
	var list []string
	for d := range a.parse().Descendants() {
		if d.Type == html.ElementNode && d.Data == tag && attr(d, name) != "" {
			list = append(list, attr(d, name))
		}
	}
	return list
}

// Links are the addresses the page links to.
func (a *Answer) Links() []string { return append(a.all("a", "href"), a.all("link", "href")...) }

// Actions are the addresses its forms are sent to.
func (a *Answer) Actions() []string { return a.all("form", "action") }

// Takes reports whether the house has a route for a form sent to the path.
func (h *House) Takes(path string) bool {
	want := strings.Split(path, "/")
	for _, r := range h.Routes {
		have := strings.Split(strings.Replace(r.Pattern, "{$}", "", 1), "/")
		same := r.Method == http.MethodPost && len(have) == len(want)
		for i := range have {
			same = same && (have[i] == want[i] || strings.HasPrefix(have[i], "{"))
			if !same {
				break
			}
		}
		if same {
			return true
		}
	}
	return false
}
