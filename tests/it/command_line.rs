//! The program as a user meets it: help, mistakes, exit codes.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    client,
    process::{self, Served},
};

/// A configuration file of this test alone, gone when dropped.
struct ConfigFile(PathBuf);

impl ConfigFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tickcast-{name}-{}.toml", std::process::id()));
        fs::write(&path, text).expect("the temporary folder is writable");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a plain path")
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _already_gone = fs::remove_file(&self.0);
    }
}

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let (code, help, _) = process::run(&["--help"]);
    assert_eq!(code, 0);
    for word in
        ["serve", "exchange", "record", "replay", "tail", "load", "check-config", "default-config", "Exit codes"]
    {
        assert!(help.contains(word), "help lacks {word}:\n{help}");
    }
    assert_eq!(process::run(&["nonsense"]).0, 2);
}

#[test]
fn the_printed_defaults_are_a_good_configuration() {
    let (code, defaults, _) = process::run(&["default-config"]);
    assert_eq!(code, 0);
    let file = ConfigFile::new("defaults", &defaults);
    let (code, said, wrong) = process::run(&["check-config", "--config", file.path()]);
    assert_eq!((code, wrong.as_str()), (0, ""));
    assert!(said.contains("24 symbols"), "{said}");
    let real = concat!(env!("CARGO_MANIFEST_DIR"), "/config/binance.toml");
    assert_eq!(process::run(&["check-config", "--config", real]).0, 0);
}

#[test]
fn each_mistake_in_a_configuration_gets_one_clear_line() {
    let cases = [
        ("[server]\nlissten = \"127.0.0.1:1\"", &["unknown key `server.lissten`", "did you mean `server.listen`?"][..]),
        ("[ring]\nlisten = \"127.0.0.1:1\"", &["unknown key `ring.listen`", ".listen`?"]),
        ("[server]\nshards = \"two\"", &["`server.shards` has to be an integer", "\"two\""]),
        ("[server]\nshards = 1000", &["`server.shards` is 1000", "from 0 to 64"]),
        ("[server]\nlisten = \"nowhere\"", &["invalid socket address", "`server.listen`: \"nowhere\""]),
        ("[ring]\nslots = 100", &["`ring.slots` is 100", "power of two"]),
        ("[exchange]\nrest_error_per_minute = -1.0", &["`exchange.rest_error_per_minute` is -1", "from 0 to 60000"]),
        ("[exchange]\ngap_per_minute = nan", &["`exchange.gap_per_minute` is NaN"]),
        ("[exchange]\nmessages_per_second = 1000001", &["`exchange.messages_per_second`", "from 0 to 1000000"]),
        ("[ops]\nhosts = [\"tickcast\", \"::1\", \"a:9464\"]", &["`ops.hosts` is \"a:9464\"", "without a port"]),
        ("[ops]\nadmin_key = \"geheim\"", &["`ops.admin_key` is something else (not shown)", "16 to 256"]),
        ("[ops]\nbeat_max_ms = 100", &["`ops.beat_max_ms` is 100", "from 2000 to 600000"]),
        ("[server", &["TOML parse error at line 1"]),
        (
            "[[venues]]\nname = \"x\"\nkind = \"binance\"\nws_url = \"ws://x\"\nrest_url = \"http://x\"\nsymbols = ['A\"B']",
            &["`venues.1.symbols` is A\"B", "letters, digits"],
        ),
        ("venues = []", &["`venues` is empty", "[[venues]]"]),
        (
            "[[venues]]\nname = \"x\"\nkind = \"binance\"\nws_url = \"ws://x\"\nrest_url = \"http://x\"\nsymbols = [\"A\", \"A\"]",
            &["`venues.1.symbols` is A", "twice"],
        ),
        (
            "[[venues]]\nname = \"api\"\nkind = \"binance\"\nws_url = \"ws://x\"\nrest_url = \"http://x\"\nsymbols = [\"A\"]",
            &["`venues.1.name` is api", "path of ours"],
        ),
        (
            "[[venues]]\nname = \"x\"\nkind = \"nasdaq\"\nws_url = \"ws://x\"\nrest_url = \"http://x\"\nsymbols = [\"A\"]",
            &["unknown kind `nasdaq`", "binance", "kraken"],
        ),
        (
            "[[venues]]\nname = \"x\"\nkind = \"kraken\"\nws_url = \"ws://x\"\nrest_url = \"http://x\"\nsymbols = [\"A/B\"]\nbook_depth = 17",
            &["venues.1", "17"],
        ),
        (
            "[[venues]]\nname = \"x\"\nkind = \"binance\"\nws_url = \"http://x\"\nrest_url = \"http://x\"\nsymbols = [\"A\"]",
            &["`venues.1.ws_url` is http://x", "ws://"],
        ),
        (
            "[[venues]]\nname = \"x\"\nkind = \"binance\"\nws = \"ws://x\"\nrest_url = \"http://x\"\nsymbols = [\"A\"]",
            &["unknown key `venues.ws`", "venues.ws_url"],
        ),
        (
            "[[venues]]\nname = \"x\"\nkind = \"binance\"\nrest_url = \"http://x\"\nsymbols = [\"A\"]",
            &["`venues.1.ws_url` is missing", "config/binance.toml"],
        ),
    ];
    for (index, (text, expected)) in cases.into_iter().enumerate() {
        let file = ConfigFile::new(&format!("mistake-{index}"), text);
        let (code, _, wrong) = process::run(&["check-config", "--config", file.path()]);
        assert_eq!(code, 78, "{text}\n{wrong}");
        for part in expected {
            assert!(wrong.contains(part), "`{part}` is missing for\n{text}\nin\n{wrong}");
        }
    }
    let (code, _, wrong) = process::run(&["check-config", "--config", "/nowhere/at-all.toml"]);
    assert_eq!(code, 66);
    assert!(wrong.contains("/nowhere/at-all.toml"), "{wrong}");
    let (code, _, wrong) = process::run(&["check-config", "--set", "server.shards=many"]);
    assert_eq!(code, 78);
    assert!(wrong.contains("--set server.shards") && wrong.contains("integer"), "{wrong}");
    for inside in ["venues.0.name=x", "venues.1.symbols=[]", "venues.name=x"] {
        let (code, _, wrong) = process::run(&["check-config", "--set", inside]);
        assert_eq!(code, 78);
        assert!(wrong.contains("`venues`, which is a list and set whole") && !wrong.contains("did you"), "{wrong}");
    }
    for nothing in ["=", "=x", "x"] {
        let (code, _, wrong) = process::run(&["check-config", "--set", nothing]);
        assert_eq!(code, 2);
        assert!(wrong.contains("KEY=VALUE"), "{wrong}");
    }
    let (code, _, wrong) = process::run(&["check-config", "--set", "server.shard_cores=[0, 1000]"]);
    assert_eq!(code, 0, "it may be for another machine");
    assert!(wrong.contains("`server.shard_cores` names core 1000"), "{wrong}");
    let (code, _, wrong) = process::run(&["check-config", "--log", "loud"]);
    assert_eq!(code, 78);
    assert!(wrong.contains("`log.level` is loud") && wrong.contains("debug"), "{wrong}");
    assert_eq!(process::run(&["check-config", "--log", "info,tickcast::intake=DEBUG"]).0, 0);
}

