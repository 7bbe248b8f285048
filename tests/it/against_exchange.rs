//! Longer runs of the real program on the simulated exchange. What the exchange does not send, Tickcast derives, and it has
//! to be what the exchange, which sums in its own way, says over REST; what it sends is passed on as it is.

pub mod compare;
mod hearing;

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use tickcast::{
    market::{Nanos, Series, Zone},
    sim::{self, Fault},
};
use tokio::time::{Instant, sleep};

use crate::{
    life::{Scratch, exchange, until, until_counted, until_ready, venue},
    process::Served,
};
use compare::Pair;
use hearing::Listener;

const SYMBOLS: [&str; 3] = ["BTCUSDT", "LINKUSDT", "TRXUSDT"];

/// What the exchange keeps to itself, so that Tickcast has to derive it.
pub const DERIVED: [&str; 5] = ["ticker", "miniTicker", "kline_1m", "kline_1s", "avgPrice"];

/// Keys of a stream and of REST that say the same.
type Keys = &'static [(&'static str, &'static str)];

/// Statistics on streams, the exchange's own answer to hold them against, and which key is which.
const STATISTICS: [(&str, &str, Keys); 6] = [
    (
        "ticker",
        "ticker/24hr?symbol=",
        &[
            ("p", "priceChange"),
            ("P", "priceChangePercent"),
            ("w", "weightedAvgPrice"),
            ("x", "prevClosePrice"),
            ("c", "lastPrice"),
            ("Q", "lastQty"),
            ("b", "bidPrice"),
            ("B", "bidQty"),
            ("a", "askPrice"),
            ("A", "askQty"),
            ("o", "openPrice"),
            ("h", "highPrice"),
            ("l", "lowPrice"),
            ("v", "volume"),
            ("q", "quoteVolume"),
            ("F", "firstId"),
            ("L", "lastId"),
            ("n", "count"),
        ],
    ),
    (
        "miniTicker",
        "ticker/24hr?symbol=",
        &[
            ("c", "lastPrice"),
            ("o", "openPrice"),
            ("h", "highPrice"),
            ("l", "lowPrice"),
            ("v", "volume"),
            ("q", "quoteVolume"),
        ],
    ),
    ("ticker_1h", "ticker?windowSize=1h&symbol=", WINDOW),
    ("ticker_4h", "ticker?windowSize=4h&symbol=", WINDOW),
    ("ticker_1d", "ticker?windowSize=1d&symbol=", WINDOW),
    ("avgPrice", "avgPrice?symbol=", &[("w", "price"), ("T", "closeTime")]),
];

const WINDOW: &[(&str, &str)] = &[
    ("p", "priceChange"),
    ("P", "priceChangePercent"),
    ("o", "openPrice"),
    ("h", "highPrice"),
    ("l", "lowPrice"),
    ("c", "lastPrice"),
    ("w", "weightedAvgPrice"),
    ("v", "volume"),
    ("q", "quoteVolume"),
    ("F", "firstId"),
    ("L", "lastId"),
    ("n", "count"),
];

/// How long the market goes on in each part: short by default, a minute in the full gate.
fn soak() -> Duration {
    let seconds = std::env::var("TICKCAST_SOAK_SECONDS").map_or(8, |text| text.parse().expect("whole seconds"));
    Duration::from_secs(seconds)
}

fn stream(symbol: &str, series: Series) -> String {
    let zone = if series.zone() == Zone::Utc { "" } else { "@+08:00" };
    format!("{}@kline_{}{zone}", symbol.to_lowercase(), series.interval().text())
}

/// The exchange's clock.
async fn time(pair: &Pair) -> Nanos {
    Nanos::from_millis(pair.theirs("time").await["serverTime"].as_i64().expect("a time"))
}

/// A closed candle of a stream as REST has it.
fn row(candle: &Value) -> Value {
    let keys = ["t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B"];
    keys.map(|key| candle[key].clone()).to_vec().into()
}

