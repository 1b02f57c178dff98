//! Clock solutions: from any usable HSE to 168 MHz and the 48 MHz of the random number generator, from HSI to 152 MHz.
//!
//! RM0090 section 7.3.2: f(VCO) = f(input) * N / M, SYSCLK = f(VCO) / P, 48 MHz clock = f(VCO) / Q. With a VCO of 336 MHz both come out
//! exact: P = 2, Q = 7.
//!
//! HSI may be fast by 4.5 % between -40 and 105 degrees C (DS8626 section 5.3.9), and neither core nor flash may exceed their limits then. The
//! boot decision runs from HSI, at whatever supply a slow ramp has reached by then, and below 2.1 V the flash is good for 160 MHz at most (RM0090
//! section 3.5.1, table 10): 152 MHz become 158.9 MHz. The 48 MHz clock is 43.4 MHz, at most 45.4 MHz; only USB needs it exact.

/// The internal oscillator (section 7.2.2).
pub const HSI_HZ: u32 = 16_000_000;
/// System clock, AHB clock and core clock from HSE; the highest there is, so what is counted in cycles of it lasts long enough.
pub const SYSCLK_HZ: u32 = 168_000_000;
/// The same from HSI.
pub const HSI_SYSCLK_HZ: u32 = 152_000_000;

const PLLP: u32 = 2;
const PLLQ: u32 = 7;

/// RCC_PLLCFGR bit 22: the PLL's input is HSE (section 7.3.2).
const PLLSRC_HSE: u32 = 1 << 22;
/// RCC_PLLCFGR's reserved bit 29 is set after a reset and stays so (section 7.3.2, reset value 0x2400 3010).
const PLLCFGR_RESERVED: u32 = 0x2000_0000;

/// What feeds the PLL, and with it everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The internal oscillator.
    Hsi,
    /// The external one, with its frequency in Hz.
    Hse(u32),
}

impl Source {
    /// System clock, AHB clock and core clock.
    pub const fn sysclk_hz(self) -> u32 {
        match self {
            Self::Hsi => HSI_SYSCLK_HZ,
            Self::Hse(_) => SYSCLK_HZ,
        }
    }

    /// APB1 clock: at most 42 MHz (section 7.2).
    pub const fn apb1_hz(self) -> u32 {
        self.sysclk_hz() / 4
    }

    /// Clock of the timers on APB1: twice the bus clock unless the bus is not divided (section 7.2, figure 21).
    pub const fn apb1_timer_hz(self) -> u32 {
        2 * self.apb1_hz()
    }
}

/// M and N of the PLL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pll {
    /// Division of the input, 2 to 63.
    pub m: u32,
    /// Multiplication, 50 to 432.
    pub n: u32,
}

/// The solution for an input of `input_hz` and `vco_hz`: exact, and with the highest input to the VCO (2 MHz where possible), which the manual
/// recommends against jitter. `None` where there is no exact one.
pub const fn pll(input_hz: u32, vco_hz: u32) -> Option<Pll> {
    let mut m = 2;
    while m <= 63 {
        let product = vco_hz as u64 * m as u64;
        let in_range = input_hz >= 1_000_000 * m && input_hz <= 2_000_000 * m;
        if in_range && product.is_multiple_of(input_hz as u64) {
            let n = (product / input_hz as u64) as u32;
            if n >= 50 && n <= 432 {
                return Some(Pll { m, n });
            }
        }
        m += 1;
    }
    None
}

/// RCC_PLLCFGR for `source` (section 7.3.2).
pub const fn pllcfgr(source: Source) -> Option<u32> {
    let (input_hz, src) = match source {
        Source::Hsi => (HSI_HZ, 0),
        Source::Hse(hz) => (hz, PLLSRC_HSE),
    };
    match pll(input_hz, PLLP * source.sysclk_hz()) {
        Some(Pll { m, n }) => {
            let dividers = PLLQ << 24 | (PLLP / 2 - 1) << 16 | n << 6 | m;
            Some(PLLCFGR_RESERVED | src | dividers)
        }
        None => None,
    }
}

/// RCC_CFGR.SW and SWS: the system clock is HSI or the PLL (section 7.3.3).
pub const SW_HSI: u32 = 0b00;
/// See [`SW_HSI`].
pub const SW_PLL: u32 = 0b10;

/// RCC_CFGR without SW: AHB undivided, APB1 divided by 4, APB2 by 2 (section 7.3.3), and MCO1 as the profile asks.
pub const fn cfgr(mco1: u32) -> u32 {
    const PPRE1_DIV4: u32 = 0b101 << 10;
    const PPRE2_DIV2: u32 = 0b100 << 13;
    PPRE1_DIV4 | PPRE2_DIV2 | mco1
}

