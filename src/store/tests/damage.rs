//! Files that are damaged, foreign, locked or not writable.

use super::*;

/// A file with some rows, closed in order or as a killed process leaves it.
fn filled(folder: &Folder, in_order: bool) -> Vec<u8> {
    let store = open(&folder.settings());
    for step in 0..20 {
        apply_klines(&store, Series::MINUTE, step * 30..(step + 1) * 30);
        apply(&store, |batch| (step * 30..step * 30 + 30).for_each(|id| push(batch, BTC, Payload::Trade(trade(id)))));
        store.commit();
    }
    if in_order {
        store.close();
    }
    // Copied while it is open: what a killed process leaves.
    let bytes = fs::read(folder.file()).expect("it is there");
    drop(store);
    bytes
}

/// Opens what is in the folder, whatever it is; every row that comes out has to be true. Returns how many there are.
fn rows_that_are_true(folder: &Folder, what: &str) -> usize {
    let store =
        Store::open(catalogue(Decimals::EIGHT), &folder.settings()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let klines = store.klines(BTC, Series::MINUTE, &ALL);
    for row in &klines {
        assert_eq!(*row, kline(Series::MINUTE, row.first_id / 10), "{what}");
    }
    let trades = store.trades(BTC, None, usize::MAX);
    for row in &trades {
        assert_eq!(*row, trade(row.id), "{what}");
    }
    // And it works on.
    apply_klines(&store, HOUR, 0..2);
    store.commit();
    assert_eq!(numbers(HOUR, &store.klines(BTC, HOUR, &ALL)), [0, 1], "{what}");
    store.close();
    klines.len() + trades.len()
}

fn fresh(folder: &Folder, bytes: &[u8]) {
    fs::remove_dir_all(&folder.0).expect("it is there");
    fs::create_dir_all(&folder.0).expect("it is writable");
    fs::write(folder.file(), bytes).expect("it is writable");
}

#[test]
fn a_file_cut_anywhere_opens_or_is_set_aside() {
    let folder = Folder::named("cut");
    for in_order in [true, false] {
        let whole = filled(&folder, in_order);
        fresh(&folder, &whole);
        assert_eq!(rows_that_are_true(&folder, "whole"), 1200);
        assert_eq!(folder.aside(), Vec::<String>::new());
        let mut set_aside = 0;
        for step in 0..40 {
            let cut = whole.len() * step / 40 + step % 7;
            fresh(&folder, &whole[..cut]);
            rows_that_are_true(&folder, &format!("cut at {cut} of {}", whole.len()));
            set_aside += folder.aside().len();
        }
        assert!(set_aside > 20, "{set_aside}");
    }
}

#[test]
fn a_garbled_file_opens_or_is_set_aside() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = Folder::named("garbled");
    for in_order in [true, false] {
        let whole = filled(&folder, in_order);
        let (mut set_aside, mut opened) = (0, 0);
        for round in 0..120 {
            let mut bytes = whole.clone();
            let at = if round % 4 == 0 { random.usize(..600) } else { random.usize(..bytes.len()) };
            let length = [1, 8, 64, 4096, 40_000][random.usize(..5)].min(bytes.len() - at);
            match random.u8(..3) {
                0 => bytes[at..at + length].fill(0),
                1 => bytes[at..at + length].fill_with(|| random.u8(..)),
                _ => bytes[at] ^= 1 << random.u8(..8),
            }
            fresh(&folder, &bytes);
            let rows = rows_that_are_true(&folder, &format!("round {round}: {length} bytes from {at}"));
            set_aside += folder.aside().len();
            opened += usize::from(rows > 0);
        }
        assert!(set_aside > 0 && opened > 0, "both are seen: {set_aside} set aside, {opened} opened");
    }
}

#[test]
fn foreign_files_are_set_aside_and_only_a_few_are_kept() {
    let folder = Folder::named("foreign");
    fs::write(folder.file(), "not a database at all, but somebody's notes".repeat(1000)).expect("it is writable");
    assert_eq!(rows_that_are_true(&folder, "a text"), 0);
    let [aside] = &folder.aside()[..] else { panic!("one is set aside") };
    assert!(fs::read_to_string(folder.0.join(aside)).expect("a text").starts_with("not a database"));
    // A database, but another program's.
    fs::remove_file(folder.file()).expect("it is there");
    let foreign = redb::Database::create(folder.file()).expect("it is writable");
    let writing = foreign.begin_write().expect("a transaction");
    let table = redb::TableDefinition::<&str, u64>::new("theirs");
    writing.open_table(table).expect("a table").insert("a", 1).expect("a row");
    writing.commit().expect("a commit");
    drop(foreign);
    assert_eq!(rows_that_are_true(&folder, "foreign"), 0);
    assert_eq!(folder.aside().len(), 2);
    // One of a later format.
    fs::remove_file(folder.file()).expect("it is there");
    let later = redb::Database::create(folder.file()).expect("it is writable");
    let writing = later.begin_write().expect("a transaction");
    let meta = redb::TableDefinition::<&str, u64>::new("tickcast");
    writing.open_table(meta).expect("a table").insert("format", 99).expect("a row");
    writing.commit().expect("a commit");
    drop(later);
    for _ in 0..4 {
        assert_eq!(rows_that_are_true(&folder, "later"), 0);
        fs::write(folder.file(), "rubbish").expect("it is writable");
    }
    assert_eq!(rows_that_are_true(&folder, "rubbish"), 0);
    assert_eq!(folder.aside().len(), 3, "the newest ones");
}

#[test]
fn what_a_person_has_to_fix_is_an_error_that_names_the_key() {
    let folder = Folder::named("refused");
    let refused = |path: &str| {
        let settings = config::Store { path: path.to_owned(), ..folder.settings() };
        Store::open(catalogue(Decimals::EIGHT), &settings).expect_err("it cannot open").to_string()
    };
    let path = folder.0.to_str().expect("a plain path");
    let text = refused(&format!("{path}/no/such/folder/history.redb"));
    assert!(text.contains("store.path = \"") && text.contains("No such file or directory"), "{text}");
    let text = refused(path);
    assert!(text.contains("store.path = \"") && text.contains("Is a directory"), "{text}");
    let _open = open(&folder.settings());
    let text = refused(folder.file().to_str().expect("a plain path"));
    assert!(text.contains("store.path = \"") && text.contains("another process has this file open"), "{text}");
    assert_eq!(folder.aside(), Vec::<String>::new(), "a file in use is not set aside");
}

#[test]
fn an_empty_file_is_a_new_store() {
    let folder = Folder::named("empty");
    fs::write(folder.file(), "").expect("it is writable");
    assert_eq!(rows_that_are_true(&folder, "empty"), 0);
    assert_eq!(folder.aside(), Vec::<String>::new());
}
