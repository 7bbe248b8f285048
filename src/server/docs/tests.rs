//! The documents against the code, in both directions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::{
    market::VenueId,
    server::rest::Endpoint,
    topic::{Array, Cadence, Channel, Encoding, StreamName, Topic},
};

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new();
    let binance = catalogue.add_venue("binance", None);
    catalogue.add_instrument(binance, "BTCUSDT", "BTCUSDT");
    catalogue.add_venue("kraken", None);
    catalogue
}

fn docs() -> Docs {
    Docs::new(&catalogue(), SocketAddr::from(([127, 0, 0, 1], 9443)), Some(9444))
}

fn document(path: &str, called: Called<'_>) -> Value {
    let document = docs().at(path, called).expect("it is served");
    assert_eq!(document.content_type, "application/json;charset=UTF-8");
    serde_json::from_slice(&document.body).expect("it is JSON")
}

fn asyncapi() -> Value {
    document("/docs/asyncapi.json", Called::default())
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|value| value.as_str().expect("a text")).collect()
}

/// Every name that an address or an alias stands for, with the parameters' values filled in.
fn names(address: &str, parameters: &Value) -> Vec<String> {
    let mut names = vec![address.replace("{symbol}", "btcusdt")];
    for (parameter, described) in parameters.as_object().expect("parameters") {
        let Some(values) = described.get("enum") else { continue };
        let mark = format!("{{{parameter}}}");
        names = names
            .iter()
            .flat_map(|name| texts(values).into_iter().map(|value| name.replace(&mark, value)).collect::<Vec<_>>())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
    }
    names
}

/// All stream names of the document, at the door of SBE or at that of JSON.
fn described(is_sbe: bool) -> Vec<String> {
    let document = asyncapi();
    let parameters = &document["components"]["parameters"];
    let mut all = Vec::new();
    for channel in document["channels"].as_object().expect("channels").values() {
        let at_sbe = channel["servers"].as_array().expect("servers").iter().any(|it| it["$ref"] == "#/servers/sbe");
        let address = channel["address"].as_str().expect("an address");
        if address.is_empty() || at_sbe != is_sbe {
            continue;
        }
        let aliases = channel.get("x-aliases").map_or_else(Vec::new, texts);
        all.extend([address].into_iter().chain(aliases).flat_map(|address| names(address, parameters)));
    }
    all
}

#[test]
fn every_stream_is_described_and_every_described_stream_is_served() {
    let catalogue = catalogue();
    let mut seen = BTreeSet::new();
    for name in described(false) {
        match StreamName::parse(&name, VenueId(0), &catalogue, Encoding::Json) {
            StreamName::Known(topic) => match topic.topic() {
                Topic::Instrument(_, channel) => assert!(seen.insert((0, channel.index(), name))),
                Topic::Venue(_, array) => assert!(seen.insert((1, array.index(), name))),
            },
            other => panic!("{name} is described and {other:?}"),
        }
    }
    let is_json = |channel: &Channel| {
        !matches!(channel, Channel::Depth(Cadence::Swift) | Channel::PartialDepth(_, Cadence::Brisk))
    };
    let is_seen = |kind, index| seen.iter().any(|(a, b, _)| (*a, *b) == (kind, index));
    for channel in Channel::ALL.into_iter().filter(is_json) {
        assert!(is_seen(0, channel.index()), "{channel:?} is not described");
    }
    for array in Array::ALL {
        assert!(is_seen(1, array.index()), "{array:?} is not described");
    }
}

#[test]
fn every_stream_of_sbe_is_described_and_nothing_else() {
    let catalogue = catalogue();
    let topics: BTreeSet<_> = described(true)
        .iter()
        .map(|name| match StreamName::parse(name, VenueId(0), &catalogue, Encoding::Sbe) {
            StreamName::Known(topic) => topic.channel().expect("of an instrument").index(),
            other => panic!("{name} is described and {other:?}"),
        })
        .collect();
    let brisk = Channel::PartialDepth(20, Cadence::Brisk);
    let all = [Channel::Trade, Channel::BookTicker, brisk, Channel::Depth(Cadence::Swift)];
    assert_eq!(topics, all.map(Channel::index).into());
}

#[test]
fn every_endpoint_is_described_with_its_parameters_and_nothing_else() {
    let document = document("/docs/openapi.json", Called::default());
    let described: BTreeMap<_, _> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .map(|(path, item)| {
            let parameters = item["get"]["parameters"].as_array().expect("parameters").iter();
            let names: BTreeSet<_> = parameters
                .map(|it| document.pointer(&it["$ref"].as_str().expect("a reference")[1..]).expect("it is there"))
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| parameter["name"].as_str().expect("a name").to_owned())
                .collect();
            (path.clone(), names)
        })
        .collect();
    let served: BTreeMap<_, _> = Endpoint::all()
        .map(|it| (format!("/api/v3/{}", it.path()), it.parameters().iter().map(|&name| name.to_owned()).collect()))
        .collect();
    assert_eq!(described, served);
}