/// The commands whose result is a text; what becomes of it when standard output is `out`.
fn printed_into(out: impl Fn() -> Stdio) -> Vec<(Option<i32>, String)> {
    [&["check-config"][..], &["default-config"], &["man"], &["completions", "bash"]]
        .into_iter()
        .map(|arguments| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tickcast"));
            let child = command.args(arguments).stdout(out()).stderr(Stdio::piped()).spawn().expect("it runs");
            let output = child.wait_with_output().expect("it ends");
            (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
        })
        .collect()
}

#[test]
fn whoever_has_read_enough_hears_no_complaint() {
    // Nobody has the other end any more when it is first written to.
    let closed = || Stdio::from(std::io::pipe().expect("a pipe").1);
    for (code, wrong) in printed_into(closed) {
        assert_eq!((code, wrong.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_full_disk_is_told_in_one_line() {
    let Ok(_) = fs::metadata("/dev/full") else { return };
    let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").expect("a device"));
    for (code, wrong) in printed_into(full) {
        assert_eq!(code, Some(73), "{wrong}");
        assert!(wrong.starts_with("tickcast: standard output: ") && wrong.lines().count() == 1, "{wrong}");
    }
}

#[test]
fn the_environment_lies_over_the_file_and_flags_over_both() {
    let file = ConfigFile::new("layers", "[server]\nlisten = \"127.0.0.1:1001\"\n[ops]\nlisten = \"127.0.0.1:1002\"");
    let check = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickcast"));
        command.args(["check-config", "--config", file.path()]).args(arguments);
        command.env("TICKCAST__SERVER__LISTEN", "127.0.0.1:2001").env("TICKCAST__OPS__LISTEN", "127.0.0.1:2002");
        String::from_utf8(command.output().expect("it runs").stdout).expect("UTF-8")
    };
    let said = check(&["--set", "ops.listen=127.0.0.1:3002"]);
    assert!(said.contains("127.0.0.1:2001") && said.contains("127.0.0.1:3002"), "{said}");
}

#[test]
fn a_port_in_use_and_a_venue_out_of_reach_are_told_clearly() {
    // Port 1 of loopback: nobody listens there.
    let text = "[[venues]]\nname = \"binance\"\nkind = \"binance\"\nws_url = \"ws://127.0.0.1:1\"\n\
                rest_url = \"http://127.0.0.1:1\"\nsymbols = [\"BTCUSDT\"]\n";
    let file = ConfigFile::new("unreachable", text);
    let mut served = Served::start(&["serve", "--config", file.path()]);
    let taken = format!("server.listen={}", served.public);
    let (code, _, wrong) = process::run(&["serve", "--set", &taken, "--set", "ops.listen=127.0.0.1:0"]);
    assert_eq!(code, 69, "{wrong}");
    assert!(wrong.contains(&served.public) && wrong.contains("server.listen"), "{wrong}");
    let (code, _, wrong) = process::run(&["exchange", "--listen", &served.public]);
    assert_eq!(code, 69, "{wrong}");
    assert!(wrong.contains(&served.public) && wrong.contains("exchange.listen"), "{wrong}");
    let text = "[[venues]]\nname = \"binance\"\nkind = \"binance\"\nws_url = \"embedded\"\nrest_url = \"embedded\"\n\
                symbols = [\"NOTHERE\"]\n";
    let file = ConfigFile::new("unlisted", text);
    let (code, _, wrong) = process::run(&["serve", "--config", file.path(), "--set", "server.listen=127.0.0.1:0"]);
    assert_eq!(code, 78, "{wrong}");
    assert!(wrong.contains("venues.symbols") && wrong.contains("NOTHERE") && wrong.contains("BTCUSDT"), "{wrong}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let ping = format!("http://{}/api/v3/ping", served.public);
        assert_eq!(client::http().get(&ping).send().await.expect("it serves on").text().await.expect("a body"), "{}");
        let ready = format!("http://{}/readyz", served.ops);
        let answer = client::http().get(&ready).send().await.expect("it serves on");
        assert_eq!(answer.status(), 503);
        assert!(answer.text().await.expect("a body").contains("binance"), "readyz says who is missing");
    });
    assert!(served.is_running());
    assert_eq!(served.terminate(), Some(0));
}

#[test]
fn tail_prints_payloads_for_a_pipe_and_lines_for_a_person() {
    let served = Served::start(&["serve"]);
    let url = format!("ws://{}", served.public);
    let (code, raw, wrong) = process::run(&["tail", "btcusdt@depth5@100ms", "--url", &url, "-n", "3"]);
    assert_eq!(code, 0, "{wrong}");
    assert_eq!(raw.lines().count(), 3);
    assert!(raw.lines().all(|line| line.starts_with("{\"lastUpdateId\":")), "{raw}");
    let (code, pretty, _) = process::run(&["tail", "btcusdt@bookTicker", "--url", &url, "-n", "2", "--pretty"]);
    assert_eq!(code, 0);
    assert_eq!(pretty.lines().count(), 3, "{pretty}");
    assert!(pretty.lines().next().is_some_and(|line| line.contains("bid") && line.contains("ask")), "{pretty}");
    assert!(pretty.lines().skip(1).all(|line| line.contains("btcusdt@bookTicker")), "{pretty}");
    let (code, _, wrong) = process::run(&["tail", "btcusdt@trade", "--url", "ws://127.0.0.1:1"]);
    assert_eq!(code, 69);
    assert!(wrong.contains("--url"), "{wrong}");
}

#[test]
fn tail_takes_the_address_of_the_page_and_any_name() {
    let served = Served::start(&["serve"]);
    for url in [served.public.clone(), format!("http://{}/", served.public)] {
        let (code, raw, wrong) = process::run(&["tail", "btcusdt@bookTicker", "--url", &url, "-n", "1"]);
        assert_eq!((code, raw.lines().count()), (0, 1), "{url}: {wrong}");
    }
    // Left as they are, these would end the parameter before the name that exists.
    let strange = ["tail", "a b#c?d&e%f", "btcusdt@bookTicker", "--url", &served.public, "-n", "1"];
    let (code, raw, wrong) = process::run(&strange);
    assert_eq!((code, raw.lines().count()), (0, 1), "{wrong}");
    assert_eq!(process::run(&["tail", ""]).0, 2);
}

#[test]
fn tail_says_how_names_are_spelled_when_nothing_comes() {
    let served = Served::start(&["serve"]);
    let mut tail = Command::new(env!("CARGO_BIN_EXE_tickcast"))
        .args(["tail", "BTCUSDT@trade", "--url", &served.public])
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    BufReader::new(tail.stderr.take().expect("stderr is piped")).read_line(&mut line).expect("UTF-8");
    tail.kill().expect("its own child");
    tail.wait().expect("its own child");
    assert!(line.contains("lower case (btcusdt@trade)"), "{line}");
}
