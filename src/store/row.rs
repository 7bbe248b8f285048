//! What a row looks like on disk.
//!
//! A key is the symbol's number in the file, the kind, and the opening time or the trade id, big-endian with the sign
//! flipped, so that bytes sort as numbers do. A value is fixed in width for each form, little-endian, and says itself
//! with which decimals it was written: a row is true without its neighbours.

use crate::market::{AggTrade, Decimals, Kline, Nanos, Price, Quantity, Series, Trade, Volume};

/// Raised whenever the meaning of stored bytes changes; a file of another format is set aside.
pub(super) const FORMAT: u64 = 1;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 13;

/// A key.
pub(super) type Key = [u8; KEY_BYTES];

/// A sequence of rows of one symbol: the candles of a series, its trades, or its aggregate trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Klines(Series),
    Trades,
    AggTrades,
}

/// Behind the series, with room for more of them.
const TRADES: u8 = 0xf0;
const AGG_TRADES: u8 = 0xf1;

impl Kind {
    /// Every one, in the order in which they give way when there is too much: the finest candles first, then trades, then
    /// ever coarser candles.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let series = || Series::ALL.into_iter();
        let mut coarser: Vec<_> = series().filter(|&series| series != Series::SECOND).collect();
        coarser.sort_by_key(|series| series.interval());
        [Self::Klines(Series::SECOND), Self::Trades, Self::AggTrades]
            .into_iter()
            .chain(coarser.into_iter().map(Self::Klines))
    }

    /// How many there are.
    pub(super) const COUNT: usize = Series::COUNT + 2;

    /// The place in a table.
    pub(super) fn index(self) -> usize {
        match self {
            Self::Klines(series) => series.index(),
            Self::Trades => Series::COUNT,
            Self::AggTrades => Series::COUNT + 1,
        }
    }

    /// Its byte in keys.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Klines(series) => series.index() as u8,
            Self::Trades => TRADES,
            Self::AggTrades => AGG_TRADES,
        }
    }

    /// The kind with this byte.
    pub(super) fn of_code(code: u8) -> Option<Self> {
        match code {
            TRADES => Some(Self::Trades),
            AGG_TRADES => Some(Self::AggTrades),
            _ => Series::ALL.get(usize::from(code)).copied().map(Self::Klines),
        }
    }

    /// The key of the row at `position`: an opening time or an id.
    pub(super) fn key(self, symbol: u32, position: i64) -> Key {
        let mut key = [0; KEY_BYTES];
        key[..4].copy_from_slice(&symbol.to_be_bytes());
        key[4] = self.code();
        key[5..].copy_from_slice(&(position as u64 ^ SIGN).to_be_bytes());
        key
    }
}

const SIGN: u64 = 1 << 63;

/// Symbol, kind and position of a key; `None` if no kind has this code.
pub(super) fn parts(key: &Key) -> Option<(u32, Kind, i64)> {
    let symbol = u32::from_be_bytes(*key.first_chunk()?);
    let position = u64::from_be_bytes(*key.last_chunk()?) ^ SIGN;
    Some((symbol, Kind::of_code(key[4])?, position as i64))
}

/// Volumes of 64 bits; nearly every candle.
const KLINE: u8 = 1;
/// Volumes of 128 bits: a day of a coin that costs a hundred-thousandth.
const KLINE_WIDE: u8 = 2;
const TRADE: u8 = 3;
const AGG_TRADE: u8 = 4;

/// A row that can be stored.
pub(super) trait Row: Copy + PartialEq {
    /// Appends its bytes to `out`, which is empty.
    fn write(&self, decimals: Decimals, out: &mut Vec<u8>);
    /// Reads a row with its decimals; `None` if these bytes are none of this kind.
    fn read(kind: Kind, position: i64, bytes: &[u8]) -> Option<(Self, Written)>;
    /// The same numbers at other decimals; `None` if they cannot be told exactly.
    fn rescaled(&self, from: Written, to: Decimals) -> Option<Self>;
}

