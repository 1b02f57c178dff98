//! What must hold after a cut: the invariant of `firmware/core/SAFETY.md`, boot after boot, and a push that mends everything.

use iap_core::boot::{self, BootInputs, Decision};
use iap_core::record::RecordState;
use iap_protocol::header::HeaderBytes;
use iap_protocol::status::IapReason;

use super::start::{Start, loaded, nothing_fell};
use super::tally::Tally;
use super::track::{Op, Recorder, Track};
use crate::bench::{self, Bench, Pushed};
use crate::nor::Nor;

/// Boots after a cut; each draws the bits touched anew.
const BOOTS: u32 = 4;
/// Boots after the push that mends everything.
const LAST_BOOTS: u32 = 2;

/// What a board decides, seen from the update that was cut.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fate {
    /// As before the update.
    Before,
    /// It waits for the rest.
    Unfinished,
    /// The new application starts.
    New,
}

/// What was found out about a board after a cut.
pub struct Verdict {
    /// What it decides.
    pub fate: Fate,
    /// The session after the cut: the boot, and the push that mended it.
    pub track: Track,
}

/// Judges `nor`, on which the power was cut.
pub fn judge(start: &Start, nor: Nor, tally: &mut Tally) -> Result<Verdict, String> {
    let mut bench = Bench {
        nor,
        config: start.bench.config.clone(),
    };
    let (first, fate) = stable(start, &mut bench.clone(), tally)?;
    let track = mend(start, &mut bench, &first, tally)?;
    tally.pushes += 1;
    for _ in 0..LAST_BOOTS {
        tally.boots += 1;
        let decision = bench.boot().ok_or("no power")?;
        if fate_of(start, &bench, &decision)? != Fate::New {
            return Err(format!("after the push that mends: {}", say(&decision)));
        }
    }
    let record = loaded(&mut bench);
    nothing_fell(&start.record, &record)?;
    counts(start, Fate::New, &record)?;
    untouched(start, &bench)?;
    shuts_out(start, &mut bench)?;
    Ok(Verdict { fate, track })
}

/// What the new image has outdated is refused and costs nothing.
fn shuts_out(start: &Start, bench: &mut Bench) -> Result<(), String> {
    let before = bench_operations(bench);
    for (code, file) in &start.outdated {
        match bench.push(file) {
            Pushed::Refused(refusal) if refusal.code == *code => {}
            pushed => {
                return Err(format!(
                    "{code:?} expected of an outdated image: {pushed:?}"
                ));
            }
        }
    }
    match bench_operations(bench) - before {
        0 => Ok(()),
        operations => Err(format!("outdated images cost {operations} operations")),
    }
}

/// Once the new image is committed, counter and revoked keys are what it makes of them, and no earlier image of a stranger has changed them.
fn counts(start: &Start, fate: Fate, record: &RecordState) -> Result<(), String> {
    let now = (record.counter, record.revoked);
    if fate == Fate::New && now != start.afterwards {
        return Err(format!(
            "the new image is committed, counter and revoked keys are {now:x?}, expected {:x?}",
            start.afterwards
        ));
    }
    Ok(())
}

/// Boots several times: the decision of all of them.
fn stable(start: &Start, bench: &mut Bench, tally: &mut Tally) -> Result<(Decision, Fate), String> {
    let mut first: Option<(Decision, RecordState, Fate)> = None;
    let mut settled = 0;
    for _ in 0..BOOTS {
        tally.boots += 1;
        let before = bench_operations(bench);
        let decision = bench.boot().ok_or("no power")?;
        settled += u32::from(bench_operations(bench) != before);
        let fate = fate_of(start, bench, &decision)?;
        let mut record = loaded(bench);
        nothing_fell(&start.record, &record)?;
        counts(start, fate, &record)?;
        // Sectors beyond the application's mean nothing.
        let known = bench.config.map.application_sectors();
        record.touched = record.touched.intersection(known);
        match &first {
            None => first = Some((decision, record, fate)),
            Some((then, ..)) if *then != decision => {
                return Err(format!(
                    "{} at one boot, {} at another",
                    say(then),
                    say(&decision)
                ));
            }
            Some((_, then, _)) if *then != record => {
                return Err(format!(
                    "the record changed from boot to boot: {}, {}",
                    brief(then),
                    brief(&record)
                ));
            }
            Some(_) => {}
        }
    }
    // The first one settles what is in doubt. Another one may find an entry that only now reads valid, and void it.
    if settled > 2 {
        return Err(format!("{settled} of {BOOTS} boots wrote to the record"));
    }
    let (decision, _, fate) = first.ok_or("no boot")?;
    Ok((decision, fate))
}

fn bench_operations(bench: &Bench) -> u64 {
    bench.nor.counters().operations()
}

