//! Kraken through the whole program, against a small exchange of the test's own: no recording is needed.

mod exchange;
mod follow;
pub mod market;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{runtime::Runtime, task::JoinSet};

use self::{
    exchange::Exchange,
    follow::{Kind, Run, expected, is_equal, padded},
    market::{BONK, BTC, Pair, YEN},
};
use crate::{
    client::{self, LocalBook, PATIENCE},
    process::{self, Served},
};

/// Levels per side that the configuration asks for.
const DEPTH: usize = 25;

const PAIRS: [Pair; 3] = [BTC, YEN, BONK];

/// The program with Binance's stand-in at `/` and Kraken beside it.
fn serve(exchange: &Exchange, name: &str, symbols: &[&str]) -> Served {
    let config = config(exchange, name, symbols, 1);
    let served = Served::start(&["serve", "--config", &config, "--set", "exchange.rate=50"]);
    std::fs::remove_file(config).expect("it is ours");
    served
}

fn config(exchange: &Exchange, name: &str, symbols: &[&str], connections: u32) -> String {
    let path = std::env::temp_dir().join(format!("tickcast-kraken-{name}-{}.toml", std::process::id()));
    let at = exchange.address;
    let text = format!(
        "[[venues]]\nname = \"binance\"\nkind = \"binance\"\nws_url = \"embedded\"\nrest_url = \"embedded\"\nsymbols = [\"BTCUSDT\"]\n\
         [[venues]]\nname = \"kraken\"\nkind = \"kraken\"\nws_url = \"ws://{at}/v2\"\nrest_url = \"http://{at}\"\nsymbols = {symbols:?}\n\
         connections = {connections}\nbook_depth = {DEPTH}\n[intake]\nbackoff_first_ms = 50\nbackoff_max_ms = 500\n"
    );
    std::fs::write(&path, text).expect("the temporary folder is writable");
    path.to_str().expect("a plain path").to_owned()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = tokio::time::Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_ready(served: &Served) {
    let url = format!("http://{}/readyz", served.ops);
    until("the server gets ready", async || {
        client::http().get(&url).send().await.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
}

/// The sum of Kraken's series with this name and, if not empty, this label.
async fn metric(served: &Served, name: &str, label: &str) -> usize {
    let answer = client::http().get(format!("http://{}/metrics", served.ops)).send().await.expect("it answers");
    let text = answer.text().await.expect("a body");
    let lines = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
            && line.contains("venue=\"kraken\"")
            && line.contains(label)
    });
    let values = lines.map(|line| line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number"));
    let values: Vec<_> = values.collect();
    assert!(!values.is_empty(), "{name} with {label} is there");
    values.iter().sum::<f64>() as usize
}

async fn answer(served: &Served, path: &str) -> Value {
    client::get(&format!("http://{}/kraken/api/v3/{path}", served.public)).await
}

/// One follower of each kind and pair, over every spelling of a Kraken stream.
fn follow_all(followers: &mut JoinSet<()>, run: &Run, exchange: &Arc<Exchange>, served: &Served, cuts: usize) {
    let public = &served.public;
    let rest = format!("http://{public}/kraken/api/v3");
    for pair in PAIRS {
        let lower = pair.lower();
        for stream in [
            format!("ws://{public}/kraken/ws/{lower}@depth@100ms"),
            format!("ws://{public}/kraken/stream?streams={lower}@depth"),
            format!("ws://{public}/ws/kraken:{lower}@depth@100ms"),
            format!("ws://{public}/stream?streams=kraken:{lower}@depth"),
        ] {
            followers.spawn(follow::book(run.clone(), Arc::clone(exchange), pair, DEPTH, stream, rest.clone()));
        }
        let stream = |channel: &str| format!("ws://{public}/kraken/ws/{lower}@{channel}");
        followers.spawn(follow::partial(run.clone(), Arc::clone(exchange), pair, stream("depth5@100ms")));
        followers.spawn(follow::best(run.clone(), Arc::clone(exchange), pair, stream("bookTicker")));
        followers.spawn(follow::trades(run.clone(), Arc::clone(exchange), pair, stream("trade"), cuts));
        followers.spawn(follow::aggregates(run.clone(), Arc::clone(exchange), pair, stream("aggTrade")));
    }
}

/// Waits until some more events of each kind were checked; says at once if a follower has found something wrong.
async fn more_events(run: &Run, followers: &mut JoinSet<()>, count: usize) {
    for kind in Kind::ALL {
        let before = run.events(kind);
        until(&format!("{kind:?} go on"), async || {
            while let Some(failed) = followers.try_join_next() {
                failed.expect("no follower found anything wrong");
            }
            run.events(kind) >= before + count
        })
        .await;
    }
}

async fn all_right(run: &Run, mut followers: JoinSet<()>) {
    run.quiet();
    while let Some(follower) = tokio::time::timeout(PATIENCE, followers.join_next()).await.expect("all get right") {
        follower.expect("no follower found anything wrong");
    }
}

#[test]
fn nobody_notices_wrong_checksums_lost_updates_and_lost_connections() {
    let seed = std::env::var("TICKCAST_SEED").map_or(20_261_122, |text| text.parse().expect("a number"));
    println!("seed {seed} (set TICKCAST_SEED to repeat another run)");
    runtime().block_on(async {
        let exchange = Arc::new(Exchange::open(&PAIRS, seed).await);
        let served = serve(&exchange, "faults", &PAIRS.map(|pair| pair.native));
        until_ready(&served).await;
        assert_eq!(exchange.asked("subscribe", "book"), [json!(PAIRS.map(|pair| pair.native))]);
        let (run, mut followers) = (Run::default(), JoinSet::new());
        follow_all(&mut followers, &run, &exchange, &served, 2);
        more_events(&run, &mut followers, 50).await;
        let failures = "tickcast_book_checksum_failures_total";
        assert_eq!(metric(&served, failures, "").await, 0);
        assert!(metric(&served, "tickcast_book_checksums_total", "").await > 0);

        // A lie, a loss and another lie soon after: the book in question is asked for again, the others are left alone.
        for (pair, is_lie) in [(BTC, true), (YEN, false), (BONK, true), (BTC, false), (BTC, true)] {
            let (failed, healed) =
                (metric(&served, failures, "").await, metric(&served, "tickcast_book_resyncs_total", "").await);
            let asked = exchange.asked("unsubscribe", "book").len();
            if is_lie {
                exchange.floor().lies.insert(pair.native);
            } else {
                exchange.floor().losses.insert(pair.native);
            }
            until("the book is healed", async || {
                metric(&served, failures, "").await > failed
                    && metric(&served, "tickcast_book_resyncs_total", "").await > healed
                    && metric(&served, "tickcast_book_state", "\"live\"").await == PAIRS.len()
            })
            .await;
            let expected = vec![json!([pair.native])];
            assert_eq!(exchange.asked("unsubscribe", "book")[asked..], expected);
            assert_eq!(exchange.asked("subscribe", "book")[1 + asked..], expected);
            more_events(&run, &mut followers, 20).await;
        }
        assert_eq!(exchange.floor().connections, 2, "one for the list, one for all the rest");
        assert_eq!(metric(&served, "tickcast_engine_trade_holes_total", "").await, 0);

        for cuts in 1..=2 {
            exchange.floor().cut();
            until("it connects again", async || {
                exchange.floor().connections == 2 + cuts
                    && metric(&served, "tickcast_book_state", "\"live\"").await == PAIRS.len()
            })
            .await;
            more_events(&run, &mut followers, 20).await;
        }
        exchange.floor().is_quiet = true;
        all_right(&run, followers).await;
        assert_eq!(metric(&served, "tickcast_engine_refused_total", "").await, 0, "every frame was understood");
        for pair in PAIRS {
            rest_has_the_shape_of_binance(&served, &exchange, pair).await;
        }
        assert_eq!(served.terminate(), Some(0));
    });
}

/// The market is quiet: what REST says is what the exchange has, with the decimals of the pair.
async fn rest_has_the_shape_of_binance(served: &Served, exchange: &Exchange, pair: Pair) {
    let Pair { native, price_precision, qty_precision, .. } = pair;
    let (symbol, (price_places, quantity_places)) = (pair.symbol(), pair.places());
    let price = |mantissa| padded(mantissa, price_precision, price_places);
    let quantity = |mantissa| padded(mantissa, qty_precision, quantity_places);

    let information = answer(served, &format!("exchangeInfo?symbol={symbol}")).await;
    let [listed] = &information["symbols"].as_array().expect("symbols")[..] else { panic!("{information}") };
    let (base, quote) = native.split_once('/').expect("two assets");
    assert_eq!((&listed["symbol"], &listed["status"]), (&json!(symbol), &json!("TRADING")));
    assert_eq!((&listed["baseAsset"], &listed["quoteAsset"]), (&json!(base), &json!(quote)));
    assert_eq!(listed["baseAssetPrecision"], quantity_places);
    assert_eq!(listed["quoteAssetPrecision"], price_places);
    assert_eq!(listed["filters"][0]["filterType"], "PRICE_FILTER");
    assert_eq!(listed["filters"][0]["tickSize"], price(1));
    assert_eq!(listed["filters"][1]["stepSize"], quantity(1));

    let depth = answer(served, &format!("depth?symbol={symbol}&limit=5000")).await;
    assert!(is_equal(&LocalBook::from_rest(&depth), &expected(exchange, pair, DEPTH), pair), "{symbol}: {depth}");
    let best = answer(served, &format!("ticker/bookTicker?symbol={symbol}")).await;
    let top = |side: &str| [depth[side][0][0].clone(), depth[side][0][1].clone()];
    assert_eq!([best["bidPrice"].clone(), best["bidQty"].clone()], top("bids"));
    assert_eq!([best["askPrice"].clone(), best["askQty"].clone()], top("asks"));

    let fills: Vec<_> = exchange.floor().markets[native].fills.iter().flatten().copied().collect();
    let trades = answer(served, &format!("trades?symbol={symbol}&limit=20")).await;
    let trades = trades.as_array().expect("a list");
    assert_eq!(trades.len(), 20);
    for (trade, fill) in trades.iter().zip(&fills[fills.len() - 20..]) {
        assert_eq!((&trade["id"], &trade["time"]), (&json!(fill.id), &json!(fill.time.millis())));
        assert_eq!((&trade["price"], &trade["qty"]), (&json!(price(fill.price)), &json!(quantity(fill.quantity))));
        assert_eq!((&trade["isBuyerMaker"], &trade["isBestMatch"]), (&json!(fill.taker_sold), &json!(true)));
        let places = trade["quoteQty"].as_str().expect("text").split_once('.').expect("a point").1.len();
        assert_eq!(places, usize::from(price_places));
    }
    let aggregates = answer(served, &format!("aggTrades?symbol={symbol}&limit=3")).await;
    let newest = &aggregates.as_array().expect("a list")[2];
    let last = fills.last().expect("some");
    assert_eq!(
        (&newest["a"], &newest["l"], &newest["p"]),
        (&json!(last.id), &json!(last.id), &json!(price(last.price)))
    );
    let told = answer(served, &format!("ticker/price?symbol={symbol}")).await;
    assert_eq!(told, json!({ "symbol": symbol, "price": price(last.price) }));
}

#[test]
fn the_cut_follows_what_the_venue_acknowledges() {
    runtime().block_on(async {
        let exchange = Arc::new(Exchange::open(&PAIRS, 5).await);
        exchange.floor().depth = Some(10);
        let served = serve(&exchange, "cut", &[BTC.native]);
        until_ready(&served).await;
        let (run, mut followers) = (Run::default(), JoinSet::new());
        let rest = format!("http://{}/kraken/api/v3", served.public);
        let stream = format!("ws://{}/kraken/ws/btcusd@depth@100ms", served.public);
        followers.spawn(follow::book(run.clone(), Arc::clone(&exchange), BTC, 10, stream, rest));
        until("diffs flow", async || run.events(Kind::Diffs) >= 30).await;
        exchange.floor().is_quiet = true;
        all_right(&run, followers).await;
        let depth = answer(&served, "depth?symbol=BTCUSD&limit=5000").await;
        assert!(is_equal(&LocalBook::from_rest(&depth), &expected(&exchange, BTC, 10), BTC), "{depth}");
        assert_eq!(metric(&served, "tickcast_book_checksum_failures_total", "").await, 0);
    });
}

/// One pair that is not on the list, and one that is and whose subscription is refused: both are acknowledged to clients
/// and silent, nobody waits for them, and the others go on.
#[test]
fn a_pair_that_the_venue_does_not_have_costs_only_itself() {
    runtime().block_on(async {
        let exchange = Arc::new(Exchange::open(&PAIRS, 6).await);
        exchange.floor().refused.insert(YEN.native);
        let served = serve(&exchange, "unknown", &["NONE/USD", BTC.native, YEN.native]);
        until_ready(&served).await;
        until("the refusal is seen", async || metric(&served, "tickcast_book_state", "\"refused\"").await == 1).await;
        assert_eq!(exchange.asked("subscribe", "book"), [json!([BTC.native, YEN.native])]);
        let streams = "noneusd@depth/noneusd@trade/xrpjpy@depth/xrpjpy@bookTicker/btcusd@depth";
        let mut socket = client::open(&format!("ws://{}/kraken/stream?streams={streams}", served.public)).await;
        for _ in 0..3 {
            assert_eq!(client::next(&mut socket).await["stream"], "btcusd@depth");
        }
        for symbol in ["NONEUSD", "XRPJPY"] {
            let url = format!("http://{}/kraken/api/v3/depth?symbol={symbol}", served.public);
            let status = client::http().get(&url).send().await.expect("it answers").status();
            assert!(!status.is_success(), "{symbol}: {status}");
        }
        until_ready(&served).await;
        // A new connection asks once more, and this time the venue has it.
        exchange.floor().refused.clear();
        exchange.floor().cut();
        until("both are there", async || metric(&served, "tickcast_book_state", "\"live\"").await == 2).await;
        let heard = async { while client::next(&mut socket).await["stream"] != "xrpjpy@depth" {} };
        tokio::time::timeout(PATIENCE, heard).await.expect("the pair speaks");
    });
}

#[test]
fn a_subscription_refused_for_going_too_fast_is_asked_for_again() {
    runtime().block_on(async {
        let exchange = Arc::new(Exchange::open(&PAIRS, 7).await);
        exchange.floor().too_fast = 1;
        let served = serve(&exchange, "fast", &PAIRS.map(|pair| pair.native));
        until_ready(&served).await;
        assert_eq!(exchange.asked("subscribe", "book").len(), 2);
        assert_eq!(metric(&served, "tickcast_book_state", "\"live\"").await, 3);
    });
}

#[test]
fn two_connections_are_refused_in_words() {
    runtime().block_on(async {
        let exchange = Exchange::open(&PAIRS, 8).await;
        let config = config(&exchange, "two", &[BTC.native], 2);
        let (code, _, errors) = process::run(&["serve", "--config", &config]);
        std::fs::remove_file(config).expect("it is ours");
        assert_ne!(code, 0);
        assert!(errors.contains("venues.2") && errors.contains("connections is 2"), "{errors}");
    });
}
