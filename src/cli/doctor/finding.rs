//! What a check found, and how it is told.

use serde_json::{Value, json};

use crate::cli::terminal::{Colour, Paint};

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could, or not for long.
    Warn,
    /// It will not work.
    Fail,
    /// Not looked at.
    Skip,
}

impl Status {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) section: String,
    pub(super) check: String,
    pub(super) status: Status,
    /// What is the case.
    pub(super) found: String,
    /// What that means; empty if all is well.
    pub(super) why: String,
    /// A command or a key; empty if all is well.
    pub(super) way_out: String,
}

/// A check, before it has found anything.
#[derive(Clone, Debug)]
pub(super) struct Check(String, String);

impl Check {
    pub(super) fn new(section: impl Into<String>, name: impl Into<String>) -> Self {
        Self(section.into(), name.into())
    }

    pub(super) fn ok(self, found: impl Into<String>) -> Finding {
        self.with(Status::Ok, found.into(), "", "")
    }

    pub(super) fn skip(self, found: impl Into<String>) -> Finding {
        self.with(Status::Skip, found.into(), "", "")
    }

    pub(super) fn warn(self, found: impl Into<String>, why: &str, way_out: &str) -> Finding {
        self.with(Status::Warn, found.into(), why, way_out)
    }

    pub(super) fn fail(self, found: impl Into<String>, why: &str, way_out: &str) -> Finding {
        self.with(Status::Fail, found.into(), why, way_out)
    }

    fn with(self, status: Status, found: String, why: &str, way_out: &str) -> Finding {
        Finding { section: self.0, check: self.1, status, found, why: why.to_owned(), way_out: way_out.to_owned() }
    }
}

/// How many findings have this status.
pub(super) fn count(findings: &[Finding], status: Status) -> usize {
    findings.iter().filter(|finding| finding.status == status).count()
}

/// Lines for a person, section by section.
pub(super) fn text(findings: &[Finding], paint: Paint) -> String {
    let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    let mut section = "";
    for finding in findings {
        if finding.section != section {
            section = &finding.section;
            out.push_str(&format!(
                "{}{}\n",
                if out.is_empty() { "" } else { "\n" },
                paint.paint(Colour::Bold, section)
            ));
        }
        let colour = match finding.status {
            Status::Ok => Colour::Green,
            Status::Warn => Colour::Yellow,
            Status::Fail => Colour::Red,
            Status::Skip => Colour::Dim,
        };
        let status = paint.paint(colour, &format!("{:<4}", finding.status.word()));
        out.push_str(&format!("  {status}  {:<width$}  {}\n", finding.check, finding.found));
        for (mark, text) in [("why:", &finding.why), ("do: ", &finding.way_out)] {
            if !text.is_empty() {
                out.push_str(&format!("        {:<width$}  {} {text}\n", "", paint.paint(Colour::Dim, mark)));
            }
        }
    }
    let number = |status| count(findings, status);
    let [ok, warn, fail, skip] = [Status::Ok, Status::Warn, Status::Fail, Status::Skip].map(number);
    out.push_str(&format!("\n{ok} ok, {warn} to look at, {fail} failed, {skip} not looked at\n"));
    out
}

/// The same for a program.
pub(super) fn to_json(findings: &[Finding]) -> Value {
    let one = |finding: &Finding| {
        json!({
            "section": finding.section, "check": finding.check, "status": finding.status.word(),
            "found": finding.found, "why": finding.why, "way_out": finding.way_out,
        })
    };
    let number = |status| count(findings, status);
    json!({
        "checks": findings.iter().map(one).collect::<Vec<_>>(),
        "ok": number(Status::Ok), "warn": number(Status::Warn), "fail": number(Status::Fail), "skip": number(Status::Skip),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_with_its_reason_and_the_way_out() {
        let findings = [
            Check::new("A", "one").ok("fine"),
            Check::new("A", "second").warn("odd", "it hurts", "do this"),
            Check::new("B", "x").fail("broken", "it does not run", "mend it"),
            Check::new("B", "y").skip("offline"),
        ];
        assert_eq!(
            text(&findings, Paint::NONE),
            "A\n  ok    one     fine\n  warn  second  odd\n                why: it hurts\n                do:  do this\n\
             \nB\n  fail  x       broken\n                why: it does not run\n                do:  mend it\n\
             \x20 skip  y       offline\n\n1 ok, 1 to look at, 1 failed, 1 not looked at\n"
        );
        let json = to_json(&findings);
        assert_eq!((json["fail"].as_u64(), json["checks"][1]["way_out"].as_str()), (Some(1), Some("do this")));
    }
}
