//! The simulated exchange between its market and its connections: who gets which frame, and what goes wrong on the way.

mod allowance;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::{
    Message, Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use allowance::Allowance;

use super::{
    channel::Channel,
    control::{Control, Outcome},
    faults::{Fault, Faults, Plan},
    frame::{Unit, combined, depth, payload},
    market::{ALL_SYMBOLS, Array, Market, Print, What},
};
use crate::market::{Nanos, Side};

/// Frames that may wait for one client; one more cuts it off. Frames are shared, so this bounds memory by the newest
/// frames of the market, not by clients.
const OUTBOX_FRAMES_MAX: usize = 16_384;
/// Frames kept for a connection that stalls; the oldest go first beyond it.
const LATE_FRAMES_MAX: usize = OUTBOX_FRAMES_MAX / 2;
/// A frame held back to be sent out of order waits at most so long for its successor.
const HELD_NANOS_MAX: i64 = 2_000_000_000;
/// From the announcement of a shutdown to the close.
const SHUTDOWN_NANOS: i64 = 1_000_000_000;
/// A market that is further behind than this has slept or is overloaded: it skips the time.
const BEHIND_NANOS_MAX: i64 = 1_000_000_000;

/// What a symbol's stream is keyed by.
type Topic = (u32, Channel);

/// Everything behind the door of the simulated exchange.
#[derive(Debug)]
pub(super) struct Floor {
    pub(super) market: Market,
    pub(super) plan: Plan,
    pub(super) tally: Tally,
    /// Index of each symbol by its lower-case name.
    by_name: HashMap<String, u32>,
    connections: BTreeMap<u64, Connection>,
    subscriptions: HashMap<Topic, Vec<Subscription>>,
    next_connection: u64,
    /// Reused.
    prints: Vec<Print>,
    /// Connections that were told of a shutdown, and when they are closed.
    closing: Option<(Nanos, Vec<u64>)>,
    messages_per_second: Option<u32>,
    /// What is acknowledged and never sent.
    silent: HashSet<Channel>,
}

/// What happened so far, apart from faults.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) connections: u64,
    pub(super) frames: u64,
    pub(super) requests: u64,
    pub(super) slow: u64,
    pub(super) flooding: u64,
}

/// What the task of a connection gets: its number, what to send, and a promise that breaks when it has to go at once.
pub(super) type Ticket = (u64, mpsc::Receiver<Message>, oneshot::Receiver<()>);

#[derive(Debug)]
struct Connection {
    control: Control,
    outbox: mpsc::Sender<Message>,
    /// Dropped with the connection: its task then cuts the socket.
    _cut: oneshot::Sender<()>,
    stall: Option<Stall>,
    /// A frame that is sent after the next one of its topic.
    held: Option<(Topic, Message, Nanos)>,
    /// `None`: it may send what it likes.
    allowance: Option<Allowance>,
}

#[derive(Debug)]
struct Stall {
    until: Nanos,
    /// What is sent when it ends; of a lossy stall only the replies.
    late: VecDeque<Message>,
    lossy: bool,
}

#[derive(Debug)]
struct Subscription {
    connection: u64,
    name: Arc<str>,
}

impl Floor {
    pub(super) fn new(market: Market, plan: Plan, messages_per_second: Option<u32>, silent: HashSet<Channel>) -> Self {
        let names = market.symbols().iter().enumerate();
        let by_name = names.map(|(index, symbol)| (symbol.name.to_ascii_lowercase(), index as u32)).collect();
        Self {
            market,
            plan,
            tally: Tally::default(),
            by_name,
            connections: BTreeMap::new(),
            subscriptions: HashMap::new(),
            next_connection: 0,
            prints: Vec::new(),
            closing: None,
            messages_per_second,
            silent,
        }
    }

    /// The index of a symbol by its upper-case name.
    pub(super) fn symbol(&self, name: &str) -> Option<u32> {
        let index = self.by_name.get(&name.to_ascii_lowercase()).copied()?;
        (self.market.symbols()[index as usize].name == name).then_some(index)
    }

