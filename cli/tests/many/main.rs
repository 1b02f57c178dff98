//! `iapctl` and many boards at once: what is said of each is true, nobody waits for the silent ones longer than asked, and it costs no
//! thread per board.
//!
//! The boards are stubs on a thread of the test ([`stub`]); `cargo run --example stub_boards` has the same for looking at.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "test code")]
#![allow(dead_code, reason = "the example uses more of the boards")]

mod bench;
mod said;
mod stub;

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bench::{Bench, application, iapctl};
use iap_sim::sim::{Sim, SimOptions};
use said::Said;
use serde_json::Value;
use stub::{Kind, REFUSAL};

const IMAGE_LEN: usize = 100_000;

fn run(command: &mut Command) -> Said {
    Said::by(command.output().unwrap())
}

/// Threads of a process.
fn threads(child: &Child) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"));
    line?.trim().parse().ok()
}

fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(sent.success());
}

/// 190 good, 5 silent, 5 refusing, mixed with each other.
fn fleet() -> Vec<Kind> {
    (0..200)
        .map(|index| match index % 40 {
            7 => Kind::Silent,
            23 => Kind::Refusing,
            _ => Kind::Good,
        })
        .collect()
}

const LIMIT: Duration = Duration::from_secs(3);

#[test]
fn of_200_boards_over_tftp_each_is_told_as_it_is_within_the_time_limit_and_without_a_thread_each() {
    let bench = Bench::new(&fleet(), Duration::from_millis(700));
    let hosts = bench.tftp_hosts();
    let begun = Instant::now();
    let child = bench.push(&hosts, &["--timeout", "3"]).spawn().unwrap();
    bench.wait_for_uploads(195);
    let most = threads(&child).unwrap();
    assert_eq!(most, 1, "a thread for all boards");
    let said = Said::by(child.wait_with_output().unwrap());
    let took = begun.elapsed();
    assert!(took < LIMIT + Duration::from_secs(1), "{took:?}");
    said.exits(8);
    for (kind, port) in bench.kinds.iter().zip(&bench.boards.tftp_ports) {
        let (state, text) = said.row(*port);
        match kind {
            Kind::Good => {
                assert_eq!(state.trim(), "updated");
                assert!(
                    text.starts_with("version 0.0.0, 1 sector written"),
                    "{text}"
                );
            }
            Kind::Silent => {
                assert_eq!(state.trim(), "silent");
                assert!(text.ends_with("nothing was sent"), "{text}");
            }
            _ => {
                assert_eq!(state.trim(), "refused");
                assert!(text.contains(REFUSAL), "{text}");
                assert!(text.contains("no application it would start"), "{text}");
            }
        }
    }
    said.says("190 updated, 5 refused, 5 silent");
    let log = bench.boards.log();
    assert!(log.uploads_at_once >= 100, "{}", log.uploads_at_once);
    for (kind, board) in bench.kinds.iter().zip(&log.boards) {
        let expected = u32::from(*kind == Kind::Good);
        assert_eq!(board.committed, expected, "{kind:?}: {board:?}");
        assert_eq!(board.bytes, if expected == 1 { IMAGE_LEN + 512 } else { 0 });
    }
}

