package liveness

import "testing"

func TestCaptureURL(t *testing.T) {
	prod := Config{CaptureHosts: []string{"face.example.cn", "face.example.cn:8443"}}
	dev := Config{CaptureHosts: []string{"localhost:9000", "face.example.cn"}, Development: true}
	for _, c := range []struct {
		cfg  Config
		url  string
		want bool
	}{
		{prod, "https://face.example.cn/c/1?x=2", true},
		{prod, "https://face.example.cn:443/c/1", true},
		{prod, "https://face.example.cn:8443/c/1", true},
		{prod, "https://face.example.cn:8444/c/1", false},
		{prod, "http://face.example.cn/c/1", false},
		{prod, "https://evil.example/c/1", false},
		{prod, "https://face.example.cn.evil.example/", false},
		{prod, "https://face.example.cn@evil.example/", false},
		{prod, "https://user@face.example.cn/", false},
		{prod, `https://evil.example\@face.example.cn/`, false},
		{prod, "https://evil.example#@face.example.cn/", false},
		{prod, "https://face.example.cn/#x", false},
		{prod, "https://face.example.cn/a b", false},
		{prod, "https://face.example.cn/\r\nX: y", false},
		{prod, "https://face.example\u3002cn", false}, // an ideographic full stop
		{prod, "//face.example.cn/", false},
		{prod, "javascript:alert(1)", false},
		{prod, "https:face.example.cn/", false},
		{prod, "", false},
		{prod, "http://localhost:9000/c", false},
		{dev, "http://localhost:9000/c", true},
		{dev, "http://localhost:9001/c", false},
		{dev, "http://face.example.cn/c", false},
		{dev, "https://face.example.cn/c", true},
	} {
		if err := c.cfg.captureURL(c.url); (err == nil) != c.want {
			t.Errorf("captureURL(%q) = %v, want accepted: %v", c.url, err, c.want)
		}
	}
}