/// The bits of RCC_CFGR that put HSE / (`hse_hz` / `mco1_hz`) on PA8; `None` if no division from 1 to 5 does.
pub const fn mco1(hse_hz: u32, mco1_hz: u32) -> Option<u32> {
    const MCO1_HSE: u32 = 0b10 << 21;
    if mco1_hz == 0 || !hse_hz.is_multiple_of(mco1_hz) {
        return None;
    }
    let prescaler = match hse_hz / mco1_hz {
        1 => 0b000,
        2 => 0b100,
        3 => 0b101,
        4 => 0b110,
        5 => 0b111,
        _ => return None,
    };
    Some(prescaler << 24 | MCO1_HSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// f(VCO input), f(VCO), SYSCLK and the 48 MHz clock, from the word alone.
    fn frequencies(input_hz: u32, pllcfgr: u32) -> [u32; 4] {
        let field = |shift: u32, bits: u32| pllcfgr >> shift & ((1 << bits) - 1);
        let input = input_hz / field(0, 6);
        let vco = input * field(6, 9);
        [
            input,
            vco,
            vco / (2 * (field(16, 2) + 1)),
            vco / field(24, 4),
        ]
    }

    #[test]
    fn hse_of_25_mhz_takes_the_divisors_of_the_evaluation_board() {
        // SystemInit of ST's STM324xG-EVAL code: PLL_M 25, PLL_N 336, PLL_P 2, PLL_Q 7, with bit 29 added.
        assert_eq!(pllcfgr(Source::Hse(25_000_000)), Some(0x2740_5419));
    }

    #[test]
    fn hsi_runs_the_vco_at_2_mhz() {
        assert_eq!(pllcfgr(Source::Hsi), Some(0x2700_2608));
        assert_eq!(pll(HSI_HZ, 304_000_000), Some(Pll { m: 8, n: 152 }));
    }

    #[test]
    fn the_fastest_hsi_there_is_keeps_all_limits() {
        let word = pllcfgr(Source::Hsi).unwrap();
        let fastest = HSI_HZ / 1000 * 1045;
        let [input, vco, sysclk, rng] = frequencies(fastest, word);
        // RM0090 section 7.3.2: 1 to 2 MHz, "2 MHz recommended"; 100 to 432 MHz. DS8626 sections 5.3.1 and 5.3.10 allow 168 MHz and 2.1 MHz.
        assert!(input <= 2_100_000, "{input}");
        assert!((100_000_000..=432_000_000).contains(&vco), "{vco}");
        // RM0090 section 3.5.1, table 10, at 1.8 to 2.1 V.
        assert!(sysclk <= 160_000_000, "{sysclk}");
        assert!(sysclk / 4 <= 42_000_000 && sysclk / 2 <= 84_000_000);
        assert!(rng <= 48_000_000, "{rng}");
        // RM0090 section 24.4.2, CECS: the generator's clock is at least a sixteenth of HCLK.
        assert!(rng >= sysclk / 16);
    }

    #[test]
    fn every_usual_oscillator_gives_168_and_48_mhz_exactly() {
        for hz in [
            4_000_000, 8_000_000, 12_000_000, 16_000_000, 24_000_000, 25_000_000, 26_000_000,
        ] {
            let word = pllcfgr(Source::Hse(hz)).unwrap();
            let [input, vco, sysclk, usb] = frequencies(hz, word);
            assert!(
                (1_000_000..=2_000_000).contains(&input),
                "{hz}: input {input}"
            );
            assert_eq!(
                (vco, sysclk, usb),
                (336_000_000, SYSCLK_HZ, 48_000_000),
                "{hz}"
            );
            assert_eq!(word >> 28, 2, "reserved bits as after a reset");
            assert_eq!(word & PLLSRC_HSE, PLLSRC_HSE);
        }
    }

    #[test]
    fn an_oscillator_without_an_exact_solution_is_refused() {
        assert_eq!(pll(11_059_200, 336_000_000), None);
        assert_eq!(pll(1_500_000, 336_000_000), None, "below the range of M");
    }

    #[test]
    fn buses_stay_within_their_limits() {
        // Section 7.3.3: PPRE1 = 101 divides by 4, PPRE2 = 100 by 2.
        assert_eq!(cfgr(0), 0x0000_9400);
        assert_eq!(Source::Hse(25_000_000).apb1_hz(), 42_000_000);
        assert_eq!(Source::Hse(25_000_000).apb1_timer_hz(), 84_000_000);
        assert_eq!(Source::Hsi.apb1_timer_hz(), 76_000_000);
    }

    #[test]
    fn mco1_divides_hse_by_one_to_five() {
        assert_eq!(mco1(25_000_000, 25_000_000), Some(0x0040_0000));
        assert_eq!(mco1(50_000_000, 25_000_000), Some(0x0440_0000));
        assert_eq!(mco1(25_000_000, 5_000_000), Some(0x0740_0000));
        assert_eq!(mco1(25_000_000, 50_000_000), None);
        assert_eq!(mco1(12_000_000, 2_000_000), None);
        assert_eq!(mco1(25_000_000, 0), None);
    }
}
