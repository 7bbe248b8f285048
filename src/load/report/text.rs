//! The report on a terminal.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    Bar, Latency, Percentiles, Report,
    numbers::{bytes, duration, grouped},
};

/// The report, at most `width` columns wide where it can be.
pub(super) fn page(report: &Report, width: usize) -> String {
    let mut page = Page { text: String::new(), width: width.clamp(WIDTH_MIN, WIDTH_MAX) };
    let asked = &report.asked;
    let own = if report.own_server { ", started for this run" } else { "" };
    page.line("Load on", &format!("{}{own}", report.server_address));
    page.line(
        "Asked",
        &format!(
            "{} clients, {} of {} streams each, {} s after {} s of warm-up",
            grouped(asked.clients as f64),
            asked.per_client,
            asked.streams,
            asked.duration_s,
            asked.warm_up_s
        ),
    );
    page.gap();
    page.connections(report);
    page.deliveries(report);
    page.server(report);
    if let Some(latency) = &report.latency {
        page.latency("Latency, from the event's time to its reading", latency);
    } else {
        page.line("Latency", "no message told its event time (bookTicker and depth5/10/20 do not)");
    }
    page.slow(report);
    page.storms(report);
    page.reasons("Lost", &report.lost);
    page.gap();
    report.verdict.iter().for_each(|sentence| page.sentence(sentence));
    page.text
}

struct Page {
    text: String,
    width: usize,
}

const WIDTH_MIN: usize = 60;
const WIDTH_MAX: usize = 120;
/// Columns of what a line is about.
const LABEL: usize = 15;