#[test]
fn methods_of_the_ws_api_are_those_of_the_table() {
    let document = asyncapi();
    let methods = texts(&document["components"]["schemas"]["ApiRequest"]["properties"]["method"]["enum"]);
    assert_eq!(methods, Endpoint::all().map(Endpoint::method).collect::<Vec<_>>());
}

#[test]
fn every_reference_points_at_something() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    if let (true, Some(text)) = (key == "$ref", value.as_str()) {
                        found.push(text);
                    }
                    walk(value, found);
                }
            }
            Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    for path in ["/docs/openapi.json", "/docs/asyncapi.json"] {
        let document = document(path, Called::default());
        let mut found = Vec::new();
        walk(&document, &mut found);
        assert!(found.len() > 100, "{path} has references");
        for text in found {
            assert!(document.pointer(&text[1..]).is_some(), "{path}: {text} points at nothing");
        }
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert!(!document.to_string().contains("@@"), "{path} has a gap that nobody filled");
    }
}

#[test]
fn an_object_lists_all_its_keys_in_the_order_of_the_wire() {
    // `required` is that order, so each key stands there unless it may be left out.
    for (path, optional) in [
        ("/docs/openapi.json", &["sors", "filterType"][..]),
        ("/docs/asyncapi.json", &["id", "params", "rateLimits", "data"][..]),
    ] {
        let document = document(path, Called::default());
        for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
            let Some(properties) = schema["properties"].as_object() else { continue };
            let required: BTreeMap<_, _> = texts(&schema["required"]).into_iter().map(|key| (key, ())).collect();
            for key in properties.keys().filter(|key| !optional.contains(&key.as_str())) {
                assert!(required.contains_key(key.as_str()), "{path}: {name}.{key} is in no order");
            }
        }
    }
}

#[test]
fn servers_are_where_the_request_was_sent() {
    let hosts = |called: Called<'_>| {
        let streams = document("/docs/asyncapi.json", called);
        let rest = document("/docs/openapi.json", called);
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        [
            text(&streams["servers"]["raw"]["host"]),
            text(&streams["servers"]["sbe"]["host"]),
            text(&streams["servers"]["api"]["protocol"]),
            text(&rest["servers"][0]["url"]),
        ]
    };
    let called = |host, scheme| Called { host, scheme };
    let proxied = hosts(called(Some("market.example.org"), Some("https")));
    assert_eq!(proxied, ["market.example.org", "market.example.org:9444", "wss", "https://market.example.org"]);
    let ipv6 = hosts(called(Some("[::1]:80"), None));
    assert_eq!(ipv6, ["[::1]:80", "[::1]:9444", "ws", "http://[::1]:80"]);
    for foreign in [None, Some(""), Some("a\"b"), Some("a b"), Some("a\\b"), Some("<x>")] {
        assert_eq!(hosts(called(foreign, Some("gopher")))[..2], ["127.0.0.1:9443", "127.0.0.1:9444"], "{foreign:?}");
    }
}

#[test]
fn venues_are_those_of_the_configuration() {
    let rest = document("/docs/openapi.json", Called::default());
    let venue = &rest["servers"][1]["variables"]["venue"];
    assert_eq!(venue["default"], "binance");
    assert_eq!(texts(&venue["enum"]), ["binance", "kraken"]);
}

#[test]
fn a_closed_door_of_sbe_is_said_to_be_closed() {
    let docs = Docs::new(&catalogue(), SocketAddr::from(([127, 0, 0, 1], 9443)), None);
    let document = docs.at("/docs/asyncapi.json", Called::default()).expect("it is served");
    let document: Value = serde_json::from_slice(&document.body).expect("it is JSON");
    assert_eq!(document["servers"]["sbe"]["host"], CLOSED);
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let page = docs().at("/docs", Called::default()).expect("it is served");
    let text = String::from_utf8(page.body.to_vec()).expect("UTF-8");
    assert!(page.content_type.starts_with("text/html"));
    assert!(
        !text.contains("http://") && !text.contains("https://") && !text.contains("src="),
        "the page is on its own"
    );
    assert!(docs().at("/docs/", Called::default()).is_some() && docs().at("/docs/x", Called::default()).is_none());
}
