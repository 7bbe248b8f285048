use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    market::{AggTrade, Catalogue, EventKind, Events, Instrument, InstrumentId, Interval, Listing, Status, VenueId, Zone},
    venue::{
        Decode, Protocol, RestRequest,
        kraken::{Decoder, Kraken},
    },
};

const BTC: InstrumentId = InstrumentId(0);
const SHIB: InstrumentId = InstrumentId(1);

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("kraken", None);
    for native in ["BTC/USD", "SHIB/USD", "DOGE/BTC", "ETH/EUR"] {
        catalogue.add_instrument(venue, native, &Kraken::symbol(native));
    }
    // Cheap coins have fewer decimals in quantities than in prices.
    catalogue.instrument(SHIB).list(Listing {
        native: "SHIB/USD".to_owned(),
        base: "SHIB".to_owned(),
        quote: "USD".to_owned(),
        decimals: Decimals { price: 9, quantity: 5, quote: 9, checksum_price: 9, checksum_quantity: 5 },
        status: Status::Trading,
        tick_size: "0.000000001".to_owned(),
        step_size: "0.00001".to_owned(),
        binance_info: None,
    });
    catalogue
}

fn kraken() -> Kraken {
    Kraken::new(10, 1).expect("an offered depth")
}

fn decoder() -> Decoder {
    kraken().decoder(Arc::new(catalogue()), VenueId(0))
}

fn klines(instrument: InstrumentId, series: Series, body: &str) -> Result<Vec<Kline>, Refusal> {
    let mut events = Events::default();
    decoder().klines(instrument, series, body.as_bytes(), &mut events)?;
    let kline = |kind| if let EventKind::Kline(kline) = kind { kline } else { panic!("{kind:?}") };
    Ok(events.list.iter().map(|event| kline(event.kind)).collect())
}

const OHLC: &str = r#"{"error":[],"result":{"XXBTZUSD":[[1688671200,"30306.1","30306.2","30305.7","30305.7","30306.1","3.39243896",23],
    [1688671260, "30305.7", "30305.7", "30305.7", "30305.7", "0.0", "0.00000000", 0]],"last":1688671260}}"#;

#[test]
fn candles_get_their_quote_volume_from_the_mean_price() {
    let [first, second] = klines(BTC, Series::MINUTE, OHLC).expect("documented")[..] else { panic!("two rows") };
    let expected = Kline {
        series: Series::MINUTE,
        open_time: Nanos(1_688_671_200_000_000_000),
        first_id: -1,
        last_id: -1,
        open: Price(3_030_610_000_000),
        high: Price(3_030_620_000_000),
        low: Price(3_030_570_000_000),
        close: Price(3_030_570_000_000),
        volume: Volume(339_243_896),
        // 30306.1 times 3.39243896 is 102811.594365656: to the nearest of eight places.
        quote_volume: Volume(10_281_159_436_566),
        taker_volume: Volume(0),
        taker_quote_volume: Volume(0),
        trades: 23,
        closed: false,
    };
    assert_eq!(first, expected);
    let empty = Kline::empty(Series::MINUTE, Nanos(1_688_671_260_000_000_000), Price(3_030_570_000_000));
    assert_eq!(second, empty);
}

#[test]
fn volumes_of_cheap_coins_exceed_64_bits() {
    let body = r#"{"error":[],"result":{"SHIBUSD":[[1688601600,"0.000007412","0.000007500","0.000007400","0.000007450","0.000007443","123456789012345678.12345",99]],"last":1}}"#;
    let day = Series::new(Interval::Day1, Zone::Utc);
    let candle = klines(SHIB, day, body).expect("documented")[0];
    assert_eq!(candle.volume, Volume(12_345_678_901_234_567_812_345));
    // 7443 * 12345678901234567812345 / 10^5.
    assert_eq!(candle.quote_volume, Volume(918_888_880_618_888_882_273));
}

