use proptest::prelude::*;

use super::*;

/// All that a frame may hold, read in whatever order it comes.
fn read(frame: &[u8]) -> Result<(i64, i64, bool, Vec<u8>)> {
    let (mut id, mut price, mut flag, mut name) = (0, 0, false, Vec::new());
    let mut scanner = Scanner::new(frame);
    scanner.object(|scanner, key| {
        match key {
            b"id" => id = scanner.integer()?,
            b"price" if scanner.peek() == Some(b'"') => price = scanner.quoted_decimal(8)?,
            b"price" => price = scanner.decimal(8)?,
            b"flag" => flag = scanner.boolean()?,
            b"name" => name = scanner.string()?.plain(&mut [0; TEXT_BYTES_MAX])?.to_vec(),
            _ => scanner.skip()?,
        }
        Ok(())
    })?;
    scanner.end()?;
    Ok((id, price, flag, name))
}

#[test]
fn keys_come_in_any_order_and_unknown_ones_are_passed() {
    let expected = Ok((7, 150_000_000, true, b"BTC/USD".to_vec()));
    for frame in [
        r#"{"id":7,"price":"1.50000000","flag":true,"name":"BTC/USD"}"#,
        r#"{"name":"BTC\/USD","flag":true,"price":1.5,"id":7}"#,
        r#" { "x" : [ { "deep" : [ null , "\"}" ] } , -1e5 , false ] , "id" : 7 , "price" : "1.5" ,
            "flag" : true , "\u006eame" : "\u0042TC\u002fUSD" } "#,
    ] {
        assert_eq!(read(frame.as_bytes()), expected, "{frame}");
    }
}

#[test]
fn strings_keep_their_bytes_and_escapes_are_spelled_out() {
    let mut buffer = [0; TEXT_BYTES_MAX];
    for (text, expected) in [
        (r#""币安人生USDT""#, "币安人生USDT"),
        (r#""\u5e01\u5b89\u4EBA\u751FUSDT""#, "币安人生USDT"),
        (r#""\ud83d\ude80\n\\\"\/""#, "\u{1f680}\n\\\"/"),
        (r#""""#, ""),
    ] {
        let text = Scanner::new(text.as_bytes()).string().expect("a string");
        assert_eq!(text.plain(&mut buffer), Ok(expected.as_bytes()));
    }
    for text in [r#""\ud83d""#, r#""\ude80\ud83d""#, r#""\x41""#, r#""\u12g4""#] {
        let text = Scanner::new(text.as_bytes()).string().expect("a string");
        assert_eq!(text.plain(&mut buffer), Err(Refusal::Malformed));
    }
    let long = format!("\"\\n{}\"", "a".repeat(TEXT_BYTES_MAX));
    let text = Scanner::new(long.as_bytes()).string().expect("a string");
    assert_eq!(text.plain(&mut buffer), Err(Refusal::Malformed), "longer than the buffer");
}

#[test]
fn numbers_are_the_text_they_are() {
    let mut scanner = Scanner::new(b"1e-05,29430.30");
    assert_eq!(scanner.number(), Ok(&b"1e-05"[..]));
    assert!(scanner.literal(b","));
    assert_eq!(scanner.number(), Ok(&b"29430.30"[..]));
    assert_eq!(scanner.end(), Ok(()));
    assert_eq!(Scanner::new(b"\"1\"").integer(), Err(Refusal::Malformed));
    assert_eq!(Scanner::new(b"1.5").integer(), Err(Refusal::Number));
}

#[test]
fn quoted_decimals_of_every_shape_mean_the_same_as_their_text() {
    for text in ["0.00000001", "61837.63000000", "9999999999.99999999", "10000000000.00000000", "92233720368.54775807"]
    {
        let frame = format!("\"{text}\"");
        assert_eq!(Scanner::new(frame.as_bytes()).quoted_decimal(8), decimal::unsigned(text.as_bytes(), 8), "{text}");
    }
    for frame in ["\".12345678\"", "\"1.1234567\"", "\"1.123456789\"", "\"-1.00000000\"", "\"1.00000000", "\"\""] {
        let value = Scanner::new(frame.as_bytes()).quoted_decimal(8);
        assert_eq!(value.is_ok(), frame == "\"1.1234567\"", "{frame}: {value:?}");
    }
}

#[test]
fn damaged_frames_are_refused() {
    for frame in [
        "",
        "{",
        "}",
        "{}}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"id\":7",
        "[1,2",
        "{\"a\":nul}",
        "{\"a\":\"\\",
        "{\"a\":[1 2]}",
        "{\"a\":\"\u{1}\"}",
        "{id:7}",
        "{\"flag\":1}",
    ] {
        assert_eq!(read(frame.as_bytes()), Err(Refusal::Malformed), "{frame}");
    }
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let (shallow, deep) = (nested(DEPTH_MAX as usize - 1), nested(1_000_000));
    assert_eq!(Scanner::new(shallow.as_bytes()).skip(), Ok(()));
    assert_eq!(Scanner::new(deep.as_bytes()).skip(), Err(Refusal::Malformed));
}

#[test]
fn raw_values_are_handed_back_whole() {
    let mut scanner = Scanner::new(b" [1, {\"a\": \"]\"}] ,");
    assert_eq!(scanner.raw(), Ok(&b"[1, {\"a\": \"]\"}]"[..]));
    assert_eq!(scanner.peek(), Some(b','));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(frame: Vec<u8>) {
        let _ = read(&frame);
        let _ = Scanner::new(&frame).skip();
    }

    #[test]
    fn anything_like_json_is_read_or_refused(frame in r#"[\[\]{}",:\\a0-9.eEu+\- tnf]{0,60}"#) {
        let _ = read(frame.as_bytes());
        if Scanner::new(frame.as_bytes()).raw().is_ok_and(|raw| raw.len() == frame.trim().len()) {
            // Numbers are checked when they are converted, escapes when they are spelled out; all else that passes is JSON.
            let lenient = frame.bytes().any(|byte| byte.is_ascii_digit() || byte == b'\\');
            prop_assert!(lenient || serde_json::from_str::<serde_json::Value>(&frame).is_ok(), "{}", frame);
        }
    }

    #[test]
    fn what_serde_writes_is_read(text in "\\PC{0,40}", number in -i64::MAX..) {
        let frame = serde_json::json!({ "text": text, "name": text, "id": number }).to_string();
        let (id, _, _, name) = read(frame.as_bytes()).expect("JSON");
        prop_assert_eq!(id, number);
        prop_assert_eq!(name, text.into_bytes());
    }
}
