mod damage;

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::*;
use crate::{
    config::Config,
    market::{Decimals, Interval, Listing, Price, Quantity, Status, Volume, Zone},
    ring,
    topic::Update,
};

const BTC: InstrumentId = InstrumentId(0);
const ETH: InstrumentId = InstrumentId(1);
/// 2026-11-22 15:52:00 UTC.
const START: i64 = 1_795_362_720_000_000_000;
const HOUR: Series = Series::HOUR;

const ALL: Range = Range { from: None, to: None, limit: usize::MAX };

fn list(catalogue: &Catalogue, instrument: InstrumentId, decimals: Decimals) {
    catalogue.instrument(instrument).list(Listing {
        native: "BTCUSDT".to_owned(),
        base: "BTC".to_owned(),
        quote: "USDT".to_owned(),
        decimals,
        status: Status::Trading,
        tick_size: "0.01000000".to_owned(),
        step_size: "0.00001000".to_owned(),
        binance_info: None,
    });
}

fn catalogue(decimals: Decimals) -> Arc<Catalogue> {
    let mut catalogue = Catalogue::new();
    let binance = catalogue.add_venue("binance", None);
    catalogue.add_instrument(binance, "BTCUSDT", "BTCUSDT");
    catalogue.add_instrument(binance, "ETHUSDT", "ETHUSDT");
    [BTC, ETH].into_iter().for_each(|instrument| list(&catalogue, instrument, decimals));
    Arc::new(catalogue)
}

/// A folder of this test alone, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn named(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tickcast-store-{}-{name}", std::process::id()));
        let _was_never_there = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("history.redb")
    }

    fn settings(&self) -> config::Store {
        config::Store { path: self.file().to_str().expect("a plain path").to_owned(), ..Config::embedded().store }
    }

    /// Names of the files that were set aside.
    fn aside(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("it is there");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("plain names"));
        names.filter(|name| name.contains(".corrupt-")).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _was_never_made = fs::remove_dir_all(&self.0);
    }
}

fn open(settings: &config::Store) -> Arc<Store> {
    Store::open(catalogue(Decimals::EIGHT), settings).expect("it opens")
}

fn kline(series: Series, number: i64) -> Kline {
    let length = series.interval().length().expect("no months here");
    Kline {
        first_id: number * 10,
        last_id: number * 10 + 8,
        open: Price(number + 100),
        close: Price(number + 101),
        high: Price(number + 200),
        low: Price(number + 50),
        volume: Volume((number * 7).into()),
        quote_volume: Volume((number * 8).into()),
        taker_volume: Volume((number * 3).into()),
        taker_quote_volume: Volume((number * 4).into()),
        trades: 9,
        closed: true,
        ..Kline::empty(series, Nanos(START / length * length + number * length), Price(0))
    }
}

fn trade(id: i64) -> Trade {
    let (price, quantity) = (Price(id + 5), Quantity(id * 3));
    Trade { id, price, quantity, time: Nanos(START + id), buyer_is_maker: id % 2 == 0 }
}

fn agg_trade(id: i64) -> AggTrade {
    let (price, quantity) = (Price(id + 5), Quantity(id * 3));
    AggTrade {
        id,
        price,
        quantity,
        first_id: 2 * id,
        last_id: 2 * id + 1,
        time: Nanos(START + id),
        buyer_is_maker: id % 2 == 0,
    }
}

fn push(batch: &mut Batch, instrument: InstrumentId, payload: Payload) {
    batch.updates.push(Update { instrument, received: Nanos(5), time: Nanos(4), payload });
}

fn push_kline(batch: &mut Batch, instrument: InstrumentId, kline: Kline, past: bool) {
    let index = batch.klines.len() as u32;
    batch.klines.push(kline);
    push(batch, instrument, if past { Payload::PastKline(index) } else { Payload::Kline(index) });
}

/// Takes in what `fill` makes.
fn apply(store: &Store, fill: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::default();
    fill(&mut batch);
    store.apply(&batch);
}

fn apply_klines(store: &Store, series: Series, numbers: std::ops::Range<i64>) {
    apply(store, |batch| numbers.for_each(|number| push_kline(batch, BTC, kline(series, number), false)));
}

fn numbers(series: Series, klines: &[Kline]) -> Vec<i64> {
    for kline in klines {
        assert_eq!(kline.series, series);
    }
    klines.iter().map(|kline| kline.first_id / 10).collect()
}

