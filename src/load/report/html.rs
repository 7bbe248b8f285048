//! The report as one page for a browser: nothing is fetched, and it follows the system's light or dark.

mod plot;

use std::{collections::BTreeMap, fmt::Write};

use super::{
    Latency, Percentiles, Report,
    numbers::{bytes, duration, grouped},
};

/// The whole file.
pub(super) fn page(report: &Report) -> String {
    let mut page = Page(String::with_capacity(32 << 10));
    let title = format!("Load on {}", report.server_address);
    page.put(format_args!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        escape(&title)
    ));
    page.head(report, &title);
    page.tiles(report);
    match &report.latency {
        Some(latency) => page.latency("Latency, from the event's time to its reading", latency),
        None => page.put(format_args!("<p>No message told its event time, so there is no latency.</p>\n")),
    }
    if let Some(latency) = report.storms.as_ref().and_then(|storms| storms.latency.as_ref()) {
        page.latency("The same of clients that are cut and come again", latency);
    }
    if let Some(latency) = report.slow.as_ref().and_then(|slow| slow.latency.as_ref()) {
        page.latency("How old it was what slow readers found when they read again", latency);
    }
    page.deliveries(report);
    page.server(report);
    page.connections(report);
    page.storms(report);
    page.slow(report);
    let json = escape(&report.json());
    page.put(format_args!("<details><summary>For programs: what --json prints</summary><pre>{json}</pre></details>\n"));
    page.put(format_args!("<footer>tickcast {}</footer>\n</body>\n</html>\n", report.version));
    page.0
}

struct Page(String);

impl Page {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("text takes everything");
    }

    fn head(&mut self, report: &Report, title: &str) {
        let asked = &report.asked;
        let own = if report.own_server { "a server started for this run; " } else { "" };
        self.put(format_args!(
            "<h1>{}</h1>\n<p class=\"asked\">{own}{} clients, {} of {} streams each, {} s after {} s of warm-up, {} cores</p>\n",
            escape(title),
            grouped(asked.clients as f64),
            asked.per_client,
            asked.streams,
            report.measured_s,
            asked.warm_up_s,
            report.cores
        ));
        for sentence in &report.verdict {
            self.put(format_args!("<p class=\"verdict\">{}</p>\n", escape(sentence)));
        }
    }

    fn tiles(&mut self, report: &Report) {
        let mut tiles = vec![("deliveries per second", grouped(report.deliveries_per_s))];
        if let Some(server) = &report.server {
            tiles.push(("per server CPU second", grouped(server.deliveries_per_cpu_s)));
        }
        tiles.push(("bytes per second", bytes(report.bytes_per_s)));
        if let Some(latency) = &report.latency {
            tiles.push(("p50 latency", duration(latency.percentiles.p50_ms)));
            tiles.push(("p99 latency", duration(latency.percentiles.p99_ms)));
        }
        tiles.push(("holes", grouped(report.sequence.holes as f64)));
        self.put(format_args!("<div class=\"tiles\">"));
        for (name, value) in tiles {
            self.put(format_args!("<div><b>{value}</b><span>{name}</span></div>"));
        }
        self.put(format_args!("</div>\n"));
    }

    fn latency(&mut self, title: &str, latency: &Latency) {
        let plot = plot::draw(latency);
        self.put(format_args!("<h2>{title}</h2>\n<figure>{plot}</figure>\n"));
        self.open(None);
        self.percentiles("", &latency.percentiles);
        if latency.ahead > 0 {
            self.row("before their own time", &format!("{}: the clocks differ", grouped(latency.ahead as f64)));
        }
        self.close();
    }

    fn deliveries(&mut self, report: &Report) {
        self.open(Some("Deliveries"));
        self.row("in the measurement", &grouped(report.deliveries as f64));
        self.row("bytes of one, on average", &format!("{:.0}", report.bytes_per_delivery));
        let sequence = &report.sequence;
        self.row("ids checked", &grouped(sequence.checked as f64));
        self.row("holes", &format!("{}, at least {} messages", sequence.holes, sequence.missing));
        self.row("repeated or out of order", &grouped(sequence.disordered as f64));
        if let Some(counted) = &report.counted {
            let by_server = counted.deliveries.map(|count| grouped(count as f64));
            let by_server = by_server.or_else(|| counted.trouble.clone()).unwrap_or_default();
            self.row("counted by the server", &format!("{by_server} (± {})", counted.edge));
            if let Some(ratio) = counted.ratio {
                self.row("delivered ratio", &format!("{ratio:.4}"));
            }
        }
        self.reasons("connections lost", &report.lost);
        self.close();
    }

    fn server(&mut self, report: &Report) {
        let Some(server) = &report.server else { return };
        self.open(Some("The server"));
        self.row("CPU seconds", &format!("{:.3}", server.cpu_s));
        for (kind, cpu) in &server.cpu_s_by_thread {
            self.row(&format!("of that {kind}"), &format!("{cpu:.3}"));
        }
        if let Some(per) = server.deliveries_per_shard_cpu_s {
            self.row("deliveries per CPU second of its shards", &grouped(per));
        }
        self.row("memory before the first connection", &bytes(server.memory_before_bytes as f64));
        self.row("memory with all connected", &bytes(server.memory_connected_bytes as f64));
        self.row("memory at the end", &bytes(server.memory_end_bytes as f64));
        if let Some(each) = server.memory_per_connection_bytes {
            self.row("memory per connection", &bytes(each));
        }
        self.close();
    }

    fn connections(&mut self, report: &Report) {
        let made = &report.connections;
        self.open(Some("Connections"));
        self.row("opened", &format!("{} in {:.2} s", grouped(made.opened as f64), made.seconds));
        self.row("per second", &grouped(made.per_s));
        self.percentiles("upgrade ", &made.upgrade);
        self.percentiles("first event ", &made.first_event);
        self.reasons("refused", &made.failed);
        self.close();
    }

    fn storms(&mut self, report: &Report) {
        let Some(storms) = &report.storms else { return };
        self.open(Some("Reconnect storms"));
        self.row("storms", &grouped(storms.storms as f64));
        self.row("connections cut", &grouped(storms.cut as f64));
        self.row("came again", &grouped(storms.reopened as f64));
        self.percentiles("upgrade ", &storms.upgrade);
        self.percentiles("first event ", &storms.first_event);
        self.reasons("refused", &storms.failed);
        self.close();
    }

    fn slow(&mut self, report: &Report) {
        let Some(slow) = &report.slow else { return };
        self.open(Some("Slow readers"));
        self.row("stopped reading", &grouped(slow.readers as f64));
        self.row("still open afterwards", &grouped(slow.still_open as f64));
        self.reasons("closed", &slow.closed);
        self.row("events when they read again", &grouped(slow.deliveries as f64));
        if let Some(conflated) = report.counted.as_ref().and_then(|counted| counted.conflated) {
            self.row("frames that the server replaced by newer ones", &grouped(conflated as f64));
        }
        self.close();
    }

    fn open(&mut self, title: Option<&str>) {
        if let Some(title) = title {
            self.put(format_args!("<h2>{title}</h2>\n"));
        }
        self.put(format_args!("<table>\n"));
    }

    fn close(&mut self) {
        self.put(format_args!("</table>\n"));
    }

    fn row(&mut self, name: &str, value: &str) {
        self.put(format_args!("<tr><th>{}</th><td>{}</td></tr>\n", escape(name), escape(value)));
    }

    fn percentiles(&mut self, of: &str, percentiles: &Percentiles) {
        let Percentiles { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, count } = *percentiles;
        if count == 0 {
            return;
        }
        for (name, ms) in [("p50", p50_ms), ("p90", p90_ms), ("p99", p99_ms), ("p99.9", p999_ms), ("max", max_ms)] {
            self.row(&format!("{of}{name}"), &duration(ms));
        }
    }

    fn reasons(&mut self, what: &str, reasons: &BTreeMap<String, u64>) {
        for (reason, count) in reasons {
            self.row(what, &format!("{}: {reason}", grouped(*count as f64)));
        }
    }
}

