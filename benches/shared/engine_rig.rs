//! An engine as the program builds it, driven through a [`Capture`] in recorded time as its own thread would drive it.

use std::{fmt::Write as _, sync::Arc, task::Waker, time::Duration};

use bytes::Bytes;
use tickcast::{
    config::Config,
    engine::{Engine, Parts},
    intake::{ConnectionId, Frame, Inbound, Request},
    market::{Catalogue, InstrumentId, Kline, Level, Nanos, Price, Quantity, Series},
    ring::{self, Publisher},
    topic::{Batch, Cadence, Channel, Interest, Payload, TopicId, Update},
    venue::AnyProtocol,
};

use crate::{
    capture::{Capture, What},
    first_write::Ingest,
    serde_frames::read,
};

/// One pass of the engine.
#[derive(Clone)]
pub struct Pass {
    /// Its time.
    pub now: Nanos,
    /// What came.
    pub inbound: Vec<Inbound>,
}

/// A capture cut into passes.
pub struct Course {
    /// Until all books are there, history is fetched and the first whole minute has begun.
    pub warm: Vec<Pass>,
    /// The rest: steady state.
    pub steady: Vec<Pass>,
    /// What the engine publishes in the steady part.
    pub published: Published,
    /// The diffs among it, by [`Diff::place`].
    pub diffs: Vec<Diff>,
    catalogue: Arc<Catalogue>,
    subscribed: bool,
}

/// One diff as it was published.
#[derive(Debug, PartialEq, Eq)]
pub struct Diff {
    /// The number of the symbol.
    pub symbol: usize,
    /// The cadence.
    pub period_ns: i64,
    /// `U`
    pub first: i64,
    /// `u`
    pub last: i64,
    /// Best first.
    pub bids: Vec<(i64, i64)>,
    /// Best first.
    pub asks: Vec<(i64, i64)>,
}

impl Diff {
    /// Where it comes: by symbol, cadence and id.
    pub fn place(&self) -> (usize, i64, i64) {
        (self.symbol, self.period_ns, self.last)
    }
}

/// How much of what was published.
#[derive(Clone, Copy, Debug, Default)]
pub struct Published {
    /// Frames taken in.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Updates in all.
    pub updates: u64,
    /// Diffs of all cadences among them.
    pub diffs: u64,
    /// Partial books.
    pub partials: u64,
    /// Trades and aggregates.
    pub trades: u64,
    /// Best prices.
    pub bests: u64,
    /// Candles of all series, open and closed ones.
    pub candles: u64,
    /// Statistics and averages.
    pub statistics: u64,
}

/// An engine whose ring is read as in the program: by a shard after each pass, by views and store 20 times a second.
pub struct Driven {
    engine: Engine,
    shard: ring::Reader<Batch>,
    views: ring::Reader<Batch>,
    views_due: Nanos,
}

impl Driven {
    /// One pass, and who reads after it.
    pub fn pass(&mut self, now: Nanos, inbound: Vec<Inbound>) {
        self.engine.pass(now, inbound);
        drain(&mut self.shard);
        if now >= self.views_due {
            self.views_due = now.plus(VIEWS_EVERY);
            drain(&mut self.views);
        }
    }
}

fn drain(reader: &mut ring::Reader<Batch>) {
    while let Some(batch) = reader.read().expect("it reads in time") {
        std::hint::black_box(&batch.updates);
    }
}

const VIEWS_EVERY: Duration = Duration::from_millis(50);

/// Most frames of one batch of intake. It hands over what was ready in one turn, up to 256: far fewer in a busy second.
const BATCH_FRAMES: usize = 32;

const CONNECTION: ConnectionId = ConnectionId(1);

