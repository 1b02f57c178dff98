//! Random numbers from the analog noise of the RNG; the time of day and the chip's id where it fails.

use stm32f4xx_hal::pac::{RCC, RNG};

/// RCC_AHB2ENR.RNGEN (RM0090 section 7.3.11).
const RNGEN_CLOCK: u32 = 1 << 6;
/// RNG_CR.RNGEN, RNG_SR (RM0090 section 24.4).
const RNGEN: u32 = 1 << 2;
const DRDY: u32 = 1 << 0;
const ERRORS: u32 = 1 << 1 | 1 << 2 | 1 << 5 | 1 << 6;

/// A number takes 40 cycles of 48 MHz, 140 of the core.
const TRIES: u32 = 1000;

/// The generator.
pub(crate) struct Random {
    rng: RNG,
    last: u32,
    fallback: u32,
}

impl Random {
    /// Starts it; `seed` is for the case that it does not work.
    pub(crate) fn new(rng: RNG, rcc: &RCC, seed: u32) -> Self {
        change!(rcc.ahb2enr(), clear 0, set RNGEN_CLOCK);
        // ES0182, delay after an RCC peripheral clock enabling: a dummy read.
        rcc.ahb2enr().read();
        put!(rng.cr(), RNGEN);
        let mut random = Self {
            rng,
            last: 0,
            fallback: seed | 1,
        };
        // RM0090 section 24.3.1: the first number after the start is only compared with.
        random.last = random.fresh().unwrap_or(0);
        random
    }

    /// A number; `time` goes into it only where the generator fails.
    pub(crate) fn next(&mut self, time: u32) -> u32 {
        match self.fresh().filter(|number| *number != self.last) {
            Some(number) => {
                self.last = number;
                number
            }
            None => self.substitute(time),
        }
    }

    fn fresh(&mut self) -> Option<u32> {
        for _ in 0..TRIES {
            let status = self.rng.sr().read().bits();
            if status & ERRORS != 0 {
                self.restart();
            } else if status & DRDY != 0 {
                return Some(self.rng.dr().read().bits());
            }
        }
        None
    }

    /// RM0090 section 24.3.2: after a seed error clear SEIS, then RNGEN off and on.
    fn restart(&mut self) {
        put!(self.rng.sr(), 0);
        put!(self.rng.cr(), 0);
        put!(self.rng.cr(), RNGEN);
    }

    /// Marsaglia's xorshift32, stirred with the time. Good enough for port numbers.
    fn substitute(&mut self, time: u32) -> u32 {
        let mut x = self.fallback ^ time.rotate_left(16);
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.fallback = x | 1;
        x
    }
}
