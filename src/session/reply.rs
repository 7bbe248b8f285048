//! Replies to requests, byte for byte: clients compare some of them as strings. They are never wrapped.

use serde_json::to_writer;

use super::request::{Id, Refusal};

/// `{"result":null,"id":1}`
pub(super) fn done(out: &mut Vec<u8>, id: Id<'_>) {
    result(out, id, |out| out.extend_from_slice(b"null"));
}

/// `{"result":true,"id":5}`
pub(super) fn flag(out: &mut Vec<u8>, flag: bool, id: Id<'_>) {
    result(out, id, |out| out.extend_from_slice(if flag { b"true" } else { b"false" }));
}

/// `{"result":["btcusdt@trade"],"id":3}`: the names as `names` yields them, escaped where JSON wants it.
pub(super) fn list<'a>(out: &mut Vec<u8>, names: impl Iterator<Item = &'a str>, id: Id<'_>) {
    result(out, id, |out| {
        out.push(b'[');
        for (index, name) in names.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            string(out, name);
        }
        out.push(b']');
    });
}

/// `{"error":{"code":2,"msg":"Invalid request: ..."},"id":4}`; without `id` where there was no legal one.
pub(super) fn error(out: &mut Vec<u8>, refusal: &Refusal<'_>) {
    out.extend_from_slice(b"{\"error\":{\"code\":");
    out.extend_from_slice(refusal.code.to_string().as_bytes());
    out.extend_from_slice(b",\"msg\":");
    string(out, &refusal.text);
    out.push(b'}');
    if let Some(Id(raw)) = refusal.id {
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(raw.as_bytes());
    }
    out.push(b'}');
}

fn result(out: &mut Vec<u8>, Id(raw): Id<'_>, value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"result\":");
    value(out);
    out.extend_from_slice(b",\"id\":");
    out.extend_from_slice(raw.as_bytes());
    out.push(b'}');
}

fn string(out: &mut Vec<u8>, text: &str) {
    to_writer(out, text).expect("a Vec takes every write and text is always JSON");
}
