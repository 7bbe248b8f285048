//! REST through the public door: headers, methods, weights, garbage.

use reqwest::{Client, Method, Response, StatusCode, header::HeaderMap};
use serde_json::Value;
use tickcast::server::Endpoint;

use crate::house::{House, config, wait_until};

fn get(house: &House, path: &str) -> (StatusCode, HeaderMap, String) {
    send(house, Method::GET, path, &[])
}

fn send(house: &House, method: Method, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
    house.runtime.block_on(async {
        let mut request = Client::new().request(method, format!("http://{}{path}", house.public));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response: Response = request.send().await.expect("a response");
        (response.status(), response.headers().clone(), response.text().await.expect("a body"))
    })
}

/// A house whose BTCUSDT has a book.
fn furnished(config: &tickcast::config::Config) -> House {
    let mut house = House::with(config).expect("free ports");
    house.list_btc();
    house.publish_btc();
    wait_until("a price", || get(&house, "/api/v3/ticker/price?symbol=BTCUSDT").0 == 200);
    house
}

#[test]
fn answers_carry_the_headers_that_clients_read() {
    let house = furnished(&config());
    let (status, headers, body) = get(&house, "/api/v3/depth?symbol=BTCUSDT&limit=5");
    assert_eq!(status, 200);
    assert_eq!(body, r#"{"lastUpdateId":9,"bids":[["0.00000200","0.00000005"]],"asks":[["0.00000300","0.00000007"]]}"#);
    assert_eq!(headers["content-type"], "application/json;charset=UTF-8");
    assert_eq!(headers["cache-control"], "no-cache, no-store, must-revalidate");
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert!(headers["date"].to_str().unwrap().ends_with(" GMT"));
    let uuid = headers["x-mbx-uuid"].to_str().unwrap();
    let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
    assert_eq!((lengths, uuid.as_bytes()[14]), (vec![8, 4, 4, 4, 12], b'4'), "{uuid}");
    let used: u32 = headers["x-mbx-used-weight"].to_str().unwrap().parse().unwrap();
    assert!(used >= 5 && headers["x-mbx-used-weight-1m"] == headers["x-mbx-used-weight"]);

    let micros = send(&house, Method::GET, "/api/v3/time", &[("X-MBX-TIME-UNIT", "microsecond")]);
    let time: Value = serde_json::from_str(&micros.2).unwrap();
    assert_eq!(time["serverTime"].to_string().len(), 16);
    let wrong = send(&house, Method::GET, "/api/v3/time", &[("X-MBX-TIME-UNIT", "seconds")]);
    assert!(wrong.0 == 400 && wrong.2.contains("-1194"), "{}", wrong.2);
}

#[test]
fn methods_paths_and_preflights() {
    let house = furnished(&config());
    let (status, headers, body) = send(&house, Method::HEAD, "/api/v3/depth?symbol=BTCUSDT", &[]);
    assert_eq!((status.as_u16(), body.as_str(), &headers["content-length"]), (200, "", &"92".parse().unwrap()));
    let (status, headers, _) = send(
        &house,
        Method::OPTIONS,
        "/api/v3/depth",
        &[("Origin", "https://app.example"), ("Access-Control-Request-Headers", "x-mbx-time-unit")],
    );
    assert_eq!((status.as_u16(), &headers["access-control-allow-headers"]), (204, &"*".parse().unwrap()));
    assert_eq!(headers["access-control-allow-origin"], "*");
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let (status, headers, _) = send(&house, method, "/api/v3/ping", &[]);
        assert_eq!((status.as_u16(), &headers["allow"]), (405, &"GET, HEAD, OPTIONS".parse().unwrap()));
    }
    for path in ["/api/v1/ping", "/api/v3/nosuch", "/nosuch", "/api/v3", "/metrics", "/readyz", "/../etc/passwd"] {
        let (status, _, body) = get(&house, path);
        assert_eq!((status.as_u16(), body.as_str()), (404, ""), "{path}");
    }
    assert_eq!(get(&house, "/binance/api/v3/ping").2, "{}");
}

