//! What a board answers: a JSON document, or a page where something else answered.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http_body::Body;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::SET_COOKIE;
use iap_protocol::http::{COOKIE, HEADER_CODE};
use serde::Deserialize;

use super::error::{HttpError, Step};
use crate::output::one_line;

/// Longest answer that is read.
const MAX_ANSWER_LEN: usize = 64 * 1024;
/// Longest text that is shown of an answer that is no JSON.
const MAX_TEXT_LEN: usize = 300;

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    code: Option<u16>,
    session: Option<String>,
}

#[derive(Deserialize)]
struct Document {
    code: u16,
    text: String,
}

impl Answer {
    /// Reads an answer to its end, or to where it is too long.
    pub(super) async fn read(mut response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let mut answer = Self {
            status: response.status().as_u16(),
            body: Vec::new(),
            code: header(&response, HEADER_CODE).and_then(|code| code.parse().ok()),
            session: session_of(&response),
        };
        while answer.body.len() <= MAX_ANSWER_LEN {
            match chunk(response.body_mut()).await.transpose() {
                Ok(Some(chunk)) => answer.body.extend_from_slice(&chunk),
                Ok(None) => break,
                // The status and what came of the text say more than the broken end.
                Err(_) if !answer.is_success() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(answer)
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The board's sentence, or why it is a refusal.
    pub(super) fn judge(&self, step: Step) -> Result<String, HttpError> {
        let document: Option<Document> = serde_json::from_slice(&self.body).ok();
        let refused = |code: Option<u16>, text: String| HttpError::Refused {
            step,
            status: self.status,
            code: code.or(self.code),
            text: one_line(&text),
        };
        match document {
            Some(Document { code: 0, text }) if self.is_success() => Ok(text),
            Some(Document { code, text }) => Err(refused(Some(code), text)),
            None if !self.is_success() => Err(refused(None, self.plain_text())),
            None => Err(HttpError::Malformed(
                step,
                format!("a JSON document was expected, got: {}", self.plain_text()),
            )),
        }
    }

    /// The session that a login opened.
    pub(super) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// What can be read of a page.
    fn plain_text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let mut in_tag = false;
        let visible: String = (text.chars())
            .filter_map(|c| {
                let was_in_tag = in_tag;
                in_tag = (in_tag || c == '<') && c != '>';
                match was_in_tag || in_tag {
                    true => (c == '>').then_some(' '),
                    false => Some(if c.is_control() { ' ' } else { c }),
                }
            })
            .collect();
        let words: Vec<&str> = visible.split_whitespace().collect();
        match words.join(" ") {
            text if text.is_empty() => "no explanation".to_owned(),
            text => text.chars().take(MAX_TEXT_LEN).collect(),
        }
    }
}

/// The next bytes of an answer.
async fn chunk(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await? {
            // What is no data is a trailer.
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

fn header<'a>(response: &'a Response<Incoming>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The session's cookie (RFC 6265 section 5.2): the value up to the first semicolon.
fn session_of(response: &Response<Incoming>) -> Option<String> {
    (response.headers().get_all(SET_COOKIE).iter())
        .filter_map(|value| value.to_str().ok())
        .filter_map(|value| value.split(';').next()?.split_once('='))
        .find(|(name, value)| name.trim() == COOKIE && !value.trim().is_empty())
        .map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: body.into(),
            code: None,
            session: None,
        }
    }

    fn refusal(status: u16, code: Option<u16>, text: &str) -> HttpError {
        HttpError::Refused {
            step: Step::Upload,
            status,
            code,
            text: text.into(),
        }
    }

    #[test]
    fn answers_are_judged_by_status_and_code() {
        let ok = answer(200, r#"{"code":0,"text":"committed"}"#);
        assert_eq!(ok.judge(Step::Upload), Ok("committed".into()));
        let busy = answer(409, r#"{"code":30,"text":"an update is in progress"}"#);
        assert_eq!(
            busy.judge(Step::Upload),
            Err(refusal(409, Some(30), "an update is in progress"))
        );
        let odd = answer(200, r#"{"code":9,"text":"image is for another board"}"#);
        assert!(odd.judge(Step::Upload).is_err(), "a code is a refusal");
    }

    #[test]
    fn a_page_is_shown_as_its_text() {
        let page = answer(404, "<html><h1>Not\nfound</h1><p>no such page</p></html>");
        assert_eq!(
            page.judge(Step::Upload),
            Err(refusal(404, None, "Not found no such page"))
        );
        assert_eq!(
            answer(500, "").judge(Step::Upload),
            Err(refusal(500, None, "no explanation"))
        );
        assert!(matches!(
            answer(200, "<h1>Router login</h1>").judge(Step::Upload),
            Err(HttpError::Malformed(Step::Upload, _))
        ));
    }
}
