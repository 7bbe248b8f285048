//! Parameters read strictly, by Binance's rules. Surplus ones are left alone: that is safe for clients.

mod spelling;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, hash_map::Entry},
    time::Duration,
};

use percent_encoding::percent_decode_str;

use self::spelling::{is_symbol, list_of};
use super::Refusal;
use crate::{
    market::{Interval, Nanos, Status},
    topic::TimeUnit,
};

/// 2017-01-01: times before it are read as it.
const TIME_LEAST: Nanos = Nanos::from_millis(1_483_228_800_000);
/// How far into the future a time may lie before it is read as that.
const TIME_AHEAD_MAX: Duration = Duration::from_secs(10);

/// From here on an integer counts microseconds: as milliseconds it would be the year 5138.
const MICROS_LEAST: i64 = 100_000_000_000_000;
/// Nanoseconds of either unit.
const MILLI: i64 = 1_000_000;
const MICRO: i64 = 1_000;

/// The parameters of one request: names and values as text, decoded.
///
/// A value of the WS-API that is no text is its compact JSON: `5`, `true`, `["BTCUSDT","ETHUSDT"]`.
#[derive(Clone, Debug, Default)]
pub struct Parameters<'a> {
    by_name: HashMap<Cow<'a, str>, Cow<'a, str>>,
    /// A name that came twice.
    repeated: Option<Cow<'a, str>>,
}

/// Which fields a statistic shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `type=FULL`
    Full,
    /// `type=MINI`
    Mini,
}

/// Which symbols a request names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Symbols<'a> {
    /// `symbol=`: the answer is one object.
    One(&'a str),
    /// `symbols=`: the answer is an array.
    Many(Vec<&'a str>),
    /// Neither: the answer is an array of all.
    All,
}

impl<'a> Parameters<'a> {
    /// Parameters by name. Nothing is refused here: what is wrong is found where it is read.
    pub fn new(pairs: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Self {
        let mut parameters = Self::default();
        for (name, value) in pairs {
            match parameters.by_name.entry(name) {
                Entry::Vacant(vacant) => _ = vacant.insert(value),
                Entry::Occupied(occupied) => _ = parameters.repeated.get_or_insert(occupied.key().clone()),
            }
        }
        parameters
    }

    /// Splits the text behind the `?`.
    pub fn of_query(text: &'a str) -> Self {
        Self::new(text.split('&').filter(|part| !part.is_empty()).map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name), decode(value))
        }))
    }

    /// Refuses a name that came twice, whether it means anything or not.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        self.repeated.as_ref().map_or(Ok(()), |name| Err(Refusal::duplicate(name)))
    }

    /// The value of `name`.
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.by_name.get(name) {
            None => Ok(None),
            Some(value) if value.is_empty() => Err(Refusal::empty(name)),
            Some(value) => Ok(Some(value)),
        }
    }

    /// The value of `name`, which has to be there.
    fn mandatory(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name)?.ok_or_else(|| Refusal::missing(name))
    }

    /// The mandatory `symbol`, well-formed.
    pub(super) fn symbol(&self) -> Result<&str, Refusal> {
        let symbol = self.mandatory("symbol")?;
        if is_symbol(symbol) { Ok(symbol) } else { Err(Refusal::illegal_symbol("symbol")) }
    }

    /// `symbol`, `symbols` or neither, well-formed and without repetition.
    pub(super) fn symbols(&self) -> Result<Symbols<'_>, Refusal> {
        match (self.get("symbol")?, self.get("symbols")?) {
            (None, None) => Ok(Symbols::All),
            (Some(_), None) => self.symbol().map(Symbols::One),
            (None, Some(list)) => {
                let symbols = list_of(list, is_symbol).ok_or_else(|| Refusal::illegal_symbols("symbols"))?;
                let mut seen = HashSet::new();
                if symbols.iter().all(|symbol| seen.insert(*symbol)) {
                    Ok(Symbols::Many(symbols))
                } else {
                    Err(Refusal::repeated_symbol())
                }
            }
            (Some(_), Some(_)) => Err(Refusal::combination("'symbol' and 'symbols' cannot both be sent.")),
        }
    }

    /// `limit` from 1 on; more than `most` is read as that.
    pub(super) fn limit(&self, default: usize, most: usize) -> Result<usize, Refusal> {
        match self.integer("limit")? {
            None => Ok(default),
            Some(0) => Err(Refusal::not_valid("limit")),
            Some(limit) => Ok(usize::try_from(limit).unwrap_or(most).min(most)),
        }
    }

    /// An integer that is not negative.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.get(name)? else { return Ok(None) };
        if text.len() > 20 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::illegal_integer(name));
        }
        text.parse().map(Some).map_err(|_| Refusal::overflowed(name))
    }

    /// `startTime` in ms or us, moved into the range that has data.
    pub(super) fn start_time(&self, now: Nanos) -> Result<Option<Nanos>, Refusal> {
        Ok(self.time("startTime", now)?.map(|(first, _)| first))
    }

    /// `endTime`, read alike: the last instant of the millisecond or microsecond, all of which it includes. A time that an
    /// answer printed is found again by it, and windows that do not overlap leave nothing out.
    pub(super) fn end_time(&self, now: Nanos) -> Result<Option<Nanos>, Refusal> {
        Ok(self.time("endTime", now)?.map(|(_, last)| last))
    }

    /// The first and the last instant of the millisecond or microsecond that is named.
    fn time(&self, name: &str, now: Nanos) -> Result<Option<(Nanos, Nanos)>, Refusal> {
        let most = now.plus(TIME_AHEAD_MAX).max(TIME_LEAST);
        Ok(self.integer(name)?.map(|value| {
            let (first, length) = match value {
                ..MICROS_LEAST => (Nanos::from_millis(value), MILLI),
                _ => (Nanos::from_micros(value), MICRO),
            };
            let first = first.clamp(TIME_LEAST, most);
            (first, Nanos(first.0 + length - 1))
        }))
    }

    /// The mandatory `interval`.
    pub(super) fn interval(&self) -> Result<Interval, Refusal> {
        Interval::parse(self.mandatory("interval")?).ok_or_else(Refusal::invalid_interval)
    }

    /// `timeZone` as nanoseconds east of UTC.
    pub(super) fn zone_offset(&self) -> Result<i64, Refusal> {
        match self.get("timeZone")? {
            None => Ok(0),
            Some(text) => spelling::zone_offset(text).ok_or_else(|| Refusal::not_valid("timeZone")),
        }
    }

    /// `windowSize`; a day if there is none.
    pub(super) fn window(&self) -> Result<Duration, Refusal> {
        let text = self.get("windowSize")?.unwrap_or("1d");
        spelling::window(text).ok_or_else(|| Refusal::not_valid("windowSize"))
    }

    /// `type`.
    pub(super) fn form(&self) -> Result<Form, Refusal> {
        match self.get("type")? {
            None | Some("FULL") => Ok(Form::Full),
            Some("MINI") => Ok(Form::Mini),
            Some(_) => Err(Refusal::invalid_ticker_type()),
        }
    }

    /// `symbolStatus`.
    pub(super) fn status(&self) -> Result<Option<Status>, Refusal> {
        match self.get("symbolStatus")? {
            None => Ok(None),
            Some("TRADING") => Ok(Some(Status::Trading)),
            Some("HALT") => Ok(Some(Status::Halt)),
            Some("BREAK") => Ok(Some(Status::Break)),
            Some(_) => Err(Refusal::invalid_status()),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.get(name)? {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(Refusal::not_valid(name)),
        }
    }

    /// `permissions`: one name or an array of them; `None`: any.
    pub(super) fn permissions(&self) -> Result<Option<Vec<&str>>, Refusal> {
        let Some(text) = self.get("permissions")? else { return Ok(None) };
        let list = if is_symbol(text) { Some(vec![text]) } else { list_of(text, is_symbol) };
        list.map(Some).ok_or_else(|| Refusal::illegal_symbols("permissions"))
    }
}

