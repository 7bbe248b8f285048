//! Trades and aggregates: in order, each once, what is lost fetched or counted.

use super::*;

#[test]
fn lost_trades_are_fetched_and_published_in_order() {
    let mut bench = Bench::new();
    let trade = trade_frame;
    assert_eq!(bench.frame(CONNECTION, trade(10)), [Said::Trade(10)]);
    assert!(bench.frame(CONNECTION, trade(13)).is_empty(), "held");
    assert!(bench.frame(CONNECTION, trade(10)).is_empty(), "a double");
    let asked: Vec<_> = bench.requests.try_iter().filter(|request| matches!(request, Request::Trades { .. })).collect();
    assert_eq!(asked, [Request::Trades { instrument: INSTRUMENT, from_id: 11, count: 2 }]);
    let body = r#"[{"id":11,"price":"50000.00000000","qty":"1.00000000","quoteQty":"50000.00000000","time":1789000000011,"isBuyerMaker":true,"isBestMatch":true},
        {"id":12,"price":"50000.00000000","qty":"1.00000000","quoteQty":"50000.00000000","time":1789000000012,"isBuyerMaker":true,"isBestMatch":true},
        {"id":13,"price":"50000.00000000","qty":"1.00000000","quoteQty":"50000.00000000","time":1789000000013,"isBuyerMaker":true,"isBestMatch":true}]"#;
    let body = Frame { received: bench.now, bytes: Bytes::from_static(body.as_bytes()) };
    let said = bench.pass(vec![Inbound::Trades { instrument: INSTRUMENT, body }]);
    assert_eq!(said, [Said::Trade(11), Said::Trade(12), Said::Trade(13)]);
    assert_eq!(bench.frame(CONNECTION, trade(14)), [Said::Trade(14)]);
}

fn aggregate(id: i64) -> String {
    let time = 1_789_000_000_000 + id;
    format!(
        r#"{{"stream":"btcusdt@aggTrade","data":{{"e":"aggTrade","E":{time},"s":"{SYMBOL}","a":{id},"p":"50000.00000000","q":"1.00000000","f":{id},"l":{id},"T":{time},"m":true,"M":true}}}}"#
    )
}

#[test]
fn aggregates_behind_a_lost_connection_come_in_order_and_the_lost_ones_are_counted() {
    let mut bench = Bench::new();
    assert_eq!(bench.frame(CONNECTION, aggregate(10)), [Said::Aggregate(10)]);
    assert_eq!(bench.holes_and_lost(), (0, 0), "the first one says nothing about those before");
    let received = bench.now;
    bench.pass(vec![Inbound::Closed { venue: VENUE, connection: CONNECTION, received }]);
    let second = ConnectionId(2);
    bench.opened(second);
    assert!(bench.frame(second, aggregate(14)).is_empty(), "held");
    assert!(asks_aggregates(&bench, 11, 3));
    assert_eq!(bench.pass(vec![refused(&bench, false)]), [Said::Aggregate(14)], "nobody can bring what is missing");
    assert_eq!(bench.holes_and_lost(), (1, 3));
    for late in [14, 12, 10] {
        assert!(bench.frame(second, aggregate(late)).is_empty(), "never a double, never out of order");
    }
    assert_eq!(bench.frame(second, aggregate(15)), [Said::Aggregate(15)]);
    assert_eq!(bench.holes_and_lost(), (1, 3));
}

#[test]
fn aggregates_wait_a_moment_for_a_connection_that_is_slower() {
    let mut bench = Bench::new();
    let second = ConnectionId(2);
    bench.frame(CONNECTION, aggregate(10));
    bench.opened(second);
    assert!(bench.frame(second, aggregate(13)).is_empty(), "the other one may bring them");
    assert_eq!(bench.frame(CONNECTION, aggregate(11)), [Said::Aggregate(11)]);
    assert_eq!(bench.frame(CONNECTION, aggregate(12)), [Said::Aggregate(12), Said::Aggregate(13)]);
    assert!(bench.frame(CONNECTION, aggregate(13)).is_empty());
    assert_eq!(bench.holes_and_lost(), (1, 0));

    assert!(bench.frame(second, aggregate(16)).is_empty());
    let received = bench.now;
    bench.pass(vec![Inbound::Closed { venue: VENUE, connection: CONNECTION, received }]);
    assert!(bench.frame(second, aggregate(17)).is_empty(), "behind the one that waits");
    assert_eq!(bench.wait(3_100), [Said::Aggregate(16), Said::Aggregate(17)], "no answer within the time");
    assert_eq!(bench.holes_and_lost(), (2, 2));
    assert!(bench.pass(vec![refused(&bench, true)]).is_empty());
    assert_eq!(bench.frame(second, aggregate(19)), [Said::Aggregate(19)], "alone again, and nobody to ask");
    assert_eq!(bench.holes_and_lost(), (3, 3));
}

