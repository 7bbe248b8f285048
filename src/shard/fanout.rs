//! The work of a shard without its thread, poll and clock: sessions in, updates in, bytes out.

mod flush;
mod publish;

use std::{io::ErrorKind, mem, ops::ControlFlow, sync::Arc};

use super::{
    Wire,
    arena::{Arena, Class},
    links::{Link, Links, Stage},
    retained::Retained,
    schedule::Schedule,
    table::{Member, Table},
};
use crate::{
    config,
    encode::{
        frame::{self, Opcode},
        json,
    },
    market::{Catalogue, Nanos},
    metrics,
    session::{CloseReason, Context, Due, Effects, Form, FrameReader, Incoming, Limits, Opening, ReplyKind, Session},
    topic::{Channel, Interest, TimeUnit, Topic, TopicId},
};

/// How often one socket is read in a pass: a client that floods does not keep the others waiting.
const READS_MAX: usize = 4;

/// All sessions of one shard and what is on its way to them.
///
/// A pass is any number of [`Fanout::read`], [`Fanout::write`], [`Fanout::admit`] and [`Fanout::publish`], then
/// [`Fanout::run_due`] and [`Fanout::flush`]; each session that got something is then written to once. Generic over the
/// socket, so that tests can starve it and benches can leave it out.
#[derive(Debug)]
pub struct Fanout<W> {
    catalogue: Arc<Catalogue>,
    interest: Arc<Interest>,
    limits: Limits,
    message_bytes_max: usize,
    outbox_bytes_max: usize,
    announces_shutdown: bool,
    now: Nanos,
    links: Links<W>,
    table: Table,
    arena: Arena,
    retained: Retained,
    heartbeats: Schedule,
    endings: Schedule,
    scratch: Scratch,
    sender: flush::Sender,
    tally: Tally,
}

/// Buffers that are cleared and used again.
#[derive(Debug, Default)]
struct Scratch {
    effects: Effects,
    /// The body of the present update by time unit; empty: not made yet.
    bodies: [Vec<u8>; 2],
    /// One message of SBE.
    message: Vec<u8>,
    name: Vec<u8>,
}

/// What happened since the last [`Fanout::take_tally`], in plain integers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Updates given to sessions.
    pub deliveries: u64,
    /// Bytes that sockets took.
    pub bytes: u64,
    /// Write calls.
    pub writes: u64,
    /// Frames made.
    pub encoded: u64,
    /// Frames of states that were dropped for newer ones.
    pub conflated: u64,
    /// Diffs that became part of a later one.
    pub merged: u64,
    /// Sessions that are gone.
    pub ended: u64,
    /// When the cause of the first update of this pass was received.
    pub received: Option<Nanos>,
}

/// Whether a socket has been read to its present end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing more is there.
    Done,
    /// There may be more: read it again in the next pass.
    More,
}

impl<W: Wire> Fanout<W> {
    /// A shard's work without sessions yet.
    pub fn new(catalogue: Arc<Catalogue>, interest: Arc<Interest>, config: &config::Session) -> Self {
        let instruments = catalogue.instruments().len();
        // One look at each session at this interval serves pings, their deadline and the age limit.
        let look_ms = config.ping_interval_ms.min(config.pong_timeout_ms).min(config.lifetime_ms);
        Self {
            catalogue,
            interest,
            limits: Limits {
                streams_max: config.streams_max,
                messages_per_second: config.messages_per_second,
                messages_burst: config.messages_burst,
                ping_interval_ms: config.ping_interval_ms,
                pong_timeout_ms: config.pong_timeout_ms,
                lifetime_ms: config.lifetime_ms,
                lifetime_jitter_ms: config.lifetime_jitter_ms,
                unknown_bytes_max: config.unknown_bytes_max,
            },
            message_bytes_max: config.message_bytes_max,
            outbox_bytes_max: config.outbox_bytes_max,
            announces_shutdown: config.announce_shutdown,
            now: Nanos(0),
            links: Links::default(),
            table: Table::new(TopicId::count(instruments)),
            arena: Arena::default(),
            retained: Retained::new(instruments),
            heartbeats: Schedule::new(look_ms),
            endings: Schedule::new(config.close_timeout_ms),
            scratch: Scratch::default(),
            sender: flush::Sender::default(),
            tally: Tally::default(),
        }
    }

