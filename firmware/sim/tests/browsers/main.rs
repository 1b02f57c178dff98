//! The board's pages in real browsers, headless, against the virtual board: what a person does and sees, with and without scripts.
//!
//! Screenshots are kept in `target/screenshots`. A browser that is not installed is skipped with a line that says so, and fails the run
//! under CI=true; `cargo xtask setup` installs them.

#![allow(clippy::unwrap_used, clippy::expect_used)] // tests

mod browser;
mod desk;
mod flows;
mod full;
mod interrupted;
mod lost;

use browser::Kind;

/// Each flow in each browser.
macro_rules! in_browsers {
    ($($module:ident::$flow:ident),* $(,)?) => {
        mod chromium {
            $(#[test] fn $flow() { super::desk::run(super::$module::$flow(super::Kind::Chromium)); })*
        }
        mod firefox {
            $(#[test] fn $flow() { super::desk::run(super::$module::$flow(super::Kind::Firefox)); })*
        }
    };
}

in_browsers!(
    flows::a_person_logs_in_uploads_and_resets_and_sees_the_new_version,
    flows::the_same_works_without_scripts,
    flows::a_file_that_would_be_refused_is_not_sent_and_the_reason_is_shown,
    flows::the_board_s_sentence_is_shown_when_it_refuses,
    flows::the_pages_fit_a_phone_and_the_dark,
    interrupted::a_second_tab_sees_who_is_updating_and_is_refused_with_a_sentence,
    interrupted::a_reload_in_the_middle_frees_the_board_and_the_upload_can_be_repeated,
    interrupted::a_browser_closed_in_the_middle_frees_the_board,
    interrupted::a_session_that_has_ended_is_told_and_the_login_comes_back,
    interrupted::a_board_that_runs_its_application_is_said_to_and_found_when_it_is_back,
    full::a_page_that_finds_all_connections_taken_tries_again,
    lost::an_upload_that_gets_stuck_is_sent_again_until_the_board_is_free_for_it,
    lost::a_reset_that_the_board_never_heard_of_is_not_called_one,
);
