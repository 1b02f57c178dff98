//! The tables.

use iap_emulator::Time;

use super::cases::{Case, Kind};
use super::errand::Transport;
use super::scheme;
use super::trial::{Firmware, Outcome};

/// A row: as the interpreter counts, and with half as many cycles again.
pub(crate) struct Row {
    pub(crate) case: Case,
    pub(crate) once: Outcome,
    pub(crate) half_more: Outcome,
}

impl Row {
    pub(crate) fn is_good(&self) -> bool {
        self.once.is_good() && self.half_more.is_good()
    }
}

fn ms(time: Time) -> String {
    format!("{:.1}", time.micros() as f64 / 1000.0)
}

fn ratio(part: Time, whole: Time) -> String {
    format!("{:.2}", part.picos() as f64 / whole.picos() as f64)
}

fn cells(outcome: &Outcome) -> [String; 3] {
    let verdict = if outcome.is_good() { "pass" } else { "FAIL" };
    let ratio = ratio(outcome.took, outcome.target);
    [ms(outcome.took), ratio, verdict.to_owned()]
}

fn line(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// Targets and what was measured; milliseconds.
pub(crate) fn print(rows: &[Row], firmware: &Firmware) {
    println!(
        "| case | limit | target | measured | ratio | | cycles x 1.5 | ratio | | AN3968 | times |"
    );
    println!("|---|---:|---:|---:|---:|---|---:|---:|---|---:|---:|");
    for row in rows {
        let [limit, target] = [row.once.limit, row.once.target].map(ms);
        let an3968 = an3968(&row.case, firmware);
        let mut all = vec![row.case.name(), limit, target];
        all.extend(cells(&row.once));
        all.extend(cells(&row.half_more));
        all.extend(match an3968 {
            Some(time) => [ms(time), ratio(time, row.once.took)],
            None => Default::default(),
        });
        line(&all);
    }
    for row in rows {
        for fault in row.once.faults.iter().chain(&row.half_more.faults) {
            println!("{}: {fault}", row.case.name());
        }
    }
}

/// Where the time went; milliseconds.
pub(crate) fn print_accounts(rows: &[Row]) {
    println!(
        "| case | cycles | measured | erasing | programming | processor | idle | sent bytes | repeated | missed | cycles |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for row in rows {
        for (title, outcome) in [("x 1", &row.once), ("x 1.5", &row.half_more)] {
            let times = [
                outcome.took,
                outcome.erasing,
                outcome.programming,
                outcome.processor,
                outcome.idle(),
            ];
            let counts = [
                u64::from(outcome.bytes),
                outcome.repeated,
                outcome.missed,
                outcome.cycles,
            ];
            let mut all = vec![row.case.name(), title.to_owned()];
            all.extend(times.map(ms));
            all.extend(counts.map(|count| count.to_string()));
            line(&all);
        }
    }
}

/// The same application by AN3968's scheme, which is TFTP's in lock-step.
fn an3968(case: &Case, firmware: &Firmware) -> Option<Time> {
    let (Kind::Full(len), Transport::Tftp) = (case.kind, case.transport) else {
        return None;
    };
    let profile = &firmware.profile;
    let sectors = profile.memory_map().application_sectors();
    let erase = sectors.iter().filter_map(|index| profile.erase_time(index));
    let times = scheme::Times {
        way: std::time::Duration::from_micros(case.round_trip.micros() / 2),
        bits_per_s: 100_000_000,
        erase: erase.map(|time| time.typical).sum(),
        word: profile.program_time().typical,
    };
    Some(Time::from(scheme::push(&vec![0; len], &times)))
}