/// Servers' words may stand in a page as they are nowhere else.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "
:root{--ground:#fff;--ink:#1b1f24;--dim:#667080;--line:#dde2e8;--bar:#2f6fd0;--mark:#c2410c}
@media(prefers-color-scheme:dark){:root{--ground:#14171b;--ink:#e6e9ed;--dim:#939dab;--line:#2d333b;--bar:#6aa5f7;\
--mark:#fb923c}}
body{background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif;max-width:860px;margin:2rem auto;\
padding:0 1rem}
h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .5rem}.asked,footer{color:var(--dim)}
.verdict{margin:.4rem 0;padding-left:.7rem;border-left:3px solid var(--bar)}
.tiles{display:flex;flex-wrap:wrap;gap:.6rem;margin:1.2rem 0}
.tiles div{border:1px solid var(--line);border-radius:6px;padding:.5rem .8rem;flex:1 0 6rem}
.tiles b{display:block;font-size:1.25rem;font-variant-numeric:tabular-nums}.tiles span{color:var(--dim);font-size:.85rem}
figure{margin:0}svg{width:100%;height:auto;display:block}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;font-weight:normal;padding:.2rem 0;border-bottom:1px solid var(--line)}th{color:var(--dim);width:50%}
pre{overflow:auto;font-size:.8rem}details{margin:2rem 0}footer{margin:2rem 0;font-size:.85rem}
.bar{fill:var(--bar)}.axis{stroke:var(--line)}.mark{stroke:var(--mark);stroke-dasharray:4 3}
text{fill:var(--dim);font:12px system-ui,sans-serif}.name{fill:var(--mark)}
";
