//! Uploads that do not end as they should: refused in the middle, silent, lost, given up by the board.

use super::uploads::{assert_installed, raw};
use super::*;

#[test]
fn after_a_refusal_in_the_middle_the_rest_of_the_body_is_read_before_the_close() {
    for form in [true, false] {
        let mut board = Board::new();
        board.intake.fails_at = Some(1);
        let file = image(60_000);
        let request = match form {
            true => form_post(BASIC, "b", &file_form("b", &file)),
            false => raw("PUT", "", &file),
        };
        let (first, second) = request.split_at(1000);
        board.send(first);
        let response = Response::parse(&board.sent).unwrap();
        assert_eq!(
            (response.status, response.code()),
            (422, Some(ErrorCode::WrongBoard))
        );
        assert_eq!(response.header("connection").unwrap(), "close");
        assert!(
            response
                .text()
                .contains("image is for another board (expected sim)")
        );
        assert!(!board.connection.wants_close());
        board.send(&second[..second.len() - 1]);
        assert!(board.unread.is_empty() && !board.connection.wants_close());
        board.send(&second[second.len() - 1..]);
        assert!(board.connection.wants_close());
        assert!(
            board.intake.aborts.is_empty(),
            "the intake's own reason stays"
        );
    }
}

#[test]
fn early_refusals_are_sent_before_the_body_and_the_discarding_has_an_end() {
    let body = "Content-Length: 900000\r\n\r\n";
    for (head, code) in [
        (
            format!("Content-Type: application/octet-stream\r\n{body}"),
            ErrorCode::LoginRequired,
        ),
        (
            format!("{BASIC}Content-Type: application/octet-stream\r\n{body}"),
            ErrorCode::TooLarge,
        ),
        (
            format!("{BASIC}Content-Type: text/plain\r\n{body}"),
            ErrorCode::UnsupportedMediaType,
        ),
        (
            format!("{BASIC}Transfer-Encoding: chunked\r\n\r\n"),
            ErrorCode::LengthRequired,
        ),
    ] {
        let mut board = Board::new();
        board.send(format!("POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{head}").as_bytes());
        assert_eq!(Response::parse(&board.sent).unwrap().code(), Some(code));
        // A client that never stops is cut off after 30 s, a silent one after 5 s.
        for _ in 0..29 {
            board.wait_ms(1000);
            board.send(&[0; 100]);
            assert!(!board.connection.wants_close());
        }
        board.wait_ms(1000);
        assert!(board.connection.wants_close());

        board.open();
        board.send(format!("POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{head}").as_bytes());
        board.wait_ms(4900);
        assert!(!board.connection.wants_close());
        board.wait_ms(100);
        assert!(board.connection.wants_close());
        assert!(board.intake.begun.is_empty());
    }
}

#[test]
fn a_silent_uploader_is_given_up_after_ten_seconds_and_told_so() {
    let mut board = Board::new();
    let request = raw("PUT", "", &image(100));
    board.send(&request[..request.len() - 50]);
    board.wait_ms(9900);
    assert!(board.sent.is_empty());
    board.wait_ms(100);
    assert_eq!(Response::parse(&board.sent).unwrap().status, 408);
    assert_eq!(board.intake.aborts[0].code, ErrorCode::ClientSilent);
    board.open();
    board.send(&request);
    assert_installed(&board, &image(100), "retried");
}

#[test]
fn time_in_which_the_board_was_stalled_or_full_does_not_count_as_silence() {
    let mut board = Board::new();
    let request = raw("PUT", "", &image(100));
    board.send(&request[..request.len() - 50]);
    // Erases: nobody polls for two seconds each.
    for _ in 0..9 {
        board.now += Duration::from_secs(2);
        board.pump();
    }
    assert!(board.sent.is_empty());
    // A full ring: the client cannot send.
    board.intake.ring = 0;
    board.wait_ms(60_000);
    assert!(board.sent.is_empty());
    board.intake.ring = 1000;
    board.send(&request[request.len() - 50..]);
    assert_installed(&board, &image(100), "after the stall");
}

#[test]
fn a_lost_connection_aborts_the_upload_and_it_can_be_tried_again_at_once() {
    for half_close in [true, false] {
        let mut board = Board::new();
        let request = raw("PUT", "", &image(100));
        board.send(&request[..request.len() - 50]);
        board.with(|connection, _, context| match half_close {
            true => connection.peer_closed(context),
            false => connection.lost(context),
        });
        board.pump();
        assert_eq!(board.intake.aborts[0].code, ErrorCode::ClientAborted);
        assert!(board.connection.wants_close());
        assert_eq!(
            half_close,
            !board.sent.is_empty(),
            "who may still read is told"
        );
        board.open();
        board.send(&request);
        assert_installed(&board, &image(100), "retried");
    }
}

#[test]
fn a_client_that_leaves_after_its_last_byte_does_not_stop_the_update() {
    let mut board = Board::new();
    board.intake.verdict_steps = 10;
    board.send(&raw("PUT", "", &image(100)));
    board.with(|connection, _, context| connection.lost(context));
    board.wait_ms(5000);
    assert_eq!(board.intake.outcome, Outcome::Committed);
    assert!(board.intake.aborts.is_empty());
}

#[test]
fn an_upload_that_the_board_gives_up_is_answered_at_once() {
    let mut board = Board::new();
    let request = raw("PUT", "", &image(100));
    board.send(&request[..request.len() - 50]);
    board.intake.outcome = Outcome::Failed(ErrorCode::FlashErase.into());
    board.pump();
    assert_eq!(
        Response::parse(&board.sent).unwrap().code(),
        Some(ErrorCode::FlashErase)
    );
}
