//! Our own format through crashes, and the merge.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;

/// A path that is free and removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tickcast-recording-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_file(&self.0);
    }
}

fn received(ms: i64, text: &str) -> Record {
    Record {
        time: Nanos::from_millis(ms),
        connection: 1,
        kind: Kind::Received,
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    }
}

fn read(path: &Path) -> (Vec<Record>, u64) {
    let mut reader = Reader::open(path).expect("a recording");
    let records = reader.by_ref().map(|record| record.expect("sound")).collect();
    (records, reader.torn_bytes())
}

#[test]
fn every_kind_of_record_comes_back_as_it_was() {
    let scratch = Scratch::new();
    let url: Arc<str> = "wss://venue/ws?a=b".into();
    let kinds = [
        Kind::Opened { url: url.clone() },
        Kind::Sent,
        Kind::Received,
        Kind::Response { url, status: 429 },
        Kind::Closed,
    ];
    let records: Vec<_> = kinds
        .into_iter()
        .enumerate()
        .map(|(index, kind)| Record {
            kind,
            connection: index as u32,
            ..received(index as i64 - 2, "bytes \u{0}\u{fffd}")
        })
        .collect();
    let mut writer = Writer::create(&scratch.0).expect("a free path");
    for record in &records {
        writer.record(record).expect("written");
    }
    drop(writer);
    assert_eq!(read(&scratch.0), (records, 0));
    assert!(Writer::create(&scratch.0).is_err(), "a recording is never overwritten");
}

#[test]
fn a_block_is_closed_by_size_and_by_time_so_that_little_is_ever_lost() {
    let scratch = Scratch::new();
    let mut writer = Writer::create(&scratch.0).expect("a free path");
    writer.record(&received(0, "first")).expect("written");
    assert_eq!(read(&scratch.0).0.len(), 0, "still in memory");
    writer.record(&received(600, "second")).expect("written");
    assert_eq!(read(&scratch.0).0.len(), 2, "time closed the block");
    writer.record(&received(700, "third")).expect("written");
    writer.flush_if_due(Nanos::from_millis(1_000)).expect("written");
    assert_eq!(read(&scratch.0).0.len(), 2);
    writer.flush_if_due(Nanos::from_millis(1_200)).expect("written");
    assert_eq!(read(&scratch.0).0.len(), 3);
    writer.record(&received(1_300, &"x".repeat(300 << 10))).expect("written");
    assert_eq!(read(&scratch.0).0.len(), 4, "size closed the block");
}

#[test]
fn a_file_torn_anywhere_reads_up_to_its_last_whole_block_and_can_be_gone_on_with() {
    let scratch = Scratch::new();
    let mut writer = Writer::create(&scratch.0).expect("a free path");
    let mut ends = vec![12];
    for block in 0..3 {
        for index in 0..10 {
            writer.record(&received(block * 10 + index, &format!("block {block} record {index}"))).expect("written");
        }
        writer.flush().expect("written");
        ends.push(fs::metadata(&scratch.0).expect("there").len());
    }
    drop(writer);
    let whole = fs::read(&scratch.0).expect("there");
    for cut in 12..whole.len() {
        fs::write(&scratch.0, &whole[..cut]).expect("written");
        let blocks = ends.iter().filter(|end| **end <= cut as u64).count() - 1;
        let (records, torn) = read(&scratch.0);
        assert_eq!(records.len(), blocks * 10, "cut at {cut}");
        assert_eq!(torn, cut as u64 - ends[blocks], "cut at {cut}");
        let mut writer = Writer::append(&scratch.0).expect("a recording");
        assert_eq!(writer.truncated_bytes(), torn);
        writer.record(&received(99, "after the crash")).expect("written");
        drop(writer);
        let (records, torn) = read(&scratch.0);
        assert_eq!((records.len(), torn), (blocks * 10 + 1, 0));
    }
}

#[test]
fn damage_is_not_read_as_data() {
    let scratch = Scratch::new();
    let mut writer = Writer::create(&scratch.0).expect("a free path");
    writer.record(&received(0, "some text that is long enough to be hit")).expect("written");
    drop(writer);
    let whole = fs::read(&scratch.0).expect("there");
    for at in 12..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&scratch.0, damaged).expect("written");
        let (records, torn) = read(&scratch.0);
        assert_eq!((records.len(), torn), (0, whole.len() as u64 - 12), "damage at {at}");
    }
}

#[test]
fn what_is_no_recording_is_refused_with_a_reason() {
    let scratch = Scratch::new();
    for (content, reason) in
        [(&b""[..], "empty"), (b"hello", "none of the formats"), (b"TICKCAST\x09\0\0\0", "version")]
    {
        fs::write(&scratch.0, content).expect("written");
        let error = Reader::open(&scratch.0).expect_err("no recording").to_string();
        assert!(error.starts_with("not a recording: ") && error.contains(reason), "{error}");
    }
    assert!(Writer::append(&scratch.0).is_err(), "another version is not written to");
    assert!(matches!(Reader::open("/nonexistent/file"), Err(Error::Io { .. })));
}

