//! Statistics: bytes in ms and us.

use tickcast::market::{AveragePrice, MiniTicker, ReferencePrice, Ticker, Volume};

use super::{candles::furnished, *};

#[test]
fn windows_end_now_and_begin_with_a_minute() {
    let fixture = furnished();
    let full = r#"{"symbol":"BTCUSDT","priceChange":"8.00000000","priceChangePercent":"4.372","weightedAvgPrice":"100.00000000","openPrice":"183.00000000","highPrice":"196.00000000","lowPrice":"173.00000000","lastPrice":"191.00000000","volume":"10.00000000","quoteVolume":"1000.00000000","openTime":1788999780000,"closeTime":1789000000123,"firstId":1083,"lastId":1086,"count":4}"#;
    let path = "/api/v3/ticker?windowSize=3m&symbol";
    assert_eq!(fixture.text(&format!("{path}=BTCUSDT")), full);
    assert_eq!(fixture.text(&format!("{path}=BTCUSDT&type=FULL")), full);
    let micros = full.replace("1788999780000", "1788999780000000").replace("1789000000123", "1789000000123456");
    assert_eq!(fixture.micros(&format!("{path}=BTCUSDT")), micros);
    assert_eq!(fixture.text(&format!(r#"{path}s=["BTCUSDT"]"#)), format!("[{full}]"));
    let mini = r#"{"symbol":"BTCUSDT","openPrice":"183.00000000","highPrice":"196.00000000","lowPrice":"173.00000000","lastPrice":"191.00000000","volume":"10.00000000","quoteVolume":"1000.00000000","openTime":1788999780000,"closeTime":1789000000123,"firstId":1083,"lastId":1086,"count":4}"#;
    assert_eq!(fixture.text(&format!("{path}=BTCUSDT&type=MINI")), mini);
    for (window, first) in
        [("1m", 1085), ("26m", 1060), ("27m", 1059), ("1h", 1026), ("86m", 0), ("2h", 1000), ("7d", 1000)]
    {
        let answer = fixture.ask(&format!("/api/v3/ticker?symbol=BTCUSDT&windowSize={window}"));
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        if first == 0 {
            assert_eq!(body["code"], -1130, "there is no {window}");
        } else {
            assert_eq!((&body["firstId"], &body["count"]), (&first.into(), &(1087 - first).into()), "{window}");
        }
    }
}

#[test]
fn trading_days_begin_in_their_zone() {
    let fixture = furnished();
    let full = r#"{"symbol":"BTCUSDT","priceChange":"31.00000000","priceChangePercent":"19.375","weightedAvgPrice":"100.00000000","openPrice":"160.00000000","highPrice":"196.00000000","lowPrice":"150.00000000","lastPrice":"191.00000000","volume":"67.50000000","quoteVolume":"6750.00000000","openTime":1788998400000,"closeTime":1789084799999,"firstId":1060,"lastId":1086,"count":27}"#;
    let path = "/api/v3/ticker/tradingDay?symbol=BTCUSDT";
    assert_eq!(fixture.text(path), full);
    assert_eq!(fixture.text(&format!("{path}&timeZone=0")), full);
    let micros = full.replace("1788998400000", "1788998400000000").replace("1789084799999", "1789084799999999");
    assert_eq!(fixture.micros(path), micros);
    let mini = r#"{"symbol":"BTCUSDT","openPrice":"160.00000000","highPrice":"196.00000000","lowPrice":"150.00000000","lastPrice":"191.00000000","volume":"67.50000000","quoteVolume":"6750.00000000","openTime":1788998400000,"closeTime":1789084799999,"firstId":1060,"lastId":1086,"count":27}"#;
    assert_eq!(fixture.text(&format!("{path}&type=MINI")), mini);
    let times = |zone: &str| {
        let text = fixture.text(&format!("{path}&timeZone={zone}"));
        let body: Value = serde_json::from_str(&text).expect("JSON");
        ["openTime", "closeTime", "count"].map(|key| body[key].as_i64().expect("a number"))
    };
    let day = 86_400_000;
    assert_eq!(times("-0:15"), [1_788_999_300_000, 1_788_999_300_000 + day - 1, 12]);
    assert_eq!(times("8"), [1_788_969_600_000, 1_788_969_600_000 + day - 1, 87]);
    assert_eq!(times("05:45"), [1_788_977_700_000, 1_788_977_700_000 + day - 1, 87]);
}

#[test]
fn without_a_trade_in_the_window_prices_are_carried() {
    let mut fixture = fixture();
    assert_eq!(fixture.refusal("/api/v3/ticker?symbol=ETHUSDT"), (503, -1001), "nothing is known");
    assert_eq!(fixture.text(r#"/api/v3/ticker?symbols=["ETHUSDT"]"#), "[]");
    let time = Nanos(NOW.0 - 10 * 86_400_000_000_000);
    let trade = Trade { id: 7, price: Price(250_000_000), quantity: Quantity(1), time, buyer_is_maker: false };
    fixture.publish_of(1, &[Payload::Trade(trade)], Batch::default());
    let text = r#"{"symbol":"ETHUSDT","priceChange":"0.00000000","priceChangePercent":"0.000","weightedAvgPrice":"2.50000000","openPrice":"2.50000000","highPrice":"2.50000000","lowPrice":"2.50000000","lastPrice":"2.50000000","volume":"0.00000000","quoteVolume":"0.00000000","openTime":1788996360000,"closeTime":1789000000123,"firstId":-1,"lastId":-1,"count":0}"#;
    assert_eq!(fixture.text("/api/v3/ticker?symbol=ETHUSDT&windowSize=1h"), text);
}

/// 41 trades from 100 to 105, the last with id 40.
fn ticker() -> Ticker {
    let ones = |number: i64| Price(number * 100_000_000);
    let sum = |number: i128| Volume(number * 100_000_000);
    Ticker {
        mini: MiniTicker {
            close: ones(105),
            open: ones(100),
            high: ones(110),
            low: ones(90),
            volume: sum(50),
            quote_volume: sum(5100),
        },
        change: ones(5),
        change_percent: 5000,
        weighted_average: ones(102),
        previous_close: ones(99),
        last_quantity: Quantity(200_000_000),
        bid: Level { price: ones(1), quantity: Quantity(1) },
        ask: Level { price: ones(2), quantity: Quantity(2) },
        open_time: Nanos::from_micros(1_788_913_600_100_200),
        close_time: Nanos::from_micros(1_789_000_000_100_200),
        first_id: 0,
        last_id: 40,
        trades: 41,
    }
}

#[test]
fn a_day_shows_the_best_of_this_moment_and_the_trades_since() {
    let mut fixture = fixture();
    let path = "/api/v3/ticker/24hr?symbol=BTCUSDT";
    assert_eq!(fixture.refusal(path), (503, -1001));
    fixture.publish_of(0, &[Payload::Ticker(0)], Batch { tickers: vec![ticker()], ..Batch::default() });
    let full = r#"{"symbol":"BTCUSDT","priceChange":"5.00000000","priceChangePercent":"5.000","weightedAvgPrice":"102.00000000","prevClosePrice":"99.00000000","lastPrice":"105.00000000","lastQty":"2.00000000","bidPrice":"1.00000000","bidQty":"0.00000001","askPrice":"2.00000000","askQty":"0.00000002","openPrice":"100.00000000","highPrice":"110.00000000","lowPrice":"90.00000000","volume":"50.00000000","quoteVolume":"5100.00000000","openTime":1788913600100,"closeTime":1789000000100,"firstId":0,"lastId":40,"count":41}"#;
    assert_eq!(fixture.text(path), full);
    let micros = full.replace("1788913600100", "1788913600100200").replace("1789000000100", "1789000000100200");
    assert_eq!(fixture.micros(path), micros);
    let mini = r#"{"symbol":"BTCUSDT","openPrice":"100.00000000","highPrice":"110.00000000","lowPrice":"90.00000000","lastPrice":"105.00000000","volume":"50.00000000","quoteVolume":"5100.00000000","openTime":1788913600100,"closeTime":1789000000100,"firstId":0,"lastId":40,"count":41}"#;
    assert_eq!(fixture.text(&format!("{path}&type=MINI")), mini);
    assert_eq!(fixture.text(r#"/api/v3/ticker/24hr?symbols=["BTCUSDT"]"#), format!("[{full}]"));
    assert_eq!(fixture.text("/api/v3/ticker/24hr"), format!("[{full}]"), "what has no value yet is left out");

    fixture.fill();
    let fresh = r#"{"symbol":"BTCUSDT","priceChange":"86604.78000000","priceChangePercent":"86604.780","weightedAvgPrice":"1373.43701054","prevClosePrice":"99.00000000","lastPrice":"86704.78000000","lastQty":"0.71000000","bidPrice":"0.00000200","bidQty":"0.00000005","askPrice":"0.00000300","askQty":"0.00000007","openPrice":"100.00000000","highPrice":"86704.78000000","lowPrice":"90.00000000","volume":"50.74500000","quoteVolume":"69695.06110000","openTime":1788913600123,"closeTime":1789000000123,"firstId":0,"lastId":42,"count":43}"#;
    assert_eq!(fixture.text(path), fresh);
}

#[test]
fn the_mean_price_and_the_reference_price() {
    let mut fixture = fixture();
    let average = "/api/v3/avgPrice?symbol=BTCUSDT";
    let reference = "/api/v3/referencePrice?symbol=BTCUSDT";
    assert_eq!(fixture.refusal(average), (503, -1001));
    let last_trade = Nanos::from_micros(1_789_000_000_123_456);
    let price = Price(8_661_712_932_012);
    fixture.publish(
        &[],
        &[
            Payload::AveragePrice(AveragePrice { minutes: 5, price, last_trade }),
            Payload::ReferencePrice(ReferencePrice { price: Some(price), time: last_trade }),
        ],
    );
    assert_eq!(fixture.text(average), r#"{"mins":5,"price":"86617.12932012","closeTime":1789000000123}"#);
    assert_eq!(fixture.micros(average), r#"{"mins":5,"price":"86617.12932012","closeTime":1789000000123456}"#);
    let text = r#"{"symbol":"BTCUSDT","referencePrice":"86617.12932012","timestamp":1789000000123}"#;
    assert_eq!(fixture.text(reference), text);
    assert_eq!(fixture.micros(reference), text.replace("0123}", "0123456}"));
    fixture.publish(&[], &[Payload::ReferencePrice(ReferencePrice { price: None, time: last_trade })]);
    let text = r#"{"symbol":"BTCUSDT","referencePrice":null,"timestamp":1789000000123}"#;
    assert_eq!(fixture.text(reference), text);
}