fn ids(trades: &[Trade]) -> Vec<i64> {
    trades.iter().map(|trade| trade.id).collect()
}

#[test]
fn rows_are_seen_at_once_and_after_a_restart() {
    let folder = Folder::named("restart");
    let month = Series::new(Interval::Month1, Zone::Plus8);
    let wide = Kline { quote_volume: Volume(i128::from(i64::MAX) * 1000), ..Kline::empty(month, Nanos(-5), Price(7)) };
    let fill = |batch: &mut Batch| {
        for number in 0..100 {
            push_kline(batch, BTC, kline(Series::MINUTE, number), false);
        }
        push_kline(batch, BTC, Kline { closed: false, ..kline(Series::MINUTE, 100) }, false);
        push_kline(batch, ETH, kline(HOUR, 3), true);
        push_kline(batch, ETH, wide, true);
        for id in 1..=50 {
            push(batch, BTC, Payload::Trade(trade(id)));
            push(batch, BTC, Payload::AggTrade(agg_trade(id)));
        }
        push(batch, BTC, Payload::PastTrade(trade(0)));
        push(batch, ETH, Payload::PastAggTrade(agg_trade(-7)));
    };
    let check = |store: &Store, when: &str| {
        let minutes: Vec<_> = (0..100).map(|number| kline(Series::MINUTE, number)).collect();
        assert_eq!(store.klines(BTC, Series::MINUTE, &ALL), minutes, "{when}");
        assert_eq!(store.klines(BTC, HOUR, &ALL), [], "{when}");
        assert_eq!(store.klines(ETH, HOUR, &ALL), [kline(HOUR, 3)], "{when}");
        assert_eq!(store.klines(ETH, month, &ALL), [Kline { closed: true, ..wide }], "{when}");
        assert_eq!(store.extent(BTC, Series::MINUTE), Some((minutes[0].open_time, minutes[99].open_time)), "{when}");
        assert_eq!(store.extent(ETH, Series::MINUTE), None, "{when}");
        assert_eq!(store.trades(BTC, None, 100), (0..=50).map(trade).collect::<Vec<_>>(), "{when}");
        assert_eq!(store.agg_trades(BTC, None, 100), (1..=50).map(agg_trade).collect::<Vec<_>>(), "{when}");
        assert_eq!(store.agg_trades(ETH, None, 100), [agg_trade(-7)], "{when}");
    };
    let store = open(&folder.settings());
    apply(&store, fill);
    check(&store, "before a commit");
    store.commit();
    check(&store, "after it");
    apply(&store, fill);
    check(&store, "the same once more");
    store.close();
    drop(store);
    check(&open(&folder.settings()), "after a restart");
    assert_eq!(folder.aside(), Vec::<String>::new());
    let memory = Store::in_memory(catalogue(Decimals::EIGHT));
    apply(&memory, fill);
    memory.commit();
    check(&memory, "in memory");
}

#[test]
fn ranges_are_inclusive_and_bounded_at_the_right_end() {
    let store = Store::in_memory(catalogue(Decimals::EIGHT));
    // Some on disk, some waiting, both in the same answer.
    apply_klines(&store, Series::MINUTE, 0..20);
    store.commit();
    apply_klines(&store, Series::MINUTE, 18..30);
    let at = |number: i64| Some(kline(Series::MINUTE, number).open_time);
    let of = |from, to, limit| numbers(Series::MINUTE, &store.klines(BTC, Series::MINUTE, &Range { from, to, limit }));
    assert_eq!(of(None, None, 4), [26, 27, 28, 29]);
    assert_eq!(of(None, at(20), 4), [17, 18, 19, 20]);
    assert_eq!(of(at(16), None, 5), [16, 17, 18, 19, 20]);
    assert_eq!(of(at(16), at(17), 5), [16, 17]);
    assert_eq!(of(at(16).map(|at| Nanos(at.0 + 1)), at(17), 5), [17]);
    assert_eq!(of(at(17), at(16), 5), Vec::<i64>::new(), "the wrong way round");
    assert_eq!(of(at(17), None, 0), Vec::<i64>::new());
    assert_eq!(of(Some(Nanos(i64::MIN)), Some(Nanos(i64::MAX)), usize::MAX), (0..30).collect::<Vec<_>>());
    apply(&store, |batch| (1..=20).for_each(|id| push(batch, BTC, Payload::Trade(trade(id * 2)))));
    assert_eq!(ids(&store.trades(BTC, Some(5), 3)), [6, 8, 10]);
    assert_eq!(ids(&store.trades(BTC, None, 3)), [36, 38, 40]);
    assert_eq!(ids(&store.trades(BTC, Some(41), 3)), Vec::<i64>::new());
}

