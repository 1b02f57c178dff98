//! `iapctl push`, `status` and `reset` as users run them, against a stub of a board.
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "../common/request.rs"]
mod request;
mod stub;
mod truth;

use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use iap_protocol::header::{HEADER_LEN, ImageHeader, PREFIX_LEN};
use serde_json::Value;
use stub::{Fault, Stub, closed_port};

/// An application: vector table at 0x08020000, then some bytes.
fn application(len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
    for (i, word) in bytes.chunks_exact_mut(4).take(98).enumerate() {
        let value: u32 = if i == 0 { 0x2002_0000 } else { 0x0802_0201 };
        word.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn app(&self) -> PathBuf {
        self.file("app.bin", &application(4000))
    }
}

fn iapctl(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("iapctl").unwrap();
    command
        .args(args)
        .env_remove("IAPCTL_PASSWORD")
        .env_remove("IAPCTL_PROFILE")
        .timeout(Duration::from_secs(60));
    command
}

fn run(args: &[&str]) -> Output {
    iapctl(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn assert_exit(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout:\n{}stderr:\n{}",
        stdout(output),
        stderr(output)
    );
}

#[test]
fn options_of_push_override_what_the_application_says() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Nothing));
    let app = folder.app();
    let app = app.to_str().unwrap();
    let output = run(&[
        "push",
        &board.tftp(),
        "--version",
        "7.8.9",
        "--dry-run",
        app,
    ]);
    assert_exit(&output, 0);
    let said = stdout(&output) + &stderr(&output);
    assert!(said.contains("version 7.8.9"), "{said}");
    assert_exit(
        &run(&["push", &board.tftp(), "--raw", "--version", "7.8.9", app]),
        2,
    );
}

#[test]
fn a_push_over_tftp_wraps_the_binary_and_proves_the_commit() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Nothing));
    let output = run(&["push", &board.tftp(), folder.app().to_str().unwrap()]);
    assert_exit(&output, 0);
    let (name, content) = board.files().remove(0);
    assert_eq!(name, "app.iap");
    let header = ImageHeader::decode(&content).unwrap();
    assert_eq!(header.payload_size, 4000);
    assert!(content[HEADER_LEN..] == application(4000));
    let text = stdout(&output);
    assert!(
        text.contains("committed: version 0.0.0, 1 sector written, 2 unchanged"),
        "{text}"
    );
    let notes = stderr(&output);
    for expected in [
        "policy open",
        "well-known default",
        "sim (as the board says)",
        "write      sector 5",
    ] {
        assert!(notes.contains(expected), "{expected} is not in:\n{notes}");
    }
}

#[test]
fn a_push_over_http_logs_in_and_resets() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Nothing));
    let app = folder.app();
    let args = ["push", &board.http(), "--reset", app.to_str().unwrap()];
    let output = iapctl(&args)
        .env("IAPCTL_PASSWORD", "secret")
        .output()
        .unwrap();
    assert_exit(&output, 0);
    assert_eq!(board.files().len(), 1);
    assert_eq!(board.state.lock().unwrap().resets, 1);
    let text = stdout(&output);
    assert!(
        text.contains("reset: it is in IAP mode again (no application was installed)"),
        "{text}"
    );
}

/// The lengths of what was sent in two pushes of the same application.
fn sent_twice(fault: Fault, http: bool) -> (usize, Vec<usize>) {
    let (folder, board) = (Folder::new(), Stub::start(fault));
    let app = folder.app();
    let address = if http { board.http() } else { board.tftp() };
    for _ in 0..2 {
        let output = iapctl(&["push", &address, app.to_str().unwrap()])
            .env("IAPCTL_PASSWORD", "secret")
            .output()
            .unwrap();
        assert_exit(&output, 0);
    }
    let sent = board.files().iter().map(|(_, file)| file.len()).collect();
    (HEADER_LEN + 4000, sent)
}

#[test]
fn what_the_board_says_it_holds_is_not_sent() {
    for http in [false, true] {
        let (whole, sent) = sent_twice(Fault::Nothing, http);
        assert_eq!(sent, [whole, PREFIX_LEN + HEADER_LEN]);
    }
}

#[test]
fn a_board_that_wants_all_of_the_image_gets_it() {
    for http in [false, true] {
        let (whole, sent) = sent_twice(Fault::WantsAll, http);
        assert_eq!(sent, [whole, PREFIX_LEN + HEADER_LEN, whole]);
    }
}

