//! Update to frames, each made once, to sessions.

use super::{Fanout, Scratch};
use crate::{
    encode::{
        frame::{self, Opcode},
        json, sbe,
    },
    market::{Catalogue, InstrumentId},
    session::{CloseReason, Form},
    shard::{
        Wire,
        arena::{Arena, Class, Kind, Made},
        table::Member,
    },
    topic::{Batch, Cadence, Channel, Encoding, Payload, Topic, TopicId, Update},
};

/// Levels per side of the partial depth streams.
const PARTIAL_LEVELS: [u8; 3] = [5, 10, 20];

impl<W: Wire> Fanout<W> {
    /// Gives every update of `batch` to those who want it. What does not fit a pass is flushed on the way.
    pub fn publish(&mut self, batch: &Batch) {
        for update in &batch.updates {
            let instrument = update.instrument;
            match update.payload {
                Payload::Trade(_) => self.deliver(TopicId::new(instrument, Channel::Trade), update, batch),
                Payload::AggTrade(_) => self.deliver(TopicId::new(instrument, Channel::AggTrade), update, batch),
                Payload::BookTicker(_) => self.deliver(TopicId::new(instrument, Channel::BookTicker), update, batch),
                Payload::DepthDiff { cadence, .. } => {
                    self.deliver(TopicId::new(instrument, Channel::Depth(cadence)), update, batch);
                }
                Payload::PartialDepth { cadence, .. } => self.deliver_partial(instrument, cadence, update, batch),
                Payload::BlockTrade(_) => self.deliver(TopicId::new(instrument, Channel::BlockTrade), update, batch),
                Payload::Kline(index) => {
                    let channel = Channel::Kline(batch.klines[index as usize].series);
                    self.deliver(TopicId::new(instrument, channel), update, batch);
                }
                Payload::MiniTicker(_) => self.deliver_state(Channel::MiniTicker, update, batch),
                Payload::Ticker(_) => self.deliver_state(Channel::Ticker, update, batch),
                Payload::Rolling(window, _) => self.deliver_state(Channel::Rolling(window), update, batch),
                Payload::AveragePrice(_) => {
                    self.deliver(TopicId::new(instrument, Channel::AveragePrice), update, batch);
                }
                Payload::ReferencePrice(_) => {
                    self.deliver(TopicId::new(instrument, Channel::ReferencePrice), update, batch);
                }
                Payload::Array { venue, array, .. } => self.deliver(TopicId::of_venue(venue, array), update, batch),
                Payload::BookSnapshot { reset: true, .. } => {
                    let followed = [Cadence::Swift, Cadence::Fast, Cadence::Slow]
                        .map(|cadence| TopicId::new(instrument, Channel::Depth(cadence)));
                    self.close_followers(&followed, CloseReason::IdsReset);
                }
                Payload::BookSnapshot { .. }
                | Payload::BookState(_)
                | Payload::PastTrade(_)
                | Payload::PastAggTrade(_)
                | Payload::PastKline(_) => {}
            }
            if self.arena.is_full() {
                self.flush();
            }
        }
    }

    /// Updates were lost for good: who cannot do without them has to start over. State streams go on with the newest value,
    /// which is asked for: of a quiet instrument it may have been among those lost.
    pub fn lapped(&mut self) {
        let cannot =
            |channel| matches!(channel, Channel::Depth(_) | Channel::Trade | Channel::AggTrade | Channel::BlockTrade);
        let topics: Vec<TopicId> = self.table.topics(cannot).collect();
        self.close_followers(&topics, CloseReason::Lapped);
        for instrument in self.catalogue.instruments() {
            self.interest.ask_values(instrument.id);
        }
    }

    /// Shows a new subscriber the newest value of a state stream.
    pub(super) fn show_newest(&mut self, session: u32, topic: TopicId, form: Form) {
        let Self { retained, catalogue, scratch, arena, tally, .. } = self;
        let Some(kept) = retained.newest(topic) else { return };
        scratch.forget_bodies();
        let made = scratch.make(arena, catalogue, topic, form, &kept.update, &kept.batch);
        arena.mark(made, (topic, form), Kind::State);
        arena.link(made, session, Class::Data);
        tally.encoded += 1;
        tally.deliveries += 1;
    }