impl Page {
    fn put(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).expect("text takes everything");
    }

    fn gap(&mut self) {
        self.put(format_args!("\n"));
    }

    fn line(&mut self, label: &str, value: &str) {
        self.put(format_args!("  {label:<LABEL$}{value}\n"));
    }

    /// Broken between words.
    fn sentence(&mut self, sentence: &str) {
        let mut line = String::from(" ");
        for word in sentence.split(' ') {
            if line.chars().count() + 1 + word.chars().count() > self.width {
                self.put(format_args!("{line}\n"));
                line = String::from(" ");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.put(format_args!("{line}\n"));
    }

    fn reasons(&mut self, label: &str, reasons: &BTreeMap<String, u64>) {
        for (reason, count) in reasons {
            self.line(label, &format!("{}: {reason}", grouped(*count as f64)));
        }
    }

    fn connections(&mut self, report: &Report) {
        let made = &report.connections;
        let opened = grouped(made.opened as f64);
        self.line("Connections", &format!("{opened} in {:.2} s, {} per s", made.seconds, grouped(made.per_s)));
        self.line("  upgrade", &row(&made.upgrade));
        if made.first_event.count > 0 {
            self.line("  first event", &row(&made.first_event));
        }
        self.reasons("  refused", &made.failed);
    }

    fn deliveries(&mut self, report: &Report) {
        let (rate, volume) = (grouped(report.deliveries_per_s), bytes(report.bytes_per_s));
        let each = report.bytes_per_delivery;
        self.line("Deliveries", &format!("{rate} per s, {volume} per s ({each:.0} B each)"));
        if let Some(server) = &report.server {
            let shards = server
                .deliveries_per_shard_cpu_s
                .map_or(String::new(), |per| format!(", {} per CPU second of its shards", grouped(per)));
            self.line("", &format!("{} per server CPU second{shards}", grouped(server.deliveries_per_cpu_s)));
        }
        let sequence = &report.sequence;
        let checked = grouped(sequence.checked as f64);
        self.line(
            "  ids",
            &format!("{} holes, {} out of order, of {checked} checked", sequence.holes, sequence.disordered),
        );
        let Some(counted) = &report.counted else { return };
        let came = grouped(report.deliveries as f64);
        match (counted.deliveries, counted.ratio) {
            (Some(by_server), Some(ratio)) => {
                let (by_server, edge) = (grouped(by_server as f64), grouped(counted.edge as f64));
                self.line("  counted", &format!("{came} here, {by_server} by the server, ± {edge}: ratio {ratio:.4}"));
            }
            (Some(by_server), None) => {
                let by_server = grouped(by_server as f64);
                self.line("  counted", &format!("{came} here, {by_server} by the server with those for slow readers"));
            }
            (None, _) => self.line("  counted", counted.trouble.as_deref().unwrap_or("not known")),
        }
    }

    fn server(&mut self, report: &Report) {
        let Some(server) = &report.server else { return };
        let share = |cpu: f64| cpu / report.measured_s.max(1e-9);
        let mut kinds: Vec<_> = server.cpu_s_by_thread.iter().filter(|(_, cpu)| share(**cpu) >= 0.005).collect();
        kinds.sort_by(|one, other| other.1.total_cmp(one.1));
        let kinds: Vec<_> = kinds.into_iter().map(|(kind, cpu)| format!("{kind} {:.2}", share(*cpu))).collect();
        self.line("Server CPU", &format!("{:.2} cores: {}", share(server.cpu_s), kinds.join(", ")));
        self.line(
            "Server memory",
            &format!(
                "{} before, {} connected, {} at the end{}",
                bytes(server.memory_before_bytes as f64),
                bytes(server.memory_connected_bytes as f64),
                bytes(server.memory_end_bytes as f64),
                server
                    .memory_per_connection_bytes
                    .map_or(String::new(), |each| format!("; {} per connection", bytes(each)))
            ),
        );
    }

    fn latency(&mut self, title: &str, latency: &Latency) {
        self.gap();
        let count = grouped(latency.percentiles.count as f64);
        self.put(format_args!("  {title} ({count} sampled)\n"));
        self.put(format_args!("  {}\n", row(&latency.percentiles)));
        if latency.ahead > 0 {
            let ahead = grouped(latency.ahead as f64);
            self.put(format_args!("  {ahead} came before their own time: the clocks differ\n"));
        }
        self.gap();
        let most = latency.bars.iter().map(|bar| bar.count).max().unwrap_or(1);
        let total = latency.percentiles.count;
        let mut below = 0;
        for bar in &latency.bars {
            below += bar.count;
            self.bar(bar, most, below as f64 / total as f64);
        }
    }

    /// `  1.5 ms ┤██████▍   12.3 %`, with the share of all up to here.
    fn bar(&mut self, bar: &Bar, most: u64, up_to_here: f64) {
        let room = self.width - BAR_BESIDES;
        let eighths = (bar.count as f64 / most as f64 * (room * 8) as f64).ceil() as usize;
        let partial = PARTS[eighths % 8];
        let drawn = format!("{}{partial}", "█".repeat(eighths / 8));
        let label = duration(bar.to_ms);
        let share = format!("{:.2} %", up_to_here * 100.0);
        self.put(format_args!("  ≤ {label:>7} ┤{drawn:<room$} {share:>8}\n"));
    }

    fn slow(&mut self, report: &Report) {
        let Some(slow) = &report.slow else { return };
        self.gap();
        let closed: u64 = slow.closed.values().sum();
        self.line(
            "Slow readers",
            &format!("{} stopped, {} still open, {closed} closed", slow.readers, slow.still_open),
        );
        self.reasons("  closed", &slow.closed);
        if let Some(conflated) = report.counted.as_ref().and_then(|counted| counted.conflated) {
            self.line("  conflated", &format!("{} frames gave way to newer ones", grouped(conflated as f64)));
        }
        self.line("  then read", &format!("{} events", grouped(slow.deliveries as f64)));
        if let Some(latency) = &slow.latency {
            self.line("  as old as", &row(&latency.percentiles));
        }
    }

    fn storms(&mut self, report: &Report) {
        let Some(storms) = &report.storms else { return };
        self.gap();
        let (cut, reopened) = (grouped(storms.cut as f64), grouped(storms.reopened as f64));
        self.line("Storms", &format!("{}: {cut} connections cut, {reopened} came again", storms.storms));
        self.line("  upgrade", &row(&storms.upgrade));
        if storms.first_event.count > 0 {
            self.line("  first event", &row(&storms.first_event));
        }
        self.reasons("  refused", &storms.failed);
    }
}

/// Columns of a bar's line that are not its bar.
const BAR_BESIDES: usize = 2 + 2 + 7 + 2 + 1 + 8;
/// What is left of a bar, in eighths.
const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

fn row(percentiles: &Percentiles) -> String {
    let Percentiles { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, .. } = *percentiles;
    let names = ["p50", "p90", "p99", "p99.9", "max"];
    let values = [p50_ms, p90_ms, p99_ms, p999_ms, max_ms];
    let parts: Vec<_> = names.iter().zip(values).map(|(name, ms)| format!("{name} {}", duration(ms))).collect();
    parts.join("   ")
}