    /// Lets the market go on to `now` and delivers what it says; returns when to come back.
    pub(super) fn run(&mut self, now: Nanos) -> Nanos {
        if self.market.next_due().0 < now.0 - BEHIND_NANOS_MAX {
            self.market.skip_to(Nanos(now.0 - BEHIND_NANOS_MAX / 100));
        }
        let mut prints = std::mem::take(&mut self.prints);
        self.market.advance(now, &mut prints);
        self.deliver_all(&mut prints, now);
        self.prints = prints;
        if !self.market.is_quiet() {
            self.plan.tick(now);
        }
        self.strike(now);
        self.release(now);
        self.market.next_due()
    }

    /// Silence: what faults held back is sent, all symbols trade once more, all that is pending is delivered, then nothing.
    pub(super) fn pause(&mut self, now: Nanos) {
        self.run(now);
        self.plan.disarm();
        self.release(Nanos(i64::MAX));
        let mut prints = std::mem::take(&mut self.prints);
        self.market.pause(&mut prints);
        self.deliver_all(&mut prints, now);
        self.prints = prints;
    }

    /// New rates of faults.
    pub(super) fn set_faults(&mut self, faults: Faults, now: Nanos) {
        self.plan.set(faults, now);
    }

    /// A new connection.
    pub(super) fn join(&mut self, control: Control, now: Nanos) -> Ticket {
        let (outbox, frames) = mpsc::channel(OUTBOX_FRAMES_MAX);
        let (cut, is_cut) = oneshot::channel();
        let id = self.next_connection;
        self.next_connection += 1;
        self.tally.connections += 1;
        let names = control.names.clone();
        let allowance = self.messages_per_second.map(|per_second| Allowance::new(per_second, now));
        self.connections.insert(id, Connection { control, outbox, _cut: cut, stall: None, held: None, allowance });
        self.subscribe(id, &names);
        (id, frames, is_cut)
    }

    /// A connection is gone; knowing it already is fine.
    pub(super) fn leave(&mut self, id: u64) {
        if let Some(connection) = self.connections.remove(&id) {
            self.unsubscribe(id, &connection.control.names);
        }
    }

    /// A client sent something, be it a ping; `false` if it is closed for sending too much.
    pub(super) fn hear(&mut self, id: u64, now: Nanos) -> bool {
        let allowance = self.connections.get_mut(&id).and_then(|connection| connection.allowance.as_mut());
        let is_fine = allowance.is_none_or(|allowance| allowance.take(now));
        if !is_fine {
            self.tally.flooding += 1;
            self.push(id, close_message(CloseCode::Policy, "Too many requests"));
        }
        is_fine
    }