#[test]
fn of_200_boards_over_http_scripts_get_a_line_per_event() {
    let bench = Bench::new(&fleet(), Duration::from_millis(1200));
    let hosts = bench.http_hosts();
    let begun = Instant::now();
    let child = bench
        .push(&hosts, &["--timeout", "3", "--json"])
        .spawn()
        .unwrap();
    bench.wait_for_uploads(195);
    assert_eq!(threads(&child), Some(1));
    let said = Said::by(child.wait_with_output().unwrap());
    let took = begun.elapsed();
    assert!(took < LIMIT + Duration::from_secs(1), "{took:?}");
    let lines = said.exits(8).lines();
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
    assert_eq!((of("started"), of("result"), of("summary")), (200, 200, 1));
    assert!(
        of("progress") >= 190,
        "{} lines of progress",
        of("progress")
    );
    let results: BTreeMap<&str, &Value> = (lines.iter())
        .filter(|line| line["event"] == "result")
        .map(|line| (line["target"].as_str().unwrap(), line))
        .collect();
    for (kind, port) in bench.kinds.iter().zip(&bench.boards.http_ports) {
        let result = results[format!("127.0.0.1:{port} (http)").as_str()];
        match kind {
            Kind::Good => {
                assert_eq!(result["state"], "updated");
                assert_eq!(result["outcome"]["sectors_written"], 1);
            }
            Kind::Silent => {
                assert_eq!(result["state"], "silent");
                assert_eq!(result["error"]["exit"], 4);
                assert_eq!(result["after"], "nothing was sent");
            }
            _ => {
                assert_eq!(result["state"], "refused");
                assert_eq!(result["error"]["exit"], 5);
                assert!(
                    result["text"].as_str().unwrap().contains(REFUSAL),
                    "{result}"
                );
            }
        }
    }
    let summary = lines.last().unwrap();
    assert_eq!(summary["event"], "summary");
    let expected = serde_json::json!({"updated": 190, "refused": 5, "silent": 5});
    assert_eq!(summary["states"], expected);
    assert_eq!(summary["exit"], 8);
    let log = bench.boards.log();
    assert_eq!(
        log.boards.iter().map(|board| board.committed).sum::<u32>(),
        190
    );
}

#[test]
fn one_at_a_time_is_one_at_a_time() {
    let bench = Bench::new(&[Kind::Good; 6], Duration::from_millis(50));
    let hosts = bench.tftp_hosts();
    run(&mut bench.push(&hosts, &["--max-concurrent", "1"])).exits(0);
    let served = |log: &stub::Log| {
        let mut boards = log.requests.clone();
        boards.dedup();
        boards
    };
    let serial = served(&bench.boards.log());
    assert_eq!(serial, [0, 1, 2, 3, 4, 5], "asked one after the other");
    assert_eq!(bench.boards.log().uploads_at_once, 1);
    bench.boards.log().requests.clear();
    run(&mut bench.push(&hosts, &["--max-concurrent", "3"])).exits(0);
    assert_eq!(bench.boards.log().uploads_at_once, 3);
    assert!(served(&bench.boards.log()).len() > 6, "they overlap");
}

#[test]
fn numbers_that_make_no_sense_are_usage_errors() {
    for args in [
        ["--max-concurrent", "0"],
        ["--max-concurrent", "10001"],
        ["--max-concurrent", "many"],
        ["--timeout", "0"],
        ["--timeout", "-1"],
        ["--timeout", "nan"],
        ["--timeout", "1e9"],
    ] {
        let said = run(iapctl()
            .args(["push", "--tftp", "127.0.0.1:9"])
            .args(args)
            .arg("app.bin"));
        said.exits(2).says(args[1]);
    }
}

#[test]
fn if_none_is_updated_the_exit_code_is_the_usual_one() {
    for (kind, exit, state) in [(Kind::Refusing, 5, "refused"), (Kind::Silent, 4, "silent")] {
        let bench = Bench::new(&[kind; 3], Duration::ZERO);
        let said = run(&mut bench.push(&bench.tftp_hosts(), &["--timeout", "0.5"]));
        said.exits(exit).says(&format!(": 3 {state}"));
    }
}

#[test]
fn a_file_of_boards_that_is_wrong_is_refused_with_its_line_before_anybody_is_asked() {
    let bench = Bench::new(&[Kind::Good], Duration::ZERO);
    let port = bench.boards.tftp_ports[0];
    let good = format!("127.0.0.1:{port}");
    for (text, exit, expected) in [
        (
            format!("{good}\n# x\n127.0.0.1:99999\n"),
            2,
            "boards.txt:3: \"127.0.0.1:99999\"",
        ),
        (
            format!("{good}\n{good} # again\n"),
            2,
            "boards.txt:1 and by ",
        ),
        (format!("{good}\nftp://a\n"), 2, "boards.txt:2: \"ftp://a\""),
        ("# nobody\n\n".to_owned(), 2, "boards.txt: names no board"),
    ] {
        let file = bench.path("boards.txt");
        std::fs::write(&file, text).unwrap();
        run(&mut bench.push(&file, &[])).exits(exit).says(expected);
    }
    run(&mut bench.push(&bench.path("none.txt"), &[]))
        .exits(1)
        .says("none.txt: cannot read: No such file");
    assert!(bench.boards.log().requests.is_empty());
}

