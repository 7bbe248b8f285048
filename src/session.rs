//! The client protocol without I/O: text in, command and reply out, limits, close reasons.
//!
//! A `Session` is what the server remembers of one client, and it is small: no buffers, no names that can be made
//! again from a `TopicId`. What a message causes comes out as `Effects`, for the shard to carry out.

mod close;
mod incoming;
mod opening;
mod pace;
mod reply;
mod request;
mod subscriptions;

pub use close::CloseReason;
pub use incoming::{FrameReader, Incoming};
pub use opening::{Opening, Rejection, opening, sbe_opening};
pub use pace::{Due, Heartbeat};
pub use subscriptions::{Form, Spelling, Stream, Subscription, Subscriptions};

use std::borrow::Cow;

use crate::{
    market::{Catalogue, Nanos, VenueId},
    session::{
        pace::Bucket,
        request::{Command, Id, Refusal},
        subscriptions::Added,
    },
    topic::{Encoding, StreamName, TimeUnit, TopicId},
};

/// What one session may do; `config/default.toml` says why so much.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Streams per session.
    pub streams_max: usize,
    /// Messages per second, pings and pongs included; 0: no limit.
    pub messages_per_second: u32,
    /// How many may come at once before that rate counts.
    pub messages_burst: u32,
    /// Between our pings.
    pub ping_interval_ms: u64,
    /// From a ping without answer to the end.
    pub pong_timeout_ms: u64,
    /// From the beginning to the end.
    pub lifetime_ms: u64,
    /// Up to how much chance takes off that.
    pub lifetime_jitter_ms: u32,
    /// Bytes of names that mean nothing here.
    pub unknown_bytes_max: usize,
}

/// What a session needs to know of the world.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What can be subscribed to.
    pub catalogue: &'a Catalogue,
    /// What is allowed.
    pub limits: &'a Limits,
    /// The time of this pass.
    pub now: Nanos,
}

/// What to send back for one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyKind {
    /// Nothing.
    #[default]
    Nothing,
    /// [`Effects::reply`] in a text frame.
    Text,
    /// [`Effects::reply`] in a pong.
    Pong,
}

/// What one message causes, to be carried out in the order of the fields. Cleared and reused.
#[derive(Debug, Default)]
pub struct Effects {
    /// What kind of frame the reply goes in.
    pub kind: ReplyKind,
    /// The reply's payload.
    pub reply: Vec<u8>,
    /// Indices of subscriptions that end, ascending. They stay in the list until [`Session::forget`].
    pub removed: Vec<u32>,
    /// From this index on, subscriptions are new.
    pub added_from: Option<usize>,
    /// `combined` was switched: every subscription has another [`Form`] than before.
    pub reformed: bool,
    /// The session ends, after the reply.
    pub close: Option<CloseReason>,
}

impl Effects {
    /// Forgets all, keeps the memory.
    pub fn clear(&mut self) {
        self.reply.clear();
        self.removed.clear();
        (self.kind, self.added_from, self.reformed, self.close) = (ReplyKind::Nothing, None, false, None);
    }
}

/// One client's state.
#[derive(Debug)]
pub struct Session {
    subscriptions: Subscriptions,
    heartbeat: Heartbeat,
    bucket: Bucket,
    venue: VenueId,
    encoding: Encoding,
    combined: bool,
    unit: TimeUnit,
}

impl Session {
    /// A session as its upgrade request wants it; `effects` say what follows from that, as after a message. `chance` is
    /// any number: it decides how long it may live.
    pub fn open(opening: &Opening, chance: u64, context: &Context<'_>, effects: &mut Effects) -> Self {
        let mut session = Self {
            subscriptions: Subscriptions::default(),
            heartbeat: Heartbeat::new(context.limits, chance, context.now),
            bucket: Bucket::new(context.limits, context.now),
            venue: opening.venue,
            encoding: opening.encoding,
            combined: opening.combined,
            unit: opening.unit,
        };
        effects.clear();
        session.subscriptions.reserve(opening.streams.len().min(context.limits.streams_max));
        effects.added_from = Some(0);
        for text in &opening.streams {
            // In a URL nothing is refused: what is no legal name is subscribed to in silence.
            let name = StreamName::parse(text, session.venue, context.catalogue, session.encoding);
            if session.add(text, name, context) == Added::Full {
                session.refuse(effects, &too_many_subscriptions(None), CloseReason::TooManySubscriptions);
                break;
            }
        }
        session
    }

    /// Reads one message of the client and says in `effects` what it causes.
    pub fn message(&mut self, incoming: Incoming<'_>, context: &Context<'_>, effects: &mut Effects) {
        effects.clear();
        if let Incoming::Close(code) = incoming {
            effects.close = Some(CloseReason::Client(code));
            return;
        }
        if !self.bucket.take(context.limits, context.now) {
            effects.close = Some(CloseReason::TooManyRequests);
            return;
        }
        match incoming {
            Incoming::Text(text) => self.text(text, context, effects),
            Incoming::Binary => effects.close = Some(CloseReason::Binary),
            Incoming::Ping(payload) => {
                effects.kind = ReplyKind::Pong;
                effects.reply.extend_from_slice(payload);
            }
            Incoming::Pong(payload) => self.heartbeat.pong(payload),
            Incoming::Close(_) => {}
        }
    }

    /// What is due now. To be asked regularly, at least as often as the shortest interval in the limits: deadlines are
    /// seen no more finely than that.
    pub fn due(&mut self, limits: &Limits, now: Nanos) -> Due {
        self.heartbeat.due(limits, now)
    }

