//! A market as Kraken would show it: whole books, of which each subscriber sees a window, and a checksum of our own making.

use std::{collections::BTreeMap, fmt::Write};

use fastrand::Rng;
use tickcast::{clock, market::Nanos};

/// Prices and quantities as integers at the pair's own precision.
pub type Levels = BTreeMap<i64, i64>;

/// What the `instrument` channel says of a pair.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub native: &'static str,
    pub price_precision: u8,
    pub qty_precision: u8,
    /// Where its prices begin, at its precision.
    pub middle: i64,
}

/// One digit behind the point, as Kraken's largest pair has.
pub const BTC: Pair = Pair { native: "BTC/USD", price_precision: 1, qty_precision: 8, middle: 294_300 };
/// Few decimals in price and quantity.
pub const YEN: Pair = Pair { native: "XRP/JPY", price_precision: 0, qty_precision: 2, middle: 7_000 };
/// More decimals than Binance ever prints.
pub const BONK: Pair = Pair { native: "BONK/USD", price_precision: 10, qty_precision: 5, middle: 213_000 };

impl Pair {
    /// Our spelling.
    pub fn symbol(self) -> String {
        self.native.replace('/', "")
    }

    pub fn lower(self) -> String {
        self.symbol().to_lowercase()
    }

    /// Digits behind the point that Tickcast prints: eight, and more where Kraken has more.
    pub fn places(self) -> (u8, u8) {
        let quantity = if self.price_precision >= 8 { self.qty_precision } else { self.qty_precision.max(8) };
        (self.price_precision.max(8), quantity)
    }
}

/// A fill.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    pub id: i64,
    pub price: i64,
    pub quantity: i64,
    pub taker_sold: bool,
    pub time: Nanos,
}

/// What a subscriber sees: the best so many levels of each side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub bids: Levels,
    pub asks: Levels,
}

/// One pair's whole book and its fills.
#[derive(Clone, Debug)]
pub struct Truth {
    pub pair: Pair,
    bids: Levels,
    asks: Levels,
    /// Fills so far, in groups of one taker order each.
    pub fills: Vec<Vec<Fill>>,
    next_id: i64,
}

impl Truth {
    pub fn new(pair: Pair, rng: &mut Rng) -> Self {
        let mut side = |sign: i64| (0..80).map(|step| (pair.middle + sign * (1 + step * 2), quantity(rng))).collect();
        Self { pair, bids: side(-1), asks: side(1), fills: Vec::new(), next_id: 1_000 }
    }

    /// A few orders come and go, some of them are filled.
    pub fn change(&mut self, rng: &mut Rng) {
        let (bid, ask) = (self.best_bid(), self.best_ask());
        match rng.u8(0..10) {
            // Inside the spread or near it: what is worst falls out of somebody's window.
            0..=3 => {
                let price = (bid - rng.i64(-1..12)).min(ask - 1);
                self.bids.insert(price, quantity(rng));
                self.asks.insert((ask + rng.i64(-1..12)).max(self.best_bid() + 1), quantity(rng));
            }
            // Gone: what was behind comes into the window.
            4..=6 => {
                remove_near(&mut self.bids, rng, true);
                remove_near(&mut self.asks, rng, false);
            }
            7 => self.take(rng),
            _ => {
                let side = if rng.bool() { &mut self.bids } else { &mut self.asks };
                if let Some((_, resting)) = side.iter_mut().nth(rng.usize(0..20)) {
                    *resting = quantity(rng);
                }
            }
        }
        // So thin a book would have nothing beyond a window.
        while self.bids.len() < 60 {
            let worst = *self.bids.first_key_value().expect("never empty").0;
            self.bids.insert(worst - 2, quantity(rng));
        }
        while self.asks.len() < 60 {
            let worst = *self.asks.last_key_value().expect("never empty").0;
            self.asks.insert(worst + 2, quantity(rng));
        }
    }

