//! How deep the shipped firmware's stack gets. The emulator looks at the stack pointer before every instruction, so it also sees what is
//! reserved and never written, which painting the stack would miss.

use std::process::Command;

use crate::common::built;
use crate::common::iap::{Bench, MII, Setup};
use iap_emulator::{Image, Time};

const FLASH: u32 = 0x0800_0000;
/// The CCM RAM, at whose bottom the stack ends (RM0090 section 2.3.1).
const STACK_END: u32 = 0x1000_0000;

/// Where the stack begins: the first word of the vector table.
fn stack_start() -> u32 {
    let image = Image::load(&built::firmware(MII), FLASH).unwrap();
    let mut content = vec![0xFF; 1024 * 1024];
    image.place(FLASH, &mut content).unwrap();
    u32::from_le_bytes(*content.first_chunk().unwrap())
}

fn curl(bench: &Bench, arguments: &[&str], path: &str) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-w", "%{http_code}"]).args(arguments);
    curl.arg(format!("http://{}{path}", bench.address("http")));
    curl
}

#[test]
fn the_worst_transfer_leaves_half_as_much_stack_again_to_spare() {
    let mut bench = Bench::new(MII, Setup::default());
    bench.enter_iap_mode();
    let start = stack_start();
    let mut marks = vec![("boot, link, lease", bench.board().lowest_stack())];
    let mut mark = |bench: &mut Bench, name| marks.push((name, bench.board().lowest_stack()));
    let (file, _) = bench.image((1, 2, 3), 5000);
    let form = format!("datafile=@{}", file.display());
    let login = ["--user", "user:stm32"];
    for (arguments, path, code) in [
        (&["--user", "user:wrong"][..], "/status.json", "200"),
        (
            &[&login[..], &["-F", "datafile=@/bin/true"]].concat(),
            "/upload.cgi",
            "415",
        ),
        (&[&login[..], &["-F", &form]].concat(), "/upload.cgi", "200"),
    ] {
        let command = curl(&bench, arguments, path);
        let said = bench.succeeds(command);
        assert!(said.ends_with(code), "{said}");
    }
    mark(&mut bench, "HTTP: status, a refusal, an upload as a form");
    let (file, _) = bench.image((1, 2, 4), 5000);
    bench.push("http", &file);
    mark(&mut bench, "HTTP: a raw upload");
    let (file, _) = bench.image((1, 2, 5), 5000);
    bench.push("tftp", &file);
    bench.status("tftp");
    mark(&mut bench, "TFTP: an upload, status");
    bench.board().press_reset();
    bench.starts_within(Time::from_millis(50));
    mark(&mut bench, "the boot decision, up to the jump");
    for (name, lowest) in &marks {
        println!("{name}: {} bytes of stack", start - lowest);
    }
    let lowest = marks.iter().map(|(_, lowest)| *lowest).min().unwrap();
    let (used, size) = (start - lowest, start - STACK_END);
    assert!(
        used + used / 2 <= size,
        "{used} of {size} bytes: half as much again must be free"
    );
}