#[test]
fn a_board_is_pushed_to_once_whatever_it_is_called() {
    let bench = Bench::new(&[Kind::Good], Duration::from_millis(200));
    let port = bench.boards.tftp_ports[0];
    let (address, name) = (format!("127.0.0.1:{port}"), format!("localhost:{port}"));
    let push = |args: &[&str]| run(iapctl().arg("push").args(args).arg(bench.path("app.bin")));
    push(&["--tftp", &address, "--tftp", &address])
        .exits(2)
        .says("(tftp) is named twice, by --tftp");
    push(&["--tftp", "10.255.255.1", "--http", "10.255.255.1"])
        .exits(2)
        .says("10.255.255.1 (tftp) and 10.255.255.1 (http) are one board");
    assert!(bench.boards.log().requests.is_empty());
    // That two names are one board is known when they are looked up.
    push(&["--tftp", &address, "--tftp", &name])
        .exits(8)
        .says(&format!("this is the board {address} (tftp)"))
        .says("1 updated, 1 failed");
    assert_eq!(bench.boards.log().boards[0].uploads, 1);
}

#[test]
fn boards_that_stop_within_a_transfer_are_given_up_in_time_and_told_apart() {
    std::thread::scope(|scope| {
        scope.spawn(|| boards_that_stop(false));
        boards_that_stop(true);
    });
}

#[track_caller]
fn boards_that_stop(over_http: bool) {
    let kinds = [Kind::Good, Kind::Stuck, Kind::Stopping, Kind::Vanishing];
    let bench = Bench::new(&kinds, Duration::ZERO);
    let (hosts, ports) = match over_http {
        false => (bench.tftp_hosts(), &bench.boards.tftp_ports),
        true => (bench.http_hosts(), &bench.boards.http_ports),
    };
    let begun = Instant::now();
    let said = run(&mut bench.push(&hosts, &["--timeout", "1"]));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    said.exits(8).says("1 updated, 1 broken-off, 2 unknown");
    let (state, text) = said.row(ports[1]);
    assert_eq!(state.trim(), "broken-off");
    assert!(text.contains("the 1 s of --timeout were over"), "{text}");
    assert!(text.contains("no application it would start"), "{text}");
    let (state, text) = said.row(ports[2]);
    assert_eq!(state.trim(), "unknown");
    assert!(text.contains("the 1 s of --timeout were over"), "{text}");
    let (state, text) = said.row(ports[3]);
    assert_eq!(state.trim(), "unknown");
    assert!(
        text.contains("took everything, but cannot be asked what it holds"),
        "{text}"
    );
    said.says("may be committed or not");
    let log = bench.boards.log();
    let aborted: Vec<u32> = log.boards.iter().map(|board| board.aborted).collect();
    assert_eq!(aborted, [0, 1, 1, 0], "told that nobody wants it any more");
}

