//! Frames and REST bodies: the documented key order first, any other order where that does not fit.

use std::sync::Arc;

use super::{any_order, ordered, rows};
use crate::{
    market::{Catalogue, Events, InstrumentId, Series, VenueId},
    normalise::{Refusal, Symbols, Tape},
    venue::Decode,
};

/// Its frames. Nothing is allocated in steady state.
#[derive(Debug)]
pub struct Decoder {
    symbols: Symbols,
    tape: Tape,
}

impl Decoder {
    /// A reader for the instruments of `venue`.
    pub(super) fn new(catalogue: Arc<Catalogue>, venue: VenueId) -> Self {
        Self { symbols: Symbols::new(catalogue, venue, |instrument| &instrument.symbol), tape: Tape::new() }
    }
}

impl Decode for Decoder {
    fn frame(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Refusal> {
        let mark = Mark::of(events);
        if ordered::frame(&self.symbols, frame, events).is_some() {
            return Ok(());
        }
        mark.restore(events);
        let symbols = &self.symbols;
        self.tape.read(frame, |root| any_order::frame(symbols, root, events))
    }

    fn snapshot(
        &mut self,
        instrument: InstrumentId,
        levels: u32,
        body: &[u8],
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let decimals = self.symbols.decimals(instrument);
        let mark = Mark::of(events);
        if ordered::snapshot(instrument, decimals, levels, body, events).is_some() {
            return Ok(());
        }
        mark.restore(events);
        self.tape.read(body, |root| any_order::snapshot(instrument, decimals, levels, root, events))
    }

    fn trades(&mut self, instrument: InstrumentId, body: &[u8], events: &mut Events) -> Result<(), Refusal> {
        let decimals = self.symbols.decimals(instrument);
        self.tape.read(body, |root| any_order::trades(instrument, decimals, root, events))
    }

    fn agg_trades(&mut self, instrument: InstrumentId, body: &[u8], events: &mut Events) -> Result<(), Refusal> {
        let decimals = self.symbols.decimals(instrument);
        self.tape.read(body, |root| any_order::agg_trades(instrument, decimals, root, events))
    }

    fn klines(
        &mut self,
        instrument: InstrumentId,
        series: Series,
        body: &[u8],
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let decimals = self.symbols.decimals(instrument);
        self.tape.read(body, |root| rows::klines(instrument, decimals, series, root, events))
    }
}

/// How much was there before a first try that may have left a part behind.
struct Mark {
    events: usize,
    levels: usize,
}

impl Mark {
    fn of(events: &Events) -> Self {
        Self { events: events.list.len(), levels: events.levels.len() }
    }

    fn restore(&self, events: &mut Events) {
        events.list.truncate(self.events);
        events.levels.truncate(self.levels);
    }
}