#[test]
fn a_fetched_candle_replaces_but_not_one_that_knows_more() {
    let store = Store::in_memory(catalogue(Decimals::EIGHT));
    let known = [kline(HOUR, 1), kline(HOUR, 2)];
    apply(&store, |batch| known.iter().for_each(|&known| push_kline(batch, BTC, known, false)));
    store.commit();
    let fetched = known.map(|known| Kline { first_id: -1, last_id: -1, ..known });
    let corrected = Kline { volume: Volume(1), ..fetched[1] };
    apply(&store, |batch| {
        push_kline(batch, BTC, fetched[0], true);
        push_kline(batch, BTC, corrected, true);
    });
    store.commit();
    assert_eq!(store.klines(BTC, HOUR, &ALL), [known[0], corrected]);
}

#[test]
fn limits_hold_and_the_oldest_go() {
    let folder = Folder::named("limits");
    let settings = config::Store { minute_rows_max: 100, rows_max: 32, trades_max: 50, ..folder.settings() };
    let store = open(&settings);
    for step in 0..40 {
        apply_klines(&store, Series::MINUTE, step * 10..step * 10 + 10);
        apply_klines(&store, HOUR, step * 10..step * 10 + 10);
        apply(&store, |batch| (step * 30..step * 30 + 30).for_each(|id| push(batch, BTC, Payload::Trade(trade(id)))));
        store.commit();
        let minutes = numbers(Series::MINUTE, &store.klines(BTC, Series::MINUTE, &ALL));
        let newest = step * 10 + 9;
        assert!(minutes.len() <= 106 && minutes.len() as i64 >= 100.min(newest + 1), "{}", minutes.len());
        assert_eq!(minutes, (newest + 1 - minutes.len() as i64..=newest).collect::<Vec<_>>());
        let hours = numbers(HOUR, &store.klines(BTC, HOUR, &ALL));
        assert!(hours.len() <= 34);
        assert_eq!(*hours.last().expect("rows"), newest);
        let trades = ids(&store.trades(BTC, None, usize::MAX));
        assert!(trades.len() <= 53 && trades.len() >= 30);
        assert_eq!(*trades.last().expect("rows"), step * 30 + 29);
        let oldest = store.klines(BTC, Series::MINUTE, &ALL)[0].open_time;
        assert_eq!(store.extent(BTC, Series::MINUTE).expect("rows").0, oldest, "the extent follows what is gone");
    }
    let rows = |store: &Store| (store.klines(BTC, Series::MINUTE, &ALL), store.trades(BTC, None, usize::MAX));
    let before = rows(&store);
    store.close();
    assert_eq!(rows(&open(&settings)), before);
}

#[test]
fn only_the_newest_trades_of_a_flood_wait() {
    let folder = Folder::named("flood");
    let settings = config::Store { trades_max: 50, ..folder.settings() };
    let store = open(&settings);
    apply(&store, |batch| (0..40).for_each(|id| push(batch, BTC, Payload::Trade(trade(id)))));
    store.commit();
    apply(&store, |batch| (40..10_040).for_each(|id| push(batch, BTC, Payload::Trade(trade(id)))));
    let newest: Vec<_> = (9_990..10_040).collect();
    assert_eq!(ids(&store.trades(BTC, None, usize::MAX)), newest, "what is older is not shown behind a hole");
    assert_eq!(ids(&store.trades(BTC, Some(0), 3)), [9_990, 9_991, 9_992]);
    store.commit();
    assert_eq!(ids(&store.trades(BTC, None, usize::MAX)), newest);
    store.close();
    assert_eq!(ids(&open(&settings).trades(BTC, None, usize::MAX)), newest);
}

