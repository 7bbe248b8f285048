//! What a client asks for in a text message, read as Binance reads it: serde_json's own words for what is wrong.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

/// The id of a request as the client wrote it: an integer of 64 bits, a string of up to 36 letters, digits, `-` and
/// `_` (escaped or not), or `null`. It is echoed byte for byte, so nothing can be lost in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id<'a>(pub(super) &'a str);

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Subscribe(Vec<Cow<'a, str>>),
    Unsubscribe(Vec<Cow<'a, str>>),
    ListSubscriptions,
    SetCombined(bool),
    GetCombined,
}

/// Why nothing can be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal<'a> {
    pub(super) code: u8,
    pub(super) text: Cow<'static, str>,
    /// The request's id, where there was a legal one.
    pub(super) id: Option<Id<'a>>,
    /// Whether the session ends with it.
    pub(super) closes: bool,
}

/// Reads a request; keys in any order, unknown ones ignored.
pub(super) fn parse(text: &str) -> Result<(Id<'_>, Command<'_>), Refusal<'_>> {
    let fields = serde_json::from_str::<Fields<'_>>(text).map_err(|error| match error.classify() {
        Category::Data => refusal(2, format!("Invalid request: {error}"), None),
        _ => Refusal { closes: true, ..refusal(3, format!("Invalid JSON: {error}"), None) },
    })?;
    let id = fields
        .id
        .and_then(|raw| legal_id(raw.get()))
        .ok_or_else(|| refusal(2, "Invalid request: request ID must be an unsigned integer", None))?;
    command(text, &fields).map(|command| (id, command)).map_err(|refusal| Refusal { id: Some(id), ..refusal })
}

fn command<'a>(text: &'a str, fields: &Fields<'a>) -> Result<Command<'a>, Refusal<'a>> {
    let Some(method) = fields.method else { return Err(missing::<MethodField>(text)) };
    let method = serde_json::from_str::<Method>(method.get())
        .map_err(|error| refusal(2, format!("Invalid request: {}", without_position(&error)), None))?;
    match method {
        Method::Subscribe => Ok(Command::Subscribe(names(text, fields)?)),
        Method::Unsubscribe => Ok(Command::Unsubscribe(names(text, fields)?)),
        Method::ListSubscriptions => match params(fields)?.as_slice() {
            [] => Ok(Command::ListSubscriptions),
            _ => Err(too_many()),
        },
        Method::GetProperty => match property(&params(fields)?)? {
            [] => Ok(Command::GetCombined),
            _ => Err(too_many()),
        },
        Method::SetProperty => match property(&params(fields)?)? {
            [value] => serde_json::from_str(value.get()).map(Command::SetCombined).map_err(|_| not_boolean()),
            [] => Err(not_boolean()),
            _ => Err(too_many()),
        },
    }
}

/// The parameters behind the name of the property, of which there is one.
fn property<'a, 'b>(params: &'b [&'a RawValue]) -> Result<&'b [&'a RawValue], Refusal<'static>> {
    let name = params.first().and_then(|raw| serde_json::from_str::<Cow<'_, str>>(raw.get()).ok());
    match name.as_deref() {
        Some("combined") => Ok(&params[1..]),
        Some(_) => Err(refusal(0, "Unknown property", None)),
        None => Err(refusal(2, "Invalid request: property name must be a string", None)),
    }
}

fn names<'a>(text: &'a str, fields: &Fields<'a>) -> Result<Vec<Cow<'a, str>>, Refusal<'a>> {
    let Some(params) = fields.params else { return Err(missing::<ParamsField>(text)) };
    serde_json::from_str::<Vec<BorrowedText<'_>>>(params.get())
        .map(|names| names.into_iter().map(|BorrowedText(name)| name).collect())
        .map_err(|error| refusal(2, format!("Invalid request: {}", without_position(&error)), None))
}

fn params<'a>(fields: &Fields<'a>) -> Result<Vec<&'a RawValue>, Refusal<'a>> {
    // Some clients write the absence of parameters down.
    let Some(params) = fields.params.filter(|params| params.get() != "null") else { return Ok(Vec::new()) };
    serde_json::from_str(params.get())
        .map_err(|error| refusal(2, format!("Invalid request: {}", without_position(&error)), None))
}

fn legal_id(raw: &str) -> Option<Id<'_>> {
    let is_legal = match serde_json::from_str(raw) {
        Ok(BorrowedText(text)) => {
            text.len() <= 36 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        }
        Err(_) => raw == "null" || raw.parse::<i64>().is_ok(),
    };
    is_legal.then_some(Id(raw))
}

fn refusal(code: u8, text: impl Into<Cow<'static, str>>, id: Option<Id<'_>>) -> Refusal<'_> {
    Refusal { code, text: text.into(), id, closes: false }
}

fn too_many() -> Refusal<'static> {
    refusal(2, "Invalid request: too many parameters", None)
}

fn not_boolean() -> Refusal<'static> {
    refusal(1, "Invalid value type: expected Boolean", None)
}

/// serde_json's own report, position included, of a field that `text` lacks.
fn missing<'a, F: Deserialize<'a>>(text: &'a str) -> Refusal<'static> {
    let report = serde_json::from_str::<F>(text).err().map_or_else(String::new, |error| error.to_string());
    refusal(2, format!("Invalid request: {report}"), None)
}

/// The report without ` at line L column C`: positions inside a part say nothing about the whole, and Binance's newest
/// replies have none there.
fn without_position(error: &serde_json::Error) -> String {
    let mut report = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    if report.ends_with(&position) {
        report.truncate(report.len() - position.len());
    }
    report
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Method {
    Subscribe,
    Unsubscribe,
    ListSubscriptions,
    SetProperty,
    GetProperty,
}

#[derive(Deserialize)]
struct MethodField {
    #[serde(rename = "method")]
    _method: IgnoredAny,
}

#[derive(Deserialize)]
struct ParamsField {
    #[serde(rename = "params")]
    _params: IgnoredAny,
}

/// Text that borrows from the message where it has no escapes.
#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

/// The parts of a request, unread: what is wrong in one must not hide the id in another.
#[derive(Default)]
struct Fields<'a> {
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor).map(|fields: Fields<'de>| fields)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
        let mut fields = Fields::default();
        while let Some(BorrowedText(key)) = map.next_key()? {
            let (field, name) = match &*key {
                "method" => (&mut fields.method, "method"),
                "params" => (&mut fields.params, "params"),
                "id" => (&mut fields.id, "id"),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if field.replace(map.next_value()?).is_some() {
                return Err(M::Error::duplicate_field(name));
            }
        }
        Ok(fields)
    }
}
