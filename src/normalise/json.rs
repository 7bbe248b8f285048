//! A JSON scanner over one frame: no allocation, no recursion without a limit, numbers kept as the text they are.

use super::{Refusal, decimal};

/// Deepest nesting of a value that is skipped.
pub const DEPTH_MAX: u32 = 32;

/// Longest string with escapes that is understood, in bytes.
pub const TEXT_BYTES_MAX: usize = 256;

type Result<T> = std::result::Result<T, Refusal>;

/// A string between its quotes, as it stands in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl<'a> Text<'a> {
    /// The string itself if it has no escapes.
    #[inline]
    pub fn unescaped(self) -> Option<&'a [u8]> {
        (!self.escaped).then_some(self.raw)
    }

    /// The string itself. What has escapes is spelled out in `buffer`; what has none is not copied.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if an escape is none, or the string is longer than the buffer.
    #[inline]
    pub fn plain<'b>(self, buffer: &'b mut [u8; TEXT_BYTES_MAX]) -> Result<&'b [u8]>
    where
        'a: 'b,
    {
        if self.escaped { unescape(self.raw, buffer).ok_or(Refusal::Malformed) } else { Ok(self.raw) }
    }
}

/// A cursor in one frame. On an error it stays where it was or behind; the caller gives up the frame.
#[derive(Clone, Copy, Debug)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// A cursor at the beginning of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Passes `text` if exactly these bytes come next. Its length is part of its type: a comparison without a call.
    #[inline]
    pub fn literal<const LENGTH: usize>(&mut self, text: &[u8; LENGTH]) -> bool {
        let found = self.rest().first_chunk() == Some(text);
        if found {
            self.at += LENGTH;
        }
        found
    }

    /// The first byte of the next value.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    /// Reads an object; `field` is called behind each key and has to read or skip its value.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if it is none, and what `field` refuses.
    #[inline]
    pub fn object(&mut self, mut field: impl FnMut(&mut Self, &[u8]) -> Result<()>) -> Result<()> {
        self.pass(b'{')?;
        if self.peek() == Some(b'}') {
            return self.pass(b'}');
        }
        loop {
            let key = self.string()?;
            self.pass(b':')?;
            if key.escaped {
                let mut buffer = [0; TEXT_BYTES_MAX];
                field(self, key.plain(&mut buffer)?)?;
            } else {
                field(self, key.raw)?;
            }
            if self.peek() != Some(b',') {
                return self.pass(b'}');
            }
            self.at += 1;
        }
    }

    /// Reads an array; `element` is called at each element and has to read or skip it.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if it is none, and what `element` refuses.
    #[inline]
    pub fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.pass(b'[')?;
        if self.peek() == Some(b']') {
            return self.pass(b']');
        }
        loop {
            element(self)?;
            if self.peek() != Some(b',') {
                return self.pass(b']');
            }
            self.at += 1;
        }
    }

    /// Reads a string.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if it is none; whether its escapes are any shows in [`Text::plain`].
    #[inline]
    pub fn string(&mut self) -> Result<Text<'a>> {
        self.pass(b'"')?;
        let (start, mut escaped) = (self.at, false);
        while let Some(chunk) = self.rest().first_chunk()
            && !has_special(u64::from_le_bytes(*chunk))
        {
            self.at += chunk.len();
        }
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(0x20..) => self.at += 1,
                _ => return Err(Refusal::Malformed),
            }
        }
        let raw = &self.bytes[start..self.at];
        self.at += 1;
        Ok(Text { raw, escaped })
    }

    /// Reads a number as the text it is.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if it is none; what kind of number it is shows when it is converted.
    #[inline]
    pub fn number(&mut self) -> Result<&'a [u8]> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(Refusal::Malformed);
        }
        let length = self
            .rest()
            .iter()
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'))
            .count();
        let number = &self.rest()[..length];
        if number.last().is_some_and(u8::is_ascii_digit) {
            self.at += length;
            return Ok(number);
        }
        Err(Refusal::Malformed)
    }

    /// Reads an integer.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if it is no number, [`Refusal::Number`] if 64 bits do not hold it.
    #[inline]
    pub fn integer(&mut self) -> Result<i64> {
        match self.long_integer() {
            Some(value) => Ok(value),
            None => decimal::integer(self.number()?),
        }
    }

    /// Reads a price or quantity in quotes as a mantissa at `decimals`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if it is no string, [`Refusal::Number`] as [`super::unsigned`].
    #[inline]
    pub fn quoted_decimal(&mut self, decimals: u8) -> Result<i64> {
        if decimals == 8
            && let Some(value) = self.quoted_with_eight_decimals()
        {
            return Ok(value);
        }
        decimal::unsigned(self.string()?.raw, decimals)
    }

    /// Reads a bare price or quantity as a mantissa at `decimals`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if it is no number, [`Refusal::Number`] as [`super::unsigned`].
    #[inline]
    pub fn decimal(&mut self, decimals: u8) -> Result<i64> {
        decimal::unsigned(self.number()?, decimals)
    }

    /// Reads `true` or `false`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if it is neither.
    #[inline]
    pub fn boolean(&mut self) -> Result<bool> {
        self.peek();
        if self.literal(b"true") {
            Ok(true)
        } else if self.literal(b"false") {
            Ok(false)
        } else {
            Err(Refusal::Malformed)
        }
    }

    /// Passes any value.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if there is none, or it is nested deeper than [`DEPTH_MAX`].
    pub fn skip(&mut self) -> Result<()> {
        self.skip_within(DEPTH_MAX)
    }

    /// Passes any value and hands back its text.
    ///
    /// # Errors
    /// As [`Scanner::skip`].
    pub fn raw(&mut self) -> Result<&'a [u8]> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(&self.bytes[start..self.at])
    }

    /// Makes sure that nothing but white space is left.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if there is.
    #[inline]
    pub fn end(&mut self) -> Result<()> {
        if self.peek().is_none() { Ok(()) } else { Err(Refusal::Malformed) }
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        // The cursor may stand behind the end after an escape at the very end.
        self.bytes.get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn pass(&mut self, byte: u8) -> Result<()> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(Refusal::Malformed)
        }
    }

    /// `"61837.63000000"` in one go; whatever looks different is left to the careful way.
    ///
    /// Of Binance's prices and quantities nearly all look like this (see `benches/parse.rs`).
    #[inline]
    fn quoted_with_eight_decimals(&mut self) -> Option<i64> {
        let [b'"', text @ ..] = self.rest() else { return None };
        let (whole, length) = decimal::digits_before_point(text).or_else(|| decimal::many_digits_before_point(text))?;
        let fraction = &text[length + 1..];
        let value = decimal::eight_digits(fraction)?;
        if fraction.get(8) != Some(&b'"') {
            return None;
        }
        self.at += length + 11;
        Some((whole * 100_000_000 + value) as i64)
    }

    /// Ids and times: eight to eighteen digits; whatever looks different is left to the careful way.
    #[inline]
    fn long_integer(&mut self) -> Option<i64> {
        let text = self.rest();
        if text.first() == Some(&b'0') {
            return None;
        }
        let mut value = decimal::eight_digits(text)?;
        for (index, byte) in text[8..].iter().enumerate().take(11) {
            match byte {
                b'0'..=b'9' => value = value * 10 + u64::from(byte - b'0'),
                b',' | b'}' | b']' if index <= 10 => {
                    self.at += 8 + index;
                    return Some(value as i64);
                }
                _ => return None,
            }
        }
        None
    }

    fn skip_within(&mut self, depth: u32) -> Result<()> {
        let Some(depth) = depth.checked_sub(1) else { return Err(Refusal::Malformed) };
        match self.peek() {
            Some(b'{') => self.object(|scanner, _| scanner.skip_within(depth)),
            Some(b'[') => self.array(|scanner| scanner.skip_within(depth)),
            Some(b'"') => self.string().map(drop),
            Some(b't' | b'f') => self.boolean().map(drop),
            Some(b'n') if self.literal(b"null") => Ok(()),
            _ => self.number().map(drop),
        }
    }
}