#[test]
fn ctrl_c_frees_every_board_and_tells_of_each_what_is_true() {
    let kinds = [
        Kind::Good,
        Kind::Stuck,
        Kind::Silent,
        Kind::Stuck,
        Kind::Stopping,
        Kind::Good,
        Kind::Good,
    ];
    let bench = Bench::new(&kinds, Duration::ZERO);
    let hosts = bench.tftp_hosts();
    let child = bench
        .push(&hosts, &["--max-concurrent", "4"])
        .spawn()
        .unwrap();
    // The first good one makes room for the fifth; the other good ones wait behind four that do not end.
    bench.wait_for_uploads(4);
    std::thread::sleep(Duration::from_millis(300));
    interrupt(&child);
    let begun = Instant::now();
    let said = Said::by(child.wait_with_output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(5));
    said.exits(6);
    let states: Vec<&str> = (bench.boards.tftp_ports.iter())
        .map(|port| said.row(*port).0.trim())
        .collect();
    let expected = [
        "updated",
        "interrupted",
        "interrupted",
        "interrupted",
        "unknown",
        "not-tried",
        "not-tried",
    ];
    assert_eq!(states, expected, "{said}");
    let (_, waited) = said.row(bench.boards.tftp_ports[2]);
    assert!(waited.ends_with("nothing was sent"), "{waited}");
    let (_, cut) = said.row(bench.boards.tftp_ports[1]);
    assert!(cut.contains("no application it would start"), "{cut}");
    let log = bench.boards.log();
    let aborted: Vec<u32> = log.boards.iter().map(|board| board.aborted).collect();
    assert_eq!(aborted, [0, 1, 0, 1, 1, 0, 0]);
    assert_eq!(log.boards[5].uploads + log.boards[6].uploads, 0);
}

#[test]
fn too_few_descriptors_are_told_or_made_do_with() {
    let bench = Bench::new(&[Kind::Good; 30], Duration::from_millis(20));
    let hosts = bench.tftp_hosts();
    let program = assert_cmd::cargo::cargo_bin!("iapctl");
    let limited = |args: &[&str]| {
        let script = "ulimit -n 60; exec \"$0\" push --hosts \"$@\"";
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .arg(program)
            .arg(&hosts)
            .args(args);
        run(command.arg(bench.path("app.bin")))
    };
    limited(&["--max-concurrent", "30"])
        .exits(1)
        .says("111 file descriptors are needed for 30 boards at once")
        .says("ulimit -n 1024")
        .says("--max-concurrent 1");
    assert!(bench.boards.log().requests.is_empty(), "nobody was asked");
    limited(&[]).exits(0).says("30 updated");
    let at_once = bench.boards.log().uploads_at_once;
    assert!((2..=13).contains(&at_once), "{at_once}");
}

#[test]
fn descriptors_that_run_out_on_the_way_are_no_success() {
    for over_http in [false, true] {
        let bench = Bench::new(&[Kind::Good; 4], Duration::from_millis(400));
        let hosts = match over_http {
            false => bench.tftp_hosts(),
            true => bench.http_hosts(),
        };
        let child = bench
            .push(&hosts, &["--max-concurrent", "1"])
            .spawn()
            .unwrap();
        bench.wait_for_uploads(1);
        let pid = child.id().to_string();
        let limited = Command::new("prlimit")
            .args(["--pid", &pid, "--nofile=4:4"])
            .status()
            .unwrap();
        assert!(limited.success());
        let said = Said::by(child.wait_with_output().unwrap());
        // The first was being updated, and cannot be asked any more: it is not told to be updated.
        said.says("no file descriptor").says("--max-concurrent");
        assert_ne!(said.code, 0);
        let told = (said.stdout.lines())
            .filter(|line| line.contains("  updated  "))
            .count();
        let committed: u32 = bench.boards.log().boards.iter().map(|b| b.committed).sum();
        assert!(told as u32 <= committed, "{said}");
        assert!(told < 4, "{said}");
    }
}

#[test]
fn status_and_reset_serve_many_as_well() {
    let bench = Bench::new(&[Kind::Good, Kind::Silent, Kind::Good], Duration::ZERO);
    let hosts = bench.tftp_hosts();
    let hosts = hosts.to_str().unwrap();
    let status = run(iapctl().args(["status", "--hosts", hosts, "--timeout", "0.5"]));
    status.exits(8).says("2 answered, 1 silent");
    let lines = run(iapctl().args(["status", "--json", "--hosts", hosts, "--timeout", "0.5"]));
    let answered = |line: &&Value| line["state"] == "answered" && line["status"]["board"] == "sim";
    assert_eq!(lines.exits(8).lines().iter().filter(answered).count(), 2);
    let reset = run(iapctl().args(["reset", "--hosts", hosts, "--timeout", "2"]));
    reset.exits(8).says("2 reset, 1 silent");
    let (state, text) = reset.row(bench.boards.tftp_ports[0]);
    assert_eq!(state.trim(), "reset");
    assert!(text.starts_with("it is in IAP mode again"), "{text}");
}

