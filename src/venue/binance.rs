//! Binance Spot (and Binance.US): placeholder until its room is filled.

use std::sync::Arc;

use super::{BookSource, Decode, Dial, ListingSource, Protocol, RestRequest, Traits};
use crate::{
    market::{Catalogue, Events, Instrument, InstrumentId, Listing, VenueId},
    normalise::Refusal,
};

/// Binance Spot.
#[derive(Debug)]
pub struct Binance;

impl Protocol for Binance {
    type Decoder = Decoder;
    const KIND: &'static str = "binance";
    fn new(_: u32, _: u32) -> Result<Self, String> {
        Ok(Self)
    }
    fn traits(&self) -> Traits {
        Traits {
            book: BookSource::Rest,
            checksum: None,
            has_update_ids: true,
            messages_per_second: 4,
            connects_per_five_minutes: 300,
            rest_weight_per_minute: 6000,
            keep_alive: None,
        }
    }
    fn symbol(native: &str) -> String {
        native.to_owned()
    }
    fn listing(&self, _: &[&str]) -> ListingSource {
        ListingSource::Rest(RestRequest { path: "/api/v3/exchangeInfo".to_owned(), weight: 20 })
    }
    fn parse_listing(&self, _: &[u8]) -> Result<Option<Vec<Listing>>, Refusal> {
        Ok(None)
    }
    fn dials(&self, _: &[&Instrument]) -> Vec<Dial> {
        Vec::new()
    }
    fn snapshot(&self, _: &Instrument, _: u32) -> Option<RestRequest> {
        None
    }
    fn trades(&self, _: &Instrument, _: i64, _: u32) -> Option<RestRequest> {
        None
    }
    fn resubscribe(&self, _: &Instrument) -> Vec<String> {
        Vec::new()
    }
    fn is_farewell(&self, _: &[u8]) -> bool {
        false
    }
    fn decoder(&self, _: Arc<Catalogue>, _: VenueId) -> Decoder {
        Decoder
    }
}

/// Its frames.
#[derive(Debug)]
pub struct Decoder;

impl Decode for Decoder {
    fn frame(&mut self, _: &[u8], _: &mut Events) -> Result<(), Refusal> {
        Ok(())
    }
    fn snapshot(&mut self, _: InstrumentId, _: u32, _: &[u8], _: &mut Events) -> Result<(), Refusal> {
        Ok(())
    }
    fn trades(&mut self, _: InstrumentId, _: &[u8], _: &mut Events) -> Result<(), Refusal> {
        Ok(())
    }
}
