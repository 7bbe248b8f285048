//! `/status` for a person: one page of tables, whole without a script. The script only exchanges its body now and then.

use std::fmt::{Display, Write};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{self, HeaderValue},
};

use super::status::{ShardStatus, Status, SymbolStatus, VenueStatus};

/// Nothing comes from elsewhere, nothing inline runs, and nobody frames it.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page that shows `status`.
pub(super) fn respond(status: &Status) -> Response<Full<Bytes>> {
    let mut response = super::respond(StatusCode::OK, "text/html;charset=UTF-8", html(status));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A file that the page loads.
pub(super) fn part(path: &str) -> Option<Response<Full<Bytes>>> {
    let (kind, text) = match path {
        "/status.css" => ("text/css;charset=UTF-8", STYLE),
        "/status.js" => ("text/javascript;charset=UTF-8", SCRIPT),
        _ => return None,
    };
    Some(super::respond(StatusCode::OK, kind, text.to_owned()))
}

fn html(status: &Status) -> String {
    let mut out = Out(String::with_capacity(32 << 10));
    let word = if !status.live {
        "stuck"
    } else if status.ready {
        "ready"
    } else {
        status.phase
    };
    out.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>");
    out.text(format_args!("Tickcast: {word}"));
    out.raw(
        "</title>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <link rel=\"stylesheet\" href=\"/status.css\">\n<script src=\"/status.js\" defer></script>\n</head>\n<body>\n<main>\n",
    );
    summary(&mut out, status);
    venues(&mut out, &status.venues);
    shards(&mut out, &status.shards);
    table(
        &mut out,
        "Readers of the ring",
        "Batches that are published and not yet read. Whoever is a whole ring behind is lapped.",
        &["Reader", "Lag, batches", "Laps", "Missed batches"],
        status
            .readers
            .iter()
            .map(|it| [name(&it.reader), it.lag_batches.into(), alarm(it.laps), alarm(it.missed_batches)]),
    );
    table(
        &mut out,
        "Threads",
        "Since when a loop has taken no turn. All take one each second at least.",
        &["Thread", "Age, ms", "State"],
        status
            .threads
            .iter()
            .map(|it| [name(&it.thread), it.age_ms.into(), state(if it.late { "late" } else { "live" })]),
    );
    let store = &status.store;
    table(
        &mut out,
        "History",
        "Closed candles and trades that are kept.",
        &["Rows", "Bytes in use", "File, bytes", "Commits", "Failures", "Dropped"],
        [[
            store.rows.into(),
            store.bytes.into(),
            store.file_bytes.into(),
            store.commits.into(),
            alarm(store.failures),
            alarm(store.dropped),
        ]],
    );
    for (title, what, reasons) in [
        ("Closed sessions", "Since the start, by reason.", &status.closes),
        ("Refused requests", "At the doors since the start, by reason.", &status.refusals),
    ] {
        table(
            &mut out,
            title,
            what,
            &["Reason", "Count"],
            reasons.iter().map(|it| [name(&it.reason), it.count.into()]),
        );
    }
    symbols(&mut out, &status.symbols);
    table(
        &mut out,
        "Limits",
        "What is configured, and how often clients came up against it since the start, where that is counted.",
        &["Key", "Value", "Reached"],
        status.limits.iter().map(|it| [name(it.key), name(&it.value), it.reached.map_or(Cell::None, Cell::from)]),
    );
    out.raw(
        "</main>\n<footer>\n<p><a href=\"/status.json\">The same as JSON</a> · <a href=\"/metrics\">metrics</a> · \
         <a href=\"/livez\">livez</a> · <a href=\"/readyz\">readyz</a></p>\n\
         <p id=\"refresh\"><noscript>Reload the page for newer numbers.</noscript></p>\n</footer>\n</body>\n</html>\n",
    );
    out.0
}

fn summary(out: &mut Out, status: &Status) {
    out.raw("<h1>Tickcast <small>");
    out.text(status.version);
    out.raw("</small></h1>\n<ul class=\"summary\">\n");
    let doors = &status.doors;
    let (ws, http) = if doors.tls { ("wss", "https") } else { ("ws", "http") };
    let mut item = |label: &str, value: &dyn Display, class: &str| {
        out.raw("<li><span>");
        out.text(label);
        out.raw("</span> <strong");
        if !class.is_empty() {
            out.raw(" class=\"");
            out.raw(class);
            out.raw("\"");
        }
        out.raw(">");
        out.text(value);
        out.raw("</strong></li>\n");
    };
    item("Phase", &status.phase, if status.phase == "serving" { "good" } else { "warn" });
    item("Live", &yes_or_no(status.live), if status.live { "good" } else { "bad" });
    item("Ready", &yes_or_no(status.ready), if status.ready { "good" } else { "bad" });
    item("Up for", &Span(status.uptime_s), "");
    item("Sessions", &status.shards.iter().map(|shard| shard.sessions).sum::<u64>(), "");
    item("Public door", &format_args!("{http}://{0}, {ws}://{0}", doors.public), "");
    if let Some(sbe) = &doors.sbe {
        item("SBE door", &format_args!("{ws}://{sbe}"), "");
    }
    let process = &status.process;
    if let Some(bytes) = process.resident_bytes {
        item("Memory", &format_args!("{} MB", bytes / 1_000_000), "");
    }
    if let (Some(open), Some(most)) = (process.descriptors, process.descriptors_max) {
        item("Descriptors", &format_args!("{} of {}", grouped(open), grouped(most)), "");
    }
    item("WS-API connections", &doors.ws_api_connections, "");
    item("Log level", &status.config.log_level, "");
    item("Admin API", &if status.config.admin { "on" } else { "off" }, "");
    item("Settings from", &status.config.sources.join(", "), "");
    out.raw("</ul>\n");
    list(out, "Why traffic should not come here", &status.reasons);
    let late: Vec<_> =
        status.threads.iter().filter(|it| it.late).map(|it| format!("thread {} takes no turns", it.thread)).collect();
    list(out, "Why this process is not live", &late);
    list(out, "Changed settings that want a restart", &status.config.wants_restart);
}

fn list(out: &mut Out, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    out.raw("<section class=\"alarm\">\n<h2>");
    out.text(title);
    out.raw("</h2>\n<ul>\n");
    for item in items {
        out.raw("<li>");
        out.text(item);
        out.raw("</li>\n");
    }
    out.raw("</ul>\n</section>\n");
}

fn venues(out: &mut Out, venues: &[VenueStatus]) {
    table(
        out,
        "Venues",
        "Connections, books by state, and how far behind the venue's clock we are, over the last minute.",
        &[
            "Venue",
            "Connections",
            "Live",
            "Healing",
            "Waiting",
            "Refused",
            "Last update, ms ago",
            "Lag p50, ms",
            "Lag p99, ms",
            "Proof, ms ago",
            "Frames",
            "Frames refused",
            "Gaps",
            "Resyncs",
            "Bad checksums",
            "Trades lost",
            "Disconnects",
        ],
        venues.iter().map(|it| {
            [
                name(&it.venue),
                if it.connections == 0 { Cell::Bad("0".to_owned()) } else { it.connections.into() },
                (it.live as u64).into(),
                alarm(it.healing as u64),
                alarm(it.waiting as u64),
                alarm(it.refused as u64),
                it.last_update_age_ms.into(),
                it.feed_lag_p50_ms.into(),
                it.feed_lag_p99_ms.into(),
                it.proof_age_ms.into(),
                it.frames.into(),
                alarm(it.frames_refused),
                it.gaps.into(),
                it.resyncs.into(),
                alarm(it.checksum_failures),
                alarm(it.trades_lost),
                it.disconnects.into(),
            ]
        }),
    );
}

fn symbols(out: &mut Out, symbols: &[SymbolStatus]) {
    table(
        out,
        "Books",
        "One per instrument: live is in step with the venue, healing shows what it was, waiting has never been there.",
        &["Venue", "Symbol", "Book", "Last update id", "Last update, ms ago"],
        symbols.iter().map(|it| {
            [
                name(&it.venue),
                name(&it.symbol),
                if it.listed { state(it.book) } else { Cell::Bad("not listed".to_owned()) },
                it.last_update_id.map_or(Cell::None, |id| Cell::Number(id.to_string())),
                it.last_update_age_ms.into(),
            ]
        }),
    );
}

fn shards(out: &mut Out, shards: &[ShardStatus]) {
    table(
        out,
        "Shards",
        "Sessions by thread. Delivery is from receiving a frame to writing its first update, over the last minute.",
        &[
            "Shard",
            "Sessions",
            "Subscriptions",
            "Slow sessions",
            "Queued bytes",
            "Deliveries",
            "Bytes",
            "Delivery p50, ms",
            "Delivery p99, ms",
        ],
        shards.iter().map(|it| {
            [
                name(&it.shard),
                it.sessions.into(),
                it.subscriptions.into(),
                alarm(it.slow_sessions),
                it.queued_bytes.into(),
                it.deliveries.into(),
                it.bytes.into(),
                it.delivery_p50_ms.into(),
                it.delivery_p99_ms.into(),
            ]
        }),
    );
}

/// What stands in a table.
enum Cell {
    /// Names its row.
    Name(String),
    Number(String),
    Good(String),
    /// Worth a look.
    Warn(String),
    Bad(String),
    /// Not known, or not counted.
    None,
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(grouped(number))
    }
}

