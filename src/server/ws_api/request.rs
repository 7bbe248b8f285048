//! What a client asks for in one text: id, method, parameters; and the REST call that it means.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use crate::server::{Endpoint, Parameters, Refusal};

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

    /// The method's twin.
    pub(super) fn endpoint(&self) -> Result<Endpoint, Refusal> {
        let Some(method) = &self.method else {
            return Err(invalid("Invalid 'method' in JSON request; expected a string."));
        };
        Endpoint::of_method(method).ok_or_else(|| no_such_method(method))
    }

    /// The parameters as text. What stands there twice, stands there twice.
    pub(super) fn parameters(&self) -> Result<Parameters<'_>, Refusal> {
        let Some(params) = &self.params else {
            return Err(invalid("Invalid 'params' in JSON request; expected an object."));
        };
        if self.flag_is_wrong {
            return Err(bad(-1130, format!("Data sent for parameter '{FLAG}' is not valid.")));
        }
        let mut pairs = Vec::new();
        for (name, raw) in params {
            let value = match serde_json::from_str::<Value>(raw.get()) {
                Ok(Value::Null) => continue,
                Ok(Value::String(text)) => Cow::Owned(text),
                Ok(Value::Object(_)) | Err(_) => {
                    return Err(invalid(format!("JSON sent for parameter '{name}' is not valid")));
                }
                // An array is compact then, as REST wants it.
                Ok(value @ Value::Array(_)) => Cow::Owned(value.to_string()),
                // Numbers as they are: an id must not pass through a float.
                Ok(Value::Bool(_) | Value::Number(_)) => Cow::Borrowed(raw.get()),
            };
            pairs.push((Cow::Borrowed(&**name), value));
        }
        Ok(Parameters::new(pairs))
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

const FLAG: &str = "returnRateLimits";

/// Longest string that is an id.
const ID_CHARS_MAX: usize = 36;

/// A refusal does not give back more of a name than this.
const NAME_CHARS_SHOWN: usize = 50;

/// How Binance words it is not published; code and form are those of its sibling texts.
fn no_such_method(method: &str) -> Refusal {
    let shown: String = method.chars().take(NAME_CHARS_SHOWN).collect();
    invalid(format!("Invalid 'method' in JSON request; there is no method '{shown}'."))
}

fn bad(code: i32, text: impl Into<String>) -> Refusal {
    Refusal { status: 400, code, text: text.into() }
}

fn invalid(text: impl Into<String>) -> Refusal {
    bad(-1135, text)
}

/// A string that is `^[a-zA-Z0-9-_]{1,36}$` when it is read, an integer, or `null`.
fn is_id(raw: &str) -> bool {
    match serde_json::from_str(raw) {
        Ok(Text(text)) => {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(legal)
        }
        Err(_) => raw == "null" || raw.parse::<i64>().is_ok() || raw.parse::<u64>().is_ok(),
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

    /// What REST would be asked, as a query in the order of names.
    fn asked(params: &str) -> Result<Parameters<'static>, i32> {
        let text = format!(r#"{{"id":1,"method":"depth","params":{params}}}"#);
        let request = Request::parse(text.leak(), true).expect("a request");
        Box::leak(Box::new(request)).parameters().map_err(|refusal| refusal.code)
    }

    #[test]
    fn ids_go_back_as_they_came() {
        for id in ["1", "-7", "null", "\"a-B_9\"", r#""\u0061\u002d""#, "9223372036854775807", "18446744073709551615"] {
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
    fn parameters_are_those_of_the_twins_query() {
        for (params, query) in [
            (r#"{"symbol":"BTCUSDT","limit":5}"#, "symbol=BTCUSDT&limit=5"),
            (r#"{"symbols":[ "A", "币USDT" ],"x":null}"#, r#"symbols=["A","币USDT"]"#),
            (r#"{"showPermissionSets":false}"#, "showPermissionSets=false"),
            (r#"{"fromId":9007199254740993}"#, "fromId=9007199254740993"),
            (r#"{"a":1,"a":2}"#, "a=1&a=2"),
            (r#"{"symbol":"a&b=c+d%\u0041"}"#, "symbol=a%26b%3Dc%2Bd%25A"),
            ("{}", ""),
            ("null", ""),
        ] {
            let asked = format!("{:?}", asked(params).expect("parameters"));
            // The names of a map come in any order.
            let sorted = |text: String| {
                let mut parts: Vec<_> = text.split([',', '{', '}']).map(|part| part.trim().to_owned()).collect();
                parts.sort();
                parts
            };
            assert_eq!(sorted(asked), sorted(format!("{:?}", Parameters::of_query(query))), "{params}");
        }
        for (params, code) in
            [("[]", -1135), ("7", -1135), (r#"{"a":{}}"#, -1135), (r#"{"returnRateLimits":1}"#, -1130)]
        {
            assert_eq!(asked(params).err(), Some(code), "{params}");
        }
    }

    #[test]
    fn every_method_has_its_twin_with_and_without_a_version() {
        for endpoint in Endpoint::all() {
            for name in [endpoint.method().to_owned(), format!("v3/{}", endpoint.method())] {
                let text = format!(r#"{{"id":1,"method":"{name}"}}"#);
                assert_eq!(Request::parse(&text, true).expect("a request").endpoint(), Ok(endpoint));
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
            (request.shows_limits, format!("{:?}", request.parameters().expect("parameters")))
        };
        let nothing = format!("{:?}", Parameters::default());
        for default in [true, false] {
            assert_eq!(shows("{}", default), (default, nothing.clone()));
            assert_eq!(shows(r#"{"returnRateLimits":true}"#, default), (true, nothing.clone()));
            assert_eq!(shows(r#"{"returnRateLimits":false}"#, default), (false, nothing.clone()));
        }
    }
}
