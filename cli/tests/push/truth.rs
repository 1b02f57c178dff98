//! What is not proven is not said: of boards that held the same before, of pushes that a status rules out, of resets that nobody saw.

use std::process::Output;

use serde_json::Value;

use super::stub::{Fault, Stub, closed_port};
use super::{Folder, assert_exit, iapctl, stderr, stdout};

/// A board that holds the application, pushed once more with a flag, which changes nothing but the header.
fn pushed_again(fault: Fault, transport: fn(&Stub) -> String) -> (Output, Stub) {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Nothing));
    let app = folder.app();
    let push = |more: &[&str]| {
        iapctl(&["push", &transport(&board), app.to_str().unwrap()])
            .args(more)
            .env("IAPCTL_PASSWORD", "secret")
            .output()
            .unwrap()
    };
    assert_exit(&push(&[]), 0);
    board.state.lock().unwrap().fault = fault;
    let output = push(&["--confirm", "--timeout=2"]);
    assert_eq!(board.files().len(), 1, "the fault let a transfer through");
    (output, board)
}

#[track_caller]
fn told_to_hold_what_it_held(text: &str) {
    let told = "is intact, as before; what was sent is not installed";
    assert!(text.contains(told), "{text}");
}

#[test]
fn a_board_that_held_the_same_application_before_proves_no_update() {
    for transport in [Stub::tftp, Stub::http] {
        let (output, _board) = pushed_again(Fault::HearsNoTransfer, transport);
        assert_exit(&output, 4);
        let text = stderr(&output);
        told_to_hold_what_it_held(&text);
        assert!(!stdout(&output).contains("committed"), "{text}");
    }
}

#[test]
fn what_may_have_become_of_a_board_is_not_told_of_one_that_says_it() {
    let (output, _board) = pushed_again(Fault::BreaksOff, Stub::tftp);
    assert_exit(&output, 7);
    let text = stderr(&output);
    assert!(text.contains("after the last block"), "{text}");
    told_to_hold_what_it_held(&text);
    assert!(!text.contains("may have committed"), "{text}");
}

#[test]
fn a_board_that_took_everything_and_is_gone_may_have_committed() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Leaves));
    let app = folder.app();
    let output = iapctl(&["push", &board.tftp(), app.to_str().unwrap()])
        .output()
        .unwrap();
    assert_exit(&output, 7);
    assert_eq!(board.files().len(), 1);
    let text = stderr(&output);
    assert!(text.contains("after the last block"), "{text}");
    assert!(text.contains("may have committed"), "{text}");
    assert!(text.contains("does not say in what state it is"), "{text}");
}

#[test]
fn a_reset_whose_last_acknowledgement_is_lost_committed_nothing() {
    let board = Stub::start(Fault::LosesLastAnswer);
    let output = iapctl(&["reset", &board.tftp()]).output().unwrap();
    assert_exit(&output, 4);
    assert_eq!(board.state.lock().unwrap().resets, 1);
    let text = stderr(&output);
    assert!(text.contains("reset: "), "{text}");
    assert!(text.contains("after the last block"), "{text}");
    assert!(!text.contains("may have committed"), "{text}");
    let help = "help: ask it with iapctl status, and reset it again";
    assert!(text.contains(help), "{text}");
}

#[test]
fn a_refused_push_of_what_the_board_holds_is_told_to_be_refused() {
    for transport in [Stub::tftp, Stub::http] {
        let (output, _board) = pushed_again(Fault::Refuses("not today"), transport);
        assert_exit(&output, 5);
        let text = stderr(&output);
        assert!(text.contains("not today"), "{text}");
        told_to_hold_what_it_held(&text);
        assert!(!text.contains("had everything"), "{text}");
    }
}

