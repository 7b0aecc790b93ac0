package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// A visitor is a browser that knows links and forms and nothing else. After the first
// thing that goes wrong it does nothing more, and err says what it was.
type visitor struct {
	http *http.Client
	at   *url.URL
	page *html.Node
	err  error
}

func newVisitor(over *http.Client) *visitor {
	jar, _ := cookiejar.New(nil) // never fails
	return &visitor{http: &http.Client{Transport: over.Transport, Timeout: over.Timeout, Jar: jar}}
}

func (v *visitor) get(ctx context.Context, path string) { v.send(ctx, http.MethodGet, path, nil) }

func (v *visitor) send(ctx context.Context, method, target string, form url.Values) {
	if v.err != nil {
		return
	}
	base := v.at
	if base == nil {
		base, _ = url.Parse(issuer + "/")
	}
	to, err := base.Parse(target)
	if err != nil {
		v.err = err
		return
	}
	req, err := http.NewRequestWithContext(ctx, method, to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		v.err = err
		return
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", issuer)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := v.http.Do(req)
	if err != nil {
		v.err = err
		return
	}
	defer resp.Body.Close()
	if v.page, err = html.Parse(io.LimitReader(resp.Body, 1<<20)); err != nil {
		v.err = err
		return
	}
	v.at = resp.Request.URL
	if resp.StatusCode >= http.StatusBadRequest {
		v.err = fmt.Errorf("%s: %s: %s", v.at.Path, resp.Status, v.text("problem"))
	}
}

// submit presses a button, with fields filled in: name, value, name, value.
func (v *visitor) submit(ctx context.Context, button string, fields ...string) {
	if v.err != nil {
		return
	}
	form := find(v.page, func(n *html.Node) bool {
		return n.Data == "form" && find(n, func(b *html.Node) bool { return attribute(b, "id") == button }) != nil
	})
	if form == nil {
		v.err = fmt.Errorf("%s has no button %s: %s", v.at.Path, button, v.text("problem"))
		return
	}
	values := url.Values{}
	for n := range form.Descendants() {
		if n.Type == html.ElementNode && n.Data == "input" && attribute(n, "name") != "" {
			values.Set(attribute(n, "name"), attribute(n, "value"))
		}
	}
	values.Set(button, "1")
	for i := 0; i+1 < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	v.send(ctx, http.MethodPost, attribute(form, "action"), values)
}

// follow follows the link with that id.
func (v *visitor) follow(ctx context.Context, id string) {
	if v.err != nil {
		return
	}
	if n := find(v.page, func(n *html.Node) bool { return attribute(n, "id") == id }); n != nil {
		v.get(ctx, attribute(n, "href"))
		return
	}
	v.err = fmt.Errorf("%s has no link %s", v.at.Path, id)
}

func (v *visitor) has(id string) bool {
	return v.page != nil && find(v.page, func(n *html.Node) bool { return attribute(n, "id") == id }) != nil
}

// text is that of the element with the id or class.
func (v *visitor) text(name string) string {
	if v.page == nil {
		return ""
	}
	n := find(v.page, func(n *html.Node) bool {
		return attribute(n, "id") == name || slices.Contains(strings.Fields(attribute(n, "class")), name)
	})
	if n == nil {
		return ""
	}
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func find(n *html.Node, ok func(*html.Node) bool) *html.Node {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && ok(d) {
			return d
		}
	}
	return nil
}