impl Course {
    /// Runs an engine once through the capture, and notes each pass with what came in it. Passes come when frames do, and
    /// whenever the engine's own timers are due, as in its thread; requests are answered with the next pass.
    /// With `subscribed`, partial books of all symbols are wanted as well.
    pub fn new(capture: &Capture, keep: impl Fn(What) -> bool, subscribed: bool) -> Self {
        let mut catalogue = Catalogue::new();
        let venue = catalogue.add_venue("binance", None);
        let ids: Vec<_> =
            capture.symbols.iter().map(|symbol| catalogue.add_instrument(venue, symbol, symbol)).collect();
        let (warm, steady, published, diffs) = (Vec::new(), Vec::new(), Published::default(), Vec::new());
        let mut course = Self { warm, steady, published, diffs, catalogue: Arc::new(catalogue), subscribed };

        let steps: Vec<_> =
            capture.steps.iter().filter(|step| matches!(step.what, What::Book(_)) || keep(step.what)).collect();
        let (first, last) = (capture.steps[0].time, capture.steps[capture.steps.len() - 1].time);
        let steady_from = Nanos(first.0 + ((last.0 - first.0) / 5).max(WARM_NS_MIN));
        let (mut engine, publisher_reader, requests) = course.engine_with_reader();
        let mut reader = publisher_reader;
        let mut known = Ingest::default();
        for step in &capture.steps {
            if let What::Book(symbol) = step.what {
                known.snapshot(&capture.symbols[symbol], &step.bytes);
            }
        }
        let mut now = first;
        let mut inbound =
            vec![Inbound::Opened { venue, connection: CONNECTION, leg: 0, instruments: ids.clone(), received: now }];
        let mut steps = steps.into_iter().peekable();
        loop {
            let is_steady = now >= steady_from;
            let passes = if is_steady { &mut course.steady } else { &mut course.warm };
            passes.push(Pass { now, inbound: inbound.clone() });
            if is_steady {
                course.published.count_frames(&inbound);
            }
            engine.pass(now, inbound.drain(..));
            while let Some(batch) = reader.read().expect("it reads after each pass") {
                if is_steady {
                    batch.updates.iter().for_each(|update| course.published.count(update));
                    course.diffs.extend(batch.updates.iter().filter_map(|update| diff_of(update, &batch)));
                }
            }
            inbound.extend(requests.try_iter().filter_map(|request| match request {
                Request::Klines { .. } => candles(request, now),
                // The first ones are in the capture. A deeper one is what can be known of it.
                Request::Snapshot { instrument, levels, .. } if levels > 1000 => {
                    let body = known.book(&capture.symbols[instrument.index()], levels as usize);
                    let body = Frame { received: now, bytes: body.into() };
                    Some(Inbound::Snapshot { instrument, levels, body })
                }
                _ => None,
            }));

            let Some(next) = steps.peek() else { break };
            let due = engine.next_due();
            if !inbound.is_empty() {
                continue;
            }
            if due <= next.time {
                now = due.max(now);
                continue;
            }
            let mut frames = Vec::new();
            while let Some(step) =
                steps.next_if(|step| step.time <= due && frames.len() < BATCH_FRAMES && !is_book(step.what))
            {
                now = step.time.max(now);
                read(&mut known, &step.bytes);
                frames.push(Frame { received: now, bytes: step.bytes.clone() });
            }
            if !frames.is_empty() {
                inbound.push(Inbound::Frames { venue, connection: CONNECTION, frames });
            } else if let Some(step) = steps.next()
                && let What::Book(symbol) = step.what
            {
                now = step.time.max(now);
                let body = Frame { received: now, bytes: step.bytes.clone() };
                inbound.push(Inbound::Snapshot { instrument: ids[symbol], levels: 1000, body });
            }
        }
        course.diffs.sort_by_key(Diff::place);
        course
    }

    /// An engine before the first pass, with a ring whose buffers have been used before.
    pub fn engine(&self) -> Driven {
        self.engine_with(Config::embedded().ring.slots, 256)
    }

    /// The same with so many slots; the buffers at hand have had so many levels.
    pub fn engine_with(&self, slots: usize, levels: usize) -> Driven {
        let mut publisher = ring::ring(slots, Config::embedded().ring.bytes);
        wear_in(&mut publisher, slots, levels);
        let reader = || publisher.reader(Waker::noop().clone());
        let (shard, views) = (reader(), reader());
        Driven { engine: self.build(publisher).0, shard, views, views_due: Nanos(0) }
    }

    fn engine_with_reader(&self) -> (Engine, ring::Reader<Batch>, flume::Receiver<Request>) {
        let publisher = ring::ring(1024, 1 << 28);
        let reader = publisher.reader(Waker::noop().clone());
        let (engine, requests) = self.build(publisher);
        (engine, reader, requests)
    }

    fn build(&self, publisher: Publisher<Batch>) -> (Engine, flume::Receiver<Request>) {
        let interest = Arc::new(Interest::new(self.catalogue.instruments().len()));
        if self.subscribed {
            for instrument in self.catalogue.instruments() {
                interest.add(TopicId::new(instrument.id, Channel::PartialDepth(20, Cadence::Fast)));
            }
        }
        let (asked, requests) = flume::unbounded();
        let engine = Engine::new(Parts {
            catalogue: Arc::clone(&self.catalogue),
            protocols: vec![Arc::new(AnyProtocol::new("binance", 1000, 1).expect("Binance is there"))],
            interest,
            publisher,
            requests: asked,
            settings: Config::embedded().engine,
            stale_after: Duration::from_secs(60),
        });
        (engine, requests)
    }

