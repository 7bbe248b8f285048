//! The floor plan, held against the code: which room may name which.

use std::{fs, path::Path};

/// Each room with the rooms it may name. ARCHITECTURE.md draws the same table.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("market", &[]),
    ("ring", &[]),
    ("topic", &["market", "ring"]),
    ("clock", &["market"]),
    ("metrics", &["clock"]),
    ("config", &["topic"]),
    ("recording", &["market"]),
    ("normalise", &["market"]),
    ("venue", &["market", "normalise"]),
    ("intake", &["market", "venue", "clock", "metrics", "config", "recording", "normalise"]),
    ("book", &["market"]),
    ("derive", &["market", "topic", "book"]),
    (
        "engine",
        &["market", "topic", "clock", "metrics", "config", "ring", "intake", "venue", "normalise", "book", "derive"],
    ),
    ("views", &["market", "topic", "ring", "clock", "metrics"]),
    ("store", &["market", "topic", "ring", "clock", "metrics", "config"]),
    ("encode", &["market", "topic"]),
    ("session", &["market", "topic"]),
    ("shard", &["market", "topic", "ring", "encode", "session", "clock", "metrics", "config"]),
    ("server", &["market", "topic", "encode", "clock", "shard", "session", "config", "metrics", "views", "store"]),
    ("sim", &["market", "recording", "clock"]),
    ("load", &["market", "clock"]),
];

/// Rooms that build and join: they may name everything.
const AROUND: &[&str] = &["app", "cli", "main", "lib"];

#[test]
fn rooms_name_only_the_rooms_below_them() {
    let mut wrong = Vec::new();
    let mut seen = Vec::new();
    for (file, text) in sources() {
        let room = file.split(['/', '.']).next().expect("split yields a first part").to_owned();
        if AROUND.contains(&room.as_str()) {
            continue;
        }
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("src/{file}: room `{room}` stands in no table; add it to the floor plan first"));
            continue;
        };
        seen.push(room.clone());
        for (number, named) in named_rooms(&text) {
            if named != room && !allowed.contains(&named.as_str()) {
                wrong.push(format!("src/{file}:{number}: `{room}` may not name `{named}`"));
            }
        }
    }
    for (room, _) in MAY_NAME {
        if !seen.iter().any(|name| name == room) {
            wrong.push(format!("the table names `{room}`, which has no file"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_cycle() {
    // Rooms are taken away once all they name are gone; a cycle leaves some.
    let mut left: Vec<_> = MAY_NAME.to_vec();
    loop {
        let names: Vec<_> = left.iter().map(|(name, _)| *name).collect();
        let before = left.len();
        left.retain(|(_, allowed)| allowed.iter().any(|name| names.contains(name)));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "rooms that name each other in a circle: {left:?}");
}

#[test]
fn lib_lists_every_room_with_one_sentence() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs is there");
    for (room, _) in MAY_NAME {
        let line = format!("pub mod {room};");
        let at = lib.lines().position(|text| text == line).unwrap_or_else(|| panic!("lib.rs lacks `{line}`"));
        let above = lib.lines().nth(at - 1).expect("a line above");
        assert!(above.starts_with("// ") && above.ends_with('.'), "`{line}` has no sentence above it");
    }
}

#[test]
fn only_one_file_is_unsafe() {
    let word = concat!("unsa", "fe");
    let says = |text: &str| text.contains(&format!("{word} {{")) || text.contains(&format!("allow({word}_code"));
    let files: Vec<_> = sources().into_iter().filter(|(_, text)| says(text)).map(|(file, _)| file).collect();
    assert_eq!(files, ["shard/uring.rs"], "see docs/decisions/012-io-uring.md before you make it two");
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 600, "src/{file} has {lines} lines; split it, or argue here for its exception");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file by its path below `src`, with its text.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, files: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).expect("src can be read").map(|entry| entry.expect("an entry")) {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root().join("src")).expect("below src").display().to_string();
                files.push((name, fs::read_to_string(&path).expect("a readable file")));
            }
        }
    }
    let mut files = Vec::new();
    walk(&root().join("src"), &mut files);
    assert!(files.len() > 20, "the walk found the sources");
    files
}

/// Rooms named in `text` as `crate::room` or inside `use crate::{...}`, with their lines.
fn named_rooms(text: &str) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        if text[line_start..at].trim_start().starts_with("//") {
            continue;
        }
        let number = text[..at].lines().count().max(1);
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0_i32;
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => named.push((number, std::mem::take(&mut word))),
                    c if depth == 0 => word.push(c),
                    _ => {}
                }
            }
            named.push((number, word));
        } else {
            named.push((number, rest.to_owned()));
        }
    }
    named
        .into_iter()
        .map(|(number, path)| {
            let path = path.trim_start();
            let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(path.len());
            (number, path[..end].to_owned())
        })
        .filter(|(_, name)| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect()
}

#[test]
fn named_rooms_sees_groups_and_paths() {
    let text = "use crate::{\n    a::{X, y::Z},\n    b::C,\n};\nfn f() { crate::d::g(); }\n// crate::e\n";
    let rooms: Vec<_> = named_rooms(text).into_iter().map(|(_, name)| name).collect();
    assert_eq!(rooms, ["a", "b", "d"]);
}