#[test]
fn lost_aggregates_are_fetched_and_published_in_order() {
    let mut bench = Bench::new();
    assert_eq!(bench.frame(CONNECTION, aggregate(10)), [Said::Aggregate(10)]);
    assert!(bench.frame(CONNECTION, aggregate(13)).is_empty(), "held");
    assert!(asks_aggregates(&bench, 11, 2));
    let row = |id: i64| {
        let time = 1_789_000_000_000 + id;
        format!(r#"{{"a":{id},"p":"50000.00000000","q":"1.00000000","f":{id},"l":{id},"T":{time},"m":true,"M":true}}"#)
    };
    let body = Frame { received: bench.now, bytes: Bytes::from(format!("[{},{}]", row(11), row(12))) };
    let said = bench.pass(vec![Inbound::AggTrades { instrument: INSTRUMENT, from_id: Some(11), body }]);
    assert_eq!(said, [Said::Aggregate(11), Said::Aggregate(12), Said::Aggregate(13)]);
    assert_eq!(bench.holes_and_lost(), (1, 0));
}

fn asks_aggregates(bench: &Bench, from_id: i64, count: u32) -> bool {
    let wanted = Request::AggTrades { instrument: INSTRUMENT, from_id: Some(from_id), count };
    bench.requests.try_iter().any(|request| request == wanted)
}

fn refused(bench: &Bench, for_good: bool) -> Inbound {
    Inbound::Refused { instrument: INSTRUMENT, what: Wanted::AggTrades, for_good, received: bench.now }
}

#[test]
fn what_the_venue_does_not_have_is_not_waited_for() {
    let mut bench = Bench::new();
    assert_eq!(bench.frame(CONNECTION, trade_frame(10)), [Said::Trade(10)]);
    assert!(bench.frame(CONNECTION, trade_frame(13)).is_empty(), "held");
    // The answer goes beyond the hole: 11 and 12 do not exist.
    let body = format!("[{}]", trade_row(13));
    let body = Frame { received: bench.now, bytes: Bytes::from(body) };
    let said = bench.pass(vec![Inbound::Trades { instrument: INSTRUMENT, body }]);
    assert_eq!(said, [Said::Trade(13)]);
    assert!(bench.frame(CONNECTION, trade_frame(15)).is_empty(), "held");
    let refused =
        Inbound::Refused { instrument: INSTRUMENT, what: Wanted::Trades, for_good: true, received: bench.now };
    assert_eq!(bench.pass(vec![refused]), [Said::Trade(15)]);
    assert_eq!(bench.frame(CONNECTION, trade_frame(20)), [Said::Trade(20)], "nobody is asked any more");
}

#[test]
fn a_venue_without_old_trades_of_one_symbol_has_none_of_another() {
    let mut bench = Bench::new();
    let refused = |bench: &Bench, instrument| {
        vec![Inbound::Refused { instrument, what: Wanted::Trades, for_good: true, received: bench.now }]
    };
    assert_eq!(bench.frame(CONNECTION, trade_frame(10)), [Said::Trade(10)]);
    assert!(bench.frame(CONNECTION, trade_frame(13)).is_empty(), "held");
    let answer = refused(&bench, InstrumentId(1));
    assert!(bench.pass(answer).is_empty(), "what is not traded there says nothing about the others");
    assert_eq!(bench.frame(CONNECTION, trade_frame_of("NOSUCH", 50)), [Said::Trade(50)]);
    let answer = refused(&bench, InstrumentId(1));
    assert_eq!(bench.pass(answer), [Said::Trade(13)]);
    assert_eq!(bench.frame(CONNECTION, trade_frame(20)), [Said::Trade(20)], "nobody is asked any more");
}

fn trade_frame(id: i64) -> String {
    trade_frame_of(SYMBOL, id)
}

fn trade_frame_of(symbol: &str, id: i64) -> String {
    let (time, name) = (1_789_000_000_000 + id, symbol.to_lowercase());
    format!(
        r#"{{"stream":"{name}@trade","data":{{"e":"trade","E":{time},"s":"{symbol}","t":{id},"p":"50000.00000000","q":"1.00000000","T":{time},"m":true,"M":true}}}}"#
    )
}

/// A trade as REST tells it.
fn trade_row(id: i64) -> String {
    let time = 1_789_000_000_000 + id;
    format!(
        r#"{{"id":{id},"price":"50000.00000000","qty":"1.00000000","quoteQty":"50000.00000000","time":{time},"isBuyerMaker":true,"isBestMatch":true}}"#
    )
}