#[test]
fn foreign_lines_become_records_and_a_bare_snapshot_finds_its_symbol() {
    let scratch = Scratch::new();
    let lines = concat!(
        "1700000000000000000 {\"lastUpdateId\":90,\"bids\":[],\"asks\":[]}\n",
        "1700000000100000000 {\"stream\":\"aaausdt@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"s\":\"AAAUSDT\",\"U\":80,\"u\":85}}\n",
        "1700000000200000000 {\"stream\":\"bbbusdt@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"s\":\"BBBUSDT\",\"U\":500,\"u\":501}}\n",
        "1700000000300000000 {\"lastUpdateId\":502,\"bids\":[],\"asks\":[]}\n",
        "17000000003000000",
    );
    fs::write(&scratch.0, lines).expect("written");
    let (records, torn) = read(&scratch.0);
    let urls: Vec<_> = records
        .iter()
        .filter_map(|record| if let Kind::Response { url, .. } = &record.kind { Some(&**url) } else { None })
        .collect();
    assert_eq!(records.len(), 4);
    assert!(urls[0].contains("symbol=AAAUSDT&") && urls[1].contains("symbol=BBBUSDT&"), "{urls:?}");
    assert_eq!(torn, 17);
    let text = concat!(
        "configuration: {}\n",
        "wss://venue/stream <-> 1700000000.5\n",
        "wss://venue/stream <- 1700000000.6: {\"op\":\"subscribe\"}\n",
        "1700000000.75: {\"stream\":\"x@trade\"}\n",
        "https://venue/depth?symbol=X -> 1700000001: {\"lastUpdateId\":1} header: {'a': 'b'}\n",
        "1700000002.0 no colon\n",
    );
    fs::write(&scratch.0, text).expect("written");
    let mut reader = Reader::open(&scratch.0).expect("a capture");
    let records: Vec<_> = reader.by_ref().take(4).map(|record| record.expect("sound")).collect();
    assert_eq!(records[0].kind, Kind::Opened { url: "wss://venue/stream".into() });
    assert_eq!((&records[1].kind, records[2].time), (&Kind::Sent, Nanos(1_700_000_000_750_000_000)));
    assert_eq!(&records[3].bytes[..], b"{\"lastUpdateId\":1}");
    let error = reader.next().expect("one more").expect_err("a broken line").to_string();
    assert!(error.contains("line 6"), "{error}");
}

#[test]
fn several_files_are_one_recording_in_order_of_time() {
    let (first, second) = (Scratch::new(), Scratch::new());
    for (scratch, times) in [(&first, [1, 4, 3]), (&second, [2, 3, 5])] {
        let mut writer = Writer::create(&scratch.0).expect("a free path");
        for ms in times {
            writer.record(&received(ms, &format!("{ms}"))).expect("written");
        }
    }
    let recording = Recording::open(&[&first.0, &second.0]).expect("two recordings");
    let order: Vec<_> = recording.records().iter().map(|record| (record.time.millis(), record.connection)).collect();
    assert_eq!(order, [(1, 1), (2, 3), (3, 3), (4, 1), (3, 1), (5, 3)]);
    assert_eq!(recording.summary().received, 6);
}

#[test]
fn lines_that_anybody_may_have_written_are_a_recording() {
    let scratch = Scratch::new();
    let lines = concat!(
        // Nothing says when these two came.
        "{\"lastUpdateId\":90,\"bids\":[],\"asks\":[]}\n",
        "{\"u\":85,\"s\":\"AAAUSDT\",\"b\":\"1\",\"B\":\"1\",\"a\":\"2\",\"A\":\"1\"}\n",
        "{\"stream\":\"aaausdt@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":1700000000100,\"s\":\"AAAUSDT\",\"U\":80,\"u\":95}}\n",
        "\n",
        // A list, and an earlier time than the one before.
        "{\"stream\":\"!miniTicker@arr\",\"data\":[{\"e\":\"24hrMiniTicker\",\"E\":1}]}\n",
        "{\"e\":\"trade\",\"E\":1700000000050,\"s\":\"AAAUSDT\"}\n",
        "{\"ts\":1700000000.2,\"msg\":\"{\\\"e\\\":\\\"aggTrade\\\"}\"}\n",
        "1700000000300 {\"result\":null,\"id\":1}\n",
        "{\"stream\":\"aaaus",
    );
    fs::write(&scratch.0, lines).expect("written");
    let (records, torn) = read(&scratch.0);
    assert_eq!(torn, 16);
    let times: Vec<_> = records.iter().map(|record| record.time.millis() - 1_700_000_000_000).collect();
    assert_eq!(times, [100, 100, 100, 100, 100, 200, 300]);
    let named = records.iter().find_map(|record| match &record.kind {
        Kind::Response { url, status: 200 } => Some(url.to_string()),
        _ => None,
    });
    assert!(named.is_some_and(|url| url.contains("symbol=AAAUSDT&")));
    assert_eq!(&records[5].bytes[..], br#"{"e":"aggTrade"}"#);

    // Not one time in all of it.
    fs::write(&scratch.0, "{\"u\":1,\"s\":\"A\"}\n{\"u\":2,\"s\":\"A\"}\n").expect("written");
    let (records, _) = read(&scratch.0);
    assert_eq!(records.iter().map(|record| record.time.0).collect::<Vec<_>>(), [0, 0]);
    fs::write(&scratch.0, "{\"u\":1,\"s\":\"A\"}\nhello world\n{\"u\":2}\n").expect("written");
    let error = Reader::open(&scratch.0).expect("lines").find_map(Result::err).expect("a broken line").to_string();
    assert!(error.contains("line 2") && error.contains("neither with a time"), "{error}");
}
