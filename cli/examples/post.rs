//! iapctl's HTTP client and nothing around it, for `cargo xtask bench host`: logs in and uploads any file as a form to a server on this
//! machine. `post FILE PORT`.
#![allow(clippy::unwrap_used, reason = "a bench tool: what is wrong ends it")]

use std::net::{Ipv4Addr, SocketAddrV4};

use iapctl::http::upload::{Shape, UploadRequest};
use iapctl::http::{Config, HttpClient};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, arguments[2].parse().unwrap());
    let content = std::fs::read(&arguments[1]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let answer = runtime.block_on(async {
        let client = HttpClient::new(address, Config::default());
        let session = client.login("user", "stm32").await.unwrap();
        let request = UploadRequest::new(Shape::Form, "app.iap", content);
        client.upload(&session, &request, |_| ()).await.unwrap()
    });
    println!("{answer}");
}
