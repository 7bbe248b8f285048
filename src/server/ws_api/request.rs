//! What a client asks for in one text: id, method, parameters; and the REST request that it means.

use std::{borrow::Cow, fmt};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use crate::server::Refusal;

/// One request. Nothing of it is read that is not needed: the id goes back as it came.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// An integer, a short string or `null`, as written.
    pub(super) id: &'a str,
    /// Whether the answer says how much weight is used.
    pub(super) shows_limits: bool,
    method: Option<Cow<'a, str>>,
    /// `None`: not an object.
    params: Option<Vec<(Cow<'a, str>, &'a RawValue)>>,
    flag_is_wrong: bool,
}

/// A text that is no request: it has no id that could be given back, and ends the conversation. Seen on the wire in 2026 for
/// an id, in 2023 (with code -1000) for what is no JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    Json,
    Id,
}

impl<'a> Request<'a> {
    /// Reads `text`; `shows_limits` is what the connection wants.
    pub(super) fn parse(text: &'a str, shows_limits: bool) -> Result<Self, Malformed> {
        let Object(fields) = serde_json::from_str(text).map_err(|_| Malformed::Json)?;
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.get());
        let id = field("id").filter(|raw| is_id(raw)).ok_or(Malformed::Id)?;
        let method = field("method").and_then(|raw| serde_json::from_str::<Text<'_>>(raw).ok()).map(|Text(text)| text);
        let params = match field("params") {
            None | Some("null") => Some(Vec::new()),
            Some(raw) => serde_json::from_str(raw).ok().map(|Object(params)| params),
        };
        let mut request = Self { id, shows_limits, method, params, flag_is_wrong: false };
        request.take_flag();
        Ok(request)
    }

    /// The path of the method's twin behind `/api/v3/`.
    pub(super) fn endpoint(&self) -> Result<String, Refusal> {
        let Some(method) = &self.method else {
            return Err(invalid("Invalid 'method' in JSON request; expected a string."));
        };
        let name = method.strip_prefix("v3/").unwrap_or(method);
        let found = METHODS.iter().find(|(known, _)| *known == name);
        found.map(|(_, endpoint)| (*endpoint).to_owned()).ok_or_else(|| self.no_such_method())
    }

    /// How Binance words it is not published; the code and the form are those of its sibling texts.
    pub(super) fn no_such_method(&self) -> Refusal {
        let method = self.method.as_deref().unwrap_or_default();
        let shown: String = method.chars().take(NAME_CHARS_SHOWN).collect();
        invalid(format!("Invalid 'method' in JSON request; there is no method '{shown}'."))
    }

    /// The parameters as a query. What stands there twice, stands there twice.
    pub(super) fn query(&self) -> Result<String, Refusal> {
        let Some(params) = &self.params else {
            return Err(invalid("Invalid 'params' in JSON request; expected an object."));
        };
        if self.flag_is_wrong {
            return Err(bad(-1130, format!("Data sent for parameter '{FLAG}' is not valid.")));
        }
        let mut query = String::new();
        for (name, raw) in params {
            let value = match serde_json::from_str::<Value>(raw.get()) {
                Ok(Value::Null) => continue,
                Ok(Value::String(text)) => text,
                Ok(Value::Object(_)) | Err(_) => {
                    return Err(invalid(format!("JSON sent for parameter '{name}' is not valid")));
                }
                // An array is compact then, as REST wants it.
                Ok(value @ Value::Array(_)) => value.to_string(),
                // Numbers as they are: an id must not pass through a float.
                Ok(Value::Bool(_) | Value::Number(_)) => raw.get().to_owned(),
            };
            if !query.is_empty() {
                query.push('&');
            }
            query.extend(utf8_percent_encode(name, NON_ALPHANUMERIC));
            query.push('=');
            query.extend(utf8_percent_encode(&value, NON_ALPHANUMERIC));
        }
        Ok(query)
    }

    /// `returnRateLimits` is ours, not the endpoint's.
    fn take_flag(&mut self) {
        let Some(params) = &mut self.params else { return };
        params.retain(|(name, raw)| {
            if name != FLAG {
                return true;
            }
            match raw.get() {
                "true" | "\"true\"" => self.shows_limits = true,
                "false" | "\"false\"" => self.shows_limits = false,
                _ => self.flag_is_wrong = true,
            }
            false
        });
    }
}

/// Methods and the REST endpoints whose twins they are (binance.md sections 10.2 and 11).
const METHODS: [(&str, &str); 19] = [
    ("ping", "ping"),
    ("time", "time"),
    ("exchangeInfo", "exchangeInfo"),
    ("executionRules", "executionRules"),
    ("depth", "depth"),
    ("trades.recent", "trades"),
    ("trades.historical", "historicalTrades"),
    ("blockTrades.historical", "historicalBlockTrades"),
    ("trades.aggregate", "aggTrades"),
    ("klines", "klines"),
    ("uiKlines", "uiKlines"),
    ("avgPrice", "avgPrice"),
    ("ticker.24hr", "ticker/24hr"),
    ("ticker.tradingDay", "ticker/tradingDay"),
    ("ticker", "ticker"),
    ("ticker.price", "ticker/price"),
    ("ticker.book", "ticker/bookTicker"),
    ("referencePrice", "referencePrice"),
    ("referencePrice.calculation", "referencePrice/calculation"),
];

const FLAG: &str = "returnRateLimits";

/// Longest string that is an id.
const ID_CHARS_MAX: usize = 36;

