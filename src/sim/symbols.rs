//! The symbols that the simulated exchange lists, with the sizes that make their markets believable.

use std::fmt::Write as _;

use super::decimal::{ONE, text};

/// One listed symbol. All numbers are mantissas at eight decimals, as on Binance's wire.
#[derive(Debug)]
pub(super) struct Symbol {
    /// As REST and payloads spell it.
    pub(super) name: &'static str,
    pub(super) base: &'static str,
    pub(super) quote: &'static str,
    /// Where the price starts, and what it is drawn back to.
    pub(super) price: i64,
    /// Smallest price step.
    pub(super) tick: i64,
    /// Smallest quantity step.
    pub(super) step: i64,
    /// What a usual level is worth in the quote asset.
    pub(super) level_value: i64,
    /// Share of the market's activity, in relation to the others.
    pub(super) weight: u32,
}

/// What a dollar market's usual level is worth.
const DOLLARS: i64 = 2_500 * ONE;
/// The same in bitcoin.
const BITCOINS: i64 = ONE / 25;

/// The symbol that never had a reference price.
const WITHOUT_REFERENCE_PRICE: &str = "TRXUSDT";

/// Builds a row: price, tick and step are given in units of 1e-8.
const fn row(
    name: &'static str,
    assets: (&'static str, &'static str),
    (price, tick, step): (i64, i64, i64),
    level_value: i64,
    weight: u32,
) -> Symbol {
    Symbol { name, base: assets.0, quote: assets.1, price, tick, step, level_value, weight }
}

/// Every symbol that can be asked for, those of `config/default.toml` first.
pub(super) const SYMBOLS: [Symbol; 30] = [
    row("BTCUSDT", ("BTC", "USDT"), (6_723_410_000_000, 1_000_000, 1_000), 8 * DOLLARS, 160),
    row("ETHUSDT", ("ETH", "USDT"), (348_215_000_000, 1_000_000, 10_000), 6 * DOLLARS, 120),
    row("BNBUSDT", ("BNB", "USDT"), (61_240_000_000, 1_000_000, 100_000), 3 * DOLLARS, 50),
    row("SOLUSDT", ("SOL", "USDT"), (17_862_000_000, 1_000_000, 100_000), 3 * DOLLARS, 80),
    row("XRPUSDT", ("XRP", "USDT"), (52_470_000, 10_000, 10_000_000), 2 * DOLLARS, 50),
    row("ADAUSDT", ("ADA", "USDT"), (35_810_000, 10_000, 10_000_000), DOLLARS, 25),
    row("DOGEUSDT", ("DOGE", "USDT"), (14_385_000, 1_000, 100_000_000), 2 * DOLLARS, 50),
    row("AVAXUSDT", ("AVAX", "USDT"), (2_718_000_000, 1_000_000, 1_000_000), DOLLARS, 25),
    row("DOTUSDT", ("DOT", "USDT"), (442_600_000, 100_000, 1_000_000), DOLLARS, 20),
    row("LINKUSDT", ("LINK", "USDT"), (1_164_000_000, 1_000_000, 1_000_000), DOLLARS, 25),
    row("LTCUSDT", ("LTC", "USDT"), (7_083_000_000, 1_000_000, 100_000), DOLLARS, 20),
    row("BCHUSDT", ("BCH", "USDT"), (36_540_000_000, 10_000_000, 100_000), DOLLARS, 15),
    row("UNIUSDT", ("UNI", "USDT"), (789_300_000, 100_000, 1_000_000), DOLLARS, 15),
    row("ATOMUSDT", ("ATOM", "USDT"), (468_200_000, 100_000, 1_000_000), DOLLARS, 15),
    row("ETCUSDT", ("ETC", "USDT"), (1_879_000_000, 1_000_000, 1_000_000), DOLLARS, 12),
    row("FILUSDT", ("FIL", "USDT"), (371_800_000, 100_000, 1_000_000), DOLLARS, 12),
    row("APTUSDT", ("APT", "USDT"), (902_700_000, 100_000, 1_000_000), DOLLARS, 15),
    row("ARBUSDT", ("ARB", "USDT"), (54_920_000, 10_000, 10_000_000), DOLLARS, 15),
    row("OPUSDT", ("OP", "USDT"), (162_300_000, 100_000, 1_000_000), DOLLARS, 15),
    row("NEARUSDT", ("NEAR", "USDT"), (441_700_000, 100_000, 10_000_000), DOLLARS, 20),
    row("ETHBTC", ("ETH", "BTC"), (5_179_000, 1_000, 10_000), 4 * BITCOINS, 30),
    row("SHIBUSDT", ("SHIB", "USDT"), (1_834, 1, 100_000_000), 3 * DOLLARS, 20),
    row("PEPEUSDT", ("PEPE", "USDT"), (1_042, 1, 100_000_000), 3 * DOLLARS, 30),
    row("TRXUSDT", ("TRX", "USDT"), (16_210_000, 10_000, 10_000_000), DOLLARS, 15),
    row("BNBBTC", ("BNB", "BTC"), (910_700, 100, 100_000), 2 * BITCOINS, 10),
    row("SOLBTC", ("SOL", "BTC"), (265_600, 100, 100_000), 2 * BITCOINS, 10),
    row("BTCUSDC", ("BTC", "USDC"), (6_724_120_000_000, 1_000_000, 1_000), 5 * DOLLARS, 40),
    row("ETHUSDC", ("ETH", "USDC"), (348_260_000_000, 1_000_000, 10_000), 4 * DOLLARS, 30),
    row("BTCEUR", ("BTC", "EUR"), (6_184_500_000_000, 1_000_000, 1_000), 2 * DOLLARS, 15),
    row("SUIUSDT", ("SUI", "USDT"), (197_450_000, 10_000, 10_000_000), 2 * DOLLARS, 30),
];

