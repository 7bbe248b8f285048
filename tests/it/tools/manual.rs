//! Shell completions and the manual page, as shells and `man` take them.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use super::Folder;
use crate::process::run;

const COMMANDS: [&str; 12] = [
    "serve",
    "exchange",
    "record",
    "replay",
    "inspect",
    "tail",
    "doctor",
    "load",
    "check-config",
    "default-config",
    "completions",
    "man",
];

#[test]
fn bash_completes_commands_options_and_values() {
    let folder = Folder::new("bash");
    let (code, script, wrong) = run(&["completions", "bash"]);
    assert_eq!(code, 0, "{wrong}");
    let file = folder.with("tickcast.bash", &script);
    assert!(Command::new("bash").args(["-n", &file]).status().expect("bash is there").success());
    let complete = |words: &[&str]| {
        let line = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let before = words.len().checked_sub(2).map_or("", |at| words[at]);
        let last = words.last().expect("a word");
        let script = format!(
            "source {file}; COMP_WORDS=({line}); COMP_CWORD={}; _tickcast tickcast '{last}' '{before}'; \
             echo \"${{COMPREPLY[@]}}\"",
            words.len() - 1
        );
        let output = Command::new("bash").args(["-c", &script]).output().expect("bash is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    };
    assert_eq!(complete(&["tickcast", "ta"]), "tail");
    assert_eq!(complete(&["tickcast", "tail", "--rec"]), "--reconnect");
    assert_eq!(complete(&["tickcast", "tail", "--color", "al"]), "always");
    assert_eq!(complete(&["tickcast", "completions", "fi"]), "fish");
    let all = complete(&["tickcast", ""]);
    assert!(COMMANDS.iter().all(|name| all.split(' ').any(|word| word == *name)), "{all}");
}

#[test]
fn other_shells_have_a_script_too() {
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let (code, script, wrong) = run(&["completions", shell]);
        assert_eq!(code, 0, "{wrong}");
        assert!(COMMANDS.iter().all(|name| script.contains(name)), "{shell}");
        let parser = if shell == "zsh" || shell == "fish" { shell } else { continue };
        if let Ok(mut parsing) = Command::new(parser).arg("-n").stdin(Stdio::piped()).spawn() {
            parsing.stdin.take().expect("stdin is piped").write_all(script.as_bytes()).expect("it reads");
            assert!(parsing.wait().expect("its own child").success(), "{shell} does not take its script");
        }
    }
    let (code, _, wrong) = run(&["completions", "cmd"]);
    assert_eq!(code, 2);
    assert!(wrong.contains("bash"), "{wrong}");
}

#[test]
fn the_manual_page_has_every_command_and_typesets_without_a_warning() {
    let folder = Folder::new("man");
    let (code, page, wrong) = run(&["man"]);
    assert_eq!(code, 0, "{wrong}");
    for name in COMMANDS {
        let heading = format!(".SS \"tickcast {}\"", name.replace('-', "\\-"));
        assert!(page.contains(&heading), "{heading} is missing");
    }
    assert!(page.contains(".SH \"EXIT STATUS\"") && page.contains(".SH ENVIRONMENT"));
    let pages = folder.file("man1");
    let (code, _, wrong) = run(&["man", "--dir", &pages]);
    assert_eq!(code, 0, "{wrong}");
    let files: Vec<_> = fs::read_dir(&pages).expect("written").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(files.len(), COMMANDS.len() + 1);
    for file in files {
        let Ok(typeset) = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(&file).output() else {
            eprintln!("groff is not here: pages are not typeset");
            return;
        };
        let said = String::from_utf8_lossy(&typeset.stderr).into_owned();
        assert!(typeset.status.success() && said.is_empty(), "{}: {said}", file.display());
    }
}

#[test]
fn every_command_explains_itself() {
    for name in COMMANDS {
        let (code, help, wrong) = run(&[name, "--help"]);
        assert_eq!(code, 0, "{wrong}");
        assert!(help.contains("Usage: tickcast"), "{name}:\n{help}");
    }
}
