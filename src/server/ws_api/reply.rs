//! The texts that go back, byte for byte (binance.md section 11).

use super::request::{Malformed, Request};
use crate::{
    market::Nanos,
    server::{Refusal, limits::Limited},
    topic::TimeUnit,
};

/// A text for the client, and whether it is the last one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// What goes back.
    pub(super) text: String,
    /// The HTTP status inside it.
    pub(super) status: u16,
    /// The conversation ends after it, with this reason.
    pub(super) ends: Option<&'static str>,
    shows_limits: bool,
}

/// How Binance ended connections after requests without a legal id, as seen on the wire in 2026.
const DISCONNECTED: &str = "disconnected";
/// For an address that goes on after it was banned.
const TOO_MANY_REQUESTS: &str = "Too many requests";

impl Outcome {
    /// What an endpoint says; `body` is its JSON.
    pub(super) fn answered(request: &Request<'_>, status: u16, body: &[u8]) -> Self {
        let field = if status == 200 { "result" } else { "error" };
        let body = String::from_utf8_lossy(body);
        Self::new(request, status, field, &body)
    }

    /// A request that never came to an endpoint.
    pub(super) fn refused(request: &Request<'_>, refusal: &Refusal) -> Self {
        Self::new(request, refusal.status, "error", &refusal.body())
    }

    /// The address has used up its weight, or is banned: the error says when to come again.
    pub(super) fn limited(request: &Request<'_>, limited: &Limited, now: Nanos, unit: TimeUnit) -> Self {
        let in_unit = |time: Nanos| match unit {
            TimeUnit::Milliseconds => time.millis(),
            TimeUnit::Microseconds => time.micros(),
        };
        let body = limited.refusal.body();
        let body = body.strip_suffix('}').unwrap_or(&body);
        let [now, again] = [now, limited.until].map(in_unit);
        let body = format!(r#"{body},"data":{{"serverTime":{now},"retryAfter":{again}}}}}"#);
        let status = limited.refusal.status;
        let outcome = Self::new(request, status, "error", &body);
        Self { ends: (status == 418).then_some(TOO_MANY_REQUESTS), ..outcome }
    }

    /// No request: no id, and no weight is told.
    pub(super) fn malformed(malformed: &Malformed) -> Self {
        let text = match malformed {
            Malformed::Json => "Invalid JSON request.",
            Malformed::Id => {
                "Invalid 'id' in JSON request; expected an integer, a string matching '^[a-zA-Z0-9-_]{1,36}$', or null."
            }
        };
        let text = format!(r#"{{"id":null,"status":400,"error":{{"code":-1135,"msg":"{text}"}}"#);
        Self { text, status: 400, ends: Some(DISCONNECTED), shows_limits: false }
    }

    fn new(request: &Request<'_>, status: u16, field: &str, body: &str) -> Self {
        let text = format!(r#"{{"id":{},"status":{status},"{field}":{body}"#, request.id);
        Self { text, status, ends: None, shows_limits: request.shows_limits }
    }

    /// Says how much of `limit` is `used`, if that is wanted, and ends the text. Only a limit that there is is told.
    pub(super) fn finish(&mut self, limit: u32, used: u32) {
        if self.shows_limits {
            self.text.push_str(",\"rateLimits\":[");
            if limit > 0 {
                self.text.push_str(&format!(
                    r#"{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":{limit},"count":{used}}}"#
                ));
            }
            self.text.push(']');
        }
        self.text.push('}');
    }
}

/// The event that announces the end of this process.
pub(super) fn server_shutdown(now: Nanos, unit: TimeUnit) -> String {
    let mut event = b"{\"event\":".to_vec();
    crate::encode::json::server_shutdown(&mut event, now, unit);
    event.push(b'}');
    String::from_utf8(event).expect("digits and ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Nanos = Nanos::from_micros(1_789_000_012_345_678);

    fn request(text: &str) -> Request<'_> {
        Request::parse(text, true).expect("a request")
    }

    fn finished(mut outcome: Outcome) -> String {
        outcome.finish(6000, 70);
        outcome.text
    }

    #[test]
    fn results_and_errors_have_the_documented_shapes() {
        let time = request(r#"{"id":1,"method":"time"}"#);
        assert_eq!(
            finished(Outcome::answered(&time, 200, br#"{"serverTime":1656400526260}"#)),
            r#"{"id":1,"status":200,"result":{"serverTime":1656400526260},"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":70}]}"#
        );
        assert_eq!(
            finished(Outcome::answered(&time, 400, br#"{"code":-1121,"msg":"Invalid symbol."}"#)),
            r#"{"id":1,"status":400,"error":{"code":-1121,"msg":"Invalid symbol."},"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":70}]}"#
        );
        let quiet = request(r#"{"id":"x","method":"time","params":{"returnRateLimits":false}}"#);
        assert_eq!(finished(Outcome::answered(&quiet, 200, b"{}")), r#"{"id":"x","status":200,"result":{}}"#);
        let mut unlimited = Outcome::answered(&time, 200, b"{}");
        unlimited.finish(0, 70);
        assert_eq!(unlimited.text, r#"{"id":1,"status":200,"result":{},"rateLimits":[]}"#);
    }

    #[test]
    fn who_has_used_up_all_is_told_when_to_come_again() {
        let quiet = request(r#"{"id":null,"method":"time","params":{"returnRateLimits":false}}"#);
        let refusal = Refusal { status: 429, code: -1003, text: "Too much.".to_owned() };
        let limited = |refusal| Limited { refusal, retry_after_s: 8, until: Nanos::from_millis(1_789_000_020_000) };
        let said = |unit| finished(Outcome::limited(&quiet, &limited(refusal.clone()), NOW, unit));
        assert_eq!(
            said(TimeUnit::Milliseconds),
            r#"{"id":null,"status":429,"error":{"code":-1003,"msg":"Too much.","data":{"serverTime":1789000012345,"retryAfter":1789000020000}}}"#
        );
        assert!(
            said(TimeUnit::Microseconds).contains(r#""serverTime":1789000012345678,"retryAfter":1789000020000000}"#)
        );
        let banned = Refusal { status: 418, ..refusal };
        assert_eq!(
            Outcome::limited(&quiet, &limited(banned), NOW, TimeUnit::Milliseconds).ends,
            Some("Too many requests")
        );
    }

    #[test]
    fn what_is_no_request_is_told_so_and_ends_it() {
        let malformed = Outcome::malformed(&Malformed::Id);
        assert_eq!(malformed.ends, Some("disconnected"));
        assert_eq!(
            finished(malformed),
            r#"{"id":null,"status":400,"error":{"code":-1135,"msg":"Invalid 'id' in JSON request; expected an integer, a string matching '^[a-zA-Z0-9-_]{1,36}$', or null."}}"#
        );
        assert_eq!(
            finished(Outcome::malformed(&Malformed::Json)),
            r#"{"id":null,"status":400,"error":{"code":-1135,"msg":"Invalid JSON request."}}"#
        );
    }

    #[test]
    fn the_end_is_an_event() {
        assert_eq!(
            server_shutdown(NOW, TimeUnit::Milliseconds),
            r#"{"event":{"e":"serverShutdown","E":1789000012345}}"#
        );
    }
}
