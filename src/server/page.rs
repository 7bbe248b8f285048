//! The live page at `/`: static files, built in, and the list of venues that it may ask.
//!
//! The page uses public streams and requests only, so that it is an example of them. It needs no build step and loads
//! nothing from anywhere else; the policy it is sent with holds it to that.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;

use crate::market::Catalogue;

/// The page runs files of ours and talks to where it came from; nothing else.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                                 img-src 'self' data:; base-uri 'none'; form-action 'none'";

const HTML: &str = "text/html;charset=UTF-8";
const SCRIPT: &str = "text/javascript;charset=UTF-8";

/// `(name, content type, text)` of a file in `server/page/`.
macro_rules! files {
    ($($name:literal: $kind:expr,)*) => { [$(($name, $kind, include_str!(concat!("page/", $name)))),*] };
}

/// Every file but the page itself, by its name behind `/page/`.
const FILES: [(&str, &str, &str); 20] = files! {
    "book.js": SCRIPT,
    "candles.js": SCRIPT,
    "decimal.js": SCRIPT,
    "depth.js": SCRIPT,
    "feed.js": SCRIPT,
    "frame.js": SCRIPT,
    "icon.svg": "image/svg+xml",
    "instants.js": SCRIPT,
    "keys.js": SCRIPT,
    "ladder.js": SCRIPT,
    "latency.js": SCRIPT,
    "main.js": SCRIPT,
    "rest.js": SCRIPT,
    "rows.js": SCRIPT,
    "scale.js": SCRIPT,
    "style.css": "text/css;charset=UTF-8",
    "surface.js": SCRIPT,
    "symbols.js": SCRIPT,
    "tape.js": SCRIPT,
    "theme.js": SCRIPT,
};

const INDEX: &str = include_str!("page/index.html");

/// What the page is made of, in this process.
#[derive(Debug)]
pub(super) struct Page {
    files: Vec<(String, File)>,
}

/// One file as it is sent.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    /// The header `ETag`: weak, because the body is sent compressed or not.
    pub(super) tag: String,
}

impl Page {
    /// The page about the venues of `catalogue`.
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        let fixed =
            FILES.iter().map(|&(name, kind, text)| (format!("/page/{name}"), File::new(kind, Bytes::from(text))));
        let venues = File::new("application/json;charset=UTF-8", venues(catalogue).into());
        let own = [("/".to_owned(), File::new(HTML, Bytes::from(INDEX))), ("/page/venues.json".to_owned(), venues)];
        Self { files: own.into_iter().chain(fixed).collect() }
    }

    /// The file at `path`.
    pub(super) fn at(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|(name, _)| name == path).map(|(_, file)| file)
    }
}

impl File {
    fn new(content_type: &'static str, body: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let tag = format!("W/\"{:016x}\"", hasher.finish());
        Self { content_type, body, tag }
    }
}

/// Name and path of each venue, the default one first. Names are letters, digits, `-` and `_`: nothing to escape.
fn venues(catalogue: &Catalogue) -> String {
    let venues: Vec<_> = catalogue
        .venues()
        .iter()
        .map(|venue| format!(r#"{{"name":"{name}","path":"{name}/"}}"#, name = venue.name))
        .collect();
    format!(r#"{{"venues":[{}]}}"#, venues.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served_and_every_import_is_there() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/page");
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .expect("the folder is there")
            .map(|entry| entry.expect("it can be read").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        let mut served: Vec<_> =
            FILES.iter().map(|(name, ..)| (*name).to_owned()).chain(["index.html".into()]).collect();
        served.sort();
        assert_eq!(names, served);
        for (name, _, text) in FILES.iter().filter(|(name, ..)| name.ends_with(".js")) {
            for import in text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(FILES.iter().any(|(other, ..)| *other == import), "{name} imports {import}");
            }
        }
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        for (name, _, text) in FILES.iter().chain([&("index.html", HTML, INDEX)]) {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for banned in
                ["http://", "https://", "ws://", "wss://", "//cdn", "eval(", "innerHTML", " style=\"", "onclick="]
            {
                assert!(!text.contains(banned), "{name} has {banned}");
            }
        }
        assert!(!INDEX.contains("<script>") && !INDEX.contains("<style"));
    }

    #[test]
    fn tags_follow_the_content() {
        let page = Page::new(&Catalogue::default());
        let tags: std::collections::HashSet<_> = page.files.iter().map(|(_, file)| &file.tag).collect();
        assert_eq!(tags.len(), page.files.len());
        assert_eq!(page.at("/page/venues.json").expect("it is served").body, r#"{"venues":[]}"#);
        assert!(page.at("/page/").is_none() && page.at("/page/../page.rs").is_none());
    }
}