#[test]
fn the_page_and_its_files_are_served_and_may_load_nothing_else() {
    let house = House::new();
    let (status, headers, page) = get(&house, "/");
    assert_eq!((status.as_u16(), &headers["content-type"]), (200, &"text/html;charset=UTF-8".parse().unwrap()));
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let mut files: Vec<_> = page.split(['"', '\'']).filter(|part| part.starts_with("page/")).collect();
    files.extend(["page/book.js", "page/venues.json"]);
    for file in files {
        let (status, headers, body) = get(&house, &format!("/{file}"));
        assert_eq!(status, 200, "{file}");
        assert!(!body.is_empty() && headers["x-content-type-options"] == "nosniff", "{file}");
        let kind = match file.rsplit('.').next().unwrap() {
            "js" => "text/javascript;charset=UTF-8",
            "css" => "text/css;charset=UTF-8",
            "svg" => "image/svg+xml",
            _ => "application/json;charset=UTF-8",
        };
        assert_eq!(headers["content-type"], kind, "{file}");
        assert_eq!(headers["cache-control"], "no-cache", "{file}");
        let tag = headers["etag"].to_str().unwrap();
        let (status, again, body) = send(&house, Method::GET, &format!("/{file}"), &[("if-none-match", tag)]);
        assert_eq!((status.as_u16(), body.as_str(), again["etag"].to_str().unwrap()), (304, "", tag), "{file}");
    }
    assert_eq!(get(&house, "/page/venues.json").2, r#"{"venues":[{"name":"binance","path":"binance/"}]}"#);
    assert_eq!(get(&house, "/page/nosuch.js").0, 404);
    assert_eq!(send(&house, Method::POST, "/", &[]).0, 405);
    assert_eq!(send(&house, Method::POST, "/page/main.js", &[]).0, 405);
}

#[test]
fn weight_is_limited_per_address() {
    let mut config = config();
    config.server.rest_weight_per_minute = 100;
    config.server.exempt_loopback = false;
    let house = House::with(&config).unwrap();
    house.list_btc();
    // Twenty-five a request; the minute may turn once in between.
    let mut refused = None;
    for _ in 0..12 {
        let (status, headers, body) = get(&house, "/api/v3/trades?symbol=BTCUSDT");
        if status == 429 {
            refused = Some((headers, body));
            break;
        }
        assert_eq!(status, 200);
    }
    let (headers, body) = refused.expect("a limit");
    assert!(
        body.starts_with(r#"{"code":-1003,"msg":"Too much request weight used; current limit is 100 request"#),
        "{body}"
    );
    let seconds: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert_eq!(headers["x-mbx-used-weight-1m"], "100");
}

#[test]
fn whoever_goes_on_after_429_is_banned_with_418() {
    let mut config = config();
    (config.server.rest_weight_per_minute, config.server.ban_after_refusals) = (1, 2);
    config.server.exempt_loopback = false;
    let house = House::with(&config).unwrap();
    // The minute may turn in between, and then three more are refused after one that is not.
    let mut statuses = Vec::new();
    let (headers, body) = loop {
        let (status, headers, body) = get(&house, "/api/v3/ping");
        statuses.push(status.as_u16());
        match status.as_u16() {
            200 | 429 => assert!(statuses.len() < 20, "never banned: {statuses:?}"),
            418 => break (headers, body),
            other => panic!("{other}"),
        }
    };
    assert!(statuses.ends_with(&[200, 429, 429, 418]), "{statuses:?}");
    assert_eq!(headers["retry-after"], "120");
    let until: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(until["code"], -1003);
    assert!(
        until["msg"].as_str().unwrap().starts_with("Way too much request weight used; IP banned until 1"),
        "{body}"
    );
    // Whatever is asked for, by whatever method.
    assert_eq!(send(&house, Method::POST, "/api/v3/ping", &[]).0, 418);
    assert_eq!(get(&house, "/api/v3/nosuch").0, 404, "what is not REST costs nothing");
}

#[test]
fn long_answers_are_compressed_for_whoever_accepts_it() {
    let house = furnished(&config());
    let raw = |accept: &str| {
        let request = format!("GET /api/v3/exchangeInfo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{accept}\r\n");
        house.exchange(request.as_bytes()).to_lowercase()
    };
    for accept in ["", "Accept-Encoding: gzip;q=0\r\n", "Accept-Encoding: identity\r\n", "Accept-Encoding: br\r\n"] {
        let answer = raw(accept);
        assert!(answer.contains("vary: accept-encoding") && !answer.contains("content-encoding"), "{answer}");
        assert!(answer.contains("\"btcusdt\""), "{answer}");
    }
    let packed = raw("Accept-Encoding: gzip, deflate\r\n");
    assert!(packed.contains("content-encoding: gzip\r\n") && packed.contains("vary: accept-encoding"), "{packed}");
    // reqwest asks for gzip and unpacks it.
    let (_, headers, body) = get(&house, "/api/v3/exchangeInfo");
    assert!(serde_json::from_str::<Value>(&body).unwrap()["symbols"][0]["symbol"] == "BTCUSDT");
    assert!(headers["access-control-expose-headers"].to_str().unwrap().contains("X-MBX-USED-WEIGHT-1M"));
    let short = get(&house, "/api/v3/ping");
    assert_eq!((short.2.as_str(), &short.1["vary"]), ("{}", &"Accept-Encoding".parse().unwrap()));
}

#[test]
fn a_client_that_takes_nothing_but_sbe_is_refused() {
    let house = furnished(&config());
    for (accept, status) in [
        ("application/sbe", 406),
        ("application/SBE;q=0.9", 406),
        ("application/sbe, text/html", 406),
        ("application/sbe, application/json", 200),
        ("application/sbe;q=1, */*;q=0.1", 200),
        ("text/html", 200),
        ("", 200),
    ] {
        let headers = [("Accept", accept), ("X-MBX-SBE", "3:1")];
        let (answered, _, body) = send(&house, Method::GET, "/api/v3/ping", &headers);
        assert_eq!(answered, status, "{accept}");
        if status == 406 {
            assert_eq!(body, r#"{"code":-1155,"msg":"SBE is not enabled."}"#);
        }
    }
}

#[test]
fn any_query_gets_a_status_and_the_next_one_too() {
    let house = furnished(&config());
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let alphabet = b"abcXYZ019=&%[]\"',.;:+-*/?!~_{}|\\^`<>()$@";
    for endpoint in Endpoint::all().map(Endpoint::path) {
        for _ in 0..300 {
            let mut query = String::new();
            for _ in 0..random.usize(..40) {
                match random.u8(..8) {
                    0 => query.push_str("symbol="),
                    1 => query.push_str("&limit="),
                    2 => query.push_str("BTCUSDT"),
                    3 => query.push_str(&format!("%{:02X}", random.u8(..))),
                    _ => query.push(char::from(alphabet[random.usize(..alphabet.len())])),
                }
            }
            let request = format!("GET /api/v3/{endpoint}?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let response = house.exchange(request.as_bytes());
            let status = response.split(' ').nth(1).unwrap_or_default();
            assert!(matches!(status, "200" | "400" | "503"), "{request}{response}");
        }
        assert_eq!(get(&house, "/api/v3/ping").0, 200);
    }
}
