//! `iap-emulator`: any STM32F407 firmware on an emulated board, on the command line. Only reads the command line and prints.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
#[cfg(target_os = "linux")]
use iap_emulator::Tap;
use iap_emulator::{
    Board, BoardOptions, Image, Kind, Panel, Peer, Session, SessionOptions, Stop, Symbols, Time,
    Wear,
};
use iap_profile::Profile;
use iap_sim::clock::Pace;
use iap_sim::flash_file::FlashFile;

/// How often the LEDs and Ctrl-C are looked at, in virtual time.
const LOOK: Time = Time::from_millis(20);

/// An emulated STM32F407 board with Ethernet that runs the real firmware.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a board until Ctrl-C.
    ///
    /// The first two lines name the ports, `tftp 127.0.0.1:PORT` and `http 127.0.0.1:PORT`; with --tap there is one, `tap NAME`. Then come the things the board does, one line
    /// each, with the seconds of virtual time since power-on: resets, the start of the application, LEDs, and what the firmware does wrong.
    Run(Box<RunArguments>),
}

#[derive(Args)]
struct RunArguments {
    /// Board: the name of a shipped profile, or a profile file
    #[arg(long, value_name = "NAME|FILE")]
    profile: String,
    /// Firmware to put into the flash: ELF, Intel HEX, or BIN for the begin of the flash
    #[arg(long, value_name = "FILE")]
    firmware: Option<PathBuf>,
    /// Application to put into the flash as a debug probe does, without a boot record: ELF, HEX, or BIN for USER_FLASH_FIRST_PAGE_ADDRESS
    #[arg(long, value_name = "FILE")]
    app: Option<PathBuf>,
    /// Keep the flash in this file: the raw content of the whole flash, created erased if missing
    #[arg(long, value_name = "FILE")]
    flash: Option<PathBuf>,
    /// UDP port on 127.0.0.1 for the board's TFTP server, 0 for any free one
    #[arg(long, value_name = "N", default_value_t = 6969)]
    tftp_port: u16,
    /// TCP port on 127.0.0.1 for the board's HTTP server, 0 for any free one
    #[arg(long, value_name = "N", default_value_t = 8080)]
    http_port: u16,
    /// End the board's Ethernet in this TAP device instead of ports on 127.0.0.1 (Linux); the device is made if there is none
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tftp_port", "http_port", "no_dhcp"])]
    tap: Option<String>,
    /// Write the frames on the board's Ethernet to this file, for Wireshark or tcpdump
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Hold the IAP key
    #[arg(long)]
    key: bool,
    /// Flash operations take wall time, too; without it nobody waits for them
    #[arg(long)]
    paced: bool,
    /// Flash operations take the datasheet's longest times
    #[arg(long)]
    slow_flash: bool,
    /// No DHCP server on the wire
    #[arg(long)]
    no_dhcp: bool,
    /// End after so many seconds of virtual time
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

fn main() -> ExitCode {
    let Command::Run(arguments) = Arguments::parse().command;
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &RunArguments) -> Result<ExitCode> {
    let profile = Profile::load(&arguments.profile)?;
    let (board, file) = board(arguments, &profile)?;
    let options = SessionOptions {
        tftp_port: arguments.tftp_port,
        http_port: arguments.http_port,
        dhcp: !arguments.no_dhcp,
        pace: if arguments.paced {
            Pace::Paced
        } else {
            Pace::Charged
        },
        ..SessionOptions::default()
    };
    match &arguments.tap {
        None => {
            let session = Session::new(board, &profile, &options)?;
            println!("tftp {}", session.peer.tftp_address());
            println!("http {}", session.peer.http_address());
            watch(session, file, arguments)
        }
        Some(name) => watch_on_tap(name, board, &options, file, arguments),
    }
}

#[cfg(target_os = "linux")]
fn watch_on_tap(
    name: &str,
    board: Board,
    options: &SessionOptions,
    file: Option<FlashFile>,
    arguments: &RunArguments,
) -> Result<ExitCode> {
    let session = Session::with_peer(board, options, |port, _| Tap::open(name, port))?;
    println!("tap {name}");
    watch(session, file, arguments)
}

#[cfg(not(target_os = "linux"))]
fn watch_on_tap(
    _: &str,
    _: Board,
    _: &SessionOptions,
    _: Option<FlashFile>,
    _: &RunArguments,
) -> Result<ExitCode> {
    bail!("--tap needs Linux")
}

/// Runs the board until it is told to end, and prints what it does.
fn watch<P: Peer>(
    session: Session<P>,
    file: Option<FlashFile>,
    arguments: &RunArguments,
) -> Result<ExitCode> {
    if let Some(path) = &arguments.pcap {
        let file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        session.capture(Box::new(BufWriter::new(file)))?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
        .context("cannot catch Ctrl-C")?;
    let end = arguments.seconds.map_or(Time::NEVER, |seconds| {
        Time::from_millis(seconds.saturating_mul(1000))
    });
    Console {
        session,
        file,
        panel: Panel::default(),
        reported: 0,
    }
    .run(&stop, end)
}

/// The flash as the arguments want it, and a board around it.
fn board(arguments: &RunArguments, profile: &Profile) -> Result<(Board, Option<FlashFile>)> {
    let map = profile.memory_map();
    let region = map.flash.region();
    let (mut file, mut content) = match &arguments.flash {
        Some(path) => {
            let (file, content) = FlashFile::open(path, &map.flash)?;
            (Some(file), content)
        }
        None => (None, vec![0xFF; region.len as usize]),
    };
    let mut symbols = Symbols::default();
    let images = [
        (&arguments.firmware, region.start),
        (&arguments.app, map.user_flash_first_page_address()),
    ];
    for (path, base) in images {
        let Some(path) = path else { continue };
        let image = Image::load(path, base)?;
        image
            .place(region.start, &mut content)
            .with_context(|| path.display().to_string())?;
        symbols.extend(image.symbols);
    }
    if content.iter().take(8).all(|byte| *byte == 0xFF) {
        bail!("the flash holds no firmware: give --firmware FILE, or a --flash file that has one");
    }
    if let Some(file) = &mut file {
        file.write(region.start..region.end() as u32, &content)?;
    }
    let wear = if arguments.slow_flash {
        Wear::Maximum
    } else {
        Wear::Typical
    };
    let mut board = Board::new(
        profile,
        &BoardOptions {
            wear,
            stop_at_application: true,
            ..BoardOptions::default()
        },
        &content,
        symbols,
    )?;
    board.press_key(arguments.key);
    Ok((board, file))
}

/// What is printed, and when.
struct Console<P> {
    session: Session<P>,
    file: Option<FlashFile>,
    panel: Panel,
    reported: usize,
}

impl<P: Peer> Console<P> {
    fn run(mut self, stop: &AtomicBool, end: Time) -> Result<ExitCode> {
        self.say("power-on");
        while !stop.load(Ordering::Relaxed) && self.session.board.now() < end {
            let limit = (self.session.board.now() + LOOK).min(end);
            let happened = self.session.run(limit)?;
            self.look()?;
            match happened {
                Stop::Limit | Stop::Sent => {}
                Stop::Reset(cause) => self.say(&format!("reset: {cause}")),
                Stop::Application => self.say(&self.application()),
                Stop::PowerLost => bail!("the power went"),
                Stop::Failed(text) => {
                    self.say(&text);
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
        let board = &self.session.board;
        self.say(&format!(
            "end, at {}; lowest stack {:#010x}; {}",
            board.pc().1,
            board.lowest_stack(),
            board.ethernet_use()
        ));
        let mut reports = board.reports().into_iter();
        let wrong = reports.any(|report| report.kind == Kind::GuestError);
        Ok(match wrong {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }

    fn application(&self) -> String {
        let board = &self.session.board;
        let after = board.now().since(board.last_reset());
        let mhz = board.clocks().hclk_hz / 1_000_000;
        format!(
            "the application starts {} us after the reset, at {mhz} MHz: {}",
            after.micros(),
            board.pc().1
        )
    }

    /// LEDs, what the firmware did wrong, and the flash file.
    fn look(&mut self) -> Result<()> {
        let board = &mut self.session.board;
        let words = self
            .panel
            .look(board.now(), &board.leds(), &board.led_changes());
        if let Some(file) = &mut self.file
            && let Some(range) = board.take_changed_flash()
        {
            let content = board.flash_content();
            let offset = |address: u32| (address - 0x0800_0000) as usize;
            file.write(
                range.clone(),
                &content[offset(range.start)..offset(range.end)],
            )?;
        }
        let reports = board.reports();
        for report in reports.iter().skip(self.reported) {
            eprintln!("{report}");
        }
        self.reported = reports.len();
        if let Some(words) = words {
            self.say(&format!("LEDs: {words}"));
        }
        Ok(())
    }

    fn say(&self, text: &str) {
        println!("{} {text}", self.session.board.now());
    }
}