    fn deliver_state(&mut self, channel: Channel, update: &Update, batch: &Batch) {
        self.retained.keep(update, batch);
        self.deliver(TopicId::new(update.instrument, channel), update, batch);
    }

    fn deliver_partial(&mut self, instrument: InstrumentId, cadence: Cadence, update: &Update, batch: &Batch) {
        // At the cadence of SBE all depths are one topic.
        let levels = if cadence == Cadence::Brisk { &PARTIAL_LEVELS[2..] } else { &PARTIAL_LEVELS[..] };
        let topics = levels.iter().map(|&levels| TopicId::new(instrument, Channel::PartialDepth(levels, cadence)));
        if topics.clone().any(|topic| self.table.any(topic)) {
            self.retained.keep(update, batch);
            for topic in topics {
                self.deliver(topic, update, batch);
            }
        }
    }

    /// Makes each form of the update that someone wants, once, and puts it on the list of everyone who does.
    fn deliver(&mut self, topic: TopicId, update: &Update, batch: &Batch) {
        let Self { table, catalogue, scratch, arena, tally, .. } = self;
        let groups = table.groups(topic);
        if groups.is_empty() {
            return;
        }
        scratch.forget_bodies();
        let kind = match update.payload {
            Payload::DepthDiff { .. } => Some(Kind::Diff),
            _ if topic.is_state() && !is_final(update, batch) => Some(Kind::State),
            _ => None,
        };
        for group in groups {
            let made = scratch.make(arena, catalogue, topic, group.form, update, batch);
            if let Some(kind) = kind {
                arena.mark(made, (topic, group.form), kind);
            }
            arena.link_all(made, &group.members);
            tally.encoded += 1;
            tally.deliveries += group.members.len() as u64;
        }
        tally.received.get_or_insert(update.received);
    }

    fn close_followers(&mut self, topics: &[TopicId], reason: CloseReason) {
        let groups = topics.iter().flat_map(|&topic| self.table.groups(topic));
        let mut sessions: Vec<u32> =
            groups.flat_map(|group| &group.members).map(|&Member { session, .. }| session).collect();
        sessions.sort_unstable();
        sessions.dedup();
        for session in sessions {
            self.close(session, reason);
        }
    }
}

/// Whether a value has to arrive although it is one of a state: the last word about a candle.
fn is_final(update: &Update, batch: &Batch) -> bool {
    matches!(update.payload, Payload::Kline(index) if batch.klines[index as usize].closed)
}

impl Scratch {
    /// Begins another update.
    fn forget_bodies(&mut self) {
        self.bodies.iter_mut().for_each(Vec::clear);
    }

    /// The frame of `update` in `form`; its body is made once per time unit.
    fn make(
        &mut self,
        arena: &mut Arena,
        catalogue: &Catalogue,
        topic: TopicId,
        form: Form,
        update: &Update,
        batch: &Batch,
    ) -> Made {
        if form.encoding() == Encoding::Sbe {
            let instrument = catalogue.instrument(update.instrument);
            return arena.make(|out| {
                let send = |message: &[u8]| frame::frame(out, Opcode::Binary, message);
                sbe::each_message(update, batch, instrument, &mut self.message, send);
            });
        }
        let body = &mut self.bodies[form.unit() as usize];
        if body.is_empty() {
            match topic.topic() {
                Topic::Venue(..) => json::array(body, update, batch, catalogue, form.unit()),
                Topic::Instrument(instrument, channel) => {
                    let levels_max = match channel {
                        Channel::PartialDepth(levels, _) => usize::from(levels),
                        _ => usize::MAX,
                    };
                    json::body(body, update, batch, catalogue.instrument(instrument), levels_max, form.unit());
                }
            }
        }
        match form.spelling() {
            None => arena.make(|out| frame::frame(out, Opcode::Text, body)),
            Some(spelling) => {
                self.name.clear();
                spelling.write(topic, catalogue, &mut self.name);
                arena.make(|out| frame::combined(out, &self.name, body))
            }
        }
    }
}
