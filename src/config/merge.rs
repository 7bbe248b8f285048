//! Layers of settings, each over the one before, and the errors a person can make in them.

use std::{collections::BTreeSet, fmt::Display};

use serde::Deserialize;
use thiserror::Error;
use toml::{Table, Value};

use super::{Config, values::Values};

/// What lies over the defaults, weakest first.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Name and text of the file given with `--config`.
    pub file: Option<(String, String)>,
    /// Environment variables; those beginning with `TICKCAST__` count, `__` parts the sections.
    pub environment: Vec<(String, String)>,
    /// Settings from flags: dotted key and text.
    pub flags: Vec<(String, String)>,
}

/// What is wrong with a configuration, for a person.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Not TOML, or a value of the wrong type.
    #[error("{origin}: {message}")]
    Invalid {
        /// File name, variable or flag.
        origin: String,
        /// What, where.
        message: String,
    },
    /// A key that does not exist.
    #[error("{origin}: unknown key `{key}`{hint}; `tickcast default-config` prints every key")]
    UnknownKey {
        /// File name, variable or flag.
        origin: String,
        /// The key as given, dotted.
        key: String,
        /// `, did you mean ...?` where something is near.
        hint: String,
    },
    /// A value outside its limits.
    #[error("`{key}` is {value}: {expected}")]
    OutOfRange {
        /// The key, dotted.
        key: String,
        /// The value as text.
        value: String,
        /// What it has to be.
        expected: String,
    },
}

const PREFIX: &str = "TICKCAST__";

pub(super) fn merge(defaults: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    let mut merged = parse("built-in defaults", defaults)?;
    let known = known_keys(&merged);
    if let Some((name, text)) = &overrides.file {
        let layer = parse(name, text)?;
        lay_over(&mut merged, layer, name, "", &known)?;
    }
    for (name, text) in &overrides.environment {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        set(&mut merged, &path.to_lowercase().replace("__", "."), text, name, &known)?;
    }
    for (key, text) in &overrides.flags {
        set(&mut merged, key, text, &format!("--set {key}"), &known)?;
    }
    let origin = || overrides.file.as_ref().map_or("configuration", |(name, _)| name).to_owned();
    if let Some(key) = missing_key(&merged) {
        let message = format!("`{key}` is missing; config/binance.toml has whole venues as examples");
        return Err(ConfigError::Invalid { origin: origin(), message });
    }
    let values = Values::of(&merged);
    let mut config = Config::deserialize(Value::Table(merged))
        .map_err(|error| ConfigError::Invalid { origin: origin(), message: with_value(&error.to_string(), &values) })?;
    config.values = values;
    Ok(config)
}

/// What a venue lacks without which it is none, as `venues.1.ws_url`: serde would name neither the venue nor a way out.
fn missing_key(merged: &Table) -> Option<String> {
    let venues = merged.get("venues")?.as_array()?.iter().filter_map(Value::as_table);
    let lacking = |venue: &Table| VENUE_KEYS.into_iter().find(|key| !venue.contains_key(*key));
    venues.zip(1..).find_map(|(venue, number)| Some(format!("venues.{number}.{}", lacking(venue)?)))
}

/// What every venue has to have.
const VENUE_KEYS: [&str; 5] = ["name", "kind", "ws_url", "rest_url", "symbols"];

fn parse(origin: &str, text: &str) -> Result<Table, ConfigError> {
    text.parse::<Table>().map_err(|error| {
        let message = if SECRETS.iter().any(|secret| text.contains(secret)) {
            // The full message quotes the line, which may be one with a key.
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            format!("line {}: {}", before.matches('\n').count() + 1, error.message())
        } else {
            error.to_string().trim_end().to_owned()
        };
        ConfigError::Invalid { origin: origin.to_owned(), message }
    })
}

/// The last part of the keys whose values no message repeats.
const SECRETS: [&str; 2] = ["api_keys", "admin_key"];

/// Whether the values of a key are nobody's business.
pub(super) fn is_secret(key: &str) -> bool {
    SECRETS.iter().any(|secret| key.ends_with(secret))
}

/// A value as messages show it.
fn shown(key: &str, value: impl Display) -> String {
    if is_secret(key) { "something else (not shown)".to_owned() } else { value.to_string() }
}

fn lay_over(
    base: &mut Table,
    layer: Table,
    origin: &str,
    path: &str,
    known: &BTreeSet<String>,
) -> Result<(), ConfigError> {
    for (key, value) in layer {
        let dotted = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if !known.contains(&dotted) {
            return Err(unknown(origin, &dotted, known));
        }
        match (base.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(layer)) => lay_over(inner, layer, origin, &dotted, known)?,
            (Some(old), new) => {
                check_type(origin, &dotted, old, &new)?;
                check_members(origin, &dotted, &new, known)?;
                *old = fit(old, new);
            }
            (None, _) => return Err(unknown(origin, &dotted, known)),
        }
    }
    Ok(())
}

