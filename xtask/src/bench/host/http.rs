//! An upload of 1 MB by HTTP, next to `curl -F`: the same server, the same form.
//!
//! As with TFTP it is iapctl's client that is measured, as `cli/examples/post.rs` starts it; it logs in first, which curl does not.

use anyhow::Result;

use super::http_server::Server;
use super::measure::{Measured, Program};
use super::table::{Quantity, Row, Series};
use super::{Bench, noise};

const CASE: &str = "HTTP post 1 MB";
const EXPECT_CASE: &str = "HTTP post 1 MB, no wait for 100-continue";

pub(super) fn rows(bench: &mut Bench<'_>) -> Result<()> {
    if !bench.wants(CASE) && !bench.wants(EXPECT_CASE) {
        return Ok(());
    }
    let content = noise(1 << 20);
    let file = bench.file("post", &content)?;
    let server = Server::start(&content)?;
    let url = format!("http://127.0.0.1:{}/upload.cgi", server.port);
    let mut form = std::ffi::OsString::from("datafile=@");
    form.push(&file);
    let ours = Program::new("iapctl", &bench.post);
    let mut programs = vec![ours.arg(&file).arg(server.port.to_string())];
    if let Some(curl) = bench.peers.program("curl") {
        // Without the header it does not wait either: the best that a user can type.
        let curl = curl.args(["-sS", "-f", "-H", "Expect:", "-F"]).arg(form);
        programs.push(curl.arg(url));
    }
    let mut series: Vec<Series> = (programs.iter())
        .map(|program| Series::new(&program.name))
        .collect();
    let mut waits = 0;
    for _ in 0..bench.options.runs {
        for (place, (program, series)) in programs.iter().zip(&mut series).enumerate() {
            let run = program.run(&bench.folder.join("run"))?;
            let upload = server.last_upload();
            waits += u32::from(place == 0 && upload.expected_continue);
            let success = run.success && upload.exact;
            series.runs.push(Measured { success, ..run });
        }
    }
    server.stop();
    bench
        .rows
        .push(Row::compare(CASE, Quantity::Cpu, 1.0, &series));
    let runs = bench.options.runs;
    bench.rows.push(Row::count(
        EXPECT_CASE,
        runs - waits,
        runs,
        "uploads without it",
    ));
    Ok(())
}