#[test]
fn ids_that_fall_are_a_new_numbering_and_a_repeated_trade_is_not() {
    let store = Store::in_memory(catalogue(Decimals::EIGHT));
    let live =
        |ids: &[i64]| apply(&store, |batch| ids.iter().for_each(|&id| push(batch, BTC, Payload::Trade(trade(id)))));
    live(&[1000, 1001, 1002]);
    store.commit();
    live(&[1003]);
    live(&[1001, 1003]);
    assert_eq!(ids(&store.trades(BTC, None, 10)), [1000, 1001, 1002, 1003]);
    live(&[1, 2]);
    assert_eq!(ids(&store.trades(BTC, None, 10)), [1, 2]);
    apply(&store, |batch| push(batch, BTC, Payload::PastTrade(trade(0))));
    assert_eq!(ids(&store.trades(BTC, None, 10)), [0, 1, 2]);
    store.commit();
    live(&[3]);
    store.commit();
    assert_eq!(ids(&store.trades(BTC, None, 10)), [0, 1, 2, 3]);
    // While a commit is under way.
    let lots = (0..2).filter_map(|instrument| store.waiting(instrument).begin()).count();
    assert_eq!(lots, 0, "nothing waits");
    live(&[4]);
    let writing = store.waiting(0).begin().expect("a trade waits");
    assert_eq!(writing.trades.rows.len(), 1);
    live(&[2_000]);
    live(&[7]);
    live(&[8]);
    assert_eq!(ids(&store.trades(BTC, None, 10)), [7, 8]);
    store.waiting(0).failed();
    assert_eq!(ids(&store.trades(BTC, None, 10)), [7, 8], "what could not be written is forgotten as well");
    store.commit();
    assert_eq!(ids(&store.trades(BTC, None, 10)), [7, 8]);
}

#[test]
fn what_fails_to_be_written_waits_again() {
    let store = Store::in_memory(catalogue(Decimals::EIGHT));
    apply_klines(&store, HOUR, 0..3);
    apply(&store, |batch| (1..4).for_each(|id| push(batch, BTC, Payload::Trade(trade(id)))));
    let _writing = store.waiting(0).begin().expect("rows wait");
    let corrected = Kline { volume: Volume(1), ..kline(HOUR, 2) };
    apply(&store, |batch| push_kline(batch, BTC, corrected, true));
    apply(&store, |batch| push(batch, BTC, Payload::Trade(trade(4))));
    store.waiting(0).failed();
    assert_eq!(store.klines(BTC, HOUR, &ALL), [kline(HOUR, 0), kline(HOUR, 1), corrected]);
    assert_eq!(ids(&store.trades(BTC, None, 10)), [1, 2, 3, 4]);
    // A disk that is gone, and one that is back.
    drop(store.disk.write().expect("no panic").take());
    store.keeper.lock().expect("no panic").retry_later();
    store.commit();
    assert_eq!(ids(&store.trades(BTC, None, 10)), [1, 2, 3, 4], "memory has them");
    store.keeper.lock().expect("no panic").retry_now();
    store.commit();
    assert_eq!(ids(&store.trades(BTC, None, 10)), [1, 2, 3, 4]);
    assert!(store.waiting(0).begin().is_none(), "nothing waits any more");
}

#[test]
fn new_decimals_convert_what_is_exact_and_leave_out_the_rest() {
    let folder = Folder::named("decimals");
    let at = |price, quantity, quote| Decimals { price, quantity, quote, ..Decimals::EIGHT };
    let store = Store::open(catalogue(at(4, 2, 6)), &folder.settings()).expect("it opens");
    let round = Kline { open: Price(100), high: Price(300), low: Price(100), close: Price(200), ..kline(HOUR, 0) };
    let zeros = Kline {
        volume: Volume(0),
        quote_volume: Volume(500),
        taker_volume: Volume(0),
        taker_quote_volume: Volume(0),
        ..round
    };
    let odd = Kline { open: Price(101), ..kline(HOUR, 1) };
    apply(&store, |batch| [zeros, odd].into_iter().for_each(|kline| push_kline(batch, BTC, kline, false)));
    apply(&store, |batch| push(batch, BTC, Payload::Trade(trade(7))));
    store.close();
    drop(store);
    let with = |decimals| Store::open(catalogue(decimals), &folder.settings()).expect("it opens");
    let finer = with(at(6, 3, 6));
    let [first, second] = finer.klines(BTC, HOUR, &ALL)[..] else { panic!("two candles") };
    assert_eq!((first.open, first.volume, first.quote_volume), (Price(10_000), Volume(0), Volume(500)));
    assert_eq!((second.open, second.volume), (Price(10_100), Volume(70)));
    let [converted] = finer.trades(BTC, None, 5)[..] else { panic!("a trade") };
    assert_eq!((converted.price, converted.quantity), (Price(1200), Quantity(210)));
    finer.close();
    drop(finer);
    let coarser = with(at(2, 2, 6));
    let [first] = coarser.klines(BTC, HOUR, &ALL)[..] else { panic!("the other one cannot be told exactly") };
    assert_eq!((first.open, first.close), (Price(1), Price(2)));
    assert_eq!(coarser.trades(BTC, None, 5), []);
}

