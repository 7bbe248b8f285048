//! REST requests to answers, as one synchronous function without sockets: [`Rest::answer`].
//!
//! Paths are `/api/v3/...` for the default venue and `/<venue>/api/v3/...` for each. Shapes, texts and weights:
//! binance.md section 10.

mod info;
mod market;
mod query;
mod refusal;

pub use refusal::Refusal;

use std::sync::Arc;

use bytes::Bytes;

use self::{
    info::Information,
    query::{Query, Symbols},
};
use super::decimal::push_time;
use crate::{
    market::{Catalogue, Instrument, Nanos, Status, VenueId},
    store::Store,
    topic::TimeUnit,
    views::Views,
};

/// Everything that REST answers from.
#[derive(Debug)]
pub struct Rest {
    catalogue: Arc<Catalogue>,
    views: Arc<Views>,
    store: Arc<Store>,
    information: Information,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// `GET`, `HEAD`, ...
    pub method: &'a str,
    /// Path and query as sent.
    pub target: &'a str,
    /// The header `X-MBX-TIME-UNIT`.
    pub time_unit: Option<&'a str>,
    /// The time to print and to measure `startTime` and `endTime` by.
    pub now: Nanos,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON; empty where HTTP says all (404, 405).
    pub body: Bytes,
    /// What it costs in request weight, refused or not.
    pub weight: u32,
}

impl Rest {
    /// REST over `views`; `weight_per_minute` is what exchangeInfo announces (0: no limit).
    pub fn new(catalogue: Arc<Catalogue>, views: Arc<Views>, store: Arc<Store>, weight_per_minute: u32) -> Self {
        let information = Information::new(&catalogue, weight_per_minute);
        Self { catalogue, views, store, information }
    }

    /// Answers `ask`: 200, or 400 and 503 with a code, or 404 and 405 without a body.
    pub fn answer(&self, ask: &Ask<'_>) -> Answer {
        let (path, query) = ask.target.split_once('?').unwrap_or((ask.target, ""));
        let Some((venue, endpoint)) = self.route(path) else {
            return Answer { status: 404, body: Bytes::new(), weight: 0 };
        };
        if !matches!(ask.method, "GET" | "HEAD") {
            return Answer { status: 405, body: Bytes::new(), weight: 1 };
        }
        let query = Query::parse(query);
        let weight = endpoint.weight(&query);
        let result = query::time_unit(ask.time_unit).and_then(|unit| {
            let request = Request { rest: self, venue, query: &query, unit, now: ask.now };
            request.answer(endpoint)
        });
        match result {
            Ok(body) => Answer { status: 200, body: body.into(), weight },
            Err(refusal) => Answer { status: refusal.status, body: refusal.body().into(), weight },
        }
    }

    /// Whether the path of `target` is one of REST's.
    pub fn serves(&self, target: &str) -> bool {
        self.route(target.split('?').next().unwrap_or_default()).is_some()
    }

    fn route(&self, path: &str) -> Option<(VenueId, Endpoint)> {
        let default = self.catalogue.venues().first()?;
        let (venue, name) = match path.strip_prefix("/api/v3/") {
            Some(name) => (default, name),
            None => {
                let (venue, rest) = path.strip_prefix('/')?.split_once('/')?;
                (self.catalogue.venue_named(venue)?, rest.strip_prefix("api/v3/")?)
            }
        };
        Some((venue.id, Endpoint::named(name)?))
    }
}

/// What is behind `/api/v3/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Ping,
    Time,
    ExchangeInfo,
    Depth,
    Trades,
    HistoricalTrades,
    AggTrades,
    TickerPrice,
    TickerBook,
}

impl Endpoint {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ping" => Self::Ping,
            "time" => Self::Time,
            "exchangeInfo" => Self::ExchangeInfo,
            "depth" => Self::Depth,
            "trades" => Self::Trades,
            "historicalTrades" => Self::HistoricalTrades,
            "aggTrades" => Self::AggTrades,
            "ticker/price" => Self::TickerPrice,
            "ticker/bookTicker" => Self::TickerBook,
            _ => return None,
        })
    }

    fn weight(self, query: &Query<'_>) -> u32 {
        match self {
            Self::Ping | Self::Time => 1,
            Self::ExchangeInfo => 20,
            Self::Depth => match query.limit(market::DEPTH_DEFAULT, market::DEPTH_MOST) {
                Ok(..=100) | Err(_) => 5,
                Ok(..=500) => 25,
                Ok(..=1000) => 50,
                Ok(_) => 250,
            },
            Self::Trades | Self::HistoricalTrades => 25,
            Self::AggTrades => 4,
            Self::TickerPrice | Self::TickerBook => match query.symbols() {
                Ok(Symbols::One(_)) => 2,
                _ => 4,
            },
        }
    }
}