    /// Takes in a client's message and queues the reply.
    pub(super) fn message(&mut self, id: u64, text: &str) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Outcome { reply, close, added, removed } = connection.control.message(text);
        self.unsubscribe(id, &removed);
        self.subscribe(id, &added);
        self.reply(id, Message::text(reply));
        if close {
            self.reply(id, close_message(CloseCode::Policy, "Invalid request"));
        }
    }

    /// Whether a connection is silent on purpose.
    pub(super) fn is_stalled(&self, id: u64) -> bool {
        self.connections.get(&id).is_some_and(|connection| connection.stall.is_some())
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        if name.starts_with('!') {
            return Array::parse(name).map(|array| (ALL_SYMBOLS, Channel::Array(array)));
        }
        let (symbol, channel) = name.split_once('@')?;
        let channel = Channel::parse(channel).filter(|channel| !self.silent.contains(channel))?;
        Some((*self.by_name.get(symbol)?, channel))
    }

    fn subscribe(&mut self, id: u64, names: &[String]) {
        for name in names {
            if let Some(topic) = self.topic(name) {
                let subscription = Subscription { connection: id, name: name.as_str().into() };
                self.subscriptions.entry(topic).or_default().push(subscription);
                self.market.want(topic.0, topic.1, true);
            }
        }
    }

    fn unsubscribe(&mut self, id: u64, names: &[String]) {
        for name in names {
            let Some(topic) = self.topic(name) else { continue };
            if let Some(list) = self.subscriptions.get_mut(&topic) {
                list.retain(|subscription| subscription.connection != id || *subscription.name != **name);
                if list.is_empty() {
                    self.subscriptions.remove(&topic);
                    self.market.want(topic.0, topic.1, false);
                }
            }
        }
    }

    fn deliver_all(&mut self, prints: &mut Vec<Print>, now: Nanos) {
        for print in prints.drain(..) {
            self.deliver((print.symbol, Channel::of(&print.what)), now, |market, unit| {
                payload(&print, |symbol| market.symbols()[symbol as usize].name, unit)
            });
            if let What::Diff { cadence, ids, .. } = &print.what {
                for levels in [5, 10, 20] {
                    let topic = (print.symbol, Channel::Partial(levels, *cadence));
                    self.deliver(topic, now, |market, _| {
                        let book = market.book(print.symbol);
                        let top = |side| book.top(side, usize::from(levels));
                        depth(ids.last, &top(Side::Bid), &top(Side::Ask))
                    });
                }
            }
        }
    }

    /// Sends one event to all who asked for it; each form of it is made once.
    fn deliver(&mut self, topic: Topic, now: Nanos, form: impl Fn(&Market, Unit) -> String) {
        let Some(mut list) = self.subscriptions.remove(&topic) else { return };
        let mut raw: [Option<Utf8Bytes>; 2] = [None, None];
        let mut wrapped: Vec<(Unit, Arc<str>, Utf8Bytes)> = Vec::new();
        for (index, subscription) in list.iter().enumerate() {
            let Some(connection) = self.connections.get(&subscription.connection) else { continue };
            let (unit, is_combined) = (connection.control.unit, connection.control.combined);
            let raw = raw[unit as usize].get_or_insert_with(|| form(&self.market, unit).into());
            let frame = if is_combined {
                let known = wrapped.iter().find(|(u, name, _)| *u == unit && *name == subscription.name);
                known.map(|(_, _, frame)| frame.clone()).unwrap_or_else(|| {
                    let frame: Utf8Bytes = combined(&subscription.name, raw).into();
                    wrapped.push((unit, Arc::clone(&subscription.name), frame.clone()));
                    frame
                })
            } else {
                raw.clone()
            };
            let others = list.len() - index;
            self.send(subscription.connection, topic, Message::Text(frame), others, now);
        }
        // A client that was cut meanwhile is gone from the list; if it was the last one, nobody wants the topic any more.
        list.retain(|subscription| self.connections.contains_key(&subscription.connection));
        if list.is_empty() {
            self.market.want(topic.0, topic.1, false);
        } else {
            self.subscriptions.insert(topic, list);
        }
    }

    /// Sends an event to one connection, unless something goes wrong; `candidates` connections are left for that.
    fn send(&mut self, id: u64, topic: Topic, frame: Message, candidates: usize, now: Nanos) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Some(stall) = &mut connection.stall {
            if !stall.lossy {
                stall.keep(frame);
            }
            return;
        }
        let fault = if self.plan.is_calm() || self.plan.rng.usize(..candidates) > 0 {
            None
        } else {
            let is_free = connection.held.is_none();
            self.plan.take(|fault| suits_frame(fault, topic.1) && (is_free || fault != Fault::Reorder))
        };
        match fault {
            Some(Fault::Gap | Fault::TradeGap) => return,
            Some(Fault::Reorder) => {
                connection.held = Some((topic, frame, Nanos(now.0.saturating_add(HELD_NANOS_MAX))));
                return;
            }
            Some(Fault::Duplicate) => self.push(id, frame.clone()),
            Some(Fault::Malformed) => {
                let broken = self.broken(&frame);
                self.push(id, broken);
                return;
            }
            _ => {}
        }
        self.push(id, frame);
        let held = self.connections.get_mut(&id).and_then(|connection| connection.held.take_if(|it| it.0 == topic));
        if let Some((_, frame, _)) = held {
            self.push(id, frame);
        }
    }

    /// A frame cut in the middle, or text that is no JSON at all.
    fn broken(&mut self, frame: &Message) -> Message {
        let text = frame.to_text().unwrap_or("");
        if self.plan.rng.bool() {
            return Message::text("{\"stream\":<garbage>\u{fffd}");
        }
        let cut = (0..=text.len() / 2).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        Message::text(&text[..cut])
    }

    /// A reply goes out in order, late if the connection stalls.
    fn reply(&mut self, id: u64, message: Message) {
        match self.connections.get_mut(&id).and_then(|connection| connection.stall.as_mut()) {
            Some(stall) => stall.keep(message),
            None => self.push(id, message),
        }
    }

    fn push(&mut self, id: u64, message: Message) {
        let Some(connection) = self.connections.get(&id) else { return };
        match connection.outbox.try_send(message) {
            Ok(()) => self.tally.frames += 1,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.tally.slow += 1;
                self.leave(id);
            }
            Err(mpsc::error::TrySendError::Closed(_)) => self.leave(id),
        }
    }

    /// Lets armed faults happen that strike whole connections.
    fn strike(&mut self, now: Nanos) {
        while !self.plan.is_calm() {
            // Empty connections are no target: nobody would notice.
            let targets: Vec<u64> = self
                .connections
                .iter()
                .filter(|(_, connection)| connection.stall.is_none() && !connection.control.names.is_empty())
                .map(|(id, _)| *id)
                .collect();
            let Some(&id) = self.plan.rng.choice(&targets) else { return };
            let strikes =
                |fault| matches!(fault, Fault::StallLate | Fault::StallLost | Fault::Disconnect | Fault::Shutdown);
            match self.plan.take(strikes) {
                Some(Fault::Disconnect) => self.leave(id),
                Some(Fault::Shutdown) => self.announce_shutdown(now),
                Some(fault) => {
                    let until = Nanos(now.0.saturating_add(self.plan.stall_nanos()));
                    let lossy = fault == Fault::StallLost;
                    let connection = self.connections.get_mut(&id).expect("chosen among those there are");
                    connection.stall = Some(Stall { until, late: VecDeque::new(), lossy });
                }
                None => return,
            }
        }
    }

    fn announce_shutdown(&mut self, now: Nanos) {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        self.closing = Some((Nanos(now.0.saturating_add(SHUTDOWN_NANOS)), ids.clone()));
        for id in ids {
            let control = &self.connections[&id].control;
            let raw = format!(r#"{{"e":"serverShutdown","E":{}}}"#, control.unit.of(now));
            let text = if control.combined { combined("!serverShutdown", &raw) } else { raw };
            self.push(id, Message::text(text));
        }
    }

    /// Ends what has lasted long enough by `now`: stalls, held frames, the time before an announced shutdown.
    fn release(&mut self, now: Nanos) {
        if let Some((_, ids)) = self.closing.take_if(|(at, _)| *at <= now) {
            for id in ids {
                self.push(id, close_message(CloseCode::Away, "server shutdown"));
            }
        }
        let mut due: Vec<(u64, VecDeque<Message>)> = Vec::new();
        for (id, connection) in &mut self.connections {
            let late = connection.stall.take_if(|stall| stall.until <= now).map(|stall| stall.late);
            let mut frames = late.unwrap_or_default();
            if connection.stall.is_none()
                && let Some((_, frame, _)) = connection.held.take_if(|(_, _, until)| *until <= now)
            {
                frames.push_back(frame);
            }
            if !frames.is_empty() {
                due.push((*id, frames));
            }
        }
        for (id, frames) in due {
            for frame in frames {
                self.push(id, frame);
            }
        }
    }
}

impl Stall {
    fn keep(&mut self, message: Message) {
        if self.late.len() == LATE_FRAMES_MAX {
            self.late.pop_front();
        }
        self.late.push_back(message);
    }
}

/// Whether `fault` can happen to a frame of `channel`.
fn suits_frame(fault: Fault, channel: Channel) -> bool {
    let is_depth = matches!(channel, Channel::Diff(_));
    let is_trade = matches!(channel, Channel::Trade | Channel::AggTrade);
    match fault {
        Fault::Gap => is_depth,
        Fault::TradeGap => is_trade,
        Fault::Duplicate | Fault::Reorder | Fault::Malformed => is_depth || is_trade,
        _ => false,
    }
}

fn close_message(code: CloseCode, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: reason.into() }))
}