#[test]
fn the_size_is_limited_and_fine_rows_go_first() {
    let folder = Folder::named("size");
    let settings = config::Store { bytes_max: 1 << 20, second_rows_max: 1_000_000, ..folder.settings() };
    let store = open(&settings);
    apply_klines(&store, HOUR, 0..500);
    for step in 0..40 {
        apply_klines(&store, Series::SECOND, step * 500..(step + 1) * 500);
        store.commit();
        let bytes = store.with_disk(Disk::bytes).expect("a disk").expect("it counts");
        assert!(bytes < (1 << 20) + (1 << 18), "step {step}: {bytes}");
    }
    assert_eq!(numbers(HOUR, &store.klines(BTC, HOUR, &ALL)), (0..500).collect::<Vec<_>>());
    let seconds = numbers(Series::SECOND, &store.klines(BTC, Series::SECOND, &ALL));
    assert!(seconds.len() > 500 && seconds.len() < 10_000, "{}", seconds.len());
    assert_eq!(*seconds.last().expect("rows"), 19_999);
    assert!(store.with_disk(Disk::file_bytes).expect("a disk") < 3 << 20, "unused space is used again");
    store.close();
    drop(store);
    let smaller = config::Store { bytes_max: 1 << 19, ..settings };
    let store = open(&smaller);
    apply_klines(&store, HOUR, 500..501);
    store.commit();
    assert!(store.with_disk(Disk::bytes).expect("a disk").expect("it counts") <= 1 << 19);
}

#[test]
fn a_store_equals_a_plain_map_after_random_work() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = Folder::named("random");
    let settings = config::Store { trades_max: 100_000, ..folder.settings() };
    let mut store = open(&settings);
    let mut oracle: BTreeMap<(InstrumentId, Series, i64), Kline> = BTreeMap::new();
    for _ in 0..300 {
        match random.u8(..10) {
            0 => {
                store.close();
                drop(store);
                store = open(&settings);
            }
            1..4 => store.commit(),
            _ => apply(&store, |batch| {
                for _ in 0..random.usize(..200) {
                    let instrument = InstrumentId(random.u32(..2));
                    let series = [Series::SECOND, Series::MINUTE, HOUR][random.usize(..3)];
                    let kline = Kline { trades: random.i64(1..1000), ..kline(series, random.i64(0..400)) };
                    oracle.insert((instrument, series, kline.open_time.0), kline);
                    push_kline(batch, instrument, kline, random.bool());
                }
            }),
        }
        let (instrument, series) = (InstrumentId(random.u32(..2)), [Series::MINUTE, HOUR][random.usize(..2)]);
        let length = series.interval().length().expect("no months here");
        let bound = |random: &mut fastrand::Rng| {
            let at = kline(series, 0).open_time.0 + random.i64(-5..410) * length + random.i64(-1..2);
            random.bool().then_some(Nanos(at))
        };
        let (from, to, limit) = (bound(&mut random), bound(&mut random), random.usize(..300));
        let range = Range { from, to, limit };
        let mut expected: Vec<_> = oracle
            .iter()
            .filter(|((of, in_series, _), _)| (*of, *in_series) == (instrument, series))
            .map(|(_, &kline)| kline)
            .filter(|kline| from.is_none_or(|from| kline.open_time >= from))
            .filter(|kline| to.is_none_or(|to| kline.open_time <= to))
            .collect();
        if from.is_none() {
            expected.drain(..expected.len().saturating_sub(limit));
        }
        expected.truncate(limit);
        assert_eq!(store.klines(instrument, series, &range), expected, "{range:?}");
    }
}

#[test]
fn the_threads_take_from_the_ring_and_leave_nothing_behind() {
    let folder = Folder::named("threads");
    let settings = config::Store { commit_interval_ms: 10, ..folder.settings() };
    let mut publisher = ring::ring::<Batch>(64, 1 << 20);
    let following = follow(open(&settings), |waker| vec![publisher.reader(waker)]).expect("threads");
    let mut batch = Batch::default();
    for number in 0..60 {
        push_kline(&mut batch, BTC, kline(Series::MINUTE, number), false);
        publisher.publish(&mut batch);
    }
    following.stop();
    let store = open(&settings);
    assert_eq!(numbers(Series::MINUTE, &store.klines(BTC, Series::MINUTE, &ALL)), (0..60).collect::<Vec<_>>());
}