    /// The best `depth` levels of each side.
    pub fn window(&self, depth: usize) -> Window {
        let bids = self.bids.iter().rev().take(depth).map(|(price, quantity)| (*price, *quantity)).collect();
        let asks = self.asks.iter().take(depth).map(|(price, quantity)| (*price, *quantity)).collect();
        Window { bids, asks }
    }

    /// A whole book, as Kraken sends it behind a subscription.
    pub fn snapshot(&self, depth: usize, rng: &mut Rng) -> String {
        let window = self.window(depth);
        let list = |levels: &mut dyn Iterator<Item = (&i64, &i64)>, rng: &mut Rng| {
            levels.map(|(price, quantity)| self.level(*price, *quantity, rng)).collect::<Vec<_>>().join(",")
        };
        let bids = list(&mut window.bids.iter().rev(), rng);
        let asks = list(&mut window.asks.iter(), rng);
        self.message("snapshot", &bids, &asks, self.checksum(&window))
    }

    /// The message that takes a subscriber from `before` to what its window is now, with `error` mixed into the checksum.
    ///
    /// What is pushed out of the window is not named: whoever does not cut has a wrong book from then on.
    pub fn update(&self, before: &Window, after: &Window, error: u32, rng: &mut Rng) -> String {
        let bids = self.changes(&before.bids, &after.bids, &self.bids, rng);
        let asks = self.changes(&before.asks, &after.asks, &self.asks, rng);
        self.message("update", &bids, &asks, self.checksum(after) ^ error)
    }

    /// One message of the trade channel.
    pub fn trade(&self, fills: &[Fill], rng: &mut Rng) -> String {
        let Pair { native, price_precision, qty_precision, .. } = self.pair;
        let fill = |fill: &Fill| {
            let side = if fill.taker_sold { "sell" } else { "buy" };
            let price = number(fill.price, price_precision, rng);
            let quantity = number(fill.quantity, qty_precision, rng);
            let (id, time) = (fill.id, rfc3339(fill.time));
            format!(
                r#"{{"symbol":"{native}","side":"{side}","price":{price},"qty":{quantity},"ord_type":"market","trade_id":{id},"timestamp":"{time}"}}"#
            )
        };
        let fills: Vec<_> = fills.iter().map(fill).collect();
        format!(r#"{{"channel":"trade","type":"update","data":[{}]}}"#, fills.join(","))
    }

    /// CRC-32 over the digits of the best ten asks and bids, written down from Kraken's description alone.
    pub fn checksum(&self, window: &Window) -> u32 {
        let mut text = String::new();
        let asks = window.asks.iter().take(10);
        for (price, quantity) in asks.chain(window.bids.iter().rev().take(10)) {
            for (mantissa, precision) in [(*price, self.pair.price_precision), (*quantity, self.pair.qty_precision)] {
                text.push_str(decimal(mantissa, precision).replace('.', "").trim_start_matches('0'));
            }
        }
        crc32(text.as_bytes())
    }

    fn message(&self, kind: &str, bids: &str, asks: &str, checksum: u32) -> String {
        let (native, time) = (self.pair.native, rfc3339(clock::now()));
        format!(
            r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"{native}","bids":[{bids}],"asks":[{asks}],"checksum":{checksum},"timestamp":"{time}"}}]}}"#
        )
    }

    fn changes(&self, before: &Levels, after: &Levels, whole: &Levels, rng: &mut Rng) -> String {
        let mut parts = Vec::new();
        for price in before.keys().filter(|price| !whole.contains_key(price)) {
            parts.push(self.level(*price, 0, rng));
        }
        for (price, now) in after.iter().filter(|(price, now)| before.get(price) != Some(now)) {
            // The same price twice in a message: the last one counts.
            match rng.u8(0..8) {
                0 => parts.push(self.level(*price, quantity(rng), rng)),
                1 => parts.push(self.level(*price, 0, rng)),
                _ => {}
            }
            parts.push(self.level(*price, *now, rng));
        }
        parts.join(",")
    }

    fn level(&self, price: i64, quantity: i64, rng: &mut Rng) -> String {
        let price = number(price, self.pair.price_precision, rng);
        let quantity = number(quantity, self.pair.qty_precision, rng);
        format!(r#"{{"price":{price},"qty":{quantity}}}"#)
    }

    /// A taker eats through one or two levels in several fills.
    fn take(&mut self, rng: &mut Rng) {
        let taker_sold = rng.bool();
        let time = Nanos(clock::now().0 / 1_000 * 1_000);
        let mut fills = Vec::new();
        for _ in 0..rng.u8(1..3) {
            let side = if taker_sold { &mut self.bids } else { &mut self.asks };
            let best = if taker_sold { side.pop_last() } else { side.pop_first() };
            let (price, resting) = best.expect("never empty");
            let parts = rng.i64(1..4).min(resting);
            for part in 0..parts {
                let last = part + 1 == parts;
                let quantity = if last { resting - (parts - 1) * (resting / parts) } else { resting / parts };
                fills.push(Fill { id: self.next_id, price, quantity, taker_sold, time });
                self.next_id += 1;
            }
        }
        self.fills.push(fills);
    }

    fn best_bid(&self) -> i64 {
        *self.bids.last_key_value().expect("never empty").0
    }

    fn best_ask(&self) -> i64 {
        *self.asks.first_key_value().expect("never empty").0
    }
}

