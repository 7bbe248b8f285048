//! JSON objects and rows field by field, in the order they are pushed: the wire's order.

use crate::{
    encode::{self, json},
    market::{Decimals, Instrument, Level, Nanos, Price, Quantity, Trade, Volume},
    topic::TimeUnit,
};

/// Digits behind the point of percents (binance.md section 3.2).
const PERCENT_PLACES: u8 = 3;

/// An object, or with [`Object::row`] an array, in the making, about one instrument.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    decimals: Decimals,
    unit: TimeUnit,
    end: u8,
    is_first: bool,
}

impl<'a> Object<'a> {
    /// Begins an object at the end of `out`.
    pub(super) fn begin(out: &'a mut Vec<u8>, decimals: Decimals, unit: TimeUnit) -> Self {
        out.push(b'{');
        Self { out, decimals, unit, end: b'}', is_first: true }
    }

    /// Begins an array, whose fields have no names.
    pub(super) fn row(out: &'a mut Vec<u8>, decimals: Decimals, unit: TimeUnit) -> Self {
        out.push(b'[');
        Self { out, decimals, unit, end: b']', is_first: true }
    }

    /// Ends it.
    pub(super) fn end(self) {
        self.out.push(self.end);
    }

    pub(super) fn symbol(&mut self, instrument: &Instrument) {
        self.name("symbol");
        self.out.extend_from_slice(serde_json::Value::from(&*instrument.symbol).to_string().as_bytes());
    }

    pub(super) fn integer(&mut self, name: &str, value: i64) {
        self.name(name);
        encode::integer(self.out, value);
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(super) fn null(&mut self, name: &str) {
        self.name(name);
        self.out.extend_from_slice(b"null");
    }

    /// Text that needs no escape.
    pub(super) fn plain(&mut self, name: &str, text: &str) {
        self.name(name);
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    pub(super) fn time(&mut self, name: &str, time: Nanos) {
        self.integer(name, time_in(self.unit, time));
    }

    /// The last instant before `end` in the unit of the answer (binance.md section 3.3).
    pub(super) fn last_before(&mut self, name: &str, end: Nanos) {
        self.integer(name, time_in(self.unit, end) - 1);
    }

    pub(super) fn price(&mut self, name: &str, price: Price) {
        self.decimal(name, i128::from(price.0), self.decimals.price);
    }

    pub(super) fn quantity(&mut self, name: &str, quantity: Quantity) {
        self.decimal(name, i128::from(quantity.0), self.decimals.quantity);
    }

    pub(super) fn volume(&mut self, name: &str, volume: Volume) {
        self.decimal(name, volume.0, self.decimals.quantity);
    }

    pub(super) fn quote_volume(&mut self, name: &str, volume: Volume) {
        self.decimal(name, volume.0, self.decimals.quote);
    }

    /// Price times quantity.
    pub(super) fn value(&mut self, name: &str, trade: &Trade) {
        self.quote_volume(name, self.decimals.value(trade.price, trade.quantity));
    }

    /// In thousandths.
    pub(super) fn percent(&mut self, name: &str, percent: i64) {
        self.decimal(name, i128::from(percent), PERCENT_PLACES);
    }

    pub(super) fn levels(&mut self, name: &str, levels: &[Level]) {
        self.name(name);
        json::levels(self.out, levels, self.decimals);
    }

    fn decimal(&mut self, name: &str, mantissa: i128, places: u8) {
        self.name(name);
        self.out.push(b'"');
        encode::decimal_wide(self.out, mantissa, places);
        self.out.push(b'"');
    }

    fn name(&mut self, name: &str) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        if self.end == b'}' {
            self.out.push(b'"');
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"\":");
        }
    }
}

/// Whole units since the epoch.
pub(super) fn time_in(unit: TimeUnit, time: Nanos) -> i64 {
    match unit {
        TimeUnit::Milliseconds => time.millis(),
        TimeUnit::Microseconds => time.micros(),
    }
}