/// Every candle that ended between two times was heard once, in order, as the exchange has it. Returns how many were, and
/// how many were not, of which there may only be some if `lossy`, and how many seconds were told before all trades had come.
async fn check_closed(
    pair: &Pair,
    heard: &Listener,
    symbol: &str,
    series: Series,
    (from, to): (Nanos, Nanos),
    lossy: bool,
) -> (usize, usize, usize) {
    let name = stream(symbol, series);
    let (interval, zone) = (series.interval().text(), if series.zone() == Zone::Utc { "0" } else { "8" });
    // The first that may count is open at the begin.
    let mut theirs = Vec::new();
    let mut start = series.open_time(from);
    while start < to {
        let (first, last) = (start.millis(), to.millis());
        let query = format!("startTime={first}&endTime={last}&limit=1000&interval={interval}&timeZone={zone}");
        let rows = pair.theirs(&format!("klines?symbol={symbol}&{query}")).await;
        let rows = rows.as_array().expect("rows").clone();
        let Some(last) = rows.last() else { break };
        start = Nanos::from_millis(last[6].as_i64().expect("a time") + 1);
        theirs.extend(rows);
    }
    let ends = from.millis()..to.millis();
    theirs.retain(|row| ends.contains(&row[6].as_i64().expect("a time")));
    if let Some(last) = theirs.last().filter(|_| !lossy) {
        let open = last[0].as_i64();
        until(&format!("{name} ends {last}"), || async {
            heard.closed(&name).last().is_some_and(|candle| candle["t"].as_i64() >= open)
        })
        .await;
    }
    let all = heard.closed(&name);
    for pair in all.windows(2) {
        assert!(pair[0]["T"].as_i64() < pair[1]["t"].as_i64(), "{name}: once and in order: {pair:?}");
        let follows = pair[0]["T"].as_i64().expect("a time") + 1 == pair[1]["t"].as_i64().expect("a time");
        let (last, first) = (&pair[0]["L"], &pair[1]["f"]);
        if follows && *last != -1 && *first != -1 {
            assert_eq!(last.as_i64().expect("an id") + 1, first.as_i64().expect("an id"), "{name}: {pair:?}");
        }
    }
    let ours: Vec<Value> = all.iter().map(row).filter(|row| ends.contains(&row[6].as_i64().expect("a time"))).collect();
    let by_open: BTreeMap<i64, &Value> = theirs.iter().map(|row| (row[0].as_i64().expect("a time"), row)).collect();
    let mut late = 0;
    for row in &ours {
        let their = by_open[&row[0].as_i64().expect("a time")];
        // On a machine that is out of breath trades come seconds late: what was told by then has fewer.
        if series == Series::SECOND && row[8].as_i64() < their[8].as_i64() {
            println!("{name}: told before all trades had come: {row}, theirs {their}");
            late += 1;
        } else {
            assert_eq!(row, their, "{name}");
        }
    }
    let missing = theirs.len() - ours.len();
    assert!(lossy || missing == 0, "{name}: {missing} of {} are missing", theirs.len());
    (ours.len(), missing, late)
}

/// The newest statistics of a stream come to be the exchange's own. Returns how many fields were compared.
async fn settle_stream(pair: &Pair, heard: &Listener, symbol: &str) -> usize {
    let mut fields = 0;
    for (channel, path, keys) in STATISTICS {
        let name = format!("{}@{channel}", symbol.to_lowercase());
        let started = Instant::now();
        loop {
            let theirs = pair.theirs(&format!("{path}{symbol}")).await;
            let ours = heard.last(&name).unwrap_or_default();
            let Some((key, _)) = keys.iter().find(|(key, long)| ours[*key] != theirs[*long]) else { break };
            assert!(started.elapsed() < 3 * crate::client::PATIENCE, "{name}, {key}: ours {ours}, theirs {theirs}");
            sleep(Duration::from_millis(100)).await;
        }
        fields += keys.len();
    }
    fields
}

#[tokio::test]
async fn what_is_derived_is_what_the_exchange_itself_says() {
    let market = exchange(&SYMBOLS, |settings| {
        settings.rate = 1500;
        settings.silent = DERIVED.map(str::to_owned).to_vec();
    });
    let config = Scratch::with("against.toml", &venue(&market));
    let served = Served::start(&["serve", "--config", config.path()]);
    until_ready(&served).await;
    let mut pair = Pair::new(&served.public, market.addr());
    let mut listeners = Vec::new();
    for symbol in SYMBOLS {
        let mut names: Vec<String> = Series::ALL.iter().map(|&series| stream(symbol, series)).collect();
        names.extend(STATISTICS.iter().map(|(channel, ..)| format!("{}@{channel}", symbol.to_lowercase())));
        listeners.push(Listener::open(&served.public, &names).await);
    }
    for (symbol, heard) in SYMBOLS.iter().zip(&listeners) {
        let name = stream(symbol, Series::SECOND);
        until(&format!("{name} has a candle"), || async { !heard.closed(&name).is_empty() }).await;
    }
    let (mut candles, mut told_early) = (0, 0);
    for is_faulty in [false, true] {
        if is_faulty {
            market.resume();
            for fault in [Fault::Disconnect, Fault::TradeGap, Fault::TradeGap, Fault::Gap] {
                market.inject(fault);
            }
            market.set_faults(sim::Faults {
                gap: 60.0,
                duplicate: 20.0,
                reorder: 10.0,
                disconnect: 4.0,
                ..Default::default()
            });
        }
        let from = time(&pair).await;
        sleep(soak()).await;
        market.set_faults(sim::Faults::default());
        market.pause();
        let to = time(&pair).await;
        for (symbol, heard) in SYMBOLS.iter().zip(&listeners) {
            let (mut missing, mut minutes) = (0, 0);
            for series in Series::ALL {
                // Seconds of an interruption that lasted, or cost trades, are fetched for REST only.
                let lossy = is_faulty && series == Series::SECOND;
                let (heard, not, late) = check_closed(&pair, heard, symbol, series, (from, to), lossy).await;
                assert!(heard > 0 || series != Series::SECOND, "{symbol}: seconds are heard");
                candles += heard;
                missing += not;
                told_early += late;
                minutes += if series == Series::MINUTE { heard } else { 0 };
            }
            println!("{symbol}, faults {is_faulty}: {minutes} minutes heard, {missing} seconds not heard");
            assert!(minutes > 0 || soak().as_secs() < 60, "a minute is heard");
            pair.klines(symbol, &Series::ALL, to).await;
            pair.statistics(symbol).await;
            pair.fields += settle_stream(&pair, heard, symbol).await;
        }
    }
    // Each that was told too early is owned up to: its trades are counted as late.
    until_counted(&served, "tickcast_engine_trades_late_total", "", told_early as f64).await;
    let counters = market.counters();
    println!(
        "{candles} closed candles heard, {} rows and {} fields compared, {:?}",
        pair.rows, pair.fields, counters.faults
    );
    assert!(candles > 0 && pair.rows > 10_000 && pair.fields > 100_000);
    assert!(counters.of(Fault::Disconnect) > 0 && counters.of(Fault::TradeGap) > 0, "{counters:?}");
    assert_eq!((counters.flooding, counters.slow), (0, 0), "the connector keeps to the limits");
    assert_eq!(served.terminate(), Some(0));
}

