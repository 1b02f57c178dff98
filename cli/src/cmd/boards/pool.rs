//! Works on boards at the same time: a task for each, on one thread, and never more of them than allowed.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::entry::Entry;
use super::{BoardResult, Turn, lines};
use crate::board::Target;
use crate::board::interrupt::Interrupt;
use crate::board::progress::{Rows, Show};
use crate::failure::Failure;
use crate::output::Output;

/// How often rows on a terminal are drawn.
const FRAME: Duration = Duration::from_millis(150);

pub(super) struct Pool {
    /// So many boards at the same time.
    pub(super) at_once: usize,
    /// So much time for each, from its turn on.
    pub(super) limit: Option<Duration>,
    pub(super) output: Output,
}

impl Pool {
    /// Does `work` with each board, and shows what becomes of each. Entries are in the order of the boards.
    pub(super) async fn run_seen<T: BoardResult>(
        &self,
        targets: &[Target],
        work: impl AsyncFn(&Turn) -> Result<T, Failure> + 'static,
    ) -> Vec<Entry<T>> {
        let interrupt = Interrupt::listen();
        let rows = Rc::new(Rows::new(&self.output, targets));
        let mut drawing = JoinSet::new();
        if rows.are_seen() {
            drawing.spawn_local(draw(rows.clone(), interrupt.clone()));
        }
        let begin = |index: usize, target: &Target| -> Rc<dyn Show> {
            if self.output.is_json() {
                self.output.line(&lines::Started::new(target));
            }
            rows.begin(index, target)
        };
        let end = |index: usize, entry: &Entry<T>| {
            if self.output.is_json() {
                self.output.line(&lines::ResultLine::new(entry));
            }
            // After Ctrl-C the table comes at once.
            let is_news = !entry.is_good() && !interrupt.is_pressed();
            rows.end(index, entry.is_good(), is_news, &entry.line());
        };
        let entries = self.run(targets, &interrupt, work, begin, end).await;
        rows.clear();
        entries
    }

    /// Does `work` with each board; `begin` says where its progress is shown, `end` hears of its result. Ctrl-C lets no more begin.
    pub(super) async fn run<T: BoardResult>(
        &self,
        targets: &[Target],
        interrupt: &Interrupt,
        work: impl AsyncFn(&Turn) -> Result<T, Failure> + 'static,
        begin: impl Fn(usize, &Target) -> Rc<dyn Show>,
        end: impl Fn(usize, &Entry<T>),
    ) -> Vec<Entry<T>> {
        let work = Rc::new(work);
        let taken = Rc::default();
        let mut waiting: VecDeque<usize> = (0..targets.len()).collect();
        let mut done: Vec<Option<Entry<T>>> = targets.iter().map(|_| None).collect();
        let mut running = JoinSet::new();
        loop {
            while running.len() < self.at_once && !interrupt.is_pressed() {
                let Some(index) = waiting.pop_front() else {
                    break;
                };
                let Some(target) = targets.get(index) else {
                    break;
                };
                let turn = Turn {
                    target: target.clone(),
                    interrupt: interrupt.limited(self.limit),
                    show: begin(index, target),
                    taken: Rc::clone(&taken),
                    alone: targets.len() == 1,
                };
                running.spawn_local(work_on(index, turn, work.clone()));
            }
            let Some(finished) = running.join_next().await else {
                break;
            };
            // A task ends early only by a panic, which is to be seen as one.
            let (index, entry) = match finished {
                Ok(finished) => finished,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            end(index, &entry);
            if let Some(place) = done.get_mut(index) {
                *place = Some(entry);
            }
        }
        (done.into_iter().zip(targets))
            .map(|(entry, target)| entry.unwrap_or_else(|| Entry::not_tried(target)))
            .collect()
    }
}

async fn work_on<T: BoardResult>(
    index: usize,
    turn: Turn,
    work: Rc<impl AsyncFn(&Turn) -> Result<T, Failure> + 'static>,
) -> (usize, Entry<T>) {
    let begun = Instant::now();
    let result = work(&turn).await;
    (index, Entry::new(turn.target, result, begun.elapsed()))
}

async fn draw(rows: Rc<Rows>, interrupt: Interrupt) {
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        frames.tick().await;
        rows.draw(interrupt.is_pressed());
    }
}
