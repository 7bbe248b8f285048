//! Requests to answers without sockets: [`Rest::answer`] for HTTP, [`Rest::call`] for whoever has parameters by name.
//!
//! Paths are `/api/v3/...` for the default venue and `/<venue>/api/v3/...` for each. Shapes, texts and weights:
//! binance.md section 10.

mod endpoint;
mod history;
mod info;
mod klines;
mod market;
mod object;
mod parameters;
mod refusal;
mod statistics;
mod trades;

pub use endpoint::Endpoint;
pub use parameters::Parameters;
pub use refusal::Refusal;

use std::sync::Arc;

use bytes::Bytes;

use self::{endpoint::SYMBOLS_MOST, history::Budget, info::Information, object::Object, parameters::Symbols};
use crate::{
    market::{Catalogue, Decimals, Instrument, Nanos, VenueId},
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

/// One request over HTTP.
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

/// One request with its parameters by name: the twin that the WS-API has of [`Ask`].
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Whose instruments.
    pub venue: VenueId,
    /// What is asked for.
    pub endpoint: Endpoint,
    /// What is sent with it.
    pub parameters: &'a Parameters<'a>,
    /// In which unit times are printed.
    pub unit: TimeUnit,
    /// The time to print and to measure `startTime`, `endTime` and windows by.
    pub now: Nanos,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON: the result, or `{"code":...,"msg":...}`; empty where HTTP says all (404, 405).
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

    /// Announces another limit of weight from now on.
    pub(super) fn set_weight_per_minute(&self, weight_per_minute: u32) {
        self.information.set_weight_per_minute(weight_per_minute);
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
        let parameters = &Parameters::of_query(query);
        match parameters::time_unit(ask.time_unit) {
            Ok(unit) => self.call(&Call { venue, endpoint, parameters, unit, now: ask.now }),
            Err(refusal) => Answer::refused(&refusal, endpoint.weight(parameters)),
        }
    }

    /// Answers `call` as things are now: 200, or 400 and 503 with a code.
    pub fn call(&self, call: &Call<'_>) -> Answer {
        let weight = call.endpoint.weight(call.parameters);
        self.views.catch_up();
        let request = Request { rest: self, call, budget: Budget::new() };
        match call.parameters.check().and_then(|()| request.answer()) {
            Ok(body) => Answer { status: 200, body: body.into(), weight },
            Err(refusal) => Answer::refused(&refusal, weight),
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
        Some((venue.id, Endpoint::at_path(name)?))
    }
}

impl Answer {
    fn refused(refusal: &Refusal, weight: u32) -> Self {
        Self { status: refusal.status, body: refusal.body().into(), weight }
    }
}

/// One request on its way to an answer.
struct Request<'a> {
    rest: &'a Rest,
    call: &'a Call<'a>,
    budget: Budget,
}