/// One request on its way to an answer.
struct Request<'a> {
    rest: &'a Rest,
    venue: VenueId,
    query: &'a Query<'a>,
    unit: TimeUnit,
    now: Nanos,
}

/// Which instruments a request means; see [`Symbols`].
enum Selection<'a> {
    One(&'a Instrument),
    List(Vec<&'a Instrument>),
}

impl<'a> Request<'a> {
    fn answer(&self, endpoint: Endpoint) -> Result<Vec<u8>, Refusal> {
        match endpoint {
            Endpoint::Ping => Ok(b"{}".to_vec()),
            Endpoint::Time => {
                let mut body = b"{\"serverTime\":".to_vec();
                push_time(&mut body, self.now, self.unit);
                body.push(b'}');
                Ok(body)
            }
            Endpoint::ExchangeInfo => self.exchange_info(),
            Endpoint::Depth => self.depth(),
            Endpoint::Trades => self.trades(),
            Endpoint::HistoricalTrades => self.historical_trades(),
            Endpoint::AggTrades => self.agg_trades(),
            Endpoint::TickerPrice => self.ticker_price(),
            Endpoint::TickerBook => self.ticker_book(),
        }
    }

    /// The instrument of the mandatory `symbol`.
    fn instrument(&self) -> Result<&'a Instrument, Refusal> {
        self.find(self.query.symbol()?)
    }

    /// The instruments of `symbol`, `symbols` or neither, after `symbolStatus`.
    fn selection(&self) -> Result<Selection<'a>, Refusal> {
        let status = self.query.status()?;
        let is_wanted = |instrument: &Instrument| {
            status.is_none_or(|status| instrument.listing().map(|listing| listing.status) == Some(status))
        };
        let mut list = match self.query.symbols()? {
            Symbols::One(symbol) => {
                let instrument = self.find(symbol)?;
                return if is_wanted(instrument) {
                    Ok(Selection::One(instrument))
                } else {
                    Err(Refusal::status_mismatch())
                };
            }
            Symbols::Many(symbols) => {
                symbols.into_iter().map(|symbol| self.find(symbol)).collect::<Result<Vec<_>, _>>()?
            }
            Symbols::All => self.listed()?,
        };
        list.retain(|instrument| is_wanted(instrument));
        Ok(Selection::List(list))
    }

    /// A listed instrument. Before the venue's list is read, nobody can say that a configured symbol is invalid.
    fn find(&self, symbol: &str) -> Result<&'a Instrument, Refusal> {
        let catalogue = &self.rest.catalogue;
        let id = catalogue.by_symbol(self.venue, symbol).ok_or_else(Refusal::invalid_symbol)?;
        let instrument = catalogue.instrument(id);
        if instrument.listing().is_none() {
            self.listed()?;
            return Err(Refusal::invalid_symbol());
        }
        Ok(instrument)
    }

    /// All listed instruments of the venue; refused before its list is read.
    fn listed(&self) -> Result<Vec<&'a Instrument>, Refusal> {
        let catalogue: &'a Catalogue = &self.rest.catalogue;
        let listed: Vec<_> =
            catalogue.of_venue(self.venue).filter(|instrument| instrument.listing().is_some()).collect();
        if listed.is_empty() { Err(Refusal::not_yet()) } else { Ok(listed) }
    }

    /// Holds one instrument against `symbolStatus`.
    fn check_status(&self, instrument: &Instrument) -> Result<(), Refusal> {
        let status: Option<Status> = self.query.status()?;
        match (status, instrument.listing()) {
            (Some(wanted), Some(listing)) if listing.status != wanted => Err(Refusal::status_mismatch()),
            _ => Ok(()),
        }
    }
}
