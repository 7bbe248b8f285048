//! Candles as rows of `/api/v3/klines` (binance.md section 10.2), from simd-json's tape.

use simd_json::{
    prelude::*,
    tape::{Array, Value},
};

use super::any_order::{is_error, volume};
use crate::{
    market::{Decimals, Event, EventKind, Events, InstrumentId, Interval, Kline, Nanos, Price, Series, Volume},
    normalise::{Refusal, unsigned},
};

/// Elements of a row, the unused last one included.
const ELEMENTS: usize = 12;

/// Reads the body of `/api/v3/klines` that was asked for `series`. One bad row refuses it all: a hole in a history that
/// claims to have none is worse than no history.
pub(super) fn klines(
    instrument: InstrumentId,
    decimals: Decimals,
    series: Series,
    root: Value<'_, '_>,
    events: &mut Events,
) -> Result<(), Refusal> {
    if root.as_object().is_some_and(|object| is_error(&object)) {
        return Err(Refusal::VenueError);
    }
    let mut last = None;
    for row in root.as_array().ok_or(Refusal::Malformed)?.iter() {
        let kline = kline(decimals, series, &row.as_array().ok_or(Refusal::Malformed)?)?;
        if last.is_some_and(|last| last >= kline.open_time) {
            return Err(Refusal::Malformed);
        }
        last = Some(kline.open_time);
        events.list.push(Event { instrument, time: None, kind: EventKind::Kline(kline) });
    }
    Ok(())
}

/// Open time, open, high, low, close, volume, close time, quote volume, trades, both volumes of buying takers, unused.
fn kline(decimals: Decimals, series: Series, row: &Array<'_, '_>) -> Result<Kline, Refusal> {
    if row.len() != ELEMENTS {
        return Err(Refusal::Malformed);
    }
    let mut elements = row.iter();
    let open_time = time(elements.next())?;
    let open = price(elements.next(), decimals)?;
    let high = price(elements.next(), decimals)?;
    let low = price(elements.next(), decimals)?;
    let close = price(elements.next(), decimals)?;
    let base_volume = sum(elements.next(), decimals.quantity)?;
    let close_time = time(elements.next())?;
    let quote_volume = sum(elements.next(), decimals.quote)?;
    let trades = integer(elements.next())?;
    let taker_volume = sum(elements.next(), decimals.quantity)?;
    let taker_quote_volume = sum(elements.next(), decimals.quote)?;
    if !is_of(series, open_time, close_time) || trades < 0 || low > high {
        return Err(Refusal::Malformed);
    }
    Ok(Kline {
        series,
        open_time,
        first_id: -1,
        last_id: -1,
        open,
        close,
        high,
        low,
        volume: base_volume,
        quote_volume,
        taker_volume,
        taker_quote_volume,
        trades,
        closed: false,
    })
}

/// Whether a candle between these times can be one of `series`: a host that ignores `interval` or `timeZone` answers
/// with others. Candles that an outage cut short are known; where those of three days begin nobody documents.
fn is_of(series: Series, open: Nanos, close: Nanos) -> bool {
    let begins_right = series.open_time(open) == open || series.interval() == Interval::Day3;
    begins_right && open <= close && close < series.next_open(open)
}

fn integer(element: Option<Value<'_, '_>>) -> Result<i64, Refusal> {
    element.and_then(|element| element.as_i64()).ok_or(Refusal::Malformed)
}

fn time(element: Option<Value<'_, '_>>) -> Result<Nanos, Refusal> {
    integer(element).map(Nanos::from_epoch_integer)
}

fn text<'input>(element: Option<Value<'_, 'input>>) -> Result<&'input str, Refusal> {
    element.and_then(|element| element.into_string()).ok_or(Refusal::Malformed)
}

fn price(element: Option<Value<'_, '_>>, decimals: Decimals) -> Result<Price, Refusal> {
    unsigned(text(element)?.as_bytes(), decimals.price).map(Price)
}

