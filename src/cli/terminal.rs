//! What a person sees: colour where it is wanted, numbers and times in plain spelling.

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    time::Duration,
};

use super::Failure;
use crate::market::Nanos;

/// Prints all of a command's result.
pub(super) fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    printed(write(text.as_ref()))
}

/// Writes to standard output, and not just to a buffer of it.
pub(super) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// What became of printing, for the user. Whoever read it may have seen enough (`| head`): that is no failure.
pub(super) fn printed(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Failure::CANNOT_CREATE, format_args!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Colour or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paint(bool);

/// What a colour means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// Bought, up, well.
    Green,
    /// Sold, down, not well.
    Red,
    /// Look at this.
    Yellow,
    /// A heading.
    Bold,
    /// Of less interest.
    Dim,
}

impl Paint {
    /// No colour.
    #[cfg(test)]
    pub(super) const NONE: Self = Self(false);
    /// Colour.
    #[cfg(test)]
    pub(super) const ALL: Self = Self(true);

    /// Colour, if standard output is a terminal that shows it and nobody objects (NO_COLOR, TERM=dumb).
    pub(super) fn of_output() -> Self {
        Self(io::stdout().is_terminal() && is_welcome())
    }

    /// As the user says; `None`: as [`Paint::of_output`].
    pub(super) fn chosen(always: Option<bool>) -> Self {
        always.map_or_else(Self::of_output, Self)
    }

    /// `text` in `colour`.
    pub(super) fn paint(self, colour: Colour, text: &str) -> String {
        if !self.0 || text.is_empty() {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Green => 32,
            Colour::Red => 31,
            Colour::Yellow => 33,
            Colour::Bold => 1,
            Colour::Dim => 2,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn is_welcome() -> bool {
    let objects = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !objects && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// Columns and rows of the terminal behind standard output; `None`, if there is none.
pub(super) fn size() -> Option<(usize, usize)> {
    let size = io::stdout().is_terminal().then(|| rustix::termios::tcgetwinsize(io::stdout()))?;
    let size = size.ok().filter(|size| size.ws_col > 0 && size.ws_row > 0)?;
    Some((size.ws_col.into(), size.ws_row.into()))
}

/// `2026-11-22 09:08:07.123`, UTC.
pub(super) fn date_time(time: Nanos) -> String {
    let days = time.0.div_euclid(DAY_NS);
    // The civil calendar, with years that begin in March, so that the leap day is the last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {}", time_of_day(time))
}

/// `09:08:07.123`, UTC.
pub(super) fn time_of_day(time: Nanos) -> String {
    let millis = time.0.rem_euclid(DAY_NS) / 1_000_000;
    let seconds = millis / 1000;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, millis % 1000)
}

const DAY_NS: i64 = 86_400_000_000_000;

/// `950 ms`, `12.3 s`, `4 m 05 s`, `3 h 04 m`, `2 d 03 h`.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        60..3600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `512 B`, `1.5 KiB`, `64.0 MiB`: bytes by powers of 1024, one decimal.
pub(super) fn bytes(count: u64) -> String {
    let mut tenths = u128::from(count) * 10;
    if count < 1024 {
        return format!("{count} B");
    }
    for unit in ["KiB", "MiB", "GiB"] {
        tenths /= 1024;
        if tenths < 10_240 {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    tenths /= 1024;
    format!("{}.{} TiB", grouped((tenths / 10) as u64), tenths % 10)
}

/// `12,345,678`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 frame`, `2 frames`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// Rows with columns of equal width, two blanks between them. Headings stand in the first row: those that begin with `<` have
/// columns that are aligned to the left.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let Some(headings) = rows.first() else { return String::new() };
    let mark = |row: usize, cell: &'_ str| usize::from(row == 0 && cell.starts_with('<'));
    let width = |at: usize| {
        let lengths = rows.iter().enumerate().filter_map(|(row, cells)| Some((row, cells.get(at)?)));
        lengths.map(|(row, cell)| cell.chars().count() - mark(row, cell)).max()
    };
    let widths: Vec<usize> = (0..headings.len()).map(|at| width(at).unwrap_or(0)).collect();
    let mut out = String::new();
    for (row, cells) in rows.iter().enumerate() {
        let cells = cells.iter().zip(&widths).zip(headings).map(|((cell, &width), heading)| {
            let cell = &cell[mark(row, cell)..];
            if heading.starts_with('<') { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_plainly() {
        assert_eq!([0, 1000, 12_345_678].map(grouped), ["0", "1,000", "12,345,678"]);
        assert_eq!(
            [0, 1023, 1024, 1536, 64 << 20, 5 << 30, 3 << 40].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "64.0 MiB", "5.0 GiB", "3.0 TiB"]
        );
        let spans = [950, 12_345, 245_000, 11_045_000, 183_600_000].map(|millis| span(Duration::from_millis(millis)));
        assert_eq!(spans, ["950 ms", "12.3 s", "4 m 05 s", "3 h 04 m", "2 d 03 h"]);
        assert_eq!([counted(1, "frame"), counted(2000, "frame")], ["1 frame", "2,000 frames"]);
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(date_time(Nanos(0)), "1970-01-01 00:00:00.000");
        assert_eq!(date_time(Nanos::from_millis(1_709_164_800_500)), "2024-02-29 00:00:00.500");
        assert_eq!(date_time(Nanos::from_millis(1_798_761_599_999)), "2026-12-31 23:59:59.999");
        assert_eq!(date_time(Nanos(-1)), "1969-12-31 23:59:59.999");
        assert_eq!(time_of_day(Nanos::from_millis(1_709_211_723_045)), "13:02:03.045");
    }

    #[test]
    fn columns_are_of_equal_width() {
        let rows = [["<name", "count"], ["a", "1,000"], ["longer", "2"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows), "name    count\na       1,000\nlonger      2\n");
        assert_eq!(columns(&[]), "");
    }

    #[test]
    fn colour_is_there_or_is_not() {
        assert_eq!(Paint::NONE.paint(Colour::Red, "x"), "x");
        assert_eq!(Paint::ALL.paint(Colour::Red, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(Paint::ALL.paint(Colour::Red, ""), "");
    }
}
