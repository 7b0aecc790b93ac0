package standin

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// What the buttons send. All but the last are verdicts of the protocol; silent
// means that no verdict ever comes.
const (
	answerPass         = "pass"
	answerFail         = "fail"
	answerInconclusive = "inconclusive"
	answerSilent       = "silent"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS []byte

// parsePage is called once per page shown: a demo shows few, and a package-level
// template would be one more thing that can change.
func parsePage() (*template.Template, error) { return template.New("page").Parse(pageHTML) }

// page is what the capture page shows.
type page struct {
	Lang, OtherLang, OtherName                 string
	Title, Warning, Explain, Question, Leave   string
	Pass, Fail, Inconclusive, Silent           string
	PassHint, FailHint, UnsureHint, SilentHint string
	Self                                       string
	Gone                                       bool
}

func pageIn(lang string) page {
	if lang == "en" {
		return page{
			Lang: "en", OtherLang: "zh-CN", OtherName: "中文",
			Title:        "Stand-in for a liveness check",
			Warning:      "STAND-IN: no real liveness check. Not for production.",
			Explain:      "No camera is used and nobody is checked. This page takes the place of a provider in demonstrations and tests: you say what it should answer.",
			Question:     "What shall the provider answer?",
			Leave:        "This check is over or was never begun. Go back to where you signed in and try again.",
			Pass:         "Pass",
			Fail:         "Fail",
			Inconclusive: "Cannot tell",
			Silent:       "Never answer",
			PassHint:     "A living person, the right one.",
			FailHint:     "Not a living person, or not the right one.",
			UnsureHint:   "Too dark, too blurred: another try is allowed.",
			SilentHint:   "You are sent back, and no result ever arrives.",
		}
	}
	return page{
		Lang: "zh-CN", OtherLang: "en", OtherName: "English",
		Title:        "活体检测替身",
		Warning:      "替身服务:不进行真实的活体检测,不得用于生产环境。",
		Explain:      "本页不使用摄像头,也不核验任何人。它只在演示和测试中代替活体检测服务商:由您决定它回答什么。",
		Question:     "服务商应当如何回答?",
		Leave:        "本次检测已结束或不存在。请返回登录页面重试。",
		Pass:         "通过",
		Fail:         "不通过",
		Inconclusive: "无法判断",
		Silent:       "一直不回答",
		PassHint:     "是真人,且是本人。",
		FailHint:     "不是真人,或不是本人。",
		UnsureHint:   "光线太暗或画面模糊,可以再试一次。",
		SilentHint:   "您会被送回,但结果永远不会到达。",
	}
}

// language is what ?lang says, or else the first of Accept-Language that we have.
func language(r *http.Request) string {
	switch r.URL.Query().Get("lang") {
	case "en":
		return "en"
	case "zh-CN":
		return "zh-CN"
	}
	for _, l := range strings.Split(r.Header.Get("Accept-Language"), ",") {
		switch l = strings.ToLower(strings.TrimSpace(l)); {
		case strings.HasPrefix(l, "zh"):
			return "zh-CN"
		case strings.HasPrefix(l, "en"):
			return "en"
		}
	}
	return "zh-CN"
}

func (p *Provider) handlePage(w http.ResponseWriter, r *http.Request) {
	s, ok := p.byCapture(r.PathValue("secret"))
	status := http.StatusOK
	if !ok || !p.opts.Clock.Now().Before(s.ends) {
		status = http.StatusNotFound
	}
	p.show(w, r, status)
}

func (p *Provider) show(w http.ResponseWriter, r *http.Request, status int) {
	v := pageIn(language(r))
	v.Self = r.URL.Path
	v.Gone = status != http.StatusOK
	t, err := parsePage()
	var b bytes.Buffer
	if err == nil {
		err = t.Execute(&b, v)
	}
	if err != nil {
		http.Error(w, "the page is broken", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	// The answer is a redirect to the page that asked, and browsers hold redirects
	// of a form against form-action: a bare 'self' would stop here, silently.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self' http: https:; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.Lang)
	h.Set("Vary", "Accept-Language")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// handleAnswer records what was pressed and sends the browser back. What it takes
// along is no verdict.
func (p *Provider) handleAnswer(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "not a form", http.StatusBadRequest)
		return
	}
	answer := r.PostForm.Get("answer")
	switch answer {
	case answerPass, answerFail, answerInconclusive, answerSilent:
	default:
		http.Error(w, "no such answer", http.StatusBadRequest)
		return
	}
	s, ok := p.byCapture(r.PathValue("secret"))
	if !ok || p.Answer(r.Context(), s.id, answer) != nil {
		p.show(w, r, http.StatusNotFound)
		return
	}
	back, err := url.Parse(s.start.ReturnURI)
	if err != nil {
		http.Error(w, "no way back", http.StatusBadRequest)
		return
	}
	q := back.Query()
	q.Set("session_id", s.id)
	q.Set("state", s.start.RequestID)
	back.RawQuery = q.Encode()
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, back.String(), http.StatusSeeOther)
}

func handleStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "max-age=3600")
	_, _ = w.Write(pageCSS)
}
