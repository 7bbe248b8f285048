//! The server is killed while it writes its history, again and again; what is kept stays true, and goes on.

use std::{fs, path::Path, sync::Arc};

use serde_json::Value;
use tickcast::{
    config::Config,
    market::{Catalogue, InstrumentId, Interval, Kline, Nanos, Price, Quantity, Series, Trade, Volume, Zone},
    sim,
    store::{Range, Store},
};

use super::{Metrics, Scratch, exchange, until, until_ready, venue};
use crate::{
    against_exchange::{DERIVED, compare::Pair},
    client,
    house::listing,
    process::Served,
};

const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];

/// A file of history with all that may come to lie beside it, gone when dropped.
struct History(Scratch);

impl History {
    fn named(name: &str) -> Self {
        Self(Scratch::named(name))
    }

    /// Names of damaged files that were set aside.
    fn aside(&self) -> Vec<String> {
        let path = Path::new(self.0.path());
        let prefix = format!("{}.", path.file_name().expect("a name").to_str().expect("a plain name"));
        let entries = fs::read_dir(path.parent().expect("a folder")).expect("it can be read");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(&prefix)).collect()
    }

    /// Opens a copy, as the next start will find it.
    fn copy(&self) -> (Arc<Store>, Scratch) {
        let copy = Scratch::named("history-copy.redb");
        fs::copy(self.0.path(), &copy.0).expect("it is there");
        let settings = tickcast::config::Store { path: copy.path().to_owned(), ..Config::embedded().store };
        (Store::open(catalogue(), &settings).expect("it opens"), copy)
    }
}

/// The instruments as the server's configuration has them.
fn catalogue() -> Arc<Catalogue> {
    let mut catalogue = Catalogue::new();
    let binance = catalogue.add_venue("binance", None);
    for symbol in SYMBOLS {
        let id = catalogue.add_instrument(binance, symbol, symbol);
        catalogue.instrument(id).list(listing(symbol, symbol.trim_end_matches("USDT")));
    }
    Arc::new(catalogue)
}

/// What an exchange's REST says.
async fn ask(market: &sim::Running, path: &str) -> Vec<Value> {
    let answer = client::get(&format!("http://{}/api/v3/{path}", market.addr())).await;
    answer.as_array().unwrap_or_else(|| panic!("{path}: {answer}")).clone()
}

/// Decimal text with eight places as a mantissa.
fn mantissa(value: &Value) -> i128 {
    let text = value.as_str().expect("decimal text");
    let (whole, fraction) = text.split_once('.').expect("a point");
    assert_eq!(fraction.len(), 8, "{text}");
    format!("{whole}{fraction}").parse().expect("digits")
}

/// Every kept trade is the exchange's own; returns the newest id of each symbol.
async fn check_trades(store: &Store, market: &sim::Running) -> Vec<i64> {
    let mut newest = Vec::new();
    for (index, symbol) in SYMBOLS.iter().enumerate() {
        let kept = store.trades(InstrumentId(index as u32), None, usize::MAX);
        for part in kept.chunk_by(|trade, next| trade.id + 1 == next.id).flat_map(|run| run.chunks(1000)) {
            let (from, count) = (part[0].id, part.len());
            let path = format!("historicalTrades?symbol={symbol}&fromId={from}&limit={count}");
            let theirs = ask(market, &path).await;
            let shown = |trade: &Trade| {
                let (price, quantity, time) = (trade.price.0.into(), trade.quantity.0.into(), trade.time.millis());
                (trade.id, price, quantity, time, trade.buyer_is_maker)
            };
            let said = |row: &Value| {
                let (id, time) = (row["id"].as_i64().expect("an id"), row["time"].as_i64().expect("a time"));
                let maker = row["isBuyerMaker"].as_bool().expect("a flag");
                (id, mantissa(&row["price"]), mantissa(&row["qty"]), time, maker)
            };
            let (ours, theirs): (Vec<_>, Vec<_>) =
                (part.iter().map(shown).collect(), theirs.iter().map(said).collect());
            assert_eq!(ours, theirs, "{symbol}");
        }
        newest.push(kept.last().map_or(-1, |trade| trade.id));
    }
    newest
}

