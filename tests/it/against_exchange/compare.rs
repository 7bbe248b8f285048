//! REST of the server against REST of the exchange while the market is paused, field by field.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tickcast::market::{Interval, Nanos, Series, Zone};
use tokio::time::{Instant, sleep};

use crate::client;

/// A minute whose first trades nobody saw is known when it has ended and the exchange was asked; nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(180);
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The windows that are asked for.
const WINDOWS: [&str; 9] = ["1m", "5m", "59m", "1h", "4h", "23h", "1d", "3d", "7d"];

/// What a server says and what its exchange says.
pub struct Pair {
    ours: String,
    theirs: String,
    http: reqwest::Client,
    /// Objects and rows that were equal.
    pub rows: usize,
    /// Fields in them.
    pub fields: usize,
}

impl Pair {
    pub fn new(ours: &str, theirs: SocketAddr) -> Self {
        let base = |at: &str| format!("http://{at}/api/v3/");
        Self { ours: base(ours), theirs: base(&theirs.to_string()), http: client::http(), rows: 0, fields: 0 }
    }

    async fn ask(&self, url: String) -> Result<Value, String> {
        let answer = self.http.get(&url).send().await.map_err(|error| format!("{url}: {error}"))?;
        let (status, text) = (answer.status(), answer.text().await.map_err(|error| format!("{url}: {error}"))?);
        if !status.is_success() {
            return Err(format!("{url}: {status} {text}"));
        }
        serde_json::from_str(&text).map_err(|error| format!("{url}: {error}: {text}"))
    }

    /// The exchange's answer to `path`.
    pub async fn theirs(&self, path: &str) -> Value {
        self.ask(format!("{}{path}", self.theirs)).await.unwrap_or_else(|why| panic!("{why}"))
    }

    /// Waits until both give the same, apart from the times of asking; fails with the difference.
    pub async fn settle(&mut self, path: &str) {
        let started = Instant::now();
        loop {
            match self.differs(path).await {
                Ok((rows, fields)) => {
                    self.rows += rows;
                    self.fields += fields;
                    return;
                }
                Err(why) => assert!(started.elapsed() < PATIENCE, "{path}: {why}"),
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    /// How many rows and fields are equal, or what is not.
    async fn differs(&self, path: &str) -> Result<(usize, usize), String> {
        let before = without_asking(path, self.ask(format!("{}{path}", self.theirs)).await?)?;
        let ours = without_asking(path, self.ask(format!("{}{path}", self.ours)).await?)?;
        let after = without_asking(path, self.ask(format!("{}{path}", self.theirs)).await?)?;
        if before != after {
            return Err("the time went on in between".to_owned());
        }
        same(&ours, &after)
    }

    /// All candles of all series: the newest thousand of each, those in the making included. Seconds up to `until`: at rest,
    /// too, they come and go.
    pub async fn klines(&mut self, symbol: &str, series: &[Series], until: Nanos) {
        for series in series {
            let (interval, zone) = (series.interval(), if series.zone() == Zone::Utc { "0" } else { "8" });
            let mut path = format!("klines?symbol={symbol}&interval={}&timeZone={zone}&limit=1000", interval.text());
            if interval == Interval::Second1 {
                path += &format!("&endTime={}", until.millis() - 2_000);
            }
            self.settle(&path).await;
        }
    }

    /// All statistics and prices.
    pub async fn statistics(&mut self, symbol: &str) {
        for form in ["FULL", "MINI"] {
            self.settle(&format!("ticker/24hr?symbol={symbol}&type={form}")).await;
            for zone in ["0", "8", "-5:30"] {
                self.settle(&format!("ticker/tradingDay?symbol={symbol}&timeZone={zone}&type={form}")).await;
            }
            for window in WINDOWS {
                self.settle(&format!("ticker?symbol={symbol}&windowSize={window}&type={form}")).await;
            }
        }
        for name in ["avgPrice", "ticker/price", "ticker/bookTicker"] {
            self.settle(&format!("{name}?symbol={symbol}")).await;
        }
    }
}

/// Takes out the times that say when somebody asked, after a look at them.
fn without_asking(path: &str, mut answer: Value) -> Result<Value, String> {
    if !path.starts_with("ticker/24hr") && !path.starts_with("ticker?") {
        return Ok(answer);
    }
    let object = answer.as_object_mut().ok_or("no object")?;
    let close = object.remove("closeTime").and_then(|time| time.as_i64()).ok_or("no closeTime")?;
    if path.starts_with("ticker/24hr") {
        let open = object.remove("openTime").and_then(|time| time.as_i64()).ok_or("no openTime")?;
        if close - open != 86_400_000 {
            return Err(format!("{close} - {open} is no day"));
        }
    }
    Ok(answer)
}

/// How many rows and fields two equal answers have, or where they differ.
fn same(ours: &Value, theirs: &Value) -> Result<(usize, usize), String> {
    match (ours, theirs) {
        (Value::Object(our), Value::Object(their)) => {
            if !our.keys().eq(their.keys()) {
                return Err(format!("other keys: ours {ours}, theirs {theirs}"));
            }
            match our.iter().find(|(key, value)| their[*key] != **value) {
                Some((key, _)) => Err(format!("{key}: ours {ours}, theirs {theirs}")),
                None => Ok((1, our.len())),
            }
        }
        (Value::Array(our), Value::Array(their)) => {
            let edge = |rows: &[Value]| rows.first().map(|row| row[0].clone());
            if let Some((our, their)) = our.iter().zip(their).find(|(our, their)| our != their) {
                return Err(format!(
                    "ours {our}, theirs {their} (first {:?}, {:?})",
                    edge(ours.as_array().expect("one")),
                    edge(theirs.as_array().expect("one"))
                ));
            }
            if our.len() != their.len() {
                return Err(format!(
                    "{} rows, theirs are {}; last {:?}, {:?}",
                    our.len(),
                    their.len(),
                    our.last(),
                    their.last()
                ));
            }
            Ok((our.len(), our.iter().filter_map(Value::as_array).map(Vec::len).sum()))
        }
        _ => Err(format!("ours {ours}, theirs {theirs}")),
    }
}
