//! The newest value of each state stream, for those who join.

use crate::{
    market::{InstrumentId, Level, Span},
    topic::{Batch, Cadence, Channel, Payload, Topic, TopicId, Update, Window},
};

/// One update with a batch of its own for its wide parts.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) update: Update,
    pub(super) batch: Batch,
}

/// What this shard saw last: tickers and partial depths of every instrument.
///
/// Partial depths are published only while someone wants them, so they are kept only as long as a session of this very
/// shard does: what was kept from before an interruption would be old.
#[derive(Debug)]
pub(super) struct Retained {
    by_instrument: Box<[[Option<Box<Kept>>; SLOTS]]>,
}

const MINI_TICKER: usize = 0;
const TICKER: usize = 1;
const ROLLING: usize = 2;
const PARTIAL: usize = ROLLING + Window::ALL.len();
const SLOTS: usize = PARTIAL + Cadence::ALL.len();

impl Retained {
    /// Nothing yet of `instruments` instruments.
    pub(super) fn new(instruments: usize) -> Self {
        Self { by_instrument: (0..instruments).map(|_| Default::default()).collect() }
    }

    /// Keeps `update` in place of the one before; the memory is used again.
    pub(super) fn keep(&mut self, update: &Update, batch: &Batch) {
        let Some(slot) = slot_of_payload(&update.payload) else { return };
        let kept = self.by_instrument[update.instrument.index()][slot]
            .get_or_insert_with(|| Box::new(Kept { update: *update, batch: Batch::default() }));
        kept.batch.clear();
        kept.update = *update;
        kept.update.payload = match update.payload {
            Payload::MiniTicker(index) => kept.batch.mini_ticker(batch.mini_tickers[index as usize]),
            Payload::Ticker(index) => kept.batch.ticker(batch.tickers[index as usize]),
            Payload::Rolling(window, index) => kept.batch.rolling(window, batch.rollings[index as usize]),
            Payload::PartialDepth { cadence, last_id, bids, asks } => {
                let mut copy = |side: &[Level]| {
                    let start = kept.batch.levels.len();
                    kept.batch.levels.extend_from_slice(side);
                    Span::since(start, &kept.batch.levels)
                };
                let (bids, asks) = (copy(bids.of(&batch.levels)), copy(asks.of(&batch.levels)));
                Payload::PartialDepth { cadence, last_id, bids, asks }
            }
            other => other,
        };
    }

    /// What a new subscriber of `topic` is shown at once.
    pub(super) fn newest(&self, topic: TopicId) -> Option<&Kept> {
        let Topic::Instrument(instrument, channel) = topic.topic() else { return None };
        self.by_instrument[instrument.index()][slot_of_channel(channel)?].as_deref()
    }

    /// Forgets the partial depth of an instrument at a cadence.
    pub(super) fn forget_partial(&mut self, instrument: InstrumentId, cadence: Cadence) {
        self.by_instrument[instrument.index()][PARTIAL + cadence.index()] = None;
    }
}

fn slot_of_payload(payload: &Payload) -> Option<usize> {
    match payload {
        Payload::MiniTicker(_) => Some(MINI_TICKER),
        Payload::Ticker(_) => Some(TICKER),
        Payload::Rolling(window, _) => Some(ROLLING + *window as usize),
        Payload::PartialDepth { cadence, .. } => Some(PARTIAL + cadence.index()),
        _ => None,
    }
}

/// Nothing else is shown: Binance sends the next event and nothing before it (binance.md section 5).
fn slot_of_channel(channel: Channel) -> Option<usize> {
    match channel {
        Channel::MiniTicker => Some(MINI_TICKER),
        Channel::Ticker => Some(TICKER),
        Channel::Rolling(window) => Some(ROLLING + window as usize),
        Channel::PartialDepth(_, cadence) => Some(PARTIAL + cadence.index()),
        _ => None,
    }
}