/// A refusal does not give back more of a name than this.
const NAME_CHARS_SHOWN: usize = 50;

fn bad(code: i32, text: impl Into<String>) -> Refusal {
    Refusal { status: 400, code, text: text.into() }
}

fn invalid(text: impl Into<String>) -> Refusal {
    bad(-1135, text)
}

/// `^[a-zA-Z0-9-_]{1,36}$` in quotes, an integer, or `null`.
fn is_id(raw: &str) -> bool {
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(text) => {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(legal)
        }
        None => raw == "null" || raw.parse::<i64>().is_ok() || raw.parse::<u64>().is_ok(),
    }
}

/// Text that borrows from the message where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The fields of an object in order, unread.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Object<'de>, M::Error> {
        let mut fields = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            if fields.len() == FIELDS_MAX {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            fields.push((key, map.next_value()?));
        }
        Ok(Object(fields))
    }
}

/// More fields than any method has parameters; those behind are not looked at.
const FIELDS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn query(params: &str) -> Result<String, i32> {
        let text = format!(r#"{{"id":1,"method":"depth","params":{params}}}"#);
        let request = Request::parse(&text, true).expect("a request");
        let query = request.query().map_err(|refusal| refusal.code);
        query.map(|query| percent_encoding::percent_decode_str(&query).decode_utf8_lossy().into_owned())
    }

    #[test]
    fn ids_go_back_as_they_came() {
        for id in ["1", "-7", "null", "\"a-B_9\"", "9223372036854775807", "18446744073709551615"] {
            let text = format!(r#"{{"method":"time","id":{id}}}"#);
            assert_eq!(Request::parse(&text, true).expect("a request").id, id);
        }
        let long = format!("\"{}\"", "x".repeat(37));
        for id in ["1.5", "\"\"", "\"a b\"", "true", "[]", "1e3", long.as_str()] {
            let text = format!(r#"{{"method":"time","id":{id}}}"#);
            assert_eq!(Request::parse(&text, true).err(), Some(Malformed::Id), "{id}");
        }
        assert_eq!(Request::parse(r#"{"method":"time"}"#, true).err(), Some(Malformed::Id));
        for text in ["", "hello", "[]", "7", r#"{"id":1"#, r#"{"id":1} x"#] {
            assert_eq!(Request::parse(text, true).err(), Some(Malformed::Json), "{text}");
        }
    }

    #[test]
    fn parameters_become_a_query() {
        assert_eq!(query(r#"{"symbol":"BTCUSDT","limit":5}"#).as_deref(), Ok("symbol=BTCUSDT&limit=5"));
        assert_eq!(query(r#"{"symbols":[ "A", "币USDT" ],"x":null}"#).as_deref(), Ok(r#"symbols=["A","币USDT"]"#));
        assert_eq!(query(r#"{"showPermissionSets":false}"#).as_deref(), Ok("showPermissionSets=false"));
        assert_eq!(query(r#"{"fromId":9007199254740993}"#).as_deref(), Ok("fromId=9007199254740993"));
        assert_eq!(query(r#"{"a":1,"a":2}"#).as_deref(), Ok("a=1&a=2"));
        assert_eq!(query("{}").as_deref(), Ok(""));
        assert_eq!(query("null").as_deref(), Ok(""));
        for (params, code) in
            [("[]", -1135), ("7", -1135), (r#"{"a":{}}"#, -1135), (r#"{"returnRateLimits":1}"#, -1130)]
        {
            assert_eq!(query(params), Err(code), "{params}");
        }
        let text = r#"{"id":1,"method":"depth","params":{"symbol":"a&b=c+d%"}}"#;
        assert_eq!(Request::parse(text, true).expect("a request").query().expect("a query"), "symbol=a%26b%3Dc%2Bd%25");
    }

    #[test]
    fn every_method_has_its_twin_with_and_without_a_version() {
        for (method, endpoint) in METHODS {
            for name in [method.to_owned(), format!("v3/{method}")] {
                let text = format!(r#"{{"id":1,"method":"{name}"}}"#);
                assert_eq!(Request::parse(&text, true).expect("a request").endpoint(), Ok(endpoint.to_owned()));
            }
        }
        for (method, text) in [
            (r#""nosuch""#, "Invalid 'method' in JSON request; there is no method 'nosuch'."),
            (r#""v1/time""#, "Invalid 'method' in JSON request; there is no method 'v1/time'."),
            (r#""Time""#, "Invalid 'method' in JSON request; there is no method 'Time'."),
            ("7", "Invalid 'method' in JSON request; expected a string."),
        ] {
            let request = format!(r#"{{"id":1,"method":{method}}}"#);
            let refusal = Request::parse(&request, true).expect("a request").endpoint().expect_err("refused");
            assert_eq!((refusal.status, refusal.code, &*refusal.text), (400, -1135, text));
        }
    }

    #[test]
    fn the_flag_of_a_request_goes_over_that_of_the_connection() {
        let shows = |params: &str, default| {
            let text = format!(r#"{{"id":1,"method":"time","params":{params}}}"#);
            let request = Request::parse(&text, default).expect("a request");
            (request.shows_limits, request.query().expect("a query"))
        };
        for default in [true, false] {
            assert_eq!(shows("{}", default), (default, String::new()));
            assert_eq!(shows(r#"{"returnRateLimits":true}"#, default), (true, String::new()));
            assert_eq!(shows(r#"{"returnRateLimits":false}"#, default), (false, String::new()));
        }
    }
}