impl From<Option<u64>> for Cell {
    fn from(number: Option<u64>) -> Self {
        number.map_or(Self::None, Self::from)
    }
}

impl From<Option<f64>> for Cell {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::None, |number| Self::Number(format!("{number:.2}")))
    }
}

fn name(text: &str) -> Cell {
    Cell::Name(text.to_owned())
}

/// A number that should be zero.
fn alarm(number: u64) -> Cell {
    if number == 0 { number.into() } else { Cell::Warn(grouped(number)) }
}

fn state(word: &str) -> Cell {
    match word {
        "live" => Cell::Good(word.to_owned()),
        "refused" | "late" => Cell::Bad(word.to_owned()),
        _ => Cell::Warn(word.to_owned()),
    }
}

/// Digits in threes, with narrow spaces.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn table<const N: usize>(
    out: &mut Out,
    title: &str,
    what: &str,
    heads: &[&str; N],
    rows: impl IntoIterator<Item = [Cell; N]>,
) {
    let id = title.to_lowercase().replace(' ', "-");
    out.raw("<section aria-labelledby=\"");
    out.text(&id);
    out.raw("\">\n<h2 id=\"");
    out.text(&id);
    out.raw("\">");
    out.text(title);
    out.raw("</h2>\n<p>");
    out.text(what);
    out.raw("</p>\n<div class=\"wide\" role=\"group\" tabindex=\"0\" aria-labelledby=\"");
    out.text(&id);
    out.raw("\"><table aria-labelledby=\"");
    out.text(&id);
    out.raw("\">\n<thead><tr>");
    let rows: Vec<_> = rows.into_iter().collect();
    for (column, head) in heads.iter().enumerate() {
        let is_text = rows.iter().any(|row| matches!(row[column], Cell::Name(_)));
        out.raw(if is_text { "<th scope=\"col\" class=\"name\">" } else { "<th scope=\"col\">" });
        out.text(head);
        out.raw("</th>");
    }
    out.raw("</tr></thead>\n<tbody>\n");
    let mut is_empty = true;
    for row in rows {
        is_empty = false;
        out.raw("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let (class, text) = match cell {
                Cell::Name(text) => ("name", &**text),
                Cell::Number(text) => ("number", &**text),
                Cell::Good(text) => ("good", &**text),
                Cell::Warn(text) => ("warn", &**text),
                Cell::Bad(text) => ("bad", &**text),
                Cell::None => ("none", "–"),
            };
            let (open, close) = if column == 0 { ("<th scope=\"row\"", "</th>") } else { ("<td", "</td>") };
            out.raw(open);
            out.raw(" class=\"");
            out.raw(class);
            out.raw("\">");
            out.text(text);
            out.raw(close);
        }
        out.raw("</tr>\n");
    }
    if is_empty {
        out.raw(&format!("<tr><td class=\"none\" colspan=\"{N}\">none</td></tr>\n"));
    }
    out.raw("</tbody>\n</table></div>\n</section>\n");
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// Seconds as days, hours, minutes and seconds; the two largest that count.
struct Span(u64);

impl Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, hours, minutes, seconds) = (self.0 / 86_400, self.0 / 3600 % 24, self.0 / 60 % 60, self.0 % 60);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min {seconds} s"),
            (0, ..) => write!(f, "{hours} h {minutes} min"),
            _ => write!(f, "{days} d {hours} h"),
        }
    }
}

/// HTML in the making. What is not ours goes through [`Out::text`].
struct Out(String);

impl Out {
    fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }

    fn text(&mut self, text: impl Display) {
        write!(Escaped(&mut self.0), "{text}").expect("a text takes everything");
    }
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_foreign_becomes_html() {
        let mut out = Out(String::new());
        out.text("<script>alert(\"x\")</script>&'");
        assert_eq!(out.0, "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;&#39;");
    }

    #[test]
    fn numbers_and_spans_are_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
        let spans = [59, 61, 3_661, 90_000].map(|seconds| Span(seconds).to_string());
        assert_eq!(spans, ["59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("@import"), "{text}");
        }
    }
}