/// The decimals that a row was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) price: u8,
    pub(super) quantity: u8,
    pub(super) quote: u8,
}

impl Written {
    pub(super) fn of(decimals: Decimals) -> Self {
        Self { price: decimals.price, quantity: decimals.quantity, quote: decimals.quote }
    }

    pub(super) fn decimals(self) -> Decimals {
        Decimals {
            price: self.price,
            quantity: self.quantity,
            quote: self.quote,
            checksum_price: self.price,
            checksum_quantity: self.quantity,
        }
    }

    fn bytes(decimals: Decimals) -> [u8; 3] {
        [decimals.price, decimals.quantity, decimals.quote]
    }

    fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        let [price, quantity, quote] = bytes.take()?;
        // Sixty-four bits hold no more digits than 19.
        let plausible = price <= 19 && quantity <= 19 && quote <= 38;
        plausible.then_some(Self { price, quantity, quote })
    }
}

impl Row for Kline {
    fn write(&self, decimals: Decimals, out: &mut Vec<u8>) {
        let volumes = [self.volume.0, self.quote_volume.0, self.taker_volume.0, self.taker_quote_volume.0];
        let narrow = volumes.map(|volume| i64::try_from(volume).ok());
        let is_narrow = narrow.iter().all(Option::is_some);
        out.push(if is_narrow { KLINE } else { KLINE_WIDE });
        out.extend_from_slice(&Written::bytes(decimals));
        for number in [self.first_id, self.last_id, self.open.0, self.high.0, self.low.0, self.close.0, self.trades] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for (wide, narrow) in volumes.into_iter().zip(narrow) {
            match narrow.filter(|_| is_narrow) {
                Some(narrow) => out.extend_from_slice(&narrow.to_le_bytes()),
                None => out.extend_from_slice(&wide.to_le_bytes()),
            }
        }
    }

    fn read(kind: Kind, position: i64, bytes: &[u8]) -> Option<(Self, Written)> {
        let Kind::Klines(series) = kind else { return None };
        let mut bytes = Bytes(bytes);
        let [form] = bytes.take()?;
        let written = Written::read(&mut bytes)?;
        let mut number = || bytes.take().map(i64::from_le_bytes);
        let [first_id, last_id] = [number()?, number()?];
        let [open, high, low, close] = [number()?, number()?, number()?, number()?].map(Price);
        let trades = number()?;
        let mut volume = || match form {
            KLINE => bytes.take().map(|bytes| Volume(i64::from_le_bytes(bytes).into())),
            KLINE_WIDE => bytes.take().map(|bytes| Volume(i128::from_le_bytes(bytes))),
            _ => None,
        };
        let [volume, quote_volume, taker_volume, taker_quote_volume] = [volume()?, volume()?, volume()?, volume()?];
        let kline = Self {
            series,
            open_time: Nanos(position),
            first_id,
            last_id,
            open,
            close,
            high,
            low,
            volume,
            quote_volume,
            taker_volume,
            taker_quote_volume,
            trades,
            closed: true,
        };
        bytes.is_empty().then_some((kline, written))
    }

    fn rescaled(&self, from: Written, to: Decimals) -> Option<Self> {
        let price = |price: Price| Some(Price(narrow(price.0.into(), from.price, to.price)?));
        let volume = |volume: Volume| Some(Volume(scaled(volume.0, from.quantity, to.quantity)?));
        let quote = |volume: Volume| Some(Volume(scaled(volume.0, from.quote, to.quote)?));
        Some(Self {
            open: price(self.open)?,
            high: price(self.high)?,
            low: price(self.low)?,
            close: price(self.close)?,
            volume: volume(self.volume)?,
            quote_volume: quote(self.quote_volume)?,
            taker_volume: volume(self.taker_volume)?,
            taker_quote_volume: quote(self.taker_quote_volume)?,
            ..*self
        })
    }
}