#[test]
fn the_password_comes_from_a_file_and_never_from_nowhere() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Nothing));
    let app = folder.app();
    let right = folder.file("right", b"secret\n");
    let wrong = folder.file("wrong", b"guess\n");
    let push = |file: Option<&PathBuf>| {
        let mut args = vec!["push".to_owned(), board.http(), app.display().to_string()];
        args.extend(file.map(|file| format!("--password-file={}", file.display())));
        run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_exit(&push(None), 2);
    let refused = push(Some(&wrong));
    assert_exit(&refused, 5);
    assert!(stderr(&refused).contains("wrong user or password"));
    assert!(stderr(&refused).contains("--password-file"));
    assert!(board.files().is_empty());
    assert_exit(&push(Some(&right)), 0);
    let of_windows = folder.file("windows", b"\xEF\xBB\xBFsecret\r\n");
    assert_exit(&push(Some(&of_windows)), 0);
}

#[test]
fn raw_sends_the_bare_binary() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Nothing));
    let app = folder.app();
    let output = run(&["push", "--raw", &board.tftp(), app.to_str().unwrap()]);
    assert_exit(&output, 0);
    assert_eq!(board.files(), [("app.bin".to_owned(), application(4000))]);
}

#[test]
fn a_dry_run_shows_the_plan_and_sends_nothing() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Nothing));
    let app = folder.app();
    let app = app.to_str().unwrap();
    let output = run(&["push", "--dry-run", &board.tftp(), app]);
    assert_exit(&output, 0);
    assert!(stdout(&output).contains("write      sector 5"));
    assert!(board.files().is_empty());

    assert_exit(&run(&["push", &board.tftp(), app]), 0);
    let again = run(&["push", "--dry-run", &board.tftp(), app]);
    let text = stdout(&again);
    assert!(text.contains("write      nothing"), "{text}");
    assert!(text.contains("unchanged  sector 5"), "{text}");
}

#[test]
fn a_dry_run_without_the_board_is_no_plan() {
    let folder = Folder::new();
    let app = folder.app();
    let target = format!("--tftp=127.0.0.1:{}", closed_port());
    let output = run(&["push", "--dry-run", &target, app.to_str().unwrap()]);
    assert_exit(&output, 4);
    assert!(stderr(&output).contains("iapctl verify-image"));
    assert_eq!(stdout(&output), "");

    let hosts = folder.file("hosts", &target.as_bytes()["--tftp=".len()..]);
    let hosts = format!("--hosts={}", hosts.display());
    let output = run(&["push", "--dry-run", &hosts, app.to_str().unwrap()]);
    assert_exit(&output, 4);
    assert!(stdout(&output).contains("1 silent"), "{}", stdout(&output));
}

#[test]
fn a_profile_of_another_board_is_pointed_out() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Nothing));
    let app = folder.app();
    let profile = ["--profile", "stm324xg-eval"];
    let output = iapctl(&["push", &board.tftp(), app.to_str().unwrap()])
        .args(profile)
        .output()
        .unwrap();
    assert_exit(&output, 0);
    let expected = "it is a sim, the image was checked for stm324xg-eval";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn scripts_get_one_document() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Nothing));
    let app = folder.app();
    let output = run(&["--json", "push", &board.tftp(), app.to_str().unwrap()]);
    assert_exit(&output, 0);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let pushed = &document["boards"][0];
    assert_eq!(
        pushed["target"],
        format!("127.0.0.1:{} (tftp)", board.tftp_port)
    );
    assert_eq!(pushed["outcome"]["sectors_written"], 1);
    assert_eq!(pushed["plan"]["write"], serde_json::json!([5]));
}

#[test]
fn a_bad_image_is_not_sent() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Nothing));
    let mut wrong = application(4000);
    wrong[..4].copy_from_slice(&0x1234u32.to_le_bytes());
    let app = folder.file("wrong.bin", &wrong);
    let output = run(&["push", &board.tftp(), app.to_str().unwrap()]);
    assert_exit(&output, 3);
    assert!(board.files().is_empty());
}

#[test]
fn other_bytes_in_flash_are_a_failed_verification() {
    for transport in [Stub::tftp, Stub::http] {
        let (folder, board) = (Folder::new(), Stub::start(Fault::HoldsOtherBytes));
        let app = folder.app();
        let output = iapctl(&["push", &transport(&board), app.to_str().unwrap()])
            .env("IAPCTL_PASSWORD", "secret")
            .output()
            .unwrap();
        assert_exit(&output, 7);
        let text = stderr(&output);
        assert!(
            text.contains("the board says it holds version 0.0.0"),
            "{text}"
        );
        assert!(text.contains("expected version 0.0.0"), "{text}");
    }
}