    /// The subscriptions, in order.
    pub fn subscriptions(&self) -> &[Subscription] {
        self.subscriptions.list()
    }

    /// Says where the table keeps the subscription with this index.
    pub fn set_place(&mut self, index: usize, place: u32) {
        self.subscriptions.set_place(index, place);
    }

    /// The topic and form of a subscription; `None` if it is to nothing of ours.
    pub fn wants(&self, subscription: &Subscription) -> Option<(TopicId, Form)> {
        self.wants_if(self.combined, subscription)
    }

    /// The same as it was before `combined` was switched.
    pub fn wanted(&self, subscription: &Subscription) -> Option<(TopicId, Form)> {
        self.wants_if(!self.combined, subscription)
    }

    /// Takes out what [`Effects::removed`] named, once the table has let go of it. Indices behind it move up.
    pub fn forget(&mut self, removed: &[u32]) {
        self.subscriptions.remove(removed);
    }

    /// Takes out every subscription, once the table has let go of them.
    pub fn forget_all(&mut self) {
        self.subscriptions = Subscriptions::default();
    }

    /// Whether events are wrapped; at the door of SBE they never are, whatever `combined` says.
    pub fn is_combined(&self) -> bool {
        self.combined && self.encoding == Encoding::Json
    }

    /// The unit of its times.
    pub fn unit(&self) -> TimeUnit {
        self.unit
    }

    fn wants_if(&self, combined: bool, subscription: &Subscription) -> Option<(TopicId, Form)> {
        match (subscription.stream, self.encoding) {
            (Stream::Known(topic, spelling), Encoding::Json) => Some((topic, Form::new(combined, self.unit, spelling))),
            (Stream::Known(topic, _), Encoding::Sbe) => Some((topic, Form::SBE)),
            (Stream::Unknown { .. }, _) => None,
        }
    }

    fn text(&mut self, text: &str, context: &Context<'_>, effects: &mut Effects) {
        let (id, command) = match request::parse(text) {
            Ok(request) => request,
            Err(refusal) if refusal.closes => return self.refuse(effects, &refusal, CloseReason::InvalidRequest),
            Err(refusal) => {
                effects.kind = ReplyKind::Text;
                return reply::error(&mut effects.reply, &refusal);
            }
        };
        effects.kind = ReplyKind::Text;
        match command {
            Command::Subscribe(names) => self.subscribe(&names, id, context, effects),
            Command::Unsubscribe(names) => self.unsubscribe(&names, id, context, effects),
            Command::ListSubscriptions => self.list(id, context.catalogue, effects),
            Command::GetCombined => reply::flag(&mut effects.reply, self.combined, id),
            Command::SetCombined(combined) => {
                effects.reformed = self.combined != combined && self.encoding == Encoding::Json;
                self.combined = combined;
                reply::done(&mut effects.reply, id);
            }
        }
    }

    fn subscribe(&mut self, names: &[Cow<'_, str>], id: Id<'_>, context: &Context<'_>, effects: &mut Effects) {
        let (venue, encoding) = (self.venue, self.encoding);
        let parsed = names.iter().map(|name| StreamName::parse(name, venue, context.catalogue, encoding));
        if parsed.clone().any(|name| name == StreamName::Malformed) {
            return self.refuse(effects, &invalid_stream(id), CloseReason::InvalidRequest);
        }
        effects.added_from = Some(self.subscriptions.list().len());
        for (text, name) in names.iter().zip(parsed) {
            if self.add(text, name, context) == Added::Full {
                return self.refuse(effects, &too_many_subscriptions(Some(id)), CloseReason::TooManySubscriptions);
            }
        }
        reply::done(&mut effects.reply, id);
    }

    fn unsubscribe(&mut self, names: &[Cow<'_, str>], id: Id<'_>, context: &Context<'_>, effects: &mut Effects) {
        for text in names {
            let name = StreamName::parse(text, self.venue, context.catalogue, self.encoding);
            if name == StreamName::Malformed {
                effects.removed.clear();
                return self.refuse(effects, &invalid_stream(id), CloseReason::InvalidRequest);
            }
            effects.removed.extend(self.subscriptions.find(text, name).map(|index| index as u32));
        }
        effects.removed.sort_unstable();
        effects.removed.dedup();
        reply::done(&mut effects.reply, id);
    }

    fn list(&self, id: Id<'_>, catalogue: &Catalogue, effects: &mut Effects) {
        let names = self.subscriptions.list().iter().map(|subscription| {
            let mut name = Vec::new();
            self.subscriptions.write_name(subscription.stream, catalogue, &mut name);
            String::from_utf8(name).expect("names were text when they were subscribed to")
        });
        let names: Vec<String> = names.collect();
        reply::list(&mut effects.reply, names.iter().map(String::as_str), id);
    }

    fn add(&mut self, text: &str, name: StreamName, context: &Context<'_>) -> Added {
        let limits = context.limits;
        self.subscriptions.add(text, name, limits.streams_max, limits.unknown_bytes_max)
    }

    fn refuse(&self, effects: &mut Effects, refusal: &Refusal<'_>, reason: CloseReason) {
        effects.kind = ReplyKind::Text;
        effects.close = Some(reason);
        reply::error(&mut effects.reply, refusal);
    }
}

fn too_many_subscriptions(id: Option<Id<'_>>) -> Refusal<'_> {
    Refusal { code: 4, text: Cow::Borrowed("Too many subscriptions"), id, closes: true }
}

fn invalid_stream(id: Id<'_>) -> Refusal<'_> {
    Refusal { code: 2, text: Cow::Borrowed("Invalid request: invalid stream"), id: Some(id), closes: true }
}

#[cfg(test)]
mod tests;