impl Symbol {
    /// A usual quantity of one level, a whole number of steps.
    pub(super) fn lot(&self) -> i64 {
        let quantity = i128::from(self.level_value) * i128::from(ONE) / i128::from(self.price);
        let quantity = i64::try_from(quantity).expect("the table's quantities fit");
        (quantity / self.step * self.step).max(self.step)
    }

    /// Whether the exchange has a reference price for it: one has none, as some on Binance.
    pub(super) fn has_reference_price(&self) -> bool {
        self.name != WITHOUT_REFERENCE_PRICE
    }

    /// Its object in exchangeInfo, in Binance's key order.
    pub(super) fn write_info(&self, out: &mut String) {
        let Self { name, base, quote, .. } = self;
        let (tick, step) = (text(self.tick), text(self.step));
        let _ = write!(
            out,
            r#"{{"symbol":"{name}","status":"TRADING","baseAsset":"{base}","baseAssetPrecision":8,"quoteAsset":"{quote}","quotePrecision":8,"quoteAssetPrecision":8,"baseCommissionPrecision":8,"quoteCommissionPrecision":8,"orderTypes":["LIMIT","LIMIT_MAKER","MARKET"],"icebergAllowed":true,"ocoAllowed":true,"otoAllowed":true,"opoAllowed":true,"quoteOrderQtyMarketAllowed":true,"allowTrailingStop":true,"cancelReplaceAllowed":true,"amendAllowed":true,"pegInstructionsAllowed":true,"isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"filters":[{{"filterType":"PRICE_FILTER","minPrice":"{tick}","maxPrice":"1000000.00000000","tickSize":"{tick}"}},{{"filterType":"LOT_SIZE","minQty":"{step}","maxQty":"90000000.00000000","stepSize":"{step}"}},{{"filterType":"MARKET_LOT_SIZE","minQty":"0.00000000","maxQty":"90000000.00000000","stepSize":"0.00000000"}},{{"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true,"maxNotional":"9000000.00000000","applyMaxToMarket":false,"avgPriceMins":5}}],"permissions":[],"permissionSets":[["SPOT"]],"defaultSelfTradePreventionMode":"EXPIRE_MAKER","allowedSelfTradePreventionModes":["EXPIRE_TAKER","EXPIRE_MAKER","EXPIRE_BOTH"]}}"#
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_table_is_consistent() {
        let names: HashSet<_> = SYMBOLS.iter().map(|symbol| symbol.name).collect();
        assert_eq!(names.len(), SYMBOLS.len(), "a symbol stands twice");
        for symbol in &SYMBOLS {
            assert_eq!(format!("{}{}", symbol.base, symbol.quote), symbol.name);
            assert_eq!(symbol.price % symbol.tick, 0, "{}: the price is no multiple of the tick", symbol.name);
            assert!(symbol.price / symbol.tick >= 500, "{}: too coarse a tick", symbol.name);
            assert!(symbol.lot() > 0 && symbol.lot() % symbol.step == 0, "{}", symbol.name);
        }
    }

    #[test]
    fn the_symbols_of_the_default_configuration_are_listed() {
        let config = include_str!("../../config/default.toml");
        let list = config.split("symbols = [\n").nth(1).and_then(|rest| rest.split(']').next()).expect("a list");
        let wanted: Vec<_> =
            list.split(',').map(|name| name.trim().trim_matches('"')).filter(|s| !s.is_empty()).collect();
        assert!(wanted.len() >= 24);
        for name in wanted {
            assert!(SYMBOLS.iter().any(|symbol| symbol.name == name), "{name} is not listed");
        }
    }
}