/// Every kept candle of the series is the exchange's own, and none lacks between them; returns how many were compared.
async fn check_klines(store: &Store, market: &sim::Running, series: Series) -> usize {
    let mut compared = 0;
    for (index, symbol) in SYMBOLS.iter().enumerate() {
        let all = Range { from: None, to: None, limit: usize::MAX };
        let kept = store.klines(InstrumentId(index as u32), series, &all);
        assert!(kept.is_sorted_by(|kline, next| kline.end() <= next.open_time));
        for part in kept.chunks(500) {
            let (from, to) = (part[0].open_time.millis(), part[part.len() - 1].open_time.millis());
            let interval = series.interval().text();
            let path = format!("klines?symbol={symbol}&interval={interval}&startTime={from}&endTime={to}&limit=1000");
            let theirs = ask(market, &path).await;
            for ours in part {
                let row = theirs.iter().find(|row| row[0].as_i64() == Some(ours.open_time.millis()));
                assert_same(symbol, ours, row.expect("the exchange has this candle"));
                compared += 1;
            }
        }
    }
    compared
}

/// Whether our last thousand minutes are the exchange's, all but the one that both are in.
async fn has_all_minutes(served: &Served, market: &sim::Running, symbol: &str) -> bool {
    let path = format!("klines?symbol={symbol}&interval=1m&limit=1000");
    let theirs = ask(market, &path).await;
    let ours = client::get(&format!("http://{}/api/v3/{path}", served.public)).await;
    let ours = ours.as_array().cloned().unwrap_or_default();
    // The minute may have turned in between.
    let Some(end) = ours.last().map(|last| last[0].as_i64()) else { return false };
    let closed = |rows: &[Value]| rows.iter().filter(|row| row[0].as_i64() < end).skip(1).cloned().collect::<Vec<_>>();
    ours.len() == 1000 && closed(&ours) == closed(&theirs)
}

fn assert_same(symbol: &str, ours: &Kline, row: &Value) {
    let price = |index: usize| Price(i64::try_from(mantissa(&row[index])).expect("it fits"));
    let volume = |index: usize| Volume(mantissa(&row[index]));
    let theirs = Kline {
        open: price(1),
        high: price(2),
        low: price(3),
        close: price(4),
        volume: volume(5),
        quote_volume: volume(7),
        trades: row[8].as_i64().expect("a count"),
        taker_volume: volume(9),
        taker_quote_volume: volume(10),
        ..*ours
    };
    assert_eq!(*ours, theirs, "{symbol} {row}");
}

#[tokio::test]
async fn history_outlives_kills_in_the_middle_of_writes() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let market = exchange(&SYMBOLS, |settings| settings.rate = 3000);
    let history = History::named("kills.redb");
    let config = Scratch::with("kills.toml", &venue(&market));
    let path = format!("store.path={}", history.0.path());
    let arguments = ["serve", "--config", config.path(), "--set", &path, "--set", "store.commit_interval_ms=10"];
    let mut newest = vec![-1; SYMBOLS.len()];
    let mut compared = 0;
    for _ in 0..6 {
        let served = Served::start(&arguments);
        let commits = f64::from(random.u32(3..60));
        until(&format!("{commits} commits"), || async {
            Metrics::of(&served).await.sum("tickcast_store_commits_total", "") >= commits
        })
        .await;
        served.signal("KILL");
        let log = served.log();
        assert_eq!(served.wait(), None, "killed");
        assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
        assert_eq!(history.aside(), Vec::<String>::new());
        let (store, _copy) = history.copy();
        let now = check_trades(&store, &market).await;
        assert!(now.iter().zip(&newest).all(|(now, before)| now >= before), "{now:?} after {newest:?}");
        newest = now;
        compared += check_klines(&store, &market, Series::SECOND).await;
        compared += check_klines(&store, &market, Series::MINUTE).await;
    }
    assert!(newest.iter().all(|&id| id > 0), "trades of every symbol are kept: {newest:?}");
    println!("{compared} candles compared");
    assert!(compared > 0, "candles are kept");
    // It goes on where it was cut, the times between are fetched, and in order it ends as well.
    let served = Served::start(&arguments);
    until_ready(&served).await;
    for symbol in SYMBOLS {
        until(&format!("{symbol} has all minutes again"), || async { has_all_minutes(&served, &market, symbol).await })
            .await;
    }
    assert_eq!(served.terminate(), Some(0));
    let (store, _copy) = history.copy();
    let now = check_trades(&store, &market).await;
    assert!(now.iter().zip(&newest).all(|(now, before)| now > before), "{now:?} after {newest:?}");
    let quantity = store.trades(InstrumentId(0), None, 1)[0].quantity;
    assert_ne!(quantity, Quantity::ZERO);
}

