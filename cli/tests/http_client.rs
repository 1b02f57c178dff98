//! The HTTP client against servers that refuse, break and fall silent.
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "common/request.rs"]
mod request;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use iapctl::http::client::UploadEvent;
use iapctl::http::upload::{Shape, UploadRequest};
use iapctl::http::{Config, HttpClient, HttpError, Session, Step};
use request::{read_body, read_head};

const MEGABYTE: usize = 1 << 20;
const STATUS: &str = r#"{"status_version":1,"board":"sim","iap_version":"0.1.0","policy":"open",
    "default_password":true,"phase":"programming","iap_reason":"requested","user_flash_first_page_address":134348800,
    "user_flash_size":917504,"uptime_ms":5,"security_counter":0,"application":null,"update":{"transport":"http",
    "peer":"127.0.0.1","received":1000,"total":2000,"sectors_written":1,"sectors_skipped":2,"sector":7},"last_error":null,
    "flash_erases":1,"flash_words":WORDS,"a_field_of_the_future":[1]}"#;

/// Serves each connection in a thread by `answer`, which gets the head of the request.
fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> SocketAddrV4 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
        unreachable!("bound to IPv4");
    };
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut stream = stream;
                let head = read_head(&mut stream);
                answer(&head, &mut stream);
            });
        }
    });
    address
}

fn reply(stream: &mut TcpStream, status: &str, extra: &str, body: &str) {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{extra}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).unwrap();
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn client(address: SocketAddrV4) -> HttpClient {
    let config = Config {
        request_timeout: Duration::from_secs(2),
        no_progress_limit: Duration::from_secs(2),
        poll_interval: Duration::from_millis(50),
        ..Config::default()
    };
    HttpClient::new(address, config)
}

/// Logs in, and uploads `content`.
fn upload(address: SocketAddrV4, content: Vec<u8>) -> Result<String, HttpError> {
    let client = client(address);
    let request = UploadRequest::new(Shape::Raw, "app.iap", content);
    block_on(async {
        let session = client.login("user", "stm32").await?;
        client.upload(&session, &request, |_| ()).await
    })
}