#[test]
fn what_is_no_candle_of_the_series_refuses_the_body() {
    for (from, to, refusal) in [
        ("\"error\":[]", "\"error\":[\"EQuery:Unknown asset pair\"]", Refusal::VenueError),
        (",23]", "]", Refusal::Malformed),
        (",23]", ",23,1]", Refusal::Malformed),
        (",23]", ",-23]", Refusal::Malformed),
        (",23]", ",2.3]", Refusal::Number),
        ("\"30306.2\"", "30306.2", Refusal::Malformed),
        ("\"30306.2\"", "\"30300.0\"", Refusal::Malformed),
        ("3.39243896", "-3.39243896", Refusal::Malformed),
        ("3.39243896", "3.392438961", Refusal::Number),
        ("[1688671260", "[1688671200", Refusal::Malformed),
        ("[1688671260", "[1688671261", Refusal::Malformed),
        ("\"last\":1688671260", "\"OTHER\":[]", Refusal::Malformed),
        ("\"XXBTZUSD\":", "\"XXBTZUSD\":1,\"x\":1}}", Refusal::Malformed),
        ("1688671260}}", "1688671260}} x", Refusal::Malformed),
    ] {
        assert!(OHLC.contains(from), "{from}");
        assert_eq!(klines(BTC, Series::MINUTE, &OHLC.replacen(from, to, 1)), Err(refusal), "{from} -> {to}");
    }
    for body in ["", "[]", "{}", "<html>", r#"{"error":[]}"#, r#"{"error":[],"result":{}}"#] {
        assert_eq!(klines(BTC, Series::MINUTE, body), Err(Refusal::Malformed), "{body}");
    }
    // Weeks that begin on a Thursday are not those that we serve.
    let week = r#"{"error":[],"result":{"XXBTZUSD":[[1688601600,"1","1","1","1","1","1",1]],"last":1}}"#;
    assert_eq!(klines(BTC, Series::new(Interval::Week1, Zone::Utc), week), Err(Refusal::Malformed));
}

const TRADES: &str = r#"{"error":[],"result":{"XXBTZUSD":[["30243.40000","0.34507674",1688669597.8277369,"b","m","",61044952],
    ["30243.30000","0.00376960",1688669598.2804112,"s","l","",61044953],
    ["30243.30000","0.01000000",1688669598.2804112,"s","l","",61044954],
    ["30243.30000","0.01235716",1688669602,"s","m","",61044956]],"last":"1688671969993150842"}}"#;

#[test]
fn newest_trades_singly_and_summed_up() {
    let mut events = Events::default();
    decoder().trades(BTC, TRADES.as_bytes(), &mut events).expect("documented");
    let trade = |id, price, quantity, nanos, buyer_is_maker| {
        EventKind::Trade(Trade { id, price: Price(price), quantity: Quantity(quantity), time: Nanos(nanos), buyer_is_maker })
    };
    let kinds: Vec<_> = events.list.iter().map(|event| event.kind).collect();
    let expected = [
        trade(61_044_952, 3_024_340_000_000, 34_507_674, 1_688_669_597_827_736_900, false),
        trade(61_044_953, 3_024_330_000_000, 376_960, 1_688_669_598_280_411_200, true),
        trade(61_044_954, 3_024_330_000_000, 1_000_000, 1_688_669_598_280_411_200, true),
        trade(61_044_956, 3_024_330_000_000, 1_235_716, 1_688_669_602_000_000_000, true),
    ];
    assert_eq!(kinds, expected);

    events.clear();
    decoder().agg_trades(BTC, TRADES.as_bytes(), &mut events).expect("documented");
    let runs = events.list.iter().map(|event| match event.kind {
        EventKind::AggTrade(AggTrade { id, first_id, last_id, quantity, .. }) => (id, first_id, last_id, quantity.0),
        other => panic!("{other:?}"),
    });
    let runs = runs.collect::<Vec<_>>();
    let expected = [
        (61_044_952, 61_044_952, 61_044_952, 34_507_674),
        (61_044_954, 61_044_953, 61_044_954, 1_376_960),
        (61_044_956, 61_044_956, 61_044_956, 1_235_716),
    ];
    assert_eq!(runs, expected);
}

#[test]
fn bad_rows_refuse_the_trades() {
    for (from, to, refusal) in [
        ("\"b\"", "\"x\"", Refusal::Malformed),
        (",61044952]", "]", Refusal::Malformed),
        ("0.34507674", "0.345076741", Refusal::Number),
        ("1688669597.8277369", "-1688669597.8277369", Refusal::Number),
        ("1688669597.8277369", "\"1688669597.8277369\"", Refusal::Malformed),
    ] {
        let (body, mut events) = (TRADES.replacen(from, to, 1), Events::default());
        assert_ne!(body, TRADES, "{from}");
        assert_eq!(decoder().trades(BTC, body.as_bytes(), &mut events), Err(refusal), "{from} -> {to}");
        assert_eq!(decoder().agg_trades(BTC, body.as_bytes(), &mut events), Err(refusal), "{from} -> {to}");
    }
}