/// Boots, and pushes the new image; the operations of both.
fn mend(
    start: &Start,
    bench: &mut Bench,
    expected: &Decision,
    tally: &mut Tally,
) -> Result<Track, String> {
    bench.nor.power_on();
    let base = bench.nor.clone();
    let mut ops = Vec::new();
    let mut recorder = Recorder {
        nor: &mut bench.nor,
        ops: &mut ops,
    };
    let decision = boot::decide(BootInputs::default(), &bench.config, &mut recorder)
        .map_err(|error| format!("boot: {error}"))?;
    if decision != *expected {
        return Err("the same reset decides differently".into());
    }
    let there = bench.application_bytes(start.new.len());
    let pushed = start.push_again(&there, tally, |file, declared| {
        let before = ops.len();
        let recorder = Recorder {
            nor: &mut bench.nor,
            ops: &mut ops,
        };
        let pushed = bench::push(recorder, &bench.config, file, declared)
            .map_err(|error| format!("push: {error}"))?;
        match &pushed {
            Pushed::Refused(refusal) if ops.len() != before => {
                let cost = ops.len() - before;
                Err(format!("{refusal}, after {cost} operations"))
            }
            _ => Ok(pushed),
        }
    })?;
    if pushed != Pushed::Committed {
        return Err(format!("the push that mends: {pushed:?}"));
    }
    let map = &bench.config.map;
    match ops.iter().find(|op| !op.is_allowed(map)) {
        Some(op) => Err(format!("an operation outside: {op:x?}")),
        None => Ok(Track { base, ops }),
    }
}

/// The sectors of the IAP firmware are what they were: nothing, on these boards.
fn untouched(start: &Start, bench: &Bench) -> Result<(), String> {
    let erases = &bench.nor.counters().erases;
    let iap = start.bench.config.map.iap_sectors;
    match iap
        .iter()
        .find(|&index| erases.get(usize::from(index)) != Some(&0))
    {
        Some(index) => Err(format!("sector {index} of the IAP firmware was erased")),
        None => Ok(()),
    }
}

/// What a decision means, if it is one that a board may take.
pub fn fate_of(start: &Start, bench: &Bench, decision: &Decision) -> Result<Fate, String> {
    match decision {
        Decision::Start(begun) => {
            let image = begun.image.as_ref();
            let crc = image.map(HeaderBytes::payload_crc32);
            let is = |(known, payload): &&(u32, Vec<u8>)| match crc {
                Some(crc) => *known == crc,
                None => bench.application_bytes(payload.len()) == *payload,
            };
            let found = start.complete.iter().find(is);
            let (_, payload) = found.ok_or_else(|| format!("{}: no known image", say(decision)))?;
            if bench.application_bytes(payload.len()) != *payload {
                return Err(format!("{}: it is not complete", say(decision)));
            }
            let is_new = *payload == start.new && image.is_some();
            Ok(if is_new { Fate::New } else { Fate::Before })
        }
        Decision::Stay(IapReason::UpdateUnfinished) => Ok(Fate::Unfinished),
        _ if start
            .initial
            .as_ref()
            .is_none_or(|initial| initial == decision) =>
        {
            Ok(Fate::Before)
        }
        _ => Err(say(decision)),
    }
}

/// A decision in a few words.
pub fn say(decision: &Decision) -> String {
    match decision {
        Decision::Stay(reason) => format!("IAP mode, {reason:?}"),
        Decision::Start(start) => match &start.image {
            Some(image) => format!(
                "starts {} ({:#010x})",
                image.version(),
                image.payload_crc32()
            ),
            None => "starts by the bare rule".into(),
        },
    }
}

/// Whether the first erase of user flash follows the end of the old application's life at once, and the new one's begins with the last
/// operation: what is between belongs to the update.
pub fn lives_long(start: &Start, track: &Track, fates: &[Fate]) -> Result<(), String> {
    if !fates.is_sorted() {
        return Err("fates go back and forth along the update".into());
    }
    let map = &start.bench.config.map;
    let erase = |op: &Op| matches!(op, Op::Erase(index) if !map.record_sectors.contains(index));
    let first_erase = track.ops.iter().position(erase);
    let end_of_old = fates.iter().position(|&fate| fate != Fate::Before);
    match (first_erase, end_of_old) {
        // TOUCHED, eight words, is all that may lie between.
        (Some(erase), Some(end)) if end + 8 < erase => Err(format!(
            "the old application ends at operation {end}, the first erase is operation {erase}"
        )),
        _ => Ok(()),
    }
}

fn brief(state: &RecordState) -> String {
    let version = state
        .image
        .as_ref()
        .map(|image| image.version().to_string());
    let (touched, done) = (state.touched, state.done);
    format!(
        "{:?} {version:?} touched {touched:?} done {done:?}",
        state.last
    )
}
