//! Which venues and instruments this process serves, by dense ids.

use std::{collections::HashMap, fmt, sync::OnceLock};

use super::ChecksumRule;

/// A configured venue, dense from 0; venue 0 is the default one, served at `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VenueId(pub u32);

/// An instrument of one venue, dense from 0 over all venues: tables are `Vec`s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstrumentId(pub u32);

impl InstrumentId {
    /// The place in a table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How many digits after the point an instrument's numbers have, on the wire and in every mantissa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimals {
    /// Of prices (Binance: `quoteAssetPrecision`).
    pub price: u8,
    /// Of base quantities and volumes (Binance: `baseAssetPrecision`).
    pub quantity: u8,
    /// Of quote volumes (Binance: `quoteAssetPrecision`).
    pub quote: u8,
    /// Digits of a price in the venue's checksum text, at most [`Decimals::price`] (Kraken: `price_precision`).
    pub checksum_price: u8,
    /// Digits of a quantity in the venue's checksum text (Kraken: `qty_precision`).
    pub checksum_quantity: u8,
}

impl Decimals {
    /// Eight everywhere: what Binance prints for nearly every symbol.
    pub const EIGHT: Self = Self { price: 8, quantity: 8, quote: 8, checksum_price: 8, checksum_quantity: 8 };

    /// Whether mantissas at these decimals mean the same at `other`.
    pub const fn is_same_scale(self, other: Self) -> bool {
        self.price == other.price && self.quantity == other.quantity && self.quote == other.quote
    }
}

/// Whether an instrument trades, in Binance's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Trading.
    Trading,
    /// Stopped; market data is still produced.
    Halt,
    /// Stopped; no market data.
    Break,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trading => "TRADING",
            Self::Halt => "HALT",
            Self::Break => "BREAK",
        })
    }
}

/// What a venue says about an instrument in its list.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The venue's own spelling (`BTCUSDT`, `BTC/USD`): the key towards [`Instrument::native`].
    pub native: String,
    /// Base asset, upper case.
    pub base: String,
    /// Quote asset, upper case.
    pub quote: String,
    /// Digits of its numbers.
    pub decimals: Decimals,
    /// Whether it trades.
    pub status: Status,
    /// Smallest price step as decimal text (`"0.01000000"`).
    pub tick_size: String,
    /// Smallest quantity step as decimal text.
    pub step_size: String,
    /// The venue's own exchangeInfo object in Binance's shape, where it has one: passed on by REST.
    pub binance_info: Option<String>,
}

/// One instrument of one venue. The name is known from the configuration, the listing once the venue has told it.
#[derive(Debug)]
pub struct Instrument {
    /// Its id.
    pub id: InstrumentId,
    /// Its venue.
    pub venue: VenueId,
    /// Our spelling, upper case without separators, as Binance would write it (`BTCUSD` for Kraken's `BTC/USD`).
    pub symbol: Box<str>,
    /// [`Instrument::symbol`] in lower case: the form of stream names.
    pub symbol_lower: Box<str>,
    /// The venue's spelling, as configured.
    pub native: Box<str>,
    listing: OnceLock<Listing>,
}

impl Instrument {
    /// What the venue said of it; `None` until the venue's list has been read.
    pub fn listing(&self) -> Option<&Listing> {
        self.listing.get()
    }

    /// Digits of its numbers; eight until the venue's list has been read (no update exists before).
    pub fn decimals(&self) -> Decimals {
        self.listing.get().map_or(Decimals::EIGHT, |listing| listing.decimals)
    }

    /// Records what the venue says. The first listing stays for the life of the process: mantissas in flight depend on it.
    /// Returns whether it was the first.
    pub fn list(&self, listing: Listing) -> bool {
        self.listing.set(listing).is_ok()
    }
}

/// A configured venue.
#[derive(Debug)]
pub struct Venue {
    /// Its id.
    pub id: VenueId,
    /// Its name in paths and metrics (`binance`).
    pub name: Box<str>,
    /// How it proves its book, if it does.
    pub checksum: Option<ChecksumRule>,
}

/// All venues and instruments, fixed at start.
#[derive(Debug, Default)]
pub struct Catalogue {
    venues: Vec<Venue>,
    instruments: Vec<Instrument>,
    by_lower: HashMap<(VenueId, Box<str>), InstrumentId>,
}

impl Catalogue {
    /// An empty catalogue, to be filled with [`Catalogue::add_venue`] and [`Catalogue::add_instrument`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a venue; the first one is the default.
    pub fn add_venue(&mut self, name: &str, checksum: Option<ChecksumRule>) -> VenueId {
        let id = VenueId(self.venues.len() as u32);
        self.venues.push(Venue { id, name: name.into(), checksum });
        id
    }

    /// Adds an instrument by its venue's spelling; one that is there already keeps its id.
    ///
    /// Our symbol is the native one in upper case without `/`, `-` and `_` separators when the venue's own symbols
    /// carry them, which `symbol` has to say.
    pub fn add_instrument(&mut self, venue: VenueId, native: &str, symbol: &str) -> InstrumentId {
        let lower: Box<str> = symbol.to_lowercase().into();
        if let Some(&id) = self.by_lower.get(&(venue, lower.clone())) {
            return id;
        }
        let id = InstrumentId(self.instruments.len() as u32);
        self.instruments.push(Instrument {
            id,
            venue,
            symbol: symbol.into(),
            symbol_lower: lower.clone(),
            native: native.into(),
            listing: OnceLock::new(),
        });
        self.by_lower.insert((venue, lower), id);
        id
    }

    /// The venues in the order of the configuration.
    pub fn venues(&self) -> &[Venue] {
        &self.venues
    }

    /// The instruments by id.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// The instruments of one venue.
    pub fn of_venue(&self, venue: VenueId) -> impl Iterator<Item = &Instrument> {
        self.instruments.iter().filter(move |instrument| instrument.venue == venue)
    }

    /// The instrument with this id.
    ///
    /// # Panics
    /// If the id is not one of this catalogue's.
    pub fn instrument(&self, id: InstrumentId) -> &Instrument {
        &self.instruments[id.index()]
    }

    /// The venue with this name.
    pub fn venue_named(&self, name: &str) -> Option<&Venue> {
        self.venues.iter().find(|venue| &*venue.name == name)
    }

    /// Finds an instrument by the lower-case symbol of a stream name.
    pub fn by_lower(&self, venue: VenueId, symbol_lower: &str) -> Option<InstrumentId> {
        self.by_lower.get(&(venue, symbol_lower.into())).copied()
    }

    /// Finds an instrument by our upper-case symbol, as REST spells it.
    pub fn by_symbol(&self, venue: VenueId, symbol: &str) -> Option<InstrumentId> {
        self.by_lower(venue, &symbol.to_lowercase()).filter(|&id| &*self.instrument(id).symbol == symbol)
    }
}
