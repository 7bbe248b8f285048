//! A venue's spelling of a symbol to our instrument.

use std::sync::Arc;

use super::Refusal;
use crate::market::{Catalogue, Decimals, Instrument, InstrumentId, VenueId};

/// The symbols of one venue, fixed at start: one hash and, nearly always, one comparison per frame.
#[derive(Clone, Debug)]
pub struct Symbols {
    catalogue: Arc<Catalogue>,
    /// Open addressing over a power of two, at most half full: a probe ends soon.
    slots: Box<[Slot]>,
}

type Slot = Option<(Box<[u8]>, InstrumentId)>;

impl Symbols {
    /// The symbols of `venue` in the spelling that its messages have; of equal ones the first counts.
    pub fn new(catalogue: Arc<Catalogue>, venue: VenueId, spelling: impl Fn(&Instrument) -> &str) -> Self {
        let size = (catalogue.of_venue(venue).count() * 2).next_power_of_two().max(2);
        let mut slots = vec![None; size].into_boxed_slice();
        for instrument in catalogue.of_venue(venue) {
            add(&mut slots, spelling(instrument).as_bytes(), instrument.id);
        }
        Self { catalogue, slots }
    }

    /// Whose symbol this is, and the decimals of its numbers; case and every byte count.
    ///
    /// # Errors
    /// [`Refusal::UnknownInstrument`] if it is nobody's.
    #[inline]
    pub fn find(&self, symbol: &[u8]) -> Result<(InstrumentId, Decimals), Refusal> {
        match &self.slots[probe(&self.slots, symbol)] {
            Some((_, id)) => Ok((*id, self.decimals(*id))),
            None => Err(Refusal::UnknownInstrument),
        }
    }

    /// The decimals of an instrument's numbers, as far as they are known by now.
    #[inline]
    pub fn decimals(&self, instrument: InstrumentId) -> Decimals {
        self.catalogue.instrument(instrument).decimals()
    }
}

fn add(slots: &mut [Slot], symbol: &[u8], id: InstrumentId) {
    let slot = &mut slots[probe(slots, symbol)];
    if slot.is_none() {
        *slot = Some((symbol.into(), id));
    }
}

/// The slot of `symbol`, or the free one where it would be.
#[inline]
fn probe(slots: &[Slot], symbol: &[u8]) -> usize {
    let mut at = hash(symbol) as usize & (slots.len() - 1);
    while let Some((name, _)) = &slots[at]
        && **name != *symbol
    {
        at = (at + 1) & (slots.len() - 1);
    }
    at
}

/// Multiply and fold over eight bytes at a time. The keys are ours, so nobody can choose them to collide.
#[inline]
fn hash(bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let (chunks, tail) = bytes.as_chunks::<8>();
    let mut state = bytes.len() as u64;
    for chunk in chunks {
        state = fold(state ^ u64::from_le_bytes(*chunk), MULTIPLIER);
    }
    let tail = tail.iter().fold(0_u64, |word, &byte| (word << 8) | u64::from(byte));
    fold(state ^ tail, MULTIPLIER)
}

fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(natives: &[&str]) -> Symbols {
        let mut catalogue = Catalogue::new();
        let other = catalogue.add_venue("other", None);
        let venue = catalogue.add_venue("venue", None);
        catalogue.add_instrument(other, "OTHER", "OTHER");
        for native in natives {
            catalogue.add_instrument(venue, native, native);
        }
        Symbols::new(Arc::new(catalogue), venue, |instrument| &instrument.native)
    }

    #[test]
    fn spellings_are_found_and_nothing_else() {
        let table = table(&["BTCUSDT", "币安人生USDT", "BTC/USD"]);
        assert_eq!(table.find(b"BTCUSDT"), Ok((InstrumentId(1), Decimals::EIGHT)));
        assert_eq!(table.find("币安人生USDT".as_bytes()), Ok((InstrumentId(2), Decimals::EIGHT)));
        assert_eq!(table.find(b"BTC/USD"), Ok((InstrumentId(3), Decimals::EIGHT)));
        for unknown in ["btcusdt", "", "BTCUSDT_260925", "OTHER"] {
            assert_eq!(table.find(unknown.as_bytes()), Err(Refusal::UnknownInstrument), "{unknown}");
        }
    }

    #[test]
    fn an_empty_table_knows_nothing() {
        assert_eq!(table(&[]).find(b"BTCUSDT"), Err(Refusal::UnknownInstrument));
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_map(names in prop::collection::hash_set("[A-C]{1,10}", 0..200), asked in "[A-C]{0,10}") {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let table = table(&names);
            for name in names.iter().chain([&asked.as_str()]) {
                let expected = names.iter().position(|other| other == name).map(|index| InstrumentId(index as u32 + 1));
                prop_assert_eq!(table.find(name.as_bytes()).ok().map(|(id, _)| id), expected);
            }
        }
    }
}
