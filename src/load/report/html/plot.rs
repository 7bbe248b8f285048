//! A histogram of durations as SVG: time on a log scale, the share of all as height.

use std::fmt::Write;

use super::{
    super::{Bar, Latency},
    duration,
};

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 260.0;
/// Room for the scale on the left, the names of marks above, the times below.
const LEFT: f64 = 46.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 26.0;
/// What a bar measures at least, so that a rare late message is seen.
const BAR_MIN: f64 = 1.5;

/// Bars, a line at each decade, marks at the percentiles.
pub(super) fn draw(latency: &Latency) -> String {
    let bars = &latency.even_bars;
    let Some(scale) = Scale::of(bars) else { return String::new() };
    let total = latency.percentiles.count.max(1) as f64;
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(1) as f64 / total;
    let floor = HEIGHT - BOTTOM;
    let height = |share: f64| share / most * (floor - TOP);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"latency\">\n");
    let mut put = |line: std::fmt::Arguments<'_>| {
        svg.write_fmt(line).expect("text takes everything");
        svg.push('\n');
    };
    for part in [0.5, 1.0] {
        let y = floor - height(most * part);
        put(format_args!("<line class=\"axis\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"));
        let (x, share) = (LEFT - 6.0, most * part * 100.0);
        let places = if share < 10.0 { 1 } else { 0 };
        put(format_args!("<text x=\"{x}\" y=\"{:.1}\" text-anchor=\"end\">{share:.places$} %</text>", y + 4.0));
    }
    for bar in bars.iter().filter(|bar| bar.count > 0) {
        let share = bar.count as f64 / total;
        let (from, to) = (scale.x(bar.from_ms), scale.x(bar.to_ms));
        let tall = height(share).max(BAR_MIN);
        put(format_args!(
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"><title>{} to {}: {} ({:.3} %)\
             </title></rect>",
            from + 0.5,
            floor - tall,
            (to - from - 1.0).max(1.0),
            duration(bar.from_ms),
            duration(bar.to_ms),
            bar.count,
            share * 100.0
        ));
    }
    put(format_args!("<line class=\"axis\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{floor}\" y2=\"{floor}\"/>"));
    for exponent in -3..=9 {
        let ms = 10_f64.powi(exponent);
        if scale.holds(ms) {
            let (x, y) = (scale.x(ms), HEIGHT - 8.0);
            let anchor = if x > WIDTH - LEFT { "end" } else { "middle" };
            put(format_args!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>", duration(ms)));
        }
    }
    let percentiles = &latency.percentiles;
    let marks = [("p50", percentiles.p50_ms), ("p99", percentiles.p99_ms), ("p99.9", percentiles.p999_ms)];
    for (row, (name, ms)) in marks.into_iter().enumerate() {
        let (x, y) = (scale.x(ms), 10.0 + 13.0 * row as f64);
        put(format_args!("<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{floor}\"/>", y + 2.0));
        let (anchor, beside) = if x > WIDTH * 0.8 { ("end", -4.0) } else { ("start", 4.0) };
        put(format_args!(
            "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{name} {}</text>",
            x + beside,
            y + 2.0,
            duration(ms)
        ));
    }
    svg.push_str("</svg>");
    svg
}

/// Times to columns.
struct Scale {
    from: f64,
    to: f64,
}

impl Scale {
    /// Of all the bars; `None` if there are none.
    fn of(bars: &[Bar]) -> Option<Self> {
        let (first, last) = (bars.first()?, bars.last()?);
        // The first bar may begin at zero, which a log scale does not have.
        let from = if first.from_ms > 0.0 { first.from_ms } else { first.to_ms / 10.0 };
        Some(Self { from: from.log10(), to: last.to_ms.log10() })
    }

    fn x(&self, ms: f64) -> f64 {
        let at = (ms.max(1e-9).log10() - self.from) / (self.to - self.from).max(1e-9);
        LEFT + at.clamp(0.0, 1.0) * (WIDTH - LEFT)
    }

    fn holds(&self, ms: f64) -> bool {
        (self.from..=self.to).contains(&ms.log10())
    }
}
