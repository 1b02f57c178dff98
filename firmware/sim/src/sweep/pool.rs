//! Work over threads. Every item is done once, a panic in one is a result like others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::tally::Tally;

/// Does `work` for each number below `items` on so many threads, and adds up what they found.
pub fn run(threads: usize, items: usize, work: impl Fn(usize, &mut Tally) + Sync) -> Tally {
    let next = AtomicUsize::new(0);
    let sum = Mutex::new(Tally::default());
    let worker = || {
        let mut tally = Tally::default();
        loop {
            let item = next.fetch_add(1, Ordering::Relaxed);
            if item >= items {
                break;
            }
            guarded(&mut tally, |tally| work(item, tally));
        }
        sum.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(tally);
    };
    if threads <= 1 {
        // In the caller's thread: a defect that a test has switched on is that thread's own.
        worker();
    } else {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(worker);
            }
        });
    }
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Turns a panic into a violation.
pub fn guarded(tally: &mut Tally, work: impl FnOnce(&mut Tally)) {
    let result = catch_unwind(AssertUnwindSafe(|| work(tally)));
    if let Err(panic) = result {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("panic");
        tally.violation(format!("panic: {text}"));
    }
}