fn sum(element: Option<Value<'_, '_>>, decimals: u8) -> Result<Volume, Refusal> {
    volume(text(element)?, decimals)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        market::{Catalogue, Zone},
        normalise::print,
        venue::{Decode, Protocol, binance::Binance},
    };

    fn read(series: Series, body: &str) -> Result<Vec<Kline>, Refusal> {
        let mut catalogue = Catalogue::new();
        let venue = catalogue.add_venue("binance", None);
        let instrument = catalogue.add_instrument(venue, "BTCUSDT", "BTCUSDT");
        let mut events = Events::default();
        Binance.decoder(Arc::new(catalogue), venue).klines(instrument, series, body.as_bytes(), &mut events)?;
        let klines = events.list.iter().map(|event| match event.kind {
            EventKind::Kline(kline) if (event.instrument, event.time) == (instrument, None) => kline,
            other => panic!("{other:?}"),
        });
        Ok(klines.collect())
    }

    const TWO: &str = r#"[[1789000020000,"86704.77000000","86710.00000000","86700.01000000","86705.00000000","12.34567800",1789000079999,"1070453.21000000",308,"7.00000000","606935.00000000","0"],
        [1789000080000000,"86705.00000000","86705.00000000","86705.00000000","86705.00000000","0.00000000",1789000139999999,"0.00000000",0,"0.00000000","0.00000000","0"]]"#;

    #[test]
    fn rows_are_candles_in_either_unit_of_time() {
        let [first, second] = read(Series::MINUTE, TWO).expect("documented")[..] else { panic!("two rows") };
        let expected = Kline {
            series: Series::MINUTE,
            open_time: Nanos::from_millis(1_789_000_020_000),
            first_id: -1,
            last_id: -1,
            open: Price(8_670_477_000_000),
            high: Price(8_671_000_000_000),
            low: Price(8_670_001_000_000),
            close: Price(8_670_500_000_000),
            volume: Volume(1_234_567_800),
            quote_volume: Volume(107_045_321_000_000),
            taker_volume: Volume(700_000_000),
            taker_quote_volume: Volume(60_693_500_000_000),
            trades: 308,
            closed: false,
        };
        assert_eq!(first, expected);
        assert_eq!(second, Kline::empty(Series::MINUTE, Nanos::from_millis(1_789_000_080_000), Price(8_670_500_000_000)));
        assert_eq!(read(Series::MINUTE, "[]"), Ok(Vec::new()));
    }

    #[test]
    fn one_bad_row_refuses_all() {
        for (from, to, refusal) in [
            (r#","0"],"#, "],", Refusal::Malformed),
            (r#","0"],"#, r#","0","0"],"#, Refusal::Malformed),
            ("308", "\"308\"", Refusal::Malformed),
            ("308", "308.5", Refusal::Malformed),
            ("308", "-308", Refusal::Malformed),
            (r#""86710.00000000""#, "86710.0", Refusal::Malformed),
            (r#""86710.00000000""#, "null", Refusal::Malformed),
            ("86710.00000000", "-86710.00000000", Refusal::Number),
            ("86710.00000000", "86700.00000000", Refusal::Malformed),
            ("12.34567800", "12.345678001", Refusal::Number),
            ("12.34567800", "-12.34567800", Refusal::Number),
            ("1789000020000", "1789000020001", Refusal::Malformed),
            ("1789000079999", "1789000080000", Refusal::Malformed),
            ("1789000079999", "1789000019999", Refusal::Malformed),
            // Twice the same candle, and one before the other.
            ("1789000080000000", "1789000020000000", Refusal::Malformed),
            ("[[1789000020000", "[{},[1789000020000", Refusal::Malformed),
        ] {
            assert!(TWO.contains(from), "{from}");
            assert_eq!(read(Series::MINUTE, &TWO.replacen(from, to, 1)), Err(refusal), "{from} -> {to}");
        }
        for (body, refusal) in [
            (r#"{"code":-1120,"msg":"Invalid interval."}"#, Refusal::VenueError),
            ("{}", Refusal::Malformed),
            ("[1]", Refusal::Malformed),
            ("<html>", Refusal::Malformed),
            ("", Refusal::Malformed),
            (&TWO[..TWO.len() - 1], Refusal::Malformed),
        ] {
            assert_eq!(read(Series::MINUTE, body), Err(refusal), "{body}");
        }
    }

    #[test]
    fn candles_of_another_series_are_refused() {
        for series in [Series::SECOND, Series::HOUR, Series::new(Interval::Minute5, Zone::Utc)] {
            assert_eq!(read(series, TWO), Err(Refusal::Malformed), "{series:?}");
        }
        // A host that does not know `timeZone` answers with the days of UTC.
        let utc = r#"[[1788998400000,"1","1","1","1","1",1789084799999,"1",1,"1","1","0"]]"#;
        assert!(read(Series::new(Interval::Day1, Zone::Utc), utc).is_ok());
        assert_eq!(read(Series::new(Interval::Day1, Zone::Plus8), utc), Err(Refusal::Malformed));
        let plus8 = r#"[[1788969600000,"1","1","1","1","1",1789055999999,"1",1,"1","1","0"]]"#;
        assert!(read(Series::new(Interval::Day1, Zone::Plus8), plus8).is_ok());
        assert_eq!(read(Series::new(Interval::Day1, Zone::Utc), plus8), Err(Refusal::Malformed));
    }

    /// As the venue would print it.
    fn printed(kline: &Kline) -> String {
        let price = |price: Price| print(price.0, 8);
        let sum = |sum: Volume| format!("{}.{:08}", sum.0 / 100_000_000, sum.0 % 100_000_000);
        let (open, close) = (kline.open_time.millis(), kline.end().millis() - 1);
        format!(
            r#"[{open},"{}","{}","{}","{}","{}",{close},"{}",{},"{}","{}","0"]"#,
            price(kline.open),
            price(kline.high),
            price(kline.low),
            price(kline.close),
            sum(kline.volume),
            sum(kline.quote_volume),
            kline.trades,
            sum(kline.taker_volume),
            sum(kline.taker_quote_volume),
        )
    }

    prop_compose! {
        fn any_kline()(
            prices in prop::array::uniform4(0..=i64::MAX),
            sums in prop::array::uniform4(0..=i128::from(u64::MAX) * 1_000),
            trades in 0..=i64::MAX,
        ) -> Kline {
            let [low, a, b, high] = { let mut sorted = prices; sorted.sort_unstable(); sorted.map(Price) };
            let [volume, quote_volume, taker_volume, taker_quote_volume] = sums.map(Volume);
            Kline {
                open: a, close: b, high, low, volume, quote_volume, taker_volume, taker_quote_volume, trades,
                ..Kline::empty(Series::MINUTE, Nanos(0), a)
            }
        }
    }

    proptest! {
        #[test]
        fn printed_candles_are_read_back(
            klines in prop::collection::vec(any_kline(), 0..5),
            series in 0..Series::COUNT,
            from in 1_500_000_000_000_i64..2_000_000_000_000,
        ) {
            let series = Series::ALL[series];
            let mut open_time = series.open_time(Nanos::from_millis(from));
            let klines: Vec<_> = klines.into_iter().map(|kline| {
                let kline = Kline { series, open_time, ..kline };
                open_time = kline.end();
                kline
            }).collect();
            let body = format!("[{}]", klines.iter().map(printed).collect::<Vec<_>>().join(","));
            prop_assert_eq!(read(series, &body), Ok(klines), "{}", body);
        }

        #[test]
        fn damage_is_read_or_refused(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            end in any::<prop::sample::Index>(),
        ) {
            let mut body = TWO.as_bytes().to_vec();
            for (at, byte) in changes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            body.truncate(end.index(body.len() + 1));
            let _ = read(Series::MINUTE, &String::from_utf8_lossy(&body));
        }
    }
}
