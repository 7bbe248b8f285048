//! A reader of Binance's SBE stream schema 1:0, written from the tables of the documents alone: it shares nothing with the
//! encoder. As the schema demands, it finds its way by the lengths that the message itself says, not by constants.

/// One message, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Trades { event_time: i64, transact_time: i64, trades: Vec<Trade>, symbol: String },
    Best { event_time: i64, update_id: i64, bid: (String, String), ask: (String, String), symbol: String },
    Snapshot { event_time: i64, update_id: i64, bids: Levels, asks: Levels, symbol: String },
    Diff { event_time: i64, first_id: i64, last_id: i64, bids: Levels, asks: Levels, symbol: String },
}

/// Price and quantity of each level, as JSON would print them.
pub type Levels = Vec<(String, String)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trade {
    pub id: i64,
    pub price: String,
    pub quantity: String,
    pub buyer_is_maker: bool,
}

/// Reads one frame's payload, to its last byte.
pub fn read(frame: &[u8]) -> Result<Message, String> {
    let mut rest = Bytes(frame);
    let (block_bytes, template, schema, version) = (rest.u16()?, rest.u16()?, rest.u16()?, rest.u16()?);
    if (schema, version) != (1, 0) {
        return Err(format!("schema {schema}:{version}"));
    }
    let mut block = rest.take(block_bytes.into())?;
    let message = match template {
        10_000 => {
            let (event_time, transact_time) = (block.i64()?, block.i64()?);
            let powers = (block.i8()?, block.i8()?);
            let (length, count) = (rest.u16()?, rest.u32()?);
            let trades = (0..count).map(|_| {
                let mut entry = rest.take(length.into())?;
                let (id, price, quantity) =
                    (entry.i64()?, decimal(entry.i64()?, powers.0), decimal(entry.i64()?, powers.1));
                let buyer_is_maker = match entry.take(1)?.0 {
                    [0] => false,
                    [1] => true,
                    other => return Err(format!("a flag of {other:?}")),
                };
                entry.end()?;
                Ok(Trade { id, price, quantity, buyer_is_maker })
            });
            let trades = trades.collect::<Result<_, _>>()?;
            Message::Trades { event_time, transact_time, trades, symbol: rest.text()? }
        }
        10_001 => {
            let (event_time, update_id) = (block.i64()?, block.i64()?);
            let powers = (block.i8()?, block.i8()?);
            let mut side = || Ok::<_, String>((decimal(block.i64()?, powers.0), decimal(block.i64()?, powers.1)));
            let (bid, ask) = (side()?, side()?);
            Message::Best { event_time, update_id, bid, ask, symbol: rest.text()? }
        }
        10_002 => {
            let (event_time, update_id) = (block.i64()?, block.i64()?);
            let powers = (block.i8()?, block.i8()?);
            let (bids, asks) = (rest.levels(powers)?, rest.levels(powers)?);
            Message::Snapshot { event_time, update_id, bids, asks, symbol: rest.text()? }
        }
        10_003 => {
            let (event_time, first_id, last_id) = (block.i64()?, block.i64()?, block.i64()?);
            let powers = (block.i8()?, block.i8()?);
            let (bids, asks) = (rest.levels(powers)?, rest.levels(powers)?);
            Message::Diff { event_time, first_id, last_id, bids, asks, symbol: rest.text()? }
        }
        other => return Err(format!("template {other}")),
    };
    block.end()?;
    rest.end()?;
    Ok(message)
}

/// `mantissa` times ten to `power`, with as many places as that has.
fn decimal(mantissa: i64, power: i8) -> String {
    let places = usize::try_from(-power).expect("exponents of prices and quantities are not positive");
    let digits = format!("{:0>width$}", mantissa.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let sign = if mantissa < 0 { "-" } else { "" };
    if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// What is left of a message.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<Bytes<'a>, String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| format!("{count} bytes are not there"))?;
        self.0 = rest;
        Ok(Bytes(taken))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N)?.0.try_into().expect("that many were taken"))
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, String> {
        self.array().map(i64::from_le_bytes)
    }

    fn i8(&mut self) -> Result<i8, String> {
        self.array().map(i8::from_le_bytes)
    }

    fn levels(&mut self, powers: (i8, i8)) -> Result<Levels, String> {
        let (length, count) = (self.u16()?, self.u16()?);
        let levels = (0..count).map(|_| {
            let mut entry = self.take(length.into())?;
            let level = (decimal(entry.i64()?, powers.0), decimal(entry.i64()?, powers.1));
            entry.end().map(|()| level)
        });
        levels.collect()
    }

    fn text(&mut self) -> Result<String, String> {
        let [length] = self.array::<1>()?;
        String::from_utf8(self.take(length.into())?.0.to_vec()).map_err(|error| error.to_string())
    }

    fn end(&self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(format!("{} bytes too many", self.0.len())) }
    }
}

/// The check vectors of the contract.
#[test]
fn the_vectors_are_read_as_they_are_described() {
    let hex = |text: &str| -> Vec<u8> {
        text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte")).collect()
    };
    let best = hex("32 00 11 27 01 00 00 00 40 b2 82 05 16 5b 06 00 d1 7e 60 05 00 00 00 00 f8 f8
        40 9d b3 c0 e2 07 00 00 b8 3a e2 1b 00 00 00 00 80 df c2 c0 e2 07 00 00 a8 08 5f 04 00 00 00 00
        07 42 54 43 55 53 44 54");
    let pair = |price: &str, quantity: &str| (price.to_owned(), quantity.to_owned());
    let symbol = "BTCUSDT".to_owned();
    let expected = Message::Best {
        event_time: 1_789_000_000_123_456,
        update_id: 90_210_001,
        bid: pair("86704.77000000", "4.67811000"),
        ask: pair("86704.78000000", "0.73337000"),
        symbol: symbol.clone(),
    };
    assert_eq!(read(&best), Ok(expected));
    let diff = hex("1a 00 13 27 01 00 00 00 e0 f2 82 05 16 5b 06 00 d1 7e 60 05 00 00 00 00 d4 7e 60 05 00 00 00 00
        f8 f8 10 00 01 00 40 9d b3 c0 e2 07 00 00 00 00 00 00 00 00 00 00 10 00 00 00 07 42 54 43 55 53 44 54");
    let expected = Message::Diff {
        event_time: 1_789_000_000_140_000,
        first_id: 90_210_001,
        last_id: 90_210_004,
        bids: vec![pair("86704.77000000", "0.00000000")],
        asks: Vec::new(),
        symbol,
    };
    assert_eq!(read(&diff), Ok(expected));
    for cut in 0..diff.len() {
        assert!(read(&diff[..cut]).is_err(), "cut at {cut}");
    }
}