#[test]
fn where_the_status_cannot_tell_old_from_new_the_update_is_not_called_done() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Nothing));
    let app = folder.app();
    let push = |more: &[&str]| {
        iapctl(&["push", &board.http(), app.to_str().unwrap()])
            .args(more)
            .env("IAPCTL_PASSWORD", "secret")
            .output()
            .unwrap()
    };
    // Twice: the second transfer leaves out what the board holds, as the third does.
    assert_exit(&push(&[]), 0);
    assert_exit(&push(&[]), 0);
    board.state.lock().unwrap().fault = Fault::HearsNoTransfer;
    let output = push(&["--confirm"]);
    assert_exit(&output, 7);
    let text = stderr(&output);
    assert!(
        text.contains("its status does not show whether this push was installed"),
        "{text}"
    );
}

/// What the board's status forbids, with and without --dry-run.
#[track_caller]
fn is_ruled_out(board: &Stub, transport: &str, more: &[&str], sentence: &str) {
    let folder = Folder::new();
    for dry_run in [&["--dry-run"][..], &[]] {
        let output = iapctl(&["push", transport])
            .arg(folder.app())
            .args(more)
            .args(dry_run)
            .env("IAPCTL_PASSWORD", "secret")
            .output()
            .unwrap();
        assert_exit(&output, 5);
        let text = stderr(&output);
        assert!(text.contains(sentence), "{text}");
        assert_eq!(stdout(&output), "", "no plan");
    }
    assert!(board.files().is_empty());
}

#[test]
fn what_the_boards_status_rules_out_is_refused_before_anything_is_sent() {
    let board = Stub::start(Fault::Nothing);
    let says = |field: &str, value: Value| board.state.lock().unwrap().status[field] = value;
    let (tftp, http) = (board.tftp(), board.http());
    let old = "image is older than the security counter allows (expected at least 7, image says 6)";
    says("security_counter", 7.into());
    is_ruled_out(&board, &http, &["--security-counter=6"], old);
    is_ruled_out(&board, &tftp, &["--raw"], "image says 0");
    says("security_counter", 0.into());
    let new = "image asks for a newer IAP firmware (image asks for 9.0.0, this is 0.1.0)";
    is_ruled_out(&board, &http, &["--min-iap=9.0.0"], new);
    says("policy", "login".into());
    let over_http = "this board takes no images over TFTP: push over HTTP with a login";
    is_ruled_out(&board, &tftp, &[], over_http);
    says("policy", "signed".into());
    let unsigned = "this board takes signed images only";
    is_ruled_out(&board, &tftp, &[], unsigned);
    is_ruled_out(&board, &http, &["--raw"], unsigned);
}

#[test]
fn a_reset_that_is_not_seen_is_no_success() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::TakesResetOnly));
    let run = |args: &[&str]| {
        let mut command = iapctl(args);
        command.env("IAPCTL_PASSWORD", "secret").output().unwrap()
    };
    let output = run(&["reset", &board.tftp()]);
    assert_exit(&output, 7);
    let unseen = "it took the request, but was not seen to reset: it goes on in IAP mode";
    assert!(stderr(&output).contains(unseen), "{}", stderr(&output));

    let app = folder.app();
    let good = Stub::start(Fault::Nothing);
    let boards = [board.http(), good.http()];
    let args = ["push", "--json", "--reset", &boards[0], &boards[1]];
    let output = run(&[&args[..], &[app.to_str().unwrap()]].concat());
    assert_exit(&output, 8);
    let lines: Vec<Value> = (stdout(&output).lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let result = lines
        .iter()
        .find(|line| line["event"] == "result" && line["state"] == "not-reset")
        .unwrap();
    assert_eq!(result["error"]["exit"], 7);
    assert_eq!(result["after"], "the update itself is committed");
    assert!(result["text"].as_str().unwrap().contains(unseen));
}

/// What `iapctl reset` says of a board with an application.
fn reset_of(fault: Fault, transport: fn(&Stub) -> String) -> (Output, Stub) {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Nothing));
    let run = |args: &[&str]| {
        let mut command = iapctl(args);
        command.env("IAPCTL_PASSWORD", "secret").output().unwrap()
    };
    let pushed = run(&["push", &transport(&board), folder.app().to_str().unwrap()]);
    assert_exit(&pushed, 0);
    board.state.lock().unwrap().fault = fault;
    (run(&["reset", &transport(&board)]), board)
}

