//! Loops in which the core only waits: most rounds of one are counted instead of executed.
//!
//! Firmware waits some 150 ms after each reset, for a key's line and for the PHY: 25 million cycles in which nothing happens. Two loops are known,
//! by their code: `asm::delay`, which counts a register down, and one that reads a timer until enough time has passed. A round that begins with
//! the registers and ends with them again is the same as the one before, until the timer ticks; time, cycles and registers are afterwards
//! what they would have been. Whoever uses SysTick has every round executed.

use rsemu::cpu::arm::v7m::Regs;

use super::Board;
use crate::memory;
use crate::time::Time;

/// Bytes that such a loop jumps back, at most.
const LOOP_LEN: u32 = 6;
/// Rounds that do something else, after which a loop is not looked at any more.
const PATIENCE: u8 = 8;
/// TIM2_CNT, and from one timer to the next (RM0090 sections 2.3 and 18.4.10).
const FIRST_COUNTER: u32 = 0x4000_0024;
const TIMER_SPAN: u32 = 0x400;

/// The loop that is being executed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loop {
    head: u32,
    /// At the head, the last time; and the cycles until then.
    registers: Regs,
    cycles: u64,
    /// Rounds in a row that were not only waiting.
    busy: u8,
}

/// What a round of it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wait {
    /// A register is one less than before.
    Countdown(usize),
    /// Nothing is different while this timer's counter is as it was read.
    Timer(usize),
}

impl Board {
    /// To be called when the core has jumped back to where it is: passes the rounds of a waiting loop that end before `limit`.
    pub(super) fn skip_waiting(&mut self, now: &Regs, limit: Time) {
        let head = now.r[15];
        if self.last_pc - head > LOOP_LEN || !self.skips_waiting {
            return;
        }
        let last = self.waiting;
        if last.head != head {
            self.waiting.busy = 0;
        } else if last.busy == PATIENCE {
            return;
        }
        (self.waiting.head, self.waiting.registers) = (head, *now);
        self.waiting.cycles = self.cycles;
        if last.head != head {
            return;
        }
        let round = self.cycles.saturating_sub(last.cycles);
        match self.wait(&last.registers, now) {
            Some(wait) if !self.core.uses_systick() => {
                self.waiting.busy = 0;
                self.pass_rounds(wait, round, now, limit);
            }
            _ => self.waiting.busy += 1,
        }
    }

    /// What the code here does, if the last round has done it.
    fn wait(&self, last: &Regs, now: &Regs) -> Option<Wait> {
        let word = |at: u32| self.core.peek(at & !3).map(|word| word >> (8 * (at & 2)));
        let code = |index: u32| Some(word(now.r[15] + 2 * index)? & 0xFFFF);
        if last == now {
            // ldr rt, [rn, #imm]; subs rd, rt, rm; cmp rd, rm; b<c> to the first
            let [load, subtract, compare, branch] = [code(0)?, code(1)?, code(2)?, code(3)?];
            let is_known = (load & 0xF800, subtract & 0xFE00) == (0x6800, 0x1A00)
                && (compare & 0xFFC0, branch & 0xF0FF) == (0x4280, 0xD0FB);
            let base = now.r[(load >> 3 & 7) as usize];
            let address = base.wrapping_add(4 * (load >> 6 & 31));
            let offset = address.checked_sub(FIRST_COUNTER)?;
            let timer = (offset / TIMER_SPAN) as usize;
            let is_counter = offset % TIMER_SPAN == 0 && timer < 4;
            return (is_known && is_counter).then_some(Wait::Timer(timer));
        }
        // subs rd, #1; bne to it
        let counter = (0..8).find(|&index| last.r[index] != now.r[index])?;
        let mut expected = *last;
        expected.r[counter] = last.r[counter].wrapping_sub(1);
        let subtract = 0x3801 | (counter as u32) << 8;
        let is_known = expected == *now && code(0)? == subtract && code(1)? == 0xD1FD;
        is_known.then_some(Wait::Countdown(counter))
    }

    /// Lets as many rounds pass as are sure to be like the last one.
    fn pass_rounds(&mut self, wait: Wait, round: u64, now: &Regs, limit: Time) {
        let (until, most) = match wait {
            // The last ones are executed: they leave the loop.
            Wait::Countdown(counter) => (limit, u64::from(now.r[counter]).saturating_sub(2)),
            Wait::Timer(timer) => {
                let chip = memory::lock(&self.shared);
                (
                    limit.min(chip.devices.timers[timer].holds_until()),
                    u64::MAX,
                )
            }
        };
        let cycles = self.pace.counted(until.since(self.now()).cycles(self.hz));
        let fitting = cycles.checked_div(round).unwrap_or(0).saturating_sub(1);
        let rounds = fitting.min(most);
        if rounds == 0 {
            return;
        }
        let (before, passed) = (self.now(), rounds * round);
        if let Wait::Countdown(counter) = wait {
            let left = now.r[counter].wrapping_sub(rounds as u32);
            self.core.set_register(counter as u8, left);
            self.waiting.registers.r[counter] = left;
        }
        self.core.idle(passed, false);
        self.clock.advance(self.pace.passed(passed), self.hz);
        self.executing += self.now() - before;
        self.cycles += passed;
        self.skipped += passed;
        self.waiting.cycles = self.cycles;
    }
}
