//! What streams say, written down as it comes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use futures_util::StreamExt;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use crate::client;

/// Raw payloads of every stream in the order in which they came.
#[derive(Debug, Default)]
pub struct Heard(BTreeMap<String, Vec<String>>);

/// A client that listens until it is dropped.
pub struct Listener {
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens to streams of `at`, an address; every stream of the connection.
    pub async fn open(at: &str, names: &[String]) -> Self {
        let streams = names.join("/").replace('+', "%2B");
        let mut socket = client::open(&format!("ws://{at}/stream?streams={streams}")).await;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let writing = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            // Whoever asks for something that did not come fails; why it did not is said here.
            while let Some(message) = socket.next().await {
                match message {
                    Ok(Message::Text(text)) => writing.lock().expect("no panic while held").write_down(&text),
                    Ok(Message::Close(frame)) => eprintln!("closed: {frame:?}"),
                    Ok(_) => {}
                    Err(error) => eprintln!("cut: {error}"),
                }
            }
        });
        Self { heard, task }
    }

    /// The payloads of a stream so far.
    pub fn of(&self, name: &str) -> Vec<String> {
        self.heard.lock().expect("no panic while held").0.get(name).cloned().unwrap_or_default()
    }

    /// The closed candles of a kline stream so far.
    pub fn closed(&self, name: &str) -> Vec<Value> {
        let mut candles: Vec<Value> = self.of(name).iter().map(|text| json(text)["k"].take()).collect();
        candles.retain(|candle| candle["x"] == true);
        candles
    }

    /// The newest payload of a stream.
    pub fn last(&self, name: &str) -> Option<Value> {
        let heard = self.heard.lock().expect("no panic while held");
        heard.0.get(name).and_then(|payloads| payloads.last()).map(|text| json(text))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Heard {
    fn write_down(&mut self, frame: &str) {
        let (name, payload) = frame
            .strip_prefix(r#"{"stream":""#)
            .and_then(|rest| rest.strip_suffix('}'))
            .and_then(|rest| rest.split_once(r#"","data":"#))
            .unwrap_or_else(|| panic!("not combined: {frame}"));
        match self.0.get_mut(name) {
            Some(payloads) => payloads.push(payload.to_owned()),
            None => drop(self.0.insert(name.to_owned(), vec![payload.to_owned()])),
        }
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
