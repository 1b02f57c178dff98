//! Random numbers from the analog noise of the RNG; the time of day and the chip's id where it fails.

use iap_stm32f407::random_word::{CR_RNGEN, Numbers, Status, status, substitute};
use stm32f4xx_hal::pac::{RCC, RNG};

/// RCC_AHB2ENR.RNGEN (RM0090 section 7.3.11).
const RNGEN_CLOCK: u32 = 1 << 6;

/// A number takes 40 cycles of 48 MHz (RM0090 section 24.4.3), 140 of the core: enough for some numbers and some starts.
const TRIES: u32 = 1000;

/// The generator.
pub(crate) struct Random {
    rng: RNG,
    numbers: Numbers,
    fallback: u32,
}

impl Random {
    /// Starts it; `seed` is for the case that it does not work.
    pub(crate) fn new(rng: RNG, rcc: &RCC, seed: u32) -> Self {
        change!(rcc.ahb2enr(), clear 0, set RNGEN_CLOCK);
        // ES0182, delay after an RCC peripheral clock enabling: a dummy read.
        rcc.ahb2enr().read();
        put!(rng.cr(), CR_RNGEN);
        Self {
            rng,
            numbers: Numbers::default(),
            fallback: seed | 1,
        }
    }

    /// A number; `time` goes into it only where the generator fails.
    pub(crate) fn next(&mut self, time: u32) -> u32 {
        for _ in 0..TRIES {
            match status(self.rng.sr().read().bits()) {
                Status::Pending => {}
                Status::Restart => self.restart(),
                Status::Ready => {
                    if let Some(number) = self.numbers.take(self.rng.dr().read().bits()) {
                        return number;
                    }
                }
            }
        }
        let number = substitute(self.fallback, time);
        self.fallback = number | 1;
        number
    }

    /// RM0090 section 24.3.2: after a seed error clear SEIS, then RNGEN off and on.
    fn restart(&mut self) {
        put!(self.rng.sr(), 0);
        put!(self.rng.cr(), 0);
        put!(self.rng.cr(), CR_RNGEN);
        self.numbers.started();
    }
}