/// Which instruments a request means; see [`Symbols`].
enum Selection<'a> {
    One(&'a Instrument),
    List(Vec<&'a Instrument>),
}

impl<'a> Request<'a> {
    fn answer(&self) -> Result<Vec<u8>, Refusal> {
        match self.call.endpoint {
            Endpoint::Ping => Ok(b"{}".to_vec()),
            Endpoint::Time => {
                let mut body = Vec::new();
                let mut object = Object::begin(&mut body, Decimals::EIGHT, self.call.unit);
                object.time("serverTime", self.call.now);
                object.end();
                Ok(body)
            }
            Endpoint::ExchangeInfo => self.exchange_info(),
            Endpoint::Depth => self.depth(),
            Endpoint::Trades => self.trades(),
            Endpoint::HistoricalTrades => self.historical_trades(),
            Endpoint::AggTrades => self.agg_trades(),
            Endpoint::Klines | Endpoint::UiKlines => self.klines(),
            Endpoint::AveragePrice => self.average_price(),
            Endpoint::TickerDay => self.ticker_day(),
            Endpoint::TickerTradingDay => self.ticker_trading_day(),
            Endpoint::TickerWindow => self.ticker_window(),
            Endpoint::TickerPrice => self.ticker_price(),
            Endpoint::TickerBook => self.ticker_book(),
            Endpoint::ReferencePrice => self.reference_price(),
        }
    }

    /// Begins an object about `instrument` at the end of `body`.
    fn object<'b>(&self, body: &'b mut Vec<u8>, instrument: &Instrument) -> Object<'b> {
        Object::begin(body, instrument.decimals(), self.call.unit)
    }

    /// The instrument of the mandatory `symbol`.
    fn instrument(&self) -> Result<&'a Instrument, Refusal> {
        self.find(self.parameters().symbol()?)
    }

    /// The instruments of `symbol`, `symbols` or neither, after `symbolStatus`.
    fn selection(&self) -> Result<Selection<'a>, Refusal> {
        let status = self.parameters().status()?;
        let list = match self.parameters().symbols()? {
            Symbols::One(symbol) => {
                let instrument = self.find(symbol)?;
                self.check_status(instrument)?;
                return Ok(Selection::One(instrument));
            }
            Symbols::Many(symbols) => {
                symbols.into_iter().map(|symbol| self.find(symbol)).collect::<Result<Vec<_>, _>>()?
            }
            Symbols::All => self.listed()?,
        };
        let has_status =
            |it: &&Instrument| status.is_none_or(|status| it.listing().map(|it| it.status) == Some(status));
        Ok(Selection::List(list.into_iter().filter(has_status).collect()))
    }

    /// [`Request::selection`] where `symbol` or `symbols` has to be there.
    fn named_selection(&self) -> Result<Selection<'a>, Refusal> {
        match self.parameters().symbols()? {
            Symbols::All => Err(Refusal::missing("symbol")),
            Symbols::Many(list) if list.len() > SYMBOLS_MOST => Err(Refusal::too_many(SYMBOLS_MOST, list.len())),
            _ => self.selection(),
        }
    }

    /// One object or an array of them. `push` says whether there was anything: a list leaves out what has no value yet.
    fn each(
        &self,
        selection: Selection<'_>,
        push: impl Fn(&mut Vec<u8>, &Instrument) -> Result<bool, Refusal>,
    ) -> Result<Vec<u8>, Refusal> {
        let list = match selection {
            Selection::One(instrument) => {
                let mut body = Vec::new();
                return if push(&mut body, instrument)? { Ok(body) } else { Err(Refusal::not_yet()) };
            }
            Selection::List(list) => list,
        };
        let mut body = vec![b'['];
        for instrument in list {
            let start = body.len();
            if start > 1 {
                body.push(b',');
            }
            if !push(&mut body, instrument)? {
                body.truncate(start);
            }
        }
        body.push(b']');
        Ok(body)
    }

    fn parameters(&self) -> &'a Parameters<'a> {
        self.call.parameters
    }

    /// A listed instrument. Before the venue's list is read, nobody can say that a configured symbol is invalid.
    fn find(&self, symbol: &str) -> Result<&'a Instrument, Refusal> {
        let catalogue = &self.rest.catalogue;
        let id = catalogue.by_symbol(self.call.venue, symbol).ok_or_else(Refusal::invalid_symbol)?;
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
            catalogue.of_venue(self.call.venue).filter(|instrument| instrument.listing().is_some()).collect();
        if listed.is_empty() { Err(Refusal::not_yet()) } else { Ok(listed) }
    }

    /// Holds one instrument against `symbolStatus`.
    fn check_status(&self, instrument: &Instrument) -> Result<(), Refusal> {
        let status = self.parameters().status()?;
        match (status, instrument.listing()) {
            (Some(wanted), Some(listing)) if listing.status != wanted => Err(Refusal::status_mismatch()),
            _ => Ok(()),
        }
    }
}
