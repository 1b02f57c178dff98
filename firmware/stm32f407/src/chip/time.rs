//! Time from TIM2, 32 bits at 1 MHz. It counts on while the flash stalls the core, where SysTick's interrupts would be lost.

use iap_stm32f407::clock::Source;
use stm32f4xx_hal::pac::{RCC, TIM2};

/// RCC_APB1ENR.TIM2EN (RM0090 section 7.3.13).
const TIM2EN: u32 = 1 << 0;
/// TIM2_EGR.UG, TIM2_CR1.CEN, TIM2_DIER.CC1IE (RM0090 section 18.4).
const UG: u32 = 1 << 0;
const CEN: u32 = 1 << 0;
const CC1IE: u32 = 1 << 1;

/// The time since the start of IAP mode. Must be read once in 71 minutes; the main loop reads it ten times a second.
pub(crate) struct Timer {
    tim2: TIM2,
    last: u32,
    high: u32,
}

impl Timer {
    /// Starts it at zero. The core must run at its final clock, from `source`.
    pub(crate) fn new(tim2: TIM2, source: Source, rcc: &RCC) -> Self {
        change!(rcc.apb1enr(), clear 0, set TIM2EN);
        // ES0182, delay after an RCC peripheral clock enabling: a dummy read.
        rcc.apb1enr().read();
        put!(tim2.psc(), source.apb1_timer_hz() / 1_000_000 - 1);
        put!(tim2.arr(), u32::MAX);
        // The prescaler is taken over with an update event, which also sets its flag (RM0090 section 18.3.1).
        put!(tim2.egr(), UG);
        put!(tim2.sr(), 0);
        put!(tim2.dier(), CC1IE);
        put!(tim2.cr1(), CEN);
        Self {
            tim2,
            last: 0,
            high: 0,
        }
    }

    /// Microseconds since the start.
    pub(crate) fn now_us(&mut self) -> u64 {
        let count = self.count();
        if count < self.last {
            self.high = self.high.wrapping_add(1);
        }
        self.last = count;
        u64::from(self.high) << 32 | u64::from(count)
    }

    /// Has the timer end sleep at `at_us`, by a compare (RM0090 section 18.3.8); `false` if that is now or past. Less than 71 minutes ahead.
    pub(crate) fn wake_at(&mut self, at_us: u64) -> bool {
        put!(self.tim2.ccr1(), at_us as u32);
        put!(self.tim2.sr(), 0);
        // The compare happens once, in the microsecond itself: whoever is late must not sleep.
        self.now_us() < at_us
    }

    /// Waits, for the short times that the hardware asks for.
    pub(crate) fn wait_us(&mut self, us: u32) {
        let start = self.count();
        while self.count().wrapping_sub(start) <= us {}
    }

    fn count(&self) -> u32 {
        self.tim2.cnt().read().bits()
    }
}
