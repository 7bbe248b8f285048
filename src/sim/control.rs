//! Binance's control protocol without I/O: what a client asks for in its URL and in its messages (binance.md section 6).

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;
use serde_json::{Value, value::RawValue};

use super::frame::Unit;

/// Streams per connection, as on Binance.
const STREAMS_MAX: usize = 1_024;

/// A decoded query string, in order.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes percent escapes as UTF-8; a plus sign stays one.
    pub(super) fn parse(query: &str) -> Self {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect(),
        )
    }

    /// The first value under `key`.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// All keys and values, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// The state of one client connection.
#[derive(Debug)]
pub(super) struct Control {
    /// Stream names as the client wrote them, in subscription order.
    pub(super) names: Vec<String>,
    pub(super) combined: bool,
    pub(super) unit: Unit,
}

/// What a message comes to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// To be sent, never wrapped.
    pub(super) reply: String,
    /// Whether the connection is closed (1008) after the reply.
    pub(super) close: bool,
    /// Names that are new.
    pub(super) added: Vec<String>,
    /// Names that are gone.
    pub(super) removed: Vec<String>,
}

impl Control {
    /// A connection opened with this path and query; `None` if there is no such path or time unit.
    pub(super) fn open(path: &str, query: &Query) -> Option<Self> {
        let path = percent_decode_str(path).decode_utf8_lossy();
        let (combined, streams) = match &*path {
            "/ws" | "/ws/" => (false, ""),
            "/stream" | "/stream/" => (true, query.get("streams").unwrap_or("")),
            path => (false, path.strip_prefix("/ws/")?),
        };
        let unit = query.get("timeUnit").map_or(Some(Unit::default()), Unit::parse)?;
        let mut control = Self { names: Vec::new(), combined, unit };
        control.add(streams.split('/').filter(|name| !name.is_empty()).take(STREAMS_MAX).map(str::to_owned));
        Some(control)
    }

    /// Takes in a text message.
    pub(super) fn message(&mut self, text: &str) -> Outcome {
        let request: Request = match serde_json::from_str(text) {
            Ok(request) => request,
            Err(error) => {
                let (code, prefix) = if error.is_data() { (2, "Invalid request") } else { (3, "Invalid JSON") };
                return Outcome::error(code, &format!("{prefix}: {error}"), None).closing(code == 3);
            }
        };
        let Some(id) = request.id.map(|id| id.get().to_owned()).filter(|id| is_id(id)) else {
            return Outcome::error(2, "Invalid request: request ID must be an unsigned integer", None);
        };
        self.run(&request.method, request.params, &id)
    }

