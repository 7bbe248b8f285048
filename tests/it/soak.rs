//! Two thousand clients of the real program while its exchange misbehaves: nobody's book is ever wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::task::JoinSet;

use tickcast::{market::Level, sim};

use crate::{
    client::{self, LocalBook, PATIENCE},
    process::Served,
};

/// Clients of each of the four kinds.
const CLIENTS_PER_KIND: usize = 500;

const SYMBOLS: [&str; 20] = [
    "BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT", "AVAXUSDT", "DOTUSDT", "LINKUSDT",
    "LTCUSDT", "BCHUSDT", "UNIUSDT", "ATOMUSDT", "ETCUSDT", "FILUSDT", "APTUSDT", "ARBUSDT", "OPUSDT", "NEARUSDT",
];

/// How long the faults go on: short by default, a minute in the full gate.
fn soak() -> Duration {
    let seconds = std::env::var("TICKCAST_SOAK_SECONDS").map_or(8, |text| text.parse().expect("whole seconds"));
    Duration::from_secs(seconds)
}

/// What all clients of one run share.
#[derive(Default)]
struct Run {
    /// Clients that have their first state.
    ready: AtomicU64,
    /// Events checked.
    events: AtomicU64,
    /// No more events come: readers may stop once they are where the exchange is.
    quiet: AtomicBool,
}

#[test]
fn two_thousand_clients_are_never_wrong_while_the_exchange_misbehaves() {
    let seed = std::env::var("TICKCAST_SEED").map_or(20_261_122, |text| text.parse().expect("a number"));
    println!("seed {seed} (set TICKCAST_SEED to repeat another run)");
    let exchange = Arc::new(start_exchange(seed));
    let at = exchange.addr();
    let config = std::env::temp_dir().join(format!("tickcast-soak-{}.toml", std::process::id()));
    let symbols = SYMBOLS.map(|symbol| format!("{symbol:?}")).join(", ");
    let history = config.with_extension("redb");
    let text = format!(
        "[[venues]]\nname = \"binance\"\nkind = \"binance\"\nws_url = \"ws://{at}\"\nrest_url = \"http://{at}\"\n\
         symbols = [{symbols}]\nconnections = 1\n[intake]\nbackoff_first_ms = 100\nbackoff_max_ms = 1000\nrest_weight_percent = 100\n\
         [ring]\nbytes = 16777216\n[store]\npath = \"{}\"\n",
        // History fills for minutes: it is not what is watched here, and on disk it takes no memory.
        history.display()
    );
    std::fs::write(&config, text).expect("the temporary folder is writable");
    let served = Served::start(&["serve", "--config", config.to_str().expect("a plain path")]);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let run = Arc::new(Run::default());
        wait_until_ready(&served).await;
        let mut clients = JoinSet::new();
        for index in 0..CLIENTS_PER_KIND {
            let symbol = SYMBOLS[index % SYMBOLS.len()];
            let cadence = if index % 3 == 0 { "" } else { "@100ms" };
            let lower = symbol.to_lowercase();
            let public = &served.public;
            clients.spawn(follow_book(public.clone(), symbol, cadence, Arc::clone(&run), Arc::clone(&exchange)));
            let trades = format!("ws://{public}/ws/{lower}@trade");
            clients.spawn(follow_rising(trades, Arc::clone(&run), |event| event["t"].as_i64(), None));
            let best = format!("ws://{public}/stream?streams={lower}@bookTicker");
            clients.spawn(follow_rising(
                best,
                Arc::clone(&run),
                |event| event["data"]["u"].as_i64(),
                Some(best_is_sane),
            ));
            let partial = format!("ws://{public}/ws/{lower}@depth20@100ms");
            let id: fn(&Value) -> Option<i64> = |event| event["lastUpdateId"].as_i64();
            clients.spawn(follow_rising(partial, Arc::clone(&run), id, Some(partial_is_sane)));
            if index % 25 == 24 {
                // Let the tasks get through their handshakes before more arrive.
                tokio::task::yield_now().await;
            }
        }
        let all = clients.len() as u64;
        until("every client has its first state", || run.ready.load(Ordering::Relaxed) == all).await;
        let memory_before = served.memory();
        let events_before = run.events.load(Ordering::Relaxed);
        exchange.set_faults(faults());
        tokio::time::sleep(soak()).await;
        exchange.set_faults(sim::Faults::default());
        let memory_after = served.memory();
        let events = run.events.load(Ordering::Relaxed) - events_before;

        exchange.pause();
        run.quiet.store(true, Ordering::Relaxed);
        while let Some(client) = clients.join_next().await {
            client.expect("no client found anything wrong");
        }
        println!("{all} clients checked {events} events under faults {:?}", exchange.counters());
        println!("memory of the server: {} MiB before, {} MiB after", memory_before >> 20, memory_after >> 20);
        assert!(events > all, "events flowed");
        assert!(
            memory_after < memory_before + memory_before / 4 + (16 << 20),
            "memory grew from {memory_before} to {memory_after} bytes"
        );
    });
    std::fs::remove_file(&config).expect("it is ours");
    std::fs::remove_file(&history).expect("it is ours");
    assert_eq!(served.terminate(), Some(0), "a drained server ends well");
}

fn start_exchange(seed: u64) -> sim::Running {
    let settings = sim::Settings {
        seed,
        rate: 400,
        symbols: SYMBOLS.iter().map(|symbol| (*symbol).to_owned()).collect(),
        ..sim::Settings::default()
    };
    sim::start(&settings).expect("loopback is there")
}

