//! What the engine measures for operators, on made-up time: exact values.

use super::*;

/// The value of the only series of this name.
fn value(bench: &Bench, name: &str) -> f64 {
    let text = bench.counted.render();
    let line = text.lines().find(|line| line.starts_with(&format!("{name}{{"))).expect("it is registered");
    line.rsplit(' ').next().expect("a value").parse().expect("a number")
}

#[test]
fn the_second_copy_of_a_message_is_late_by_the_time_between_them() {
    let (mut bench, mut truth) = (Bench::new(), Truth::new(5));
    let second = ConnectionId(2);
    join(&mut bench, &mut truth);
    let mut tell = |bench: &mut Bench, lateness_ms: i64| {
        let diff = loop {
            truth.change();
            if let Some(diff) = truth.diff(bench.now) {
                break diff;
            }
        };
        bench.frame(CONNECTION, diff.clone());
        bench.wait(lateness_ms);
        bench.frame(second, diff);
    };
    let late = |bench: &Bench, part: &str| value(bench, &format!("tickcast_intake_leg_lateness_seconds_{part}"));
    tell(&mut bench, 5);
    assert_eq!(late(&bench, "count"), 0.0, "with one connection open a repetition is the venue's");
    bench.opened(second);
    for _ in 0..3 {
        tell(&mut bench, 20);
    }
    assert_eq!(late(&bench, "count"), 3.0);
    assert!((late(&bench, "sum") - 0.06).abs() < 1e-9);
}

#[test]
fn a_proof_grows_old_until_the_next_snapshot() {
    let (mut bench, mut truth) = (Bench::new(), Truth::new(6));
    assert_eq!(value(&bench, "tickcast_book_proof_age_seconds"), 0.0, "no live book");
    join(&mut bench, &mut truth);
    bench.wait(1_100);
    let first = value(&bench, "tickcast_book_proof_age_seconds");
    bench.wait(5_000);
    let grown = value(&bench, "tickcast_book_proof_age_seconds") - first;
    assert!((4.9..=5.1).contains(&grown), "{first} and then {grown}");
    // A hole, and the snapshot that heals it.
    (0..20).for_each(|_| truth.change());
    let _lost = truth.diff(bench.now);
    (0..20).for_each(|_| truth.change());
    let diff = truth.diff(bench.now).expect("twenty changes");
    bench.frame(CONNECTION, diff);
    let body = Frame { received: bench.now, bytes: Bytes::from(truth.snapshot()) };
    bench.pass(vec![Inbound::Snapshot { instrument: INSTRUMENT, levels: 1000, body }]);
    bench.wait(1_500);
    let age = value(&bench, "tickcast_book_proof_age_seconds");
    assert!((0.0..=1.6).contains(&age), "{age}");
}