/// Whether one of eight bytes is a quote, a backslash or a control character. May say so of others, never the opposite.
#[inline]
const fn has_special(chunk: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // A byte that is zero borrows into its highest bit.
    let quote = (chunk ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (chunk ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    let control = chunk.wrapping_sub(ONES * 0x20);
    ((quote | backslash | control | chunk) & HIGHS) != 0
}

/// Spells out the escapes of `raw` in `buffer`.
#[cold]
fn unescape<'b>(raw: &[u8], buffer: &'b mut [u8; TEXT_BYTES_MAX]) -> Option<&'b [u8]> {
    let (mut rest, mut length) = (raw, 0);
    while let [first, tail @ ..] = rest {
        rest = tail;
        let mut utf8 = [0; 4];
        let piece: &[u8] = if *first == b'\\' {
            let (character, behind) = escape(rest)?;
            rest = behind;
            character.encode_utf8(&mut utf8).as_bytes()
        } else {
            std::slice::from_ref(first)
        };
        buffer.get_mut(length..length + piece.len())?.copy_from_slice(piece);
        length += piece.len();
    }
    Some(&buffer[..length])
}

/// The character that an escape stands for, behind its backslash, and what follows it.
fn escape(text: &[u8]) -> Option<(char, &[u8])> {
    let (kind, rest) = text.split_first()?;
    let character = match kind {
        b'"' | b'\\' | b'/' => char::from(*kind),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let (unit, rest) = hexadecimal(rest)?;
            if !(0xd800..0xe000).contains(&unit) {
                return Some((char::from_u32(unit)?, rest));
            }
            let (low, rest) = hexadecimal(rest.strip_prefix(b"\\u")?)?;
            let pair = [u16::try_from(unit).ok()?, u16::try_from(low).ok()?];
            let mut characters = char::decode_utf16(pair);
            return Some((characters.next()?.ok()?, rest));
        }
        _ => return None,
    };
    Some((character, rest))
}

fn hexadecimal(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(4)?;
    let unit = digits.iter().try_fold(0, |sum, &byte| Some(sum * 16 + char::from(byte).to_digit(16)?))?;
    Some((unit, rest))
}

#[cfg(test)]
mod tests;