/// `rate = 1` where a fraction is meant is no mistake.
fn fit(old: &Value, new: Value) -> Value {
    match (old, new) {
        (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
        (_, new) => new,
    }
}

fn check_type(origin: &str, key: &str, old: &Value, new: &Value) -> Result<(), ConfigError> {
    if old.same_type(new) || matches!((old, new), (Value::Float(_), Value::Integer(_))) {
        return Ok(());
    }
    Err(ConfigError::Invalid {
        origin: origin.to_owned(),
        message: format!(
            "`{key}` has to be {}, found {}",
            article(old.type_str()),
            shown(key, format_args!("{} `{new}`", article(new.type_str())))
        ),
    })
}

/// The tables inside an array (`[[venues]]`) know their keys too.
fn check_members(origin: &str, key: &str, value: &Value, known: &BTreeSet<String>) -> Result<(), ConfigError> {
    let Value::Array(members) = value else { return Ok(()) };
    if is_secret(key) {
        // Its own type refuses tables, and repeats nothing of them.
        return Ok(());
    }
    for name in members.iter().filter_map(Value::as_table).flat_map(Table::keys) {
        let dotted = format!("{key}.{name}");
        if !known.contains(&dotted) {
            return Err(unknown(origin, &dotted, known));
        }
    }
    Ok(())
}

fn set(merged: &mut Table, key: &str, text: &str, origin: &str, known: &BTreeSet<String>) -> Result<(), ConfigError> {
    let invalid = |message| ConfigError::Invalid { origin: origin.to_owned(), message };
    if let Some(list) = list_around(merged, key) {
        return Err(invalid(format!(
            "`{key}` is inside `{list}`, which is a list and set whole: in a file (--config), or {list}=[...]"
        )));
    }
    if !known.contains(key) {
        return Err(unknown(origin, key, known));
    }
    let parts: Vec<&str> = key.split('.').collect();
    let (last, sections) = parts.split_last().expect("split yields at least one part");
    let mut table = &mut *merged;
    for section in sections {
        table = match table.get_mut(*section) {
            Some(Value::Table(inner)) => inner,
            _ => return Err(unknown(origin, key, known)),
        };
    }
    let Some(old) = table.get_mut(*last) else { return Err(unknown(origin, key, known)) };
    // A bare word is a text; everything else is what TOML says it is.
    let new = match old {
        Value::String(_) => Value::String(text.to_owned()),
        _ => format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value")).ok_or_else(
            || {
                let found = shown(key, format_args!("`{text}`"));
                invalid(format!("`{key}` has to be {}, found {found}", article(old.type_str())))
            },
        )?,
    };
    check_type(origin, key, old, &new)?;
    check_members(origin, key, &new, known)?;
    *old = fit(old, new);
    Ok(())
}

/// The list that `key` would lie in.
fn list_around<'k>(merged: &Table, key: &'k str) -> Option<&'k str> {
    let mut table = merged;
    for (at, _) in key.match_indices('.') {
        let section = key[..at].rsplit('.').next().unwrap_or_default();
        match table.get(section)? {
            Value::Table(inner) => table = inner,
            Value::Array(_) => return Some(&key[..at]),
            _ => return None,
        }
    }
    None
}

fn unknown(origin: &str, key: &str, known: &BTreeSet<String>) -> ConfigError {
    let leaf = |dotted: &str| dotted.rsplit('.').next().unwrap_or_default().to_owned();
    let near = known
        .iter()
        .map(|candidate| {
            let whole = strsim::jaro_winkler(key, candidate);
            // A right name in the wrong section is the commonest mistake.
            (if leaf(key) == leaf(candidate) { 1.0 + whole } else { whole }, candidate)
        })
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = near.map_or(String::new(), |(_, candidate)| format!(", did you mean `{candidate}`?"));
    ConfigError::UnknownKey { origin: origin.to_owned(), key: key.to_owned(), hint }
}

fn known_keys(defaults: &Table) -> BTreeSet<String> {
    fn walk(table: &Table, path: &str, keys: &mut BTreeSet<String>) {
        for (key, value) in table {
            let dotted = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match value {
                Value::Table(inner) => walk(inner, &dotted, keys),
                Value::Array(members) => {
                    members.iter().filter_map(Value::as_table).for_each(|member| walk(member, &dotted, keys));
                }
                _ => {}
            }
            keys.insert(dotted);
        }
    }
    let mut keys = BTreeSet::new();
    walk(defaults, "", &mut keys);
    keys
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// The message in one line; where it names a key at its end, with what that key was set to.
fn with_value(text: &str, values: &Values) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let key = text.strip_suffix('`').and_then(|rest| rest.rsplit_once('`')).map(|(_, key)| key);
    match key.and_then(|key| values.shown(key)) {
        Some(value) => format!("{text}: {value}"),
        None => text,
    }
}