/// The header `X-MBX-TIME-UNIT`, in exactly the documented spellings.
pub(super) fn time_unit(header: Option<&str>) -> Result<TimeUnit, Refusal> {
    match header {
        None | Some("MILLISECOND" | "millisecond") => Ok(TimeUnit::Milliseconds),
        Some("MICROSECOND" | "microsecond") => Ok(TimeUnit::Microseconds),
        Some(_) => Err(Refusal::time_unit()),
    }
}

fn decode(text: &str) -> Cow<'_, str> {
    // A query is a form: `+` is a space (and a space is legal nowhere). Bytes that are no UTF-8 become U+FFFD, likewise.
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(result: Result<T, Refusal>) -> i32 {
        result.map_or_else(|refusal| refusal.code, |_| 0)
    }

    #[test]
    fn symbols_are_upper_case_of_any_script() {
        for (text, expected) in [
            ("symbol=BTCUSDT", 0),
            ("symbol=A-B_C.9", 0),
            ("symbol=%E5%B8%81USDT", 0),
            ("symbol=btcusdt", -1100),
            ("symbol=BTC%20USDT", -1100),
            ("symbol=BTC+USDT", -1100),
            ("symbol=%FF", -1100),
            ("symbol=%22", -1100),
            ("symbol=", -1105),
            ("symbol", -1105),
            ("", -1102),
            ("Symbol=BTCUSDT", -1102),
        ] {
            assert_eq!(code(Parameters::of_query(text).symbol()), expected, "{text}");
        }
        assert_eq!(code(Parameters::of_query("a=1&b=1&a=2").check()), -1101);
        assert_eq!(code(Parameters::of_query("a=1&b=1&").check()), 0);
        assert_eq!(code(Parameters::of_query(&format!("symbol={}", "A".repeat(50))).symbol()), 0);
        assert_eq!(code(Parameters::of_query(&format!("symbol={}", "A".repeat(51))).symbol()), -1100);
    }

    #[test]
    fn lists_are_compact_json_arrays_without_repetition() {
        let parameters = Parameters::of_query("symbols=%5B%22A%22,%22B%22%5D");
        assert_eq!(parameters.symbols(), Ok(Symbols::Many(vec!["A", "B"])));
        assert_eq!(Parameters::of_query("symbols=[]").symbols(), Ok(Symbols::Many(vec![])));
        assert_eq!(Parameters::of_query("x=1").symbols(), Ok(Symbols::All));
        for (text, expected) in [
            (r#"symbols=["A", "B"]"#, -1100),
            (r#"symbols=["A",%20"B"]"#, -1100),
            (r#"symbols=["A",+"B"]"#, -1100),
            (r#"symbols=["a"]"#, -1100),
            (r#"symbols=[A]"#, -1100),
            (r#"symbols=["A""#, -1100),
            (r#"symbols=[""]"#, -1100),
            (r#"symbols=["A",]"#, -1100),
            (r#"symbols=["#, -1100),
            (r#"symbols=["A","A"]"#, -1151),
            (r#"symbols=["A"]&symbol=A"#, -1128),
            ("symbols=", -1105),
        ] {
            assert_eq!(code(Parameters::of_query(text).symbols()), expected, "{text}");
        }
    }

    #[test]
    fn limits_are_clamped_above_and_refused_below() {
        let limit = |text| Parameters::of_query(text).limit(100, 5000);
        assert_eq!(limit(""), Ok(100));
        assert_eq!(limit("limit=1"), Ok(1));
        assert_eq!(limit("limit=5000"), Ok(5000));
        assert_eq!(limit("limit=9999999"), Ok(5000));
        for (text, expected) in [
            ("limit=0", -1130),
            ("limit=-1", -1100),
            ("limit=1.5", -1100),
            ("limit=abc", -1100),
            ("limit=", -1105),
            ("limit=99999999999999999999", -1108),
            ("limit=100000000000000000000", -1100),
        ] {
            assert_eq!(code(limit(text)), expected, "{text}");
        }
    }

    #[test]
    fn times_are_read_in_ms_and_us_and_moved_into_range() {
        let now = Nanos::from_millis(1_789_000_000_000);
        let time = |text| Parameters::of_query(text).start_time(now).expect("a time");
        assert_eq!(time(""), None);
        assert_eq!(time("startTime=1788999999999"), Some(Nanos::from_millis(1_788_999_999_999)));
        assert_eq!(time("startTime=1788999999999123"), Some(Nanos::from_micros(1_788_999_999_999_123)));
        assert_eq!(time("startTime=0"), Some(TIME_LEAST));
        assert_eq!(
            time("startTime=1788999999"),
            Some(TIME_LEAST),
            "a count of seconds is one of milliseconds, long ago"
        );
        assert_eq!(time("startTime=9223372036854775807"), Some(Nanos::from_millis(1_789_000_010_000)));
        assert_eq!(code(Parameters::of_query("startTime=x").start_time(now)), -1100);
    }

    #[test]
    fn an_end_includes_all_of_its_millisecond_or_microsecond() {
        let now = Nanos::from_millis(1_789_000_000_000);
        let end = |text| Parameters::of_query(text).end_time(now).expect("a time");
        assert_eq!(end(""), None);
        assert_eq!(end("endTime=1788999999998"), Some(Nanos(1_788_999_999_998_999_999)));
        assert_eq!(end("endTime=1788999999998123"), Some(Nanos(1_788_999_999_998_123_999)));
        assert_eq!(end("endTime=0"), Some(Nanos(TIME_LEAST.0 + 999_999)));
        assert_eq!(code(Parameters::of_query("endTime=x").end_time(now)), -1100);
    }

    #[test]
    fn time_units_statuses_and_flags_are_spelled_exactly() {
        assert_eq!(time_unit(None), Ok(TimeUnit::Milliseconds));
        assert_eq!(time_unit(Some("microsecond")), Ok(TimeUnit::Microseconds));
        assert_eq!(code(time_unit(Some("Microsecond"))), -1194);
        assert_eq!(code(time_unit(Some(""))), -1194);
        assert_eq!(Parameters::of_query("symbolStatus=HALT").status(), Ok(Some(Status::Halt)));
        assert_eq!(code(Parameters::of_query("symbolStatus=halt").status()), -1122);
        assert_eq!(Parameters::of_query("f=false").flag("f", true), Ok(false));
        assert_eq!(code(Parameters::of_query("f=0").flag("f", true)), -1130);
        assert_eq!(Parameters::of_query("permissions=SPOT").permissions(), Ok(Some(vec!["SPOT"])));
        assert_eq!(Parameters::of_query(r#"permissions=["A","B"]"#).permissions(), Ok(Some(vec!["A", "B"])));
        assert_eq!(code(Parameters::of_query("permissions=spot").permissions()), -1100);
    }
}