/// Statistics and candles are put together from what was kept and what the exchange is asked for.
#[tokio::test]
async fn statistics_after_kills_and_torn_tails_are_the_exchange_s_own() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let market = exchange(&SYMBOLS, |settings| {
        settings.rate = 300;
        settings.silent = DERIVED.map(str::to_owned).to_vec();
    });
    let history = History::named("torn.redb");
    let config = Scratch::with("torn.toml", &venue(&market));
    let path = format!("store.path={}", history.0.path());
    let arguments = ["serve", "--config", config.path(), "--set", &path, "--set", "store.commit_interval_ms=10"];
    let day = |zone| Series::new(Interval::Day1, zone);
    let series = [Series::SECOND, Series::MINUTE, Series::HOUR, day(Zone::Utc), day(Zone::Plus8)];
    let (mut rows, mut fields, mut set_aside) = (0, 0, 0);
    for torn in [0, random.u64(1..500_000)] {
        let served = Served::start(&arguments);
        let commits = f64::from(random.u32(30..200));
        until(&format!("{commits} commits"), || async {
            Metrics::of(&served).await.sum("tickcast_store_commits_total", "") >= commits
        })
        .await;
        served.signal("KILL");
        assert_eq!(served.wait(), None, "killed");
        let file = fs::OpenOptions::new().write(true).open(history.0.path()).expect("it is there");
        let length = file.metadata().expect("it has a length").len();
        file.set_len(length.saturating_sub(torn)).expect("it can be cut");
        drop(file);
        let served = Served::start(&arguments);
        until_ready(&served).await;
        let aside = history.aside();
        println!("{torn} of {length} bytes cut off: {} set aside", aside.len());
        assert!(torn > 0 || aside.is_empty(), "a whole file is kept: {}", served.log());
        for name in &aside {
            fs::remove_file(Path::new(history.0.path()).with_file_name(name)).expect("it is there");
        }
        set_aside += aside.len();
        // Rows of REST are numbered backwards from a live trade: in a market that has fallen silent there is none.
        until("the history is there", || async {
            let metrics = Metrics::of(&served).await;
            metrics.sum("tickcast_engine_history_wanted", "") > 0.0
                && metrics.sum("tickcast_engine_history_pending", "") == 0.0
        })
        .await;
        market.pause();
        let mut pair = Pair::new(&served.public, market.addr());
        let now = pair.theirs("time").await["serverTime"].as_i64().expect("a time");
        for symbol in SYMBOLS {
            pair.klines(symbol, &series, Nanos::from_millis(now)).await;
            pair.statistics(symbol).await;
        }
        (rows, fields) = (rows + pair.rows, fields + pair.fields);
        assert!(!served.log().contains("panicked"), "{}", served.log());
        assert_eq!(served.terminate(), Some(0));
        market.resume();
    }
    println!("{rows} rows and {fields} fields compared, {set_aside} files set aside");
    assert!(rows > 10_000 && fields > 100_000);
    assert_eq!(market.counters().flooding, 0);
}

#[tokio::test]
async fn a_damaged_history_is_set_aside_and_said() {
    let market = exchange(&SYMBOLS[..1], |_| {});
    let history = History::named("damaged.redb");
    fs::write(history.0.path(), "no database ".repeat(10_000)).expect("it is writable");
    let config = Scratch::with("damaged.toml", &venue(&market));
    let path = format!("store.path={}", history.0.path());
    let served = Served::start(&["serve", "--config", config.path(), "--set", &path]);
    until_ready(&served).await;
    let aside = history.aside();
    let [name] = &aside[..] else { panic!("one file is set aside: {aside:?}") };
    let beside = Path::new(history.0.path()).with_file_name(name);
    assert!(fs::read_to_string(&beside).expect("a text").starts_with("no database"));
    fs::remove_file(beside).expect("it is there");
    assert_eq!(served.lines_with("set aside"), 1, "{}", served.log());
    assert_eq!(Metrics::of(&served).await.sum("tickcast_store_set_aside_total", ""), 1.0);
    // Whoever comes second is told.
    let (code, _, said) = crate::process::run(&["serve", "--config", config.path(), "--set", &path]);
    assert_eq!(code, 73, "{said}");
    assert!(said.contains("store.path = ") && said.contains("another process has this file open"), "{said}");
    assert_eq!(served.terminate(), Some(0));
}