    /// The frames of the steady part.
    pub fn steady_frames(&self) -> impl Iterator<Item = &Bytes> {
        frames_of(&self.steady)
    }
}

/// The frames of these passes.
pub fn frames_of(passes: &[Pass]) -> impl Iterator<Item = &Bytes> {
    passes.iter().flat_map(|pass| &pass.inbound).flat_map(|message| {
        match message {
            Inbound::Frames { frames, .. } => &frames[..],
            _ => &[],
        }
        .iter()
        .map(|frame| &frame.bytes)
    })
}

impl Published {
    fn count_frames(&mut self, inbound: &[Inbound]) {
        for message in inbound {
            if let Inbound::Frames { frames, .. } = message {
                self.frames += frames.len() as u64;
                self.bytes += frames.iter().map(|frame| frame.bytes.len() as u64).sum::<u64>();
            }
        }
    }

    fn count(&mut self, update: &Update) {
        self.updates += 1;
        let count = match update.payload {
            Payload::DepthDiff { .. } => &mut self.diffs,
            Payload::PartialDepth { .. } => &mut self.partials,
            Payload::Trade(_) | Payload::AggTrade(_) => &mut self.trades,
            Payload::BookTicker(_) => &mut self.bests,
            Payload::Kline(_) => &mut self.candles,
            Payload::MiniTicker(_) | Payload::Ticker(_) | Payload::Rolling(..) | Payload::AveragePrice(_) => {
                &mut self.statistics
            }
            _ => return,
        };
        *count += 1;
    }
}

fn diff_of(update: &Update, batch: &Batch) -> Option<Diff> {
    let Payload::DepthDiff { cadence, first_id: first, last_id: last, bids, asks } = update.payload else {
        return None;
    };
    let (symbol, period_ns) = (update.instrument.index(), cadence.period_ns());
    let [bids, asks] = [bids, asks]
        .map(|span| span.of(&batch.levels).iter().map(|level| (level.price.0, level.quantity.0)).collect::<Vec<_>>());
    Some(Diff { symbol, period_ns, first, last, bids, asks })
}

fn is_book(what: What) -> bool {
    matches!(what, What::Book(_))
}

/// More candles, statistics and elements than a batch has of a few symbols.
const ROWS: usize = 256;

/// Gives the ring buffers of a usual size, as it has them after the first minutes.
fn wear_in(publisher: &mut Publisher<Batch>, slots: usize, levels: usize) {
    let best = Payload::BookTicker(Default::default());
    let update = Update { instrument: InstrumentId(0), received: Nanos(0), time: Nanos(0), payload: best };
    let kline = Kline::empty(Series::MINUTE, Nanos(0), Price(0));
    let mut batch = Batch::default();
    // Who does not read leaves each batch its own buffer.
    let _stuck = publisher.reader(Waker::noop().clone());
    for _ in 0..slots / 8 {
        batch.updates.extend([update; BATCH_FRAMES]);
        batch.levels.resize(levels, Level { price: Price(1), quantity: Quantity(1) });
        batch.klines.extend([kline; Series::COUNT]);
        // A second of a few symbols.
        batch.updates.reserve(ROWS);
        batch.klines.reserve(ROWS);
        batch.mini_tickers.reserve(ROWS);
        batch.tickers.reserve(ROWS);
        batch.rollings.reserve(ROWS);
        batch.elements.reserve(ROWS);
        publisher.publish(&mut batch);
    }
}

/// Candles that never moved: so all longer ones are known, and told.
fn candles(request: Request, now: Nanos) -> Option<Inbound> {
    let Request::Klines { instrument, series, from, count } = request else { return None };
    let mut open = series.open_time(from);
    if open < from {
        open = series.next_open(open);
    }
    let mut rows = String::from("[");
    for _ in 0..count {
        if open > now {
            break;
        }
        let end = series.next_open(open);
        let comma = if rows.len() > 1 { "," } else { "" };
        write!(
            rows,
            "{comma}[{},\"60000.00000000\",\"60000.00000000\",\"60000.00000000\",\"60000.00000000\",\"1.00000000\",{},\
             \"60000.00000000\",1,\"0.50000000\",\"30000.00000000\",\"0\"]",
            open.millis(),
            end.millis() - 1,
        )
        .expect("a String");
        open = end;
    }
    rows.push(']');
    Some(Inbound::Klines { instrument, series, from, body: Frame { received: now, bytes: rows.into() } })
}

/// Long enough for the first whole book, the plan of history and its answers.
const WARM_NS_MIN: i64 = 12_000_000_000;