#[test]
fn a_refusal_is_shown_verbatim_with_the_state_of_the_board() {
    for transport in [Stub::tftp, Stub::http] {
        let fault = Fault::Refuses("image is for another board (expected sim)");
        let (folder, board) = (Folder::new(), Stub::start(fault));
        let app = folder.app();
        let output = iapctl(&["push", &transport(&board), app.to_str().unwrap()])
            .env("IAPCTL_PASSWORD", "secret")
            .output()
            .unwrap();
        assert_exit(&output, 5);
        let text = stderr(&output);
        assert!(
            text.contains("image is for another board (expected sim)"),
            "{text}"
        );
        assert!(
            text.contains("help: the board: there is no application"),
            "{text}"
        );
    }
}

#[test]
fn a_lost_last_answer_is_made_good_by_the_status() {
    for transport in [Stub::tftp, Stub::http] {
        let (folder, board) = (Folder::new(), Stub::start(Fault::LosesLastAnswer));
        let app = folder.app();
        let output = iapctl(&["push", &transport(&board), app.to_str().unwrap()])
            .env("IAPCTL_PASSWORD", "secret")
            .output()
            .unwrap();
        assert_exit(&output, 0);
        assert!(stdout(&output).contains("the board's status proves the update"));
    }
}

#[test]
fn a_last_acknowledgement_that_never_comes_is_replaced_by_a_question_before_the_board_leaves() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::KeepsLastAnswer));
    let begun = Instant::now();
    let output = run(&["push", &board.tftp(), folder.app().to_str().unwrap()]);
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(
        text.contains("the board's status proves the update"),
        "{text}"
    );
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "auto-start-s is 5: {took:?}");
    let repetitions = board.state.lock().unwrap().repetitions;
    assert!(
        repetitions >= 2,
        "{repetitions}: the last block is repeated meanwhile"
    );
}

#[test]
fn a_broken_connection_is_told_with_the_state_of_the_board() {
    for transport in [Stub::tftp, Stub::http] {
        let (folder, board) = (Folder::new(), Stub::start(Fault::BreaksOff));
        let app = folder.app();
        let output = iapctl(&["push", &transport(&board), app.to_str().unwrap()])
            .env("IAPCTL_PASSWORD", "secret")
            .output()
            .unwrap();
        assert_exit(&output, 4);
        assert!(stderr(&output).contains("help: the board: there is no application"));
    }
}

#[test]
fn a_closed_port_is_exit_code_4_at_once() {
    let folder = Folder::new();
    let app = folder.app();
    let begun = Instant::now();
    let target = format!("--tftp=127.0.0.1:{}", closed_port());
    let output = run(&["push", &target, app.to_str().unwrap()]);
    assert_exit(&output, 4);
    assert!(
        stderr(&output).contains("no TFTP server"),
        "{}",
        stderr(&output)
    );
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[test]
fn wait_catches_a_board_that_comes_later() {
    let folder = Folder::new();
    let app = folder.app();
    let port = closed_port();
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        Stub::start_at(port, Fault::Nothing)
    });
    let target = format!("--tftp=127.0.0.1:{port}");
    let output = run(&["push", "--wait=20", &target, app.to_str().unwrap()]);
    assert_exit(&output, 0);
    assert_eq!(late.join().unwrap().files().len(), 1);
    let absent = format!("--tftp=127.0.0.1:{}", closed_port());
    let output = run(&["push", "--wait=1", &absent, app.to_str().unwrap()]);
    assert_exit(&output, 4);
    assert!(stderr(&output).contains("(waited 1 s)"));
    let said = stderr(&output);
    let waiting = "waiting for the board to answer, 1 s at most";
    assert_eq!(said.matches(waiting).count(), 1, "{said}");
    let output = run(&["--json", "push", "--wait=1", &absent, app.to_str().unwrap()]);
    assert_exit(&output, 4);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
    assert!(!said.contains("waiting for"), "{said}");
}