#[test]
fn errors_within_a_success_are_told_apart() {
    let verdict = |error: &str| kraken().verdict(format!(r#"{{"error":[{error}],"result":{{}}}}"#).as_bytes());
    for (error, expected) in [
        ("", Verdict::Answer),
        (r#""WGeneral:Deprecated""#, Verdict::Answer),
        (r#""EGeneral:Too many requests""#, Verdict::Pause(PAUSE)),
        (r#""EAPI:Rate limit exceeded""#, Verdict::Pause(PAUSE)),
        (r#""EService:Unavailable""#, Verdict::Unavailable),
        (r#""EService:Busy""#, Verdict::Unavailable),
        (r#""EGeneral:Internal error""#, Verdict::Unavailable),
        (r#""EQuery:Unknown asset pair""#, Verdict::Refused { for_good: true }),
        (r#""EGeneral:Invalid arguments""#, Verdict::Refused { for_good: false }),
        (r#""WSlow:Down","EQuery:Unknown asset pair""#, Verdict::Refused { for_good: true }),
    ] {
        assert_eq!(verdict(error), expected, "{error}");
    }
    for body in ["", "[]", "<html>", r#"{"error":1}"#, r#"{"result":{}}"#, OHLC, TRADES] {
        assert_eq!(kraken().verdict(body.as_bytes()), Verdict::Answer, "{body}");
    }
}

#[test]
fn requests_name_pairs_as_rest_documents_them() {
    let (kraken, catalogue) = (kraken(), catalogue());
    let of = |id| -> &Instrument { catalogue.instrument(InstrumentId(id)) };
    for (id, pair) in [(0, "XBTUSD"), (1, "SHIBUSD"), (2, "XDGXBT"), (3, "ETHEUR")] {
        let path = format!("/0/public/Trades?pair={pair}&count=1000");
        let request = Some(RestRequest { path, weight: 1 });
        assert_eq!(kraken.recent_trades(of(id)), request);
        assert_eq!(kraken.agg_trades(of(id), None, 500), request);
        assert_eq!(kraken.agg_trades(of(id), Some(1), 500), None);
        assert_eq!(kraken.trades(of(id), 1, 500), None);
    }
    let from = Nanos::from_millis(1_688_671_200_000);
    let offered: Vec<_> = Series::ALL
        .into_iter()
        .filter_map(|series| kraken.klines(of(0), series, from, 1000).map(|request| (series, request.path)))
        .collect();
    let minutes = [
        (Interval::Minute1, 1),
        (Interval::Minute5, 5),
        (Interval::Minute15, 15),
        (Interval::Minute30, 30),
        (Interval::Hour1, 60),
        (Interval::Hour4, 240),
        (Interval::Day1, 1440),
        (Interval::Week1, 10_080),
    ];
    // What it answers with lies behind `since`.
    let expected = minutes.map(|(interval, minutes)| {
        let path = format!("/0/public/OHLC?pair=XBTUSD&interval={minutes}&since=1688671199");
        (Series::new(interval, Zone::Utc), path)
    });
    assert_eq!(offered, expected);
    let since = |from| kraken.klines(of(0), Series::MINUTE, from, 1).expect("offered").path;
    assert!(since(Nanos(0)).ends_with("&since=0") && since(Nanos(i64::MIN)).ends_with("&since=0"));
}

proptest! {
    #[test]
    fn damage_is_read_or_refused(
        body in prop::sample::select(vec![OHLC, TRADES]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut body = body.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        body.truncate(end.index(body.len() + 1));
        let (mut decoder, mut events) = (decoder(), Events::default());
        let _ = decoder.klines(BTC, Series::MINUTE, &body, &mut events);
        let _ = decoder.trades(SHIB, &body, &mut events);
        let _ = decoder.agg_trades(BTC, &body, &mut events);
        let _ = kraken().verdict(&body);
    }

    #[test]
    fn any_bytes_are_read_or_refused(body: Vec<u8>) {
        let (mut decoder, mut events) = (decoder(), Events::default());
        let _ = decoder.klines(BTC, Series::MINUTE, &body, &mut events);
        let _ = decoder.trades(BTC, &body, &mut events);
        let _ = kraken().verdict(&body);
    }

    /// What a fetched trade says is what the venue printed.
    #[test]
    fn printed_trades_are_read_back(price in 0..=i64::MAX, quantity in 0..=i64::MAX, micros in 0..=9_000_000_000_000_000_i64, sold: bool, id: i64) {
        let (side, decimal) = (if sold { "s" } else { "b" }, crate::normalise::print);
        let time = decimal(micros, 6);
        let body = format!(
            r#"{{"error":[],"result":{{"X":[["{}","{}",{time},"{side}","m","",{id}]],"last":"1"}}}}"#,
            decimal(price, 8),
            decimal(quantity, 8),
        );
        let mut events = Events::default();
        prop_assert_eq!(decoder().trades(BTC, body.as_bytes(), &mut events), Ok(()), "{}", body);
        let expected = Trade {
            id,
            price: Price(price),
            quantity: Quantity(quantity),
            time: Nanos::from_micros(micros),
            buyer_is_maker: sold,
        };
        prop_assert_eq!(events.list[0].kind, EventKind::Trade(expected));
    }
}
