//! What clients write behind the question mark, read as Binance reads it, and refused in its words (binance.md 10.4).

use crate::sim::{control::Query, door::Answer, frame::Unit};

/// A parameter that is missing or empty.
pub(in crate::sim) fn missing(name: &str) -> Answer {
    let text = format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed.");
    Answer::error(400, -1102, &text)
}

/// A parameter whose value means nothing.
pub(in crate::sim) fn invalid(name: &str) -> Answer {
    Answer::error(400, -1130, &format!("Data sent for parameter '{name}' is not valid."))
}

/// `symbol` and `symbols` at once.
pub(in crate::sim) fn both() -> Answer {
    let text =
        "Combination of optional parameters invalid. Recommendation: 'symbol' and 'symbols' cannot both be sent.";
    Answer::error(400, -1128, text)
}

/// The unit of times that a request asks for with its header.
pub(in crate::sim) fn unit_of(header: Option<&str>) -> Result<Unit, Answer> {
    let text = "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.";
    header.map_or(Some(Unit::Millisecond), Unit::parse).ok_or_else(|| Answer::error(400, -1194, text))
}

/// The names in a `symbols` parameter: a strict compact JSON array.
pub(in crate::sim) fn names_of(list: &str) -> Result<Vec<String>, Answer> {
    let illegal = || {
        let range = r#"^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$"#;
        let text = format!("Illegal characters found in parameter 'symbols'; legal range is '{range}'.");
        Answer::error(400, -1100, &text)
    };
    let names: Vec<String> = serde_json::from_str(list).map_err(|_| illegal())?;
    if list.contains(char::is_whitespace) || names.iter().any(|name| !is_legal_symbol(name)) {
        return Err(illegal());
    }
    let repeated = |(index, name): (usize, &String)| names[..index].contains(name);
    if names.iter().enumerate().any(repeated) {
        return Err(Answer::error(400, -1151, "Symbol is present multiple times in the list."));
    }
    Ok(names)
}

/// The `symbol` parameter, if Binance would read it as one.
pub(in crate::sim) fn symbol_of(query: &Query) -> Result<&str, Answer> {
    legal_symbol(query.get("symbol").filter(|name| !name.is_empty()).ok_or_else(|| missing("symbol"))?)
}

/// What an unknown symbol is answered with.
pub(in crate::sim) fn invalid_symbol() -> Answer {
    Answer::error(400, -1121, "Invalid symbol.")
}

/// A numeric parameter.
pub(in crate::sim) fn number(query: &Query, key: &str) -> Result<Option<i64>, Answer> {
    let Some(text) = query.get(key) else { return Ok(None) };
    let illegal = || {
        let text = format!("Illegal characters found in parameter '{key}'; legal range is '^[0-9]{{1,20}}$'.");
        Answer::error(400, -1100, &text)
    };
    text.parse::<i64>().ok().filter(|value| *value >= 0).map(Some).ok_or_else(illegal)
}

/// The `limit` parameter: `default` if absent, silently at most `most`.
pub(in crate::sim) fn limit(query: &Query, default: usize, most: usize) -> Result<usize, Answer> {
    let limit = number(query, "limit")?.unwrap_or(default as i64);
    if limit == 0 {
        return Err(invalid("limit"));
    }
    Ok(usize::try_from(limit).unwrap_or(most).min(most))
}

/// A symbol's name, if it is written like one.
pub(in crate::sim) fn legal_symbol(name: &str) -> Result<&str, Answer> {
    if is_legal_symbol(name) {
        return Ok(name);
    }
    let text = r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'.";
    Err(Answer::error(400, -1100, text))
}

fn is_legal_symbol(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "-._".contains(c) || !c.is_ascii();
    (1..=50).contains(&name.chars().count()) && name.chars().all(legal)
}