impl Row for Trade {
    fn write(&self, decimals: Decimals, out: &mut Vec<u8>) {
        fill(TRADE, decimals, (self.price, self.quantity, self.time, self.buyer_is_maker), out);
    }

    fn read(kind: Kind, position: i64, bytes: &[u8]) -> Option<(Self, Written)> {
        let mut bytes = Bytes(bytes);
        let (written, (price, quantity, time, buyer_is_maker)) = read_fill(TRADE, &mut bytes)?;
        let trade = Self { id: position, price, quantity, time, buyer_is_maker };
        (kind == Kind::Trades && bytes.is_empty()).then_some((trade, written))
    }

    fn rescaled(&self, from: Written, to: Decimals) -> Option<Self> {
        let (price, quantity) = rescaled_fill(self.price, self.quantity, from, to)?;
        Some(Self { price, quantity, ..*self })
    }
}

impl Row for AggTrade {
    fn write(&self, decimals: Decimals, out: &mut Vec<u8>) {
        fill(AGG_TRADE, decimals, (self.price, self.quantity, self.time, self.buyer_is_maker), out);
        out.extend_from_slice(&self.first_id.to_le_bytes());
        out.extend_from_slice(&self.last_id.to_le_bytes());
    }

    fn read(kind: Kind, position: i64, bytes: &[u8]) -> Option<(Self, Written)> {
        let mut bytes = Bytes(bytes);
        let (written, (price, quantity, time, buyer_is_maker)) = read_fill(AGG_TRADE, &mut bytes)?;
        let [first_id, last_id] = [bytes.take()?, bytes.take()?].map(i64::from_le_bytes);
        let trade = Self { id: position, price, quantity, first_id, last_id, time, buyer_is_maker };
        (kind == Kind::AggTrades && bytes.is_empty()).then_some((trade, written))
    }

    fn rescaled(&self, from: Written, to: Decimals) -> Option<Self> {
        let (price, quantity) = rescaled_fill(self.price, self.quantity, from, to)?;
        Some(Self { price, quantity, ..*self })
    }
}

/// What both kinds of trades say: price, quantity, time, whether the buyer is the maker.
type Fill = (Price, Quantity, Nanos, bool);

fn fill(form: u8, decimals: Decimals, (price, quantity, time, buyer_is_maker): Fill, out: &mut Vec<u8>) {
    out.push(form);
    out.extend_from_slice(&Written::bytes(decimals));
    out.push(buyer_is_maker.into());
    for number in [price.0, quantity.0, time.0] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn read_fill(form: u8, bytes: &mut Bytes<'_>) -> Option<(Written, Fill)> {
    let [found] = bytes.take()?;
    let written = Written::read(bytes)?;
    let [maker] = bytes.take()?;
    let [price, quantity, time] = [bytes.take()?, bytes.take()?, bytes.take()?].map(i64::from_le_bytes);
    (found == form && maker <= 1).then_some((written, (Price(price), Quantity(quantity), Nanos(time), maker == 1)))
}

fn rescaled_fill(price: Price, quantity: Quantity, from: Written, to: Decimals) -> Option<(Price, Quantity)> {
    let price = narrow(price.0.into(), from.price, to.price)?;
    Some((Price(price), Quantity(narrow(quantity.0.into(), from.quantity, to.quantity)?)))
}

fn narrow(mantissa: i128, from: u8, to: u8) -> Option<i64> {
    i64::try_from(scaled(mantissa, from, to)?).ok()
}

/// `mantissa` at `to` decimals instead of `from`; `None` if digits would be lost or do not fit.
fn scaled(mantissa: i128, from: u8, to: u8) -> Option<i128> {
    let factor = 10_i128.checked_pow(from.abs_diff(to).into())?;
    if from <= to {
        return mantissa.checked_mul(factor);
    }
    (mantissa % factor == 0).then_some(mantissa / factor)
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
