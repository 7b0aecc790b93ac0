package templates

import "testing"

func TestChartOf(t *testing.T) {
	if c := ChartOf(nil); len(c.Bars) != 0 || c.Width <= 0 || c.Most != 0 {
		t.Errorf("of nothing: %+v", c)
	}
	c := ChartOf([]ConsoleDay{{Codes: 10, Refreshes: 90}, {}, {Refusals: 1, Overasked: 49}, {Codes: 1 << 40}})
	if c.Most != 1<<40 || c.Total.Codes != 10+1<<40 || c.Total.Overasked != 49 {
		t.Errorf("%+v", c)
	}
	if len(c.Bars) != 3 {
		t.Fatalf("%d bars", len(c.Bars))
	}
	for _, b := range c.Bars {
		// What there is, is seen, and nothing leaves the drawing.
		if b.Height < 1 || b.Y < 0 || b.Y+b.Height != c.Height || b.X < 0 || b.X+b.Width > c.Width {
			t.Errorf("%+v in %d by %d", b, c.Width, c.Height)
		}
	}
}