/// A fault of each kind, as often as the venue's weights allow to heal: a lost connection costs a snapshot a symbol.
fn faults() -> sim::Faults {
    sim::Faults {
        gap: 20.0,
        duplicate: 20.0,
        reorder: 10.0,
        stall: 2.0,
        disconnect: 2.0,
        malformed: 10.0,
        stale_snapshot: 10.0,
        rate_limit: 4.0,
        ..sim::Faults::default()
    }
}

async fn wait_until_ready(served: &Served) {
    let url = format!("http://{}/readyz", served.ops);
    let started = tokio::time::Instant::now();
    while !client::http().get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
        assert!(started.elapsed() < PATIENCE, "the server gets ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = tokio::time::Instant::now();
    while !holds() {
        assert!(started.elapsed() < 4 * PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Keeps a book by Binance's procedure; at quiet it has to equal the exchange's own.
async fn follow_book(
    public: String,
    symbol: &'static str,
    cadence: &'static str,
    run: Arc<Run>,
    exchange: Arc<sim::Running>,
) {
    let mut socket = client::open(&format!("ws://{public}/ws/{}@depth{cadence}", symbol.to_lowercase())).await;
    let mut first = client::next(&mut socket).await;
    let mut book = loop {
        let body = client::get(&format!("http://{public}/api/v3/depth?symbol={symbol}&limit=5000")).await;
        let book = LocalBook::from_rest(&body);
        if book.last_id + 1 >= first["U"].as_i64().expect("U") {
            break book;
        }
    };
    while first["u"].as_i64().expect("u") <= book.last_id {
        first = client::next(&mut socket).await;
    }
    let last = first["u"].as_i64().expect("u");
    book.merge(&first, last).unwrap_or_else(|wrong| panic!("{wrong}"));
    run.ready.fetch_add(1, Ordering::Relaxed);
    loop {
        let truth = run.quiet.load(Ordering::Relaxed).then(|| exchange.book(symbol)).flatten();
        if let Some((last_id, bids, asks)) = truth
            && book.last_id == last_id
        {
            for (name, ours, theirs) in [("bids", &book.bids, side(&bids)), ("asks", &book.asks, side(&asks))] {
                let wrong: Vec<_> =
                    ours.iter().filter(|(price, quantity)| theirs.get(price) != Some(quantity)).collect();
                let missing: Vec<_> = theirs.iter().filter(|(price, _)| !ours.contains_key(price)).collect();
                assert!(
                    wrong.is_empty() && missing.is_empty(),
                    "{symbol} at {last_id}, of {} {name}: wrong {wrong:?}, missing {missing:?}",
                    theirs.len()
                );
            }
            return;
        }
        let diff = client::next(&mut socket).await;
        book.apply(&diff).unwrap_or_else(|wrong| panic!("{wrong}"));
        run.events.fetch_add(1, Ordering::Relaxed);
    }
}

/// The exchange's numbers have eight places, as Binance prints them.
fn side(levels: &[Level]) -> client::Side {
    let text = |quantity: i64| format!("{}.{:08}", quantity / 100_000_000, quantity % 100_000_000);
    levels.iter().map(|level| (level.price.0.into(), text(level.quantity.0))).collect()
}

/// Follows a stream whose ids have to rise strictly.
async fn follow_rising(url: String, run: Arc<Run>, id: fn(&Value) -> Option<i64>, check: Option<fn(&Value)>) {
    let mut socket = client::open(&url).await;
    let mut last = i64::MIN;
    let mut ready = false;
    loop {
        if run.quiet.load(Ordering::Relaxed) {
            return;
        }
        // Quiet streams are read in turns, so that the end is noticed.
        let Ok(event) = tokio::time::timeout(Duration::from_millis(500), client::next(&mut socket)).await else {
            if !ready {
                ready = true;
                run.ready.fetch_add(1, Ordering::Relaxed);
            }
            continue;
        };
        let id = id(&event).unwrap_or_else(|| panic!("{url}: no id in {event}"));
        assert!(id > last, "{url}: {id} came after {last}");
        last = id;
        if let Some(check) = check {
            check(&event);
        }
        if !ready {
            ready = true;
            run.ready.fetch_add(1, Ordering::Relaxed);
        }
        run.events.fetch_add(1, Ordering::Relaxed);
    }
}

fn best_is_sane(event: &Value) {
    let data = &event["data"];
    let price = |key: &str| client::key(data[key].as_str().expect("a price"));
    assert!(price("b") < price("a"), "crossed: {data}");
}

fn partial_is_sane(book: &Value) {
    let prices = |key: &str| {
        let levels = book[key].as_array().expect("levels").iter();
        levels.map(|level| client::key(level[0].as_str().expect("a price"))).collect::<Vec<_>>()
    };
    let (bids, asks) = (prices("bids"), prices("asks"));
    assert!(bids.len() <= 20 && asks.len() <= 20, "{book}");
    assert!(bids.is_sorted_by(|a, b| a > b), "bids fall: {book}");
    assert!(asks.is_sorted_by(|a, b| a < b), "asks rise: {book}");
    if let (Some(bid), Some(ask)) = (bids.first(), asks.first()) {
        assert!(bid < ask, "crossed: {book}");
    }
}