/// `mantissa` with `places` digits behind the point, all of them.
pub fn decimal(mantissa: i64, places: u8) -> String {
    let digits = format!("{mantissa:0width$}", width = usize::from(places) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(places));
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// A bare JSON number in one of the spellings that are seen: in full, without trailing zeros, with an exponent.
fn number(mantissa: i64, places: u8, rng: &mut Rng) -> String {
    let full = decimal(mantissa, places);
    match rng.u8(0..8) {
        0 => format!("{mantissa}e-{places}"),
        1 if mantissa > 0 => {
            let digits = mantissa.to_string();
            let exponent = digits.len() as i64 - 1 - i64::from(places);
            let (head, tail) = digits.split_at(1);
            let mut text = head.to_owned();
            let tail = tail.trim_end_matches('0');
            if !tail.is_empty() {
                write!(text, ".{tail}").expect("a String takes everything");
            }
            format!("{text}E{exponent:+}")
        }
        2..=4 if full.contains('.') => {
            let short = full.trim_end_matches('0');
            // `4.0` is how a whole number reads after a float.
            if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
        }
        _ => full,
    }
}

/// Up to six digits of a second, trailing zeros left out, as Kraken does.
fn rfc3339(time: Nanos) -> String {
    let micros = time.micros();
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (mut year, mut day) = (1970, days);
    let length = |year: i64| if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 366 } else { 365 };
    while day >= length(year) {
        day -= length(year);
        year += 1;
    }
    let february = length(year) - 337;
    let mut month = 0;
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while day >= months[month] {
        day -= months[month];
        month += 1;
    }
    let (month, day) = (month + 1, day + 1);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = format!("{fraction:06}");
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{point}{fraction}Z")
}

/// Bit by bit, so that it shares nothing with the table that the program uses.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

fn quantity(rng: &mut Rng) -> i64 {
    // Often with zeros at its end, sometimes tiny.
    match rng.u8(0..4) {
        0 => rng.i64(1..1_000),
        1 => rng.i64(1..1_000) * 100_000,
        _ => rng.i64(1..2_000_000_000),
    }
}

fn remove_near(side: &mut Levels, rng: &mut Rng, is_bid: bool) {
    let index = rng.usize(0..12);
    let price = if is_bid { side.keys().rev().nth(index) } else { side.keys().nth(index) };
    if let Some(price) = price.copied() {
        side.remove(&price);
    }
}

#[test]
fn its_checksum_is_the_usual_crc() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn its_times_are_those_of_the_calendar() {
    assert_eq!(rfc3339(Nanos(0)), "1970-01-01T00:00:00Z");
    assert_eq!(rfc3339(Nanos(1_709_210_096_789_000_000)), "2024-02-29T12:34:56.789Z");
    assert_eq!(rfc3339(Nanos(1_767_225_599_000_001_000)), "2025-12-31T23:59:59.000001Z");
}