#[track_caller]
fn goes_on(fault: Fault, transport: fn(&Stub) -> String) {
    let (output, board) = reset_of(fault, transport);
    assert_exit(&output, 7);
    let text = stderr(&output);
    assert!(text.contains("it goes on in IAP mode"), "{text}");
    assert!(board.state.lock().unwrap().missed > 0, "{fault:?}");
}

#[test]
fn a_board_that_did_not_answer_one_question_has_not_started_its_application() {
    goes_on(Fault::TakesResetAndMissesAQuestion, Stub::tftp);
}

#[test]
fn a_board_that_only_refuses_questions_has_not_started_its_application() {
    for transport in [Stub::tftp, Stub::http] {
        goes_on(Fault::TakesResetAndIsBusy, transport);
    }
}

#[test]
fn an_answer_from_before_the_reset_does_not_prove_it() {
    let (output, _board) = reset_of(Fault::AnswersFromACache, Stub::http);
    assert_exit(&output, 7);
}

#[test]
fn a_status_from_before_the_push_does_not_prove_it() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::Nothing));
    let app = folder.app();
    let push = || {
        let mut command = iapctl(&["push", &board.tftp(), app.to_str().unwrap()]);
        command.output().unwrap()
    };
    assert_exit(&push(), 0);
    assert_exit(&push(), 0);
    board.state.lock().unwrap().fault = Fault::AnswersFromACache;
    // As a TFTP server that keeps what it is sent, status.json and all.
    let output = push();
    assert_exit(&output, 7);
    let text = stderr(&output);
    assert!(text.contains("still that from before"), "{text}");
}

#[test]
fn a_board_that_stays_silent_or_has_another_server_now_started_its_application() {
    for (fault, transport) in [
        (Fault::LeavesAtReset, Stub::tftp as fn(&Stub) -> String),
        (Fault::StartsAnotherServer, Stub::http),
    ] {
        let (output, board) = reset_of(fault, transport);
        assert_exit(&output, 0);
        let text = stdout(&output);
        assert!(text.contains("it starts version"), "{text}");
        let missed = board.state.lock().unwrap().missed;
        assert!(missed > 2, "{missed} questions");
    }
}

#[test]
fn a_board_that_was_asked_to_reset_when_the_time_was_over_is_not_told_to_be_untouched() {
    let (folder, board) = (Folder::new(), Stub::start(Fault::LeavesAtReset));
    let app = folder.app();
    let absent = format!("--tftp=127.0.0.1:{}", closed_port());
    let (tftp, limit) = (board.tftp(), "--timeout=1.5");
    for (args, after) in [
        (
            &["push", "--reset", app.to_str().unwrap()][..],
            "the update itself is committed",
        ),
        (
            &["reset"],
            "it was asked to reset, and may have done it or not",
        ),
    ] {
        board.state.lock().unwrap().runs_iap_mode();
        let more = ["--json", limit, &tftp, &absent];
        let output = iapctl(&[args, &more[..]].concat()).output().unwrap();
        assert_exit(&output, 4);
        let lines: Vec<Value> = (stdout(&output).lines())
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &Value| line["event"] == "result")
            .collect();
        let of = |name: &str| {
            lines
                .iter()
                .find(|line| line["target"].as_str().unwrap().contains(name))
        };
        let asked = of(&board.tftp_port.to_string()).unwrap();
        assert_eq!(
            (&asked["state"], &asked["after"]),
            (&"not-reset".into(), &after.into())
        );
        let silent = lines.iter().find(|line| line["state"] == "silent").unwrap();
        assert_eq!(silent["after"], "nothing was sent");
    }
}

#[test]
fn a_board_a_long_way_off_is_seen_to_come_back_into_iap_mode() {
    let (output, board) = reset_of(Fault::AnswersLate, Stub::http);
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(text.contains("it is in IAP mode again"), "{text}");
    assert!(board.state.lock().unwrap().missed > 1);
}