#[test]
fn wait_waits_for_a_name_as_well() {
    let folder = Folder::new();
    let (app, begun) = (folder.app(), Instant::now());
    // A label is 63 bytes at most (RFC 1035 section 2.3.4): no name server is asked.
    let board = format!("--tftp={}", "b".repeat(64));
    let output = run(&["push", "--wait=1", &board, app.to_str().unwrap()]);
    assert_exit(&output, 4);
    let text = stderr(&output);
    assert!(
        text.contains("the name cannot be resolved") && text.contains("(waited 1 s)"),
        "{text}"
    );
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn wait_outlasts_the_http_server_of_an_application() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::StartsAnotherServer));
    let app = folder.app();
    let state = board.state.clone();
    state.lock().unwrap().runs_its_application();
    let reset = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        state.lock().unwrap().fault = Fault::Nothing;
    });
    let mut push = iapctl(&["push", "--wait=20", &board.http(), app.to_str().unwrap()]);
    let output = push.env("IAPCTL_PASSWORD", "secret").output().unwrap();
    reset.join().unwrap();
    assert_exit(&output, 0);
    assert!(board.state.lock().unwrap().missed > 0);
    board.state.lock().unwrap().fault = Fault::StartsAnotherServer;
    let output = run(&[
        "push",
        "--wait=1",
        "--dry-run",
        &board.http(),
        app.to_str().unwrap(),
    ]);
    assert_exit(&output, 5);
    assert!(stderr(&output).contains("(waited 1 s)"));
}

#[test]
fn wait_0_asks_a_board_that_is_there() {
    let folder = Folder::new();
    let app = folder.app();
    let stub = Stub::start(Fault::Nothing);
    let output = run(&["push", "--wait=0", &stub.tftp(), app.to_str().unwrap()]);
    assert_exit(&output, 0);
    assert!(!stderr(&output).contains("waiting for"));
    let absent = format!("--tftp=127.0.0.1:{}", closed_port());
    let begun = Instant::now();
    let output = run(&["push", "--wait=0", &absent, app.to_str().unwrap()]);
    assert_exit(&output, 4);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn several_boards_are_served_and_summarised() {
    let (folder, good) = (Folder::new(), Stub::start(Fault::Nothing));
    let bad = Stub::start(Fault::Refuses("not today"));
    let app = folder.app();
    let output = iapctl(&["push", &bad.tftp(), &good.tftp(), &good.http()])
        .arg(&app)
        .env("IAPCTL_PASSWORD", "secret")
        .output()
        .unwrap();
    assert_exit(&output, 8);
    let text = stdout(&output);
    assert!(text.contains("not today"), "{text}");
    assert!(text.contains(": 2 updated, 1 refused"), "{text}");
    assert_eq!(good.files().len(), 2);
}

#[test]
#[cfg(unix)]
fn ctrl_c_frees_the_board_and_says_in_what_state_it_is() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Stalls));
    let child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("iapctl"))
        .args(["push", &board.tftp()])
        .arg(folder.app())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let pid = child.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_exit(&output, 6);
    assert_eq!(board.state.lock().unwrap().errors, [0]);
    assert!(stderr(&output).contains("help: the board: there is no application"));
}

#[test]
fn status_and_reset_work_over_both_transports() {
    for transport in [Stub::tftp, Stub::http] {
        let board = Stub::start(Fault::Nothing);
        let output = run(&["status", &transport(&board)]);
        assert_exit(&output, 0);
        assert!(stdout(&output).contains("IAP firmware 0.1.0, up "));
        let output = run(&["status", "--json", &transport(&board)]);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["boards"][0]["status"]["board"], "sim");
        let output = iapctl(&["reset", &transport(&board)])
            .env("IAPCTL_PASSWORD", "secret")
            .output()
            .unwrap();
        assert_exit(&output, 0);
        assert!(stdout(&output).contains("reset: it is in IAP mode again"));
        assert_eq!(board.state.lock().unwrap().resets, 1);
    }
}

#[test]
fn no_text_of_a_status_reaches_the_terminal_with_control_characters() {
    for (field, hostile) in [
        ("board", "sim\x1b[2J"),
        ("iap_version", "1.0.0\ncommitted: version 9.9.9"),
        ("policy", "\x1b[32mopen\n"),
    ] {
        let board = Stub::start(Fault::Nothing);
        board.state.lock().unwrap().status[field] = hostile.into();
        for transport in [board.tftp(), board.http()] {
            let output = iapctl(&["status", &transport]).output().unwrap();
            assert_exit(&output, 5);
            let text = stdout(&output) + &stderr(&output);
            assert!(text.contains("an IAP firmware"), "{text}");
            assert!(
                !text.contains('\x1b') && !text.contains("\ncommitted"),
                "{text:?}"
            );
        }
    }
}
