//! A board's status as it comes over either transport. Whatever answers there may have written it: its texts go to terminals and logs.

use iap_protocol::status::Status;

use crate::output::one_line;

/// Longest reason that is told: it may quote what came.
const MAX_REASON_LEN: usize = 200;

/// Reads it, or says why it is none of an IAP firmware.
pub(crate) fn read(json: &[u8]) -> Result<Status, String> {
    let status: Status =
        serde_json::from_slice(json).map_err(|error| shortened(&one_line(&error.to_string())))?;
    // A board writes printable ASCII only.
    if texts(&status).any(|text| text.contains(char::is_control)) {
        return Err("control characters in a text".to_owned());
    }
    Ok(status)
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_REASON_LEN).collect()
}

fn texts(status: &Status) -> impl Iterator<Item = &str> {
    let (application, update) = (status.application.as_ref(), status.update.as_ref());
    [
        Some(status.board.as_str()),
        Some(status.iap_version.as_str()),
        application.map(|it| it.version.as_str()),
        application.map(|it| it.board.as_str()),
        update.map(|it| it.transport.as_str()),
        update.map(|it| it.peer.as_str()),
        status.last_error.as_ref().map(|it| it.text.as_str()),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn status() -> Value {
        json!({
            "status_version": 1, "board": "sim", "iap_version": "0.1.0", "policy": "open", "default_password": false,
            "phase": "idle", "iap_reason": "requested", "user_flash_first_page_address": 0, "user_flash_size": 0,
            "uptime_ms": 5, "security_counter": 0, "flash_erases": 0, "flash_words": 0,
            "application": {
                "version": "1.0.0", "board": "any", "load_address": 0, "size": 0, "crc32": 0, "sector_crc32": [],
            },
            "update": {
                "transport": "tftp", "peer": "10.0.0.1", "received": 0, "total": 0, "sectors_written": 0,
                "sectors_skipped": 0, "sector": null,
            },
            "last_error": { "code": 9, "text": "no" },
        })
    }

    #[test]
    fn no_text_of_a_status_moves_the_cursor() {
        assert!(read(status().to_string().as_bytes()).is_ok());
        for place in [
            "/board",
            "/iap_version",
            "/application/version",
            "/application/board",
            "/update/transport",
            "/update/peer",
            "/last_error/text",
        ] {
            for hostile in ["\x1b[2J", "a\nb", "\u{9b}m"] {
                let mut status = status();
                *status.pointer_mut(place).unwrap() = hostile.into();
                let what = read(status.to_string().as_bytes()).unwrap_err();
                assert_eq!(what, "control characters in a text", "{place}");
            }
        }
    }

    #[test]
    fn the_reason_quotes_no_control_characters_and_is_short() {
        let mut status = status();
        status["policy"] = format!("\x1b[31m\n{}", "x".repeat(1000)).into();
        let what = read(status.to_string().as_bytes()).unwrap_err();
        assert!(
            what.contains("unknown variant") && what.len() <= MAX_REASON_LEN,
            "{what}"
        );
        assert!(!what.contains(char::is_control), "{what:?}");
    }
}
