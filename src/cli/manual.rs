//! `tickcast completions` and `tickcast man`: what shells and `man` want to know of the command line.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Command, builder::PossibleValuesParser, builder::TypedValueParser};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{EXIT_CODES, FIRST_STEPS, Failure, terminal::print};

/// Options of `tickcast completions`.
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS)]
pub(super) struct Completions {
    /// For which shell.
    #[arg(value_name = "SHELL", value_parser = shells())]
    shell: Shell,
}

const COMPLETIONS: &str = "\
  tickcast completions bash > ~/.local/share/bash-completion/completions/tickcast
  tickcast completions zsh  > ~/.zfunc/_tickcast      with `fpath+=~/.zfunc` above `compinit` in ~/.zshrc
  tickcast completions fish > ~/.config/fish/completions/tickcast.fish";

/// Options of `tickcast man`.
#[derive(Debug, Args)]
#[command(after_help = MAN)]
pub(super) struct Pages {
    /// Write one page per command here instead (tickcast.1, tickcast-tail.1, ...).
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

const MAN: &str = "\
  tickcast man | man -l -                       read it now
  tickcast man --dir /usr/local/share/man/man1  install it";

fn shells() -> impl TypedValueParser<Value = Shell> {
    let names = ["bash", "elvish", "fish", "powershell", "zsh"];
    PossibleValuesParser::new(names).map(|name| name.parse().expect("each is the name of a shell"))
}

/// Prints the script of a shell.
pub(super) fn completions(mut line: Command, arguments: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut line, "tickcast", &mut script);
    print(script)
}

/// Prints the page of everything, or writes a page for each command.
pub(super) fn pages(line: Command, arguments: &Pages) -> Result<(), Failure> {
    let mut line = line.disable_help_subcommand(true);
    line.build();
    let Some(folder) = &arguments.dir else {
        let page = whole(&line).map_err(|error| Failure::new(Failure::DEFECT, error))?;
        return print(page);
    };
    fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
    let main = whole(&line).map_err(|error| Failure::new(Failure::DEFECT, error))?;
    let mut pages = vec![("tickcast".to_owned(), main)];
    for command in line.get_subcommands() {
        let page = single(command).map_err(|error| Failure::new(Failure::DEFECT, error))?;
        pages.push((format!("tickcast-{}", command.get_name()), page));
    }
    for (name, page) in &pages {
        let path = folder.join(format!("{name}.1"));
        fs::write(&path, page).map_err(|error| cannot_write(&path, &error))?;
    }
    eprintln!("{} pages are in {}.", pages.len(), folder.display());
    Ok(())
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Failure::CANNOT_CREATE, format_args!("--dir {}: {error}", path.display()))
}

/// One page with every command in it.
fn whole(line: &Command) -> io::Result<Vec<u8>> {
    let man = man(line, "tickcast");
    let mut out = Vec::new();
    head(&man, &mut out)?;
    man.render_options_section(&mut out)?;
    writeln!(out, ".SH COMMANDS")?;
    for command in line.get_subcommands() {
        let name = command.get_name();
        writeln!(out, ".SS \"{}\"", escaped(&format!("tickcast {name}")))?;
        let man = self::man(command, &format!("tickcast {name}"));
        let mut part = Vec::new();
        man.render_description_section(&mut part)?;
        man.render_synopsis_section(&mut part)?;
        options(command, name).render_options_section(&mut part)?;
        out.extend(without_headings(&part));
        if let Some(more) = command.get_after_help() {
            notes(&mut out, &more.to_string())?;
        }
    }
    writeln!(out, ".SH \"EXIT STATUS\"")?;
    literal(&mut out, after_title(EXIT_CODES))?;
    writeln!(out, ".SH EXAMPLES")?;
    literal(&mut out, after_title(FIRST_STEPS))?;
    writeln!(out, ".SH ENVIRONMENT\n.TP\n\\fBTICKCAST__SECTION__KEY\\fR")?;
    writeln!(out, "A setting, over those of the file and under those of flags: TICKCAST__SERVER__LISTEN.")?;
    writeln!(out, ".TP\n\\fBNO_COLOR\\fR\nIf it is not empty, nothing is coloured.")?;
    Ok(out)
}

/// What each page begins with.
fn head(man: &Man, out: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)
}

/// The page of one command.
fn single(command: &Command) -> io::Result<Vec<u8>> {
    let name = format!("tickcast-{}", command.get_name());
    let man = man(command, &name);
    let mut out = Vec::new();
    head(&man, &mut out)?;
    man.render_options_section(&mut out)?;
    if let Some(more) = command.get_after_help() {
        writeln!(out, ".SH NOTES")?;
        notes(&mut out, &more.to_string())?;
    }
    writeln!(out, ".SH \"SEE ALSO\"\n.BR tickcast (1)")?;
    Ok(out)
}

fn man(command: &Command, name: &str) -> Man {
    let command = command.clone().display_name(name.to_owned()).version(env!("CARGO_PKG_VERSION"));
    Man::new(command).title(name.replace(' ', "-")).source(concat!("tickcast ", env!("CARGO_PKG_VERSION")))
}

/// A command without the options that every command has: the page has them once.
fn options(command: &Command, name: &str) -> Man {
    let command = command.clone().mut_args(|argument| {
        let is_shared = argument.is_global_set() || matches!(argument.get_id().as_str(), "help" | "version");
        argument.hide(is_shared)
    });
    man(&command, name)
}

/// Sections of a page as parts of one section of another.
fn without_headings(part: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(part);
    let lines = text.lines().map(|line| if line.starts_with(".SH") { ".PP" } else { line });
    lines.flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
}

/// Sentences, which flow, and examples below them, which do not: these are indented.
fn notes(out: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let (examples, sentences): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("  "));
    for sentence in sentences.iter().filter(|sentence| !sentence.trim().is_empty()) {
        writeln!(out, ".PP\n{}{}", guard(sentence), escaped(sentence))?;
    }
    if examples.is_empty() { Ok(()) } else { literal(out, &examples.join("\n")) }
}

/// Text that is kept line by line.
fn literal(out: &mut Vec<u8>, text: &str) -> io::Result<()> {
    writeln!(out, ".PP\n.nf")?;
    for line in text.lines() {
        writeln!(out, "{}{}", guard(line), escaped(line))?;
    }
    writeln!(out, ".fi")
}

/// What stands in front of a line that would be a command to the typesetter.
fn guard(line: &str) -> &'static str {
    if line.starts_with(['.', '\'']) { "\\&" } else { "" }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\(rs").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga").replace('"', "\\(dq")
}

fn after_title(text: &str) -> &str {
    text.split_once('\n').map_or(text, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_as_they_are() {
        let mut out = Vec::new();
        literal(&mut out, ".x --set a\\b").expect("memory takes it");
        assert_eq!(String::from_utf8_lossy(&out), ".PP\n.nf\n\\&.x \\-\\-set a\\(rsb\n.fi\n");
        out.clear();
        notes(&mut out, "One. Two.\n.three\n  tickcast x").expect("memory takes it");
        assert_eq!(String::from_utf8_lossy(&out), ".PP\nOne. Two.\n.PP\n\\&.three\n.PP\n.nf\n  tickcast x\n.fi\n");
        assert_eq!(escaped("'a' \"b\""), "\\(aqa\\(aq \\(dqb\\(dq");
    }
}