fn log_in(stream: &mut TcpStream) {
    let cookie = "Set-Cookie: iap-session=0123abcd; HttpOnly; Path=/\r\n";
    reply(stream, "200 OK", cookie, r#"{"code":0,"text":"logged in"}"#);
}

#[test]
fn the_login_is_a_form_and_its_cookie_accompanies_the_upload() {
    let address = serve(|head, stream| {
        let body = read_body(head, stream);
        assert!(head.contains("Accept: application/json\r\n"), "{head}");
        assert!(!head.to_lowercase().contains("expect"), "{head}");
        if head.starts_with("POST /checklogin.cgi HTTP/1.1\r\n") {
            assert!(head.contains("application/x-www-form-urlencoded"), "{head}");
            assert_eq!(body, b"username=user+%26co&password=p%C3%A4%3D");
            log_in(stream);
        } else {
            assert!(head.starts_with("POST /upload.cgi HTTP/1.1\r\n"), "{head}");
            assert!(head.contains("Cookie: iap-session=0123abcd\r\n"), "{head}");
            assert!(head.contains("Content-Type: application/octet-stream\r\n"));
            assert!(!head.to_lowercase().contains("chunked"), "{head}");
            assert!(body == vec![7; MEGABYTE]);
            reply(stream, "200 OK", "", r#"{"code":0,"text":"committed"}"#);
        }
    });
    let client = client(address);
    let request = UploadRequest::new(Shape::Raw, "app.iap", vec![7; MEGABYTE]);
    let text = block_on(async {
        let session = client.login("user &co", "pä=").await?;
        client.upload(&session, &request, |_| ()).await
    });
    assert_eq!(text, Ok("committed".into()));
}

#[test]
fn a_wrong_password_is_refused_with_the_boards_sentence() {
    let address = serve(|_, stream| {
        let text = r#"{"code":51,"text":"wrong user or password"}"#;
        reply(stream, "401 Unauthorized", "x-iap-code: 51\r\n", text);
    });
    let error = upload(address, vec![7; 10]).unwrap_err();
    let expected = HttpError::Refused {
        step: Step::Login,
        status: 401,
        code: Some(51),
        text: "wrong user or password".into(),
    };
    assert_eq!(error, expected);
}

#[test]
fn a_refusal_while_the_body_is_still_being_sent_is_shown() {
    // Far more than the sockets buffer; the server reads on, as boards do, or hardly.
    for read_on in [true, false] {
        let address = serve(move |head, stream| {
            if head.starts_with("POST /checklogin") {
                read_body(head, stream);
                return log_in(stream);
            }
            let text = r#"{"code":10,"text":"image does not fit into user flash"}"#;
            reply(
                stream,
                "413 Content Too Large",
                "Connection: close\r\n",
                text,
            );
            if read_on {
                std::io::copy(stream, &mut std::io::sink()).ok();
            } else {
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        let error = upload(address, vec![7; 30 * MEGABYTE]).unwrap_err();
        let expected = HttpError::Refused {
            step: Step::Upload,
            status: 413,
            code: Some(10),
            text: "image does not fit into user flash".into(),
        };
        assert_eq!(error, expected);
    }
}

#[test]
fn a_connection_that_breaks_in_the_middle_is_told_with_its_place() {
    let address = serve(|head, stream| {
        if head.starts_with("POST /checklogin") {
            read_body(head, stream);
            return log_in(stream);
        }
        let mut some = vec![0; 100_000];
        stream.read_exact(&mut some).unwrap();
        // Closed with unread bytes: the peer gets a reset.
    });
    let error = upload(address, vec![7; 30 * MEGABYTE]).unwrap_err();
    let HttpError::Broken {
        step: Step::Upload,
        sent: (sent, total),
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert!(sent >= 100_000 && sent < total, "{sent} of {total}");
}

#[test]
fn silence_ends_the_upload_after_the_limit() {
    let address = serve(|head, stream| {
        if head.starts_with("POST /checklogin") {
            read_body(head, stream);
            return log_in(stream);
        }
        std::thread::sleep(Duration::from_secs(20));
    });
    let begun = Instant::now();
    let error = upload(address, vec![7; 1000]).unwrap_err();
    assert!(
        matches!(
            error,
            HttpError::Silent {
                step: Step::Upload,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .starts_with("upload: nothing moved for 2."),
        "{error}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_board_that_reports_progress_is_waited_for_beyond_the_limit() {
    let words = std::sync::atomic::AtomicU32::new(0);
    let address = serve(move |head, stream| {
        if head.starts_with("GET /status.json") {
            let words = words.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return reply(
                stream,
                "200 OK",
                "",
                &STATUS.replace("WORDS", &words.to_string()),
            );
        }
        read_body(head, stream);
        if head.starts_with("POST /checklogin") {
            return log_in(stream);
        }
        std::thread::sleep(Duration::from_secs(4));
        reply(stream, "200 OK", "", r#"{"code":0,"text":"committed"}"#);
    });
    let client = client(address);
    let request = UploadRequest::new(Shape::Form, "app.iap", vec![7; 1000]);
    let reports = Cell::new(0);
    let text = block_on(async {
        let session = client.login("user", "stm32").await?;
        let count = |event| {
            if let UploadEvent::Board(status) = event {
                assert_eq!(status.update.unwrap().sector, Some(7));
                reports.set(reports.get() + 1);
            }
        };
        client.upload(&session, &request, count).await
    });
    assert_eq!(text, Ok("committed".into()));
    assert!(reports.get() > 10, "{}", reports.get());
}

#[test]
fn a_closed_port_is_reported_at_once() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
        unreachable!("bound to IPv4");
    };
    drop(listener);
    let begun = Instant::now();
    let error = block_on(client(address).status(Duration::from_secs(10))).unwrap_err();
    assert!(
        matches!(error, HttpError::NoConnection(Step::Status, _)),
        "{error:?}"
    );
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_redirect_is_not_followed() {
    let address = serve(|_, stream| {
        reply(
            stream,
            "302 Found",
            "Location: http://example.com/\r\n",
            "elsewhere",
        );
    });
    let error = block_on(client(address).status(Duration::from_secs(2))).unwrap_err();
    let HttpError::Refused {
        status: 302, text, ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(text, "elsewhere");
}

#[test]
fn a_reset_is_a_post_within_the_session() {
    let address = serve(|head, stream| {
        read_body(head, stream);
        if head.starts_with("POST /checklogin") {
            return log_in(stream);
        }
        assert!(
            head.starts_with("POST /resetmcu.cgi HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(head.contains("Cookie: iap-session=0123abcd\r\n"), "{head}");
        assert!(head.contains("Content-Length: 0\r\n"), "{head}");
        reply(stream, "200 OK", "", r#"{"code":0,"text":"resetting"}"#);
    });
    let client = client(address);
    let text = block_on(async {
        let session: Session = client.login("user", "stm32").await?;
        client.reset(&session).await
    });
    assert_eq!(text, Ok("resetting".into()));
}