    /// Takes over other limits, for open sessions as well. Intervals of time stay: deadlines that were put down by the old
    /// ones would come out of order.
    pub fn adjust(&mut self, config: &config::Session) {
        self.limits = Limits {
            streams_max: config.streams_max,
            messages_per_second: config.messages_per_second,
            messages_burst: config.messages_burst,
            unknown_bytes_max: config.unknown_bytes_max,
            ..self.limits
        };
        self.message_bytes_max = config.message_bytes_max;
        self.outbox_bytes_max = config.outbox_bytes_max;
    }

    /// Begins a pass: this is its time, for all that happens in it.
    pub fn begin(&mut self, now: Nanos) {
        self.now = now;
    }

    /// How many sessions there are, closing ones included.
    pub fn sessions(&self) -> usize {
        self.links.len()
    }

    /// How many subscriptions they hold.
    pub fn subscriptions(&self) -> usize {
        self.table.len()
    }

    /// The index that the next admitted session gets.
    pub fn vacant(&self) -> u32 {
        self.links.vacant()
    }

    /// Takes over a connection whose upgrade has been answered; `early` are bytes that came behind the request.
    pub fn admit(&mut self, wire: W, opening: &Opening, early: &[u8]) -> u32 {
        let mut effects = mem::take(&mut self.scratch.effects);
        let session =
            Session::open(opening, fastrand::u64(..), &context(&self.catalogue, &self.limits, self.now), &mut effects);
        let id =
            self.links.insert(Link { wire, session, reader: FrameReader::default(), outbox: None, stage: Stage::Open });
        self.arena.cover(id.index);
        self.heartbeats.add(id, self.now);
        self.carry_out(id.index, &effects);
        self.scratch.effects = effects;
        if !early.is_empty() {
            self.receive(id.index, &mut early.to_vec());
        }
        id.index
    }

