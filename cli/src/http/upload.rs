//! The bytes of an upload request: a form with one file (RFC 7578) as a browser sends it, or the file alone.
//!
//! No I/O: clients send what [`UploadRequest::headers`] and [`UploadRequest::parts`] say; benches that write to a socket themselves
//! take [`UploadRequest::head`] too.

use std::fmt::Write;

use bytes::Bytes;
use iap_protocol::http::{COOKIE, FIELD_FILE, MAX_BOUNDARY_LEN, MEDIA_JSON, PATH_UPLOAD};

/// How the file is wrapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// `application/octet-stream`: the body is the file.
    Raw,
    /// `multipart/form-data` with the file in the field that AN3968's page has.
    Form,
}

/// An upload, ready to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadRequest {
    content_type: String,
    parts: [Bytes; 3],
}

impl UploadRequest {
    /// The upload of `content` under `file_name`.
    pub fn new(shape: Shape, file_name: &str, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        match shape {
            Shape::Raw => Self {
                content_type: "application/octet-stream".to_owned(),
                parts: [Bytes::new(), content, Bytes::new()],
            },
            Shape::Form => Self::form(file_name, content),
        }
    }

    fn form(file_name: &str, content: Bytes) -> Self {
        let boundary = boundary_outside(&content);
        let name = quoted(file_name);
        let opening = format!(
            "--{boundary}\r\n\
             Content-Disposition: form-data; name=\"{FIELD_FILE}\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let closing = format!("\r\n--{boundary}--\r\n");
        Self {
            content_type: format!("multipart/form-data; boundary={boundary}"),
            parts: [opening.into(), content, closing.into()],
        }
    }

    /// The body, in pieces that follow each other.
    pub fn parts(&self) -> &[Bytes; 3] {
        &self.parts
    }

    /// Bytes of the body.
    pub fn content_length(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }

    /// The headers that describe the request; not `Host`. Without a session there is no cookie.
    pub fn headers(&self, session: Option<&str>) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("Accept", MEDIA_JSON.to_owned()),
            ("Connection", "close".to_owned()),
            ("Content-Type", self.content_type.clone()),
            ("Content-Length", self.content_length().to_string()),
        ];
        if let Some(session) = session {
            headers.push(("Cookie", format!("{COOKIE}={session}")));
        }
        headers
    }

    /// Request line and headers as they go over the wire, for senders that have no HTTP library.
    pub fn head(&self, host: &str, session: Option<&str>) -> Vec<u8> {
        let mut head = format!("POST {PATH_UPLOAD} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in self.headers(session) {
            // Writing to a String does not fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// A boundary that does not occur in `content` (RFC 2046 section 5.1.1); the same content gives the same boundary.
fn boundary_outside(content: &[u8]) -> String {
    let mut boundary = String::from("iapctl-boundary");
    while boundary.len() < MAX_BOUNDARY_LEN && contains(content, boundary.as_bytes()) {
        boundary.push(next_digit(content, boundary.as_bytes()));
    }
    boundary
}

/// A digit that follows `text` nowhere in `content`, or the rarest: each digit appended leaves fewer places where it can match.
fn next_digit(content: &[u8], text: &[u8]) -> char {
    let follows = |digit: u8| {
        content
            .windows(text.len().saturating_add(1))
            .filter(|window| window.starts_with(text) && window.ends_with(&[digit]))
            .count()
    };
    (b'0'..=b'9')
        .min_by_key(|&digit| follows(digit))
        .unwrap_or(b'0')
        .into()
}

fn contains(content: &[u8], text: &[u8]) -> bool {
    content.windows(text.len()).any(|window| window == text)
}

/// As browsers write a file name (HTML Living Standard, multipart/form-data encoding algorithm).
fn quoted(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(request: &UploadRequest) -> Vec<u8> {
        request.parts().concat()
    }

    #[test]
    fn a_form_is_written_as_rfc_7578_says() {
        let request = UploadRequest::new(Shape::Form, "a\"b.iap", &b"CONTENT"[..]);
        assert_eq!(
            String::from_utf8(body(&request)).unwrap(),
            "--iapctl-boundary\r\n\
             Content-Disposition: form-data; name=\"datafile\"; filename=\"a%22b.iap\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n\
             CONTENT\r\n\
             --iapctl-boundary--\r\n"
        );
    }

    #[test]
    fn the_head_announces_the_length_of_the_body() {
        for shape in [Shape::Raw, Shape::Form] {
            let request = UploadRequest::new(shape, "a", vec![7; 1000]);
            let head = String::from_utf8(request.head("192.168.0.10", Some("abc"))).unwrap();
            assert!(head.starts_with("POST /upload.cgi HTTP/1.1\r\nHost: 192.168.0.10\r\n"));
            assert!(head.contains(&format!("Content-Length: {}\r\n", body(&request).len())));
            assert!(head.contains("Cookie: iap-session=abc\r\n"));
            assert!(head.ends_with("\r\n\r\n"));
            assert!(!head.contains("Expect"));
        }
    }

    #[test]
    fn the_boundary_is_not_in_the_file() {
        for content in [
            &b"xx iapctl-boundary xx"[..],
            b"iapctl-boundary0 iapctl-boundary1 iapctl-boundary",
            b"iapctl-boundary0iapctl-boundary1iapctl-boundary2iapctl-boundary3iapctl-boundary4\
              iapctl-boundary5iapctl-boundary6iapctl-boundary7iapctl-boundary8iapctl-boundary9",
        ] {
            let boundary = boundary_outside(content);
            assert!(!contains(content, boundary.as_bytes()), "{boundary}");
            assert!(boundary.len() <= MAX_BOUNDARY_LEN);
        }
    }
}
