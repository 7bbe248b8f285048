//! `/metrics` read back: what the status page shows are the same numbers, so that nothing is counted twice.

use std::collections::VecDeque;

/// The samples of one scrape.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(Vec<Sample>);

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Samples {
    /// Reads the text format of Prometheus. A line that is none of it is left out.
    pub(super) fn read(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The sum of all samples of `name` that have all of `labels`; `None` if there is none.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.of(name, labels).map(|sample| sample.value).reduce(|sum, value| sum + value)
    }

    /// The same as a whole number, 0 where there is none.
    pub(super) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.sum(name, labels).unwrap_or_default() as u64
    }

    /// The samples of `name` by the value of one label, in the order of the scrape.
    pub(super) fn by(&self, name: &str, label: &str) -> Vec<(String, f64)> {
        let of = |sample: &Sample| Some((sample.label(label)?.to_owned(), sample.value));
        self.of(name, &[]).filter_map(of).collect()
    }

    /// The cumulated buckets of a histogram: upper bound and count.
    pub(super) fn buckets(&self, name: &str, labels: &[(&str, &str)]) -> Buckets {
        let of = |sample: &Sample| Some((sample.label("le")?.parse().ok()?, sample.value));
        Buckets(self.of(&format!("{name}_bucket"), labels).filter_map(of).collect())
    }

    fn of<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Sample> {
        let fits = |sample: &&Sample| labels.iter().all(|(label, value)| sample.label(label) == Some(value));
        self.0.iter().filter(move |sample| sample.name == name).filter(fits)
    }
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| &**value)
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else {
        return Some(Sample { name: series.to_owned(), labels: Vec::new(), value });
    };
    let mut rest = labels.strip_suffix('}')?;
    let mut labels = Vec::new();
    while let Some((label, text)) = rest.split_once("=\"") {
        let end = end_of_text(text)?;
        let value = text[..end].replace("\\\"", "\"").replace("\\n", "\n").replace("\\\\", "\\");
        labels.push((label.trim_start_matches(',').to_owned(), value));
        rest = &text[end + 1..];
    }
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Where the quotation mark is that ends a label's value.
fn end_of_text(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends.then_some(at)
    })
}

/// Cumulated counts by upper bound, in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    /// What came since `earlier`, a scrape of the same histogram.
    fn since(&self, earlier: &Self) -> Self {
        let before = |bound: f64| earlier.0.iter().find(|(other, _)| *other == bound).map_or(0.0, |(_, count)| *count);
        Self(self.0.iter().map(|&(bound, count)| (bound, (count - before(bound)).max(0.0))).collect())
    }

    /// The value that this share of all samples does not exceed, read off the buckets as Prometheus does; `None` without
    /// samples. Beyond the last bound it is that bound.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.0.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let rank = share * total;
        let at = self.0.iter().position(|(_, count)| *count >= rank)?;
        let (bound, count) = self.0[at];
        let (lower, below) = at.checked_sub(1).map_or((0.0, 0.0), |before| self.0[before]);
        if bound.is_infinite() {
            return Some(lower);
        }
        Some(lower + (bound - lower) * ((rank - below) / (count - below).max(f64::MIN_POSITIVE)))
    }
}

/// The last scrapes, a few seconds apart: what a histogram says of the last minute is the difference.
#[derive(Debug, Default)]
pub(in crate::server) struct Trail(VecDeque<Samples>);

impl Trail {
    /// Adds a scrape, and forgets one that is too old.
    pub(super) fn push(&mut self, samples: Samples) {
        if self.0.len() == SCRAPES {
            self.0.pop_front();
        }
        self.0.push_back(samples);
    }

    /// What the oldest of the last scrapes does not have yet.
    pub(super) fn recent(&self, newest: &Samples, name: &str, labels: &[(&str, &str)]) -> Buckets {
        let earlier = self.0.front().map(|samples| samples.buckets(name, labels)).unwrap_or_default();
        newest.buckets(name, labels).since(&earlier)
    }
}

/// A minute at one scrape each five seconds.
const SCRAPES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE a counter\na_total{venue=\"x\",reason=\"bad \\\"one\\\", }\"} 3\na_total{venue=\"y\",reason=\"b\"} 4\n\
                        g 1.5\nnot a sample\n\nh_bucket{venue=\"x\",le=\"0.1\"} 2\nh_bucket{venue=\"x\",le=\"0.2\"} 10\n\
                        h_bucket{venue=\"x\",le=\"+Inf\"} 10\n";

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let samples = Samples::read(TEXT);
        assert_eq!(samples.count("a_total", &[]), 7);
        assert_eq!(samples.count("a_total", &[("venue", "y")]), 4);
        assert_eq!(samples.by("a_total", "reason")[0], ("bad \"one\", }".to_owned(), 3.0));
        assert_eq!(samples.sum("g", &[]), Some(1.5));
        assert_eq!(samples.sum("nothing", &[]), None);
    }

    #[test]
    fn quantiles_are_those_of_what_came_since() {
        let samples = Samples::read(TEXT);
        let all = samples.buckets("h", &[("venue", "x")]);
        assert_eq!(all.quantile(0.2), Some(0.1));
        assert!((all.quantile(0.6).expect("samples") - 0.15).abs() < 1e-9);
        assert_eq!(Buckets::default().quantile(0.5), None);
        let mut trail = Trail::default();
        assert_eq!(trail.recent(&samples, "h", &[]), all);
        trail.push(samples.clone());
        assert_eq!(trail.recent(&samples, "h", &[]).quantile(0.5), None, "nothing came since");
        let late = Buckets(vec![(0.1, 0.0), (f64::INFINITY, 5.0)]);
        assert_eq!(late.quantile(0.5), Some(0.1));
    }
}