    /// Reads what a session's socket has, with `buffer` for everyone's bytes; `ended` says that its end may be near, so
    /// that it has to be looked for.
    pub fn read(&mut self, index: u32, buffer: &mut [u8], ended: bool) -> Reading {
        for _ in 0..READS_MAX {
            let Some(link) = self.links.get_mut(index) else { return Reading::Done };
            match link.wire.read(buffer) {
                // The client has said its last word and hung up; the answer is still owed to it.
                Ok(0) if link.stage == Stage::Answering => return Reading::Done,
                Ok(0) => {
                    self.close(index, CloseReason::Lost);
                    return Reading::Done;
                }
                Ok(count) => {
                    let is_last = count < buffer.len() && !ended && !link.wire.may_have_more();
                    self.receive(index, &mut buffer[..count]);
                    if is_last {
                        return Reading::Done;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Reading::Done,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.close(index, CloseReason::Lost);
                    return Reading::Done;
                }
            }
        }
        Reading::More
    }

    /// Sends pings, ends what is overdue.
    pub fn run_due(&mut self) {
        while let Some(id) = self.heartbeats.pop(self.now) {
            let Some(link) = self.links.same(id).filter(|link| link.stage == Stage::Open) else { continue };
            let due = link.session.due(&self.limits, self.now);
            self.heartbeats.add(id, self.now);
            match due {
                Due::Nothing => {}
                Due::Ping(payload) => self.control(id.index, Opcode::Ping, payload.to_string().as_bytes()),
                Due::Close(reason) => self.close(id.index, reason),
            }
        }
        while let Some(id) = self.endings.pop(self.now) {
            if self.links.same(id).is_some_and(|link| link.stage != Stage::Open) {
                self.remove(id.index);
            }
        }
    }

    /// When [`Fanout::run_due`] has something to do next.
    pub fn next_due(&self) -> Option<Nanos> {
        self.heartbeats.next().into_iter().chain(self.endings.next()).min()
    }

    /// Announces the end to everyone unless told not to, and closes.
    pub fn shut_down(&mut self) {
        let mut body = Vec::new();
        let made = [TimeUnit::Milliseconds, TimeUnit::Microseconds].map(|unit| {
            body.clear();
            json::server_shutdown(&mut body, self.now, unit);
            let raw = self.arena.make(|out| frame::frame(out, Opcode::Text, &body));
            let combined = self.arena.make(|out| frame::combined(out, b"!serverShutdown", &body));
            [raw, combined]
        });
        let indices: Vec<u32> = self.links.indices().collect();
        for index in indices {
            let Some(link) = self.links.get_mut(index).filter(|link| link.stage == Stage::Open) else { continue };
            if self.announces_shutdown {
                let unit = link.session.unit() as usize;
                let made = made[unit][usize::from(link.session.is_combined())];
                self.arena.link(made, index, Class::Control);
            }
            self.close(index, CloseReason::Shutdown);
        }
    }

    /// Cuts all sessions off without another word.
    pub fn cut_all(&mut self) {
        let indices: Vec<u32> = self.links.indices().collect();
        for index in indices {
            self.remove(index);
        }
    }

    /// What has been counted since the last call.
    pub fn take_tally(&mut self) -> Tally {
        let tally = mem::take(&mut self.tally);
        // What waits for a delayed flush has not been written yet.
        self.tally.received = tally.received.filter(|_| tally.writes == 0);
        tally
    }

    /// Bytes that wait, and for how many sessions. It walks over all of them: not for every pass.
    pub fn queued(&self) -> (usize, usize) {
        let outboxes = self.links.iter().filter_map(|link| link.outbox.as_ref());
        outboxes.fold((0, 0), |(bytes, sessions), outbox| (bytes + outbox.len(), sessions + 1))
    }

    /// Hears `bytes` of a client; they are unmasked in place.
    fn receive(&mut self, index: u32, bytes: &mut [u8]) {
        let Some(link) = self.links.get_mut(index).filter(|link| link.stage == Stage::Open) else { return };
        let mut reader = mem::take(&mut link.reader);
        let result = reader.read(bytes, self.message_bytes_max, |incoming| self.message(index, incoming));
        if let Err(reason) = result {
            return self.close(index, reason);
        }
        if let Some(link) = self.links.get_mut(index).filter(|link| link.stage == Stage::Open) {
            link.reader = reader;
        }
    }

    fn message(&mut self, index: u32, incoming: Incoming<'_>) -> ControlFlow<()> {
        let mut effects = mem::take(&mut self.scratch.effects);
        let context = context(&self.catalogue, &self.limits, self.now);
        if let Some(link) = self.links.get_mut(index) {
            link.session.message(incoming, &context, &mut effects);
            self.carry_out(index, &effects);
        }
        let flow = if effects.close.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        self.scratch.effects = effects;
        flow
    }

    /// Does what a message causes.
    fn carry_out(&mut self, index: u32, effects: &Effects) {
        match effects.kind {
            ReplyKind::Nothing => {}
            ReplyKind::Text => self.control(index, Opcode::Text, &effects.reply),
            ReplyKind::Pong => self.control(index, Opcode::Pong, &effects.reply),
        }
        if let Some(reason) = effects.close {
            // It leaves whatever it had; what it would have had is not worth joining.
            self.leave_all(index, effects.added_from);
            return self.close(index, reason);
        }
        for &at in &effects.removed {
            self.leave(index, at as usize);
        }
        if let Some(&first) = effects.removed.first() {
            self.forget(index, effects, first as usize);
        }
        if effects.reformed {
            self.reform(index);
        }
        if let Some(from) = effects.added_from {
            self.join_from(index, from);
        }
    }

    /// Puts a frame of our own words behind what is pending for a session.
    fn control(&mut self, index: u32, opcode: Opcode, payload: &[u8]) {
        let made = self.arena.make(|out| frame::frame(out, opcode, payload));
        self.arena.link(made, index, Class::Control);
    }

    fn join_from(&mut self, index: u32, from: usize) {
        let count = self.links.get_mut(index).map_or(0, |link| link.session.subscriptions().len());
        for at in from..count {
            let Some(link) = self.links.get_mut(index) else { return };
            let Some((topic, form)) = link.session.wants(&link.session.subscriptions()[at]) else { continue };
            let place = self.table.add(topic, form, Member { session: index, subscription: at as u32 });
            link.session.set_place(at, place);
            self.interest.add(topic);
            self.show_newest(index, topic, form);
        }
    }

    fn leave(&mut self, index: u32, at: usize) {
        let Some(link) = self.links.get_mut(index) else { return };
        let subscription = link.session.subscriptions()[at];
        let Some((topic, form)) = link.session.wants(&subscription) else { return };
        self.unlist(topic, form, subscription.place);
        self.interest.remove(topic);
        if let Topic::Instrument(instrument, Channel::PartialDepth(_, cadence)) = topic.topic() {
            let same = [5, 10, 20].map(|levels| TopicId::new(instrument, Channel::PartialDepth(levels, cadence)));
            if !same.into_iter().any(|topic| self.table.any(topic)) {
                self.retained.forget_partial(instrument, cadence);
            }
        }
    }

    /// Takes a receiver out of the table and tells the one that moved to its place.
    fn unlist(&mut self, topic: TopicId, form: Form, place: u32) {
        let Some(moved) = self.table.remove(topic, form, place) else { return };
        let link = self.links.get_mut(moved.session).expect("who is in the table has a session");
        link.session.set_place(moved.subscription as usize, place);
    }

    /// Leaves all subscriptions that were joined, which those from `not_from` on were not.
    fn leave_all(&mut self, index: u32, not_from: Option<usize>) {
        let Some(link) = self.links.get_mut(index) else { return };
        let joined = link.session.subscriptions().len().min(not_from.unwrap_or(usize::MAX));
        for at in 0..joined {
            self.leave(index, at);
        }
        if let Some(link) = self.links.get_mut(index) {
            link.session.forget_all();
        }
    }

    /// Lets the session forget what it has left; those behind move up, which the table has to know.
    fn forget(&mut self, index: u32, effects: &Effects, first: usize) {
        let Some(link) = self.links.get_mut(index) else { return };
        link.session.forget(&effects.removed);
        for (at, subscription) in link.session.subscriptions().iter().enumerate().skip(first) {
            if let Some((topic, form)) = link.session.wants(subscription) {
                self.table.renumber(topic, form, subscription.place, at as u32);
            }
        }
    }

    /// Moves all of a session's subscriptions to their other form.
    fn reform(&mut self, index: u32) {
        let count = self.links.get_mut(index).map_or(0, |link| link.session.subscriptions().len());
        for at in 0..count {
            let Some(link) = self.links.get_mut(index) else { return };
            let subscription = link.session.subscriptions()[at];
            let (Some((topic, before)), Some((_, after))) =
                (link.session.wanted(&subscription), link.session.wants(&subscription))
            else {
                continue;
            };
            self.unlist(topic, before, subscription.place);
            let place = self.table.add(topic, after, Member { session: index, subscription: at as u32 });
            if let Some(link) = self.links.get_mut(index) {
                link.session.set_place(at, place);
            }
        }
    }

    /// Begins a session's end: nothing more is delivered to it, and the close frame goes behind what is pending.
    fn close(&mut self, index: u32, reason: CloseReason) {
        let Some(link) = self.links.get_mut(index) else { return };
        if link.stage != Stage::Open {
            // The client's end of an end: whatever did not get out by now never will.
            if reason == CloseReason::Lost {
                self.remove(index);
            }
            return;
        }
        metrics::Shard::closed(reason.label());
        self.leave_all(index, None);
        if reason == CloseReason::Lost {
            return self.remove(index);
        }
        let Some(link) = self.links.get_mut(index) else { return };
        link.stage = if matches!(reason, CloseReason::Client(_)) { Stage::Answering } else { Stage::Closing };
        link.reader = FrameReader::default();
        let id = self.links.id(index);
        self.endings.add(id, self.now);
        let made = self.arena.make(|out| frame::close(out, reason.code(), reason.text()));
        self.arena.link(made, index, Class::Last);
    }

    fn remove(&mut self, index: u32) {
        self.leave_all(index, None);
        if self.links.remove(index).is_some() {
            self.arena.forget(index);
            self.tally.ended += 1;
        }
    }
}

fn context<'a>(catalogue: &'a Catalogue, limits: &'a Limits, now: Nanos) -> Context<'a> {
    Context { catalogue, limits, now }
}

#[cfg(test)]
mod tests;
