//! `iap-sim`: a virtual board for people who have none. Only reads the command line and prints; the library does the rest.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use iap_profile::Profile;
use iap_sim::board::{AfterStart, Reset};
use iap_sim::clock::Pace;
use iap_sim::event::Stamped;
use iap_sim::settings::FlashSpeed;
use iap_sim::sim::{FlashSource, Sim, SimOptions};

/// A virtual STM32F407 board with the IAP firmware's core, reachable on ports of this machine without root.
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
    /// The first two lines name the ports, `tftp 127.0.0.1:PORT` and `http 127.0.0.1:PORT`. Then come the things the board does, one line
    /// each, with the seconds since its start: what a reset decided and why, its address, updates, sectors, refusals.
    Run(RunArguments),
}

#[derive(Args)]
struct RunArguments {
    /// Board: the name of a shipped profile, or a profile file
    #[arg(long, value_name = "NAME|FILE", default_value = "sim")]
    profile: String,
    /// Keep the flash in this file: the raw content of the whole flash, created erased if missing
    ///
    /// Without it the board begins with an erased flash that is forgotten in the end.
    #[arg(long, value_name = "FILE")]
    flash: Option<PathBuf>,
    /// UDP port on 127.0.0.1 for the board's TFTP server, 0 for any free one
    #[arg(long, value_name = "N", default_value_t = 6969)]
    tftp_port: u16,
    /// TCP port on 127.0.0.1 for the board's HTTP server, 0 for any free one
    #[arg(long, value_name = "N", default_value_t = 8080)]
    http_port: u16,
    /// What happens in place of the application, as there is no processor to run it
    #[arg(long, value_enum, default_value_t = AfterStartArgument::Key)]
    after_start: AfterStartArgument,
    /// Begin with the IAP key held: stay in IAP mode whatever the flash holds
    #[arg(long)]
    key: bool,
    /// How long flash operations take
    #[arg(long, value_enum, default_value_t = FlashTimesArgument::Typ)]
    flash_times: FlashTimesArgument,
    /// Whether anybody waits for them
    #[arg(long, value_enum, default_value_t = ClockArgument::Real)]
    clock: ClockArgument,
    /// Write the frames on the board's Ethernet to this file, for Wireshark or tcpdump
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Print events as JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum AfterStartArgument {
    /// Reset at once with the IAP key held, ready for the next push
    Key,
    /// Be silent, like a board whose application has no network
    Run,
    /// End the program
    Exit,
}

#[derive(Clone, Copy, ValueEnum)]
enum FlashTimesArgument {
    /// The datasheet's typical times
    Typ,
    /// The datasheet's maximum times
    Max,
    /// No time at all
    Zero,
}

#[derive(Clone, Copy, ValueEnum)]
enum ClockArgument {
    /// Clients wait for the flash as long as on the chip
    Real,
    /// Flash times are added to the board's clock, but nobody waits
    Virtual,
}

impl RunArguments {
    fn options(&self) -> Result<SimOptions> {
        let profile = Profile::load(&self.profile)?;
        Ok(SimOptions {
            flash: match &self.flash {
                Some(path) => FlashSource::File(path.clone()),
                None => FlashSource::Erased,
            },
            tftp_port: self.tftp_port,
            http_port: self.http_port,
            pace: match self.clock {
                ClockArgument::Real => Pace::Paced,
                ClockArgument::Virtual => Pace::Charged,
            },
            flash_speed: match self.flash_times {
                FlashTimesArgument::Typ => FlashSpeed::Typical,
                FlashTimesArgument::Max => FlashSpeed::Maximum,
                FlashTimesArgument::Zero => FlashSpeed::Zero,
            },
            after_start: match self.after_start {
                AfterStartArgument::Key => AfterStart::Key,
                AfterStartArgument::Run => AfterStart::Run,
                AfterStartArgument::Exit => AfterStart::Exit,
            },
            reset: match self.key {
                true => Reset::with_key("power-on with the IAP key held"),
                false => Reset::power_on(),
            },
            pcap: self.pcap.clone(),
            ..SimOptions::with_profile(profile)
        })
    }
}

fn main() -> ExitCode {
    let Command::Run(arguments) = Arguments::parse().command;
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &RunArguments) -> Result<()> {
    let json = arguments.json;
    let print = move |event: &Stamped| {
        // A reader that has gone must not take the board with it.
        let _ = show(event, json);
    };
    let sim = Sim::start_with(arguments.options()?, Box::new(print))?;
    let remote = sim.remote();
    ctrlc::set_handler(move || remote.stop()).context("cannot catch Ctrl-C")?;
    sim.join()
}

fn show(event: &Stamped, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, event)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{event}")?;
    }
    out.flush()
}
