//! Which client takes which streams.

use std::collections::HashMap;

use super::payload::Kind;

/// A stream by its place in [`Streams`].
pub(super) type StreamId = u32;

/// All streams of a run.
#[derive(Debug)]
pub(super) struct Streams {
    pub names: Vec<String>,
    kinds: Vec<Kind>,
    ids: HashMap<Box<[u8]>, StreamId>,
}

impl Streams {
    pub(super) fn new(names: &[String]) -> Self {
        let ids = names.iter().zip(0..).map(|(name, id)| (name.as_bytes().into(), id)).collect();
        Self { names: names.to_vec(), kinds: names.iter().map(|name| Kind::of(name)).collect(), ids }
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<(StreamId, Kind)> {
        let &id = self.ids.get(name)?;
        Some((id, self.kinds[id as usize]))
    }
}

/// Deals streams to clients from one shuffled deck after another: every client's choice is its own, and every stream has
/// as many clients as any other. Always the same deal, so that two runs can be compared.
#[derive(Debug)]
pub(super) struct Deck {
    rng: fastrand::Rng,
    cards: Vec<StreamId>,
    /// Which hand holds each stream, by the hand's number.
    holder: Vec<u32>,
    hands: u32,
}

impl Deck {
    pub(super) fn new(streams: usize) -> Self {
        Self { rng: fastrand::Rng::with_seed(SEED), cards: Vec::new(), holder: vec![0; streams], hands: 0 }
    }

    /// `count` different streams (all, if there are not as many), in ascending order.
    pub(super) fn deal(&mut self, count: usize) -> Box<[StreamId]> {
        let count = count.min(self.holder.len());
        self.hands += 1;
        let mut hand = Vec::with_capacity(count);
        // What the hand holds already goes to the next client.
        let mut aside = Vec::new();
        while hand.len() < count {
            if self.cards.is_empty() {
                self.cards = (0..).take(self.holder.len()).collect();
                self.rng.shuffle(&mut self.cards);
            }
            let card = self.cards.pop().expect("just filled");
            let holder = &mut self.holder[card as usize];
            if *holder == self.hands {
                aside.push(card);
            } else {
                *holder = self.hands;
                hand.push(card);
            }
        }
        self.cards.append(&mut aside);
        hand.sort_unstable();
        hand.into()
    }
}

const SEED: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_has_as_many_clients_and_no_client_has_one_twice() {
        for (streams, count, clients) in [(7, 3, 70), (10, 10, 5), (96, 10, 960), (3, 9, 4)] {
            let mut deck = Deck::new(streams);
            let mut subscribers = vec![0; streams];
            for _ in 0..clients {
                let hand = deck.deal(count);
                assert_eq!(hand.len(), count.min(streams));
                assert!(hand.is_sorted_by(|one, next| one < next), "{hand:?}");
                hand.iter().for_each(|&id| subscribers[id as usize] += 1);
            }
            let (fewest, most) = (subscribers.iter().min(), subscribers.iter().max());
            assert_eq!(fewest, most, "{streams} streams, {count} each: {subscribers:?}");
        }
    }

    #[test]
    fn streams_are_found_by_name() {
        let streams = Streams::new(&["a@trade".to_owned(), "a@bookTicker".to_owned()]);
        assert_eq!(streams.find(b"a@bookTicker"), Some((1, Kind::BookTicker)));
        assert_eq!(streams.find(b"b@trade"), None);
    }
}