    fn run(&mut self, method: &str, params: Vec<Value>, id: &str) -> Outcome {
        match method {
            "SUBSCRIBE" | "UNSUBSCRIBE" => {
                let names: Option<Vec<String>> = params
                    .into_iter()
                    .map(|name| if let Value::String(name) = name { Some(name) } else { None })
                    .collect();
                let Some(names) = names.filter(|names| names.iter().all(|name| is_stream(name))) else {
                    return Outcome::error(2, "Invalid request: invalid stream", Some(id)).closing(true);
                };
                if method == "UNSUBSCRIBE" {
                    let removed = self.remove(&names);
                    return Outcome { removed, ..Outcome::result("null", id) };
                }
                if self.names.len() + names.len() > STREAMS_MAX {
                    return Outcome::error(4, "Too many subscriptions", Some(id)).closing(true);
                }
                let added = self.add(names.into_iter());
                Outcome { added, ..Outcome::result("null", id) }
            }
            "LIST_SUBSCRIPTIONS" => Outcome::result(&Value::from(self.names.clone()).to_string(), id),
            "SET_PROPERTY" | "GET_PROPERTY" => self.property(method == "SET_PROPERTY", &params, id),
            other => {
                let names = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`";
                let message = format!("Invalid request: unknown variant `{other}`, expected one of {names}");
                Outcome::error(2, &message, Some(id))
            }
        }
    }

    fn property(&mut self, set: bool, params: &[Value], id: &str) -> Outcome {
        match params.first() {
            Some(Value::String(name)) if name == "combined" => {}
            Some(Value::String(_)) => return Outcome::error(0, "Unknown property", Some(id)),
            _ => return Outcome::error(2, "Invalid request: property name must be a string", Some(id)),
        }
        if !set {
            return Outcome::result(if self.combined { "true" } else { "false" }, id);
        }
        let Some(combined) = params.get(1).and_then(Value::as_bool) else {
            return Outcome::error(1, "Invalid value type: expected Boolean", Some(id));
        };
        self.combined = combined;
        Outcome::result("null", id)
    }

    fn add(&mut self, names: impl Iterator<Item = String>) -> Vec<String> {
        let mut added = Vec::new();
        for name in names {
            if !self.names.contains(&name) {
                self.names.push(name.clone());
                added.push(name);
            }
        }
        added
    }

    fn remove(&mut self, names: &[String]) -> Vec<String> {
        let (gone, kept) = std::mem::take(&mut self.names).into_iter().partition(|name| names.contains(name));
        self.names = kept;
        gone
    }
}

impl Outcome {
    fn result(result: &str, id: &str) -> Self {
        Self::reply(format!(r#"{{"result":{result},"id":{id}}}"#))
    }

    fn error(code: i32, message: &str, id: Option<&str>) -> Self {
        let mut reply = format!(r#"{{"error":{{"code":{code},"msg":{}}}"#, Value::from(message));
        if let Some(id) = id {
            let _ = write!(reply, ",\"id\":{id}");
        }
        reply.push('}');
        Self::reply(reply)
    }

    fn reply(reply: String) -> Self {
        Self { reply, close: false, added: Vec::new(), removed: Vec::new() }
    }

    fn closing(self, close: bool) -> Self {
        Self { close, ..self }
    }
}

#[derive(serde::Deserialize)]
struct Request<'a> {
    method: String,
    #[serde(default)]
    params: Vec<Value>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

/// An id that is there: without this, serde would take a `null` for one that is not.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    serde::Deserialize::deserialize(deserializer).map(Some)
}

/// Whether this JSON token is an id: a 64-bit integer, a string up to 36 characters, or null.
fn is_id(token: &str) -> bool {
    match serde_json::from_str(token) {
        Ok(Value::Null) => true,
        Ok(Value::Number(number)) => number.is_i64() || number.is_u64(),
        Ok(Value::String(text)) => text.chars().count() <= 36,
        _ => false,
    }
}

/// Whether this can be a stream name; whether there is such a stream is not asked (binance.md 6.1).
fn is_stream(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "@_!+:.-".contains(c) || !c.is_ascii();
    !name.is_empty() && name.chars().all(legal) && !name.contains("@@")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &str, query: &str) -> Option<Control> {
        Control::open(path, &Query::parse(query))
    }

    #[test]
    fn paths_and_queries_give_names() {
        let control = open("/stream", "streams=btcusdt@trade/ethusdt%40depth&timeUnit=MICROSECOND").expect("a path");
        assert_eq!(control.names, ["btcusdt@trade", "ethusdt@depth"]);
        assert!(control.combined && control.unit == Unit::Microsecond);
        assert_eq!(open("/ws/a@trade/b@trade", "").expect("a path").names, ["a@trade", "b@trade"]);
        assert!(open("/ws", "").is_some() && open("/stream", "streams=").is_some());
        assert!(open("/stream/x", "").is_none() && open("/foo", "").is_none());
        assert!(open("/ws", "timeUnit=second").is_none());
    }

    #[test]
    fn messages_are_answered_in_the_documented_bytes() {
        let mut control = open("/stream", "").expect("a path");
        let outcome = control.message(r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","x@depth5"],"id":"a-1"}"#);
        assert_eq!(outcome.reply, r#"{"result":null,"id":"a-1"}"#);
        assert_eq!(outcome.added, ["btcusdt@trade", "x@depth5"]);
        assert!(control.message(r#"{"id":1,"params":["x@depth5"],"method":"SUBSCRIBE"}"#).added.is_empty());
        let outcome = control.message(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":-2}"#);
        assert_eq!((outcome.reply.as_str(), outcome.removed.len()), (r#"{"result":null,"id":-2}"#, 1));
        let list = control.message(r#"{"method":"LIST_SUBSCRIPTIONS","id":null}"#);
        assert_eq!(list.reply, r#"{"result":["x@depth5"],"id":null}"#);
        let property = control.message(r#"{"method":"SET_PROPERTY","params":["combined",false],"id":4}"#);
        assert_eq!((property.reply.as_str(), control.combined), (r#"{"result":null,"id":4}"#, false));
    }

    #[test]
    fn wrong_messages_get_the_documented_errors() {
        let mut control = open("/ws", "").expect("a path");
        let unknown = control.message(r#"{"method":"FOO","params":[],"id":4}"#);
        assert!(unknown.reply.starts_with(r#"{"error":{"code":2,"msg":"Invalid request: unknown variant `FOO`"#));
        assert!(!unknown.close);
        let invalid = control.message(r#"{"method":"SUBSCRIBE","params":["@@@x###"],"id":1}"#);
        assert!(invalid.close && invalid.reply.contains("invalid stream"));
        assert!(control.message("nonsense").reply.starts_with(r#"{"error":{"code":3,"msg":"Invalid JSON"#));
        let no_id = control.message(r#"{"method":"LIST_SUBSCRIPTIONS"}"#);
        assert!(no_id.reply.contains("request ID must be"));
    }
}