/// Streams of which every frame counts, and those of states, of which a slow reader gets only the newest.
const EVENTS: [&str; 4] = ["trade", "aggTrade", "blockTrade", "kline_1s"];
const STATES: [&str; 6] = ["ticker", "miniTicker", "kline_1m", "avgPrice", "referencePrice", "bookTicker"];

#[tokio::test]
async fn what_the_exchange_sends_is_passed_on_as_it_is() {
    let market = exchange(&SYMBOLS, |settings| settings.rate = 600);
    let config = Scratch::with("passed.toml", &format!("[engine]\nthread = \"intake\"\n{}", venue(&market)));
    let served = Served::start(&["serve", "--config", config.path()]);
    until_ready(&served).await;
    let names: Vec<String> = SYMBOLS
        .iter()
        .flat_map(|symbol| EVENTS.iter().chain(&STATES).map(|channel| format!("{}@{channel}", symbol.to_lowercase())))
        .collect();
    let theirs = Listener::open(&market.addr().to_string(), &names).await;
    let listener = Listener::open(&served.public, &names).await;
    for name in &names {
        until(&format!("{name} speaks"), || async { !listener.of(name).is_empty() && !theirs.of(name).is_empty() })
            .await;
    }
    sleep(soak()).await;
    market.pause();
    let mut compared = BTreeMap::<&str, usize>::new();
    for name in &names {
        let channel = name.split_once('@').expect("a channel").1;
        // The last word of the market has come to both.
        let mut last = String::new();
        until(&format!("{name} has the last frame {:?}", theirs.of(name).last()), || {
            last = theirs.of(name).pop().expect("it spoke");
            std::future::ready(listener.of(name).contains(&last))
        })
        .await;
        let (ours, theirs) = (listener.of(name), theirs.of(name));
        let start = theirs.iter().position(|frame| *frame == ours[0]).or_else(|| {
            // Ours may have come first.
            ours.contains(&theirs[0]).then_some(0)
        });
        let start = start.unwrap_or_else(|| panic!("{name}: theirs has no {}", ours[0]));
        let ours = &ours[ours.iter().position(|frame| *frame == theirs[start]).expect("it is there")..];
        let end = ours.iter().position(|frame| *frame == last).expect("it was waited for") + 1;
        let mut next = start;
        for frame in &ours[..end] {
            let at = theirs[next..].iter().position(|their| their == frame);
            let at = at.unwrap_or_else(|| panic!("{name}: the exchange did not say, or not then: {frame}"));
            let is_closed = |frame: &String| frame.contains(r#""x":true"#);
            let left_out = &theirs[next..next + at];
            let may_lack = STATES.contains(&channel) && !left_out.iter().any(is_closed);
            assert!(at == 0 || may_lack, "{name}: not passed on: {left_out:?}");
            next += at + 1;
        }
        *compared.entry(channel).or_default() += end;
    }
    println!("frames compared: {compared:?}");
    // What was lost with a connection comes to history all the same.
    market.resume();
    market.inject(Fault::Disconnect);
    until("the connection is lost", || async { market.counters().of(Fault::Disconnect) > 0 }).await;
    until_ready(&served).await;
    let name = &names[3];
    let heard = listener.of(name).len();
    until("seconds are heard again", || async { listener.of(name).len() > heard + 2 }).await;
    market.pause();
    let mut pair = Pair::new(&served.public, market.addr());
    let to = time(&pair).await;
    for symbol in SYMBOLS {
        pair.klines(symbol, &Series::ALL, to).await;
    }
    println!("{} rows and {} fields compared", pair.rows, pair.fields);
    assert!(compared.len() == 10 && compared.values().all(|&count| count > 0), "{compared:?}");
    assert_eq!(market.counters().flooding, 0);
    assert_eq!(served.terminate(), Some(0));
}