#[test]
fn boards_that_run_the_firmware_s_core_are_updated_over_both_transports() {
    let start = || Sim::start(SimOptions::new("sim").unwrap()).unwrap();
    let sims: Vec<Sim> = (0..4).map(|_| start()).collect();
    let folder = tempfile::tempdir().unwrap();
    let (hosts, app) = (
        folder.path().join("boards.txt"),
        folder.path().join("app.bin"),
    );
    let lines = sims.iter().zip(0..).map(|(sim, number)| match number % 2 {
        0 => format!("{}\n", sim.tftp()),
        _ => format!("http://{}\n", sim.http()),
    });
    std::fs::write(&hosts, lines.collect::<String>()).unwrap();
    std::fs::write(&app, application(IMAGE_LEN)).unwrap();
    let push = || {
        let mut command = iapctl();
        command
            .env("IAPCTL_PASSWORD", "stm32")
            .arg("push")
            .arg("--hosts");
        run(command.arg(&hosts).arg(&app))
    };
    push()
        .exits(0)
        .says(": 4 updated")
        .says("1 sector written, 0 unchanged");
    push().exits(0).says("0 sectors written, 1 unchanged");
}

#[test]
fn a_board_alone_has_a_time_limit_too_and_a_result_of_its_own() {
    let bench = Bench::new(&[Kind::Good, Kind::Stuck], Duration::ZERO);
    let push = |port: u16, args: &[&str]| {
        let target = format!("--tftp=127.0.0.1:{port}");
        run(iapctl()
            .args(["push", &target])
            .args(args)
            .arg(bench.path("app.bin")))
    };
    let ports = &bench.boards.tftp_ports;
    let begun = Instant::now();
    push(ports[1], &["--timeout", "0.7"])
        .exits(4)
        .says("the 0.7 s of --timeout were over")
        .says("help: the board: there is no application");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(bench.boards.log().boards[1].aborted, 1);
    let document = push(ports[0], &["--timeout", "9", "--json"]);
    let document: Value = serde_json::from_str(&document.exits(0).stdout).unwrap();
    assert_eq!(document["boards"][0]["outcome"]["sectors_written"], 1);
    // A file of boards gives lines even where it names one.
    let hosts = bench.hosts("", &ports[..1]);
    let lines = run(&mut bench.push(&hosts, &["--json"])).exits(0).lines();
    let events: Vec<_> = lines.iter().map(|line| line["event"].clone()).collect();
    assert_eq!(
        (&events[0], &events[events.len() - 1]),
        (&"started".into(), &"summary".into())
    );
}

#[test]
fn on_a_terminal_there_is_a_row_per_board_and_then_the_table() {
    let kinds = [
        Kind::Good,
        Kind::Good,
        Kind::Refusing,
        Kind::Good,
        Kind::Good,
    ];
    let bench = Bench::new(&kinds, Duration::from_millis(900));
    let hosts = bench.tftp_hosts();
    let command = format!(
        "stty rows 6 cols 100; exec {} push --hosts {} {}",
        assert_cmd::cargo::cargo_bin!("iapctl").display(),
        hosts.display(),
        bench.path("app.bin").display()
    );
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    script
        .stdin(Stdio::null())
        .env("TERM", "xterm")
        .env_remove("NO_COLOR");
    let said = run(&mut script);
    said.exits(8)
        .says("the board erases or programs")
        .says("s: 1 of 5 done, 1 of them not well, 4 at work")
        .says("\u{1b}[32m4 updated\u{1b}[0m, \u{1b}[1;31m1 refused\u{1b}[0m");
    for port in &bench.boards.tftp_ports {
        said.says(&format!("127.0.0.1:{port} (tftp)  \u{1b}["));
    }
}
