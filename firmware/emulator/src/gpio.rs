//! GPIO ports A to I (RM0090 section 8), and what is soldered to them: keys and LEDs.
//!
//! An input that nobody drives and nothing pulls reads 0. Outputs drive their own input register; open drain and alternate functions are
//! levels that this model does not follow any further.

use iap_profile::{Level, Pin, PinSettings};

use crate::register::{Context, Refusal, Registers, Result, Write};
use crate::time::Time;

/// Ports A to I.
pub(crate) const PORTS: usize = 9;
/// Changes of LEDs kept; the rest is counted by nobody.
const MAX_CHANGES: usize = 100_000;

const MODER: u32 = 0x00;
const PUPDR: u32 = 0x0C;
const IDR: u32 = 0x10;
const ODR: u32 = 0x14;
const BSRR: u32 = 0x18;
const LCKR: u32 = 0x1C;
const AFRL: u32 = 0x20;
const AFRH: u32 = 0x24;

/// The two bits of MODER.
const OUTPUT: u32 = 1;
const ALTERNATE: u32 = 2;

#[derive(Clone, Debug)]
pub(crate) struct Port {
    /// MODER, OTYPER, OSPEEDR, PUPDR.
    config: [u32; 4],
    odr: u32,
    alternate: [u32; 2],
    /// Pins that something outside drives, and their levels.
    driven: u16,
    levels: u16,
    reset_config: [u32; 4],
}

impl Port {
    /// Reset values: RM0090 section 8.4. PA13 to PA15 and PB3, PB4 belong to the debug port.
    fn new(index: usize) -> Self {
        let reset_config = match index {
            0 => [0xA800_0000, 0, 0, 0x6400_0000],
            1 => [0x280, 0, 0xC0, 0x100],
            _ => [0; 4],
        };
        Self {
            config: reset_config,
            odr: 0,
            alternate: [0; 2],
            driven: 0,
            levels: 0,
            reset_config,
        }
    }

    fn reset(&mut self) {
        self.config = self.reset_config;
        self.odr = 0;
        self.alternate = [0; 2];
    }

    fn mode(&self, pin: u8) -> u32 {
        self.config[0] >> (2 * u32::from(pin)) & 3
    }

    fn level(&self, pin: u8) -> bool {
        let bit = 1 << pin;
        if self.mode(pin) == OUTPUT {
            return self.odr & bit != 0;
        }
        if u32::from(self.driven) & bit != 0 {
            return u32::from(self.levels) & bit != 0;
        }
        self.config[3] >> (2 * u32::from(pin)) & 3 == 1 // pull-up
    }

    fn alternate_function(&self, pin: u8) -> Option<u8> {
        let half = self.alternate[usize::from(pin / 8)];
        (self.mode(pin) == ALTERNATE).then_some((half >> (4 * u32::from(pin % 8)) & 0xF) as u8)
    }
}

impl Registers for Port {
    fn read(&mut self, offset: u32, _: &mut Context<'_>) -> Result<u32> {
        Ok(match offset {
            MODER..=PUPDR => self.config[(offset / 4) as usize],
            IDR => (0..16).map(|pin| u32::from(self.level(pin)) << pin).sum(),
            ODR => self.odr,
            BSRR | LCKR => 0,
            AFRL => self.alternate[0],
            AFRH => self.alternate[1],
            _ => return Err(Refusal::NotModelled),
        })
    }

    fn write(&mut self, offset: u32, write: Write, _: &mut Context<'_>) -> Result<()> {
        let slot = match offset {
            MODER..=PUPDR => &mut self.config[(offset / 4) as usize],
            ODR => &mut self.odr,
            // Setting wins over clearing (RM0090 section 8.4.7).
            BSRR => {
                let bits = write.ones();
                self.odr = self.odr & !(bits >> 16) | bits & 0xFFFF;
                return Ok(());
            }
            AFRL => &mut self.alternate[0],
            AFRH => &mut self.alternate[1],
            _ => return Err(Refusal::NotModelled), // LCKR: nothing here locks pins
        };
        *slot = write.over(*slot);
        self.odr &= 0xFFFF;
        Ok(())
    }
}

/// An LED that went on or off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LedChange {
    /// When.
    pub at: Time,
    /// Which, in the order of the profile.
    pub led: usize,
    /// Whether it is on now.
    pub on: bool,
}

#[derive(Debug)]
pub(crate) struct Gpio {
    pub(crate) ports: [Port; PORTS],
    leds: Vec<PinSettings>,
    led_states: Vec<bool>,
    changes: Vec<LedChange>,
}

/// The index of a pin's port.
pub(crate) fn port_of(pin: Pin) -> usize {
    (u32::from(pin.port).wrapping_sub(u32::from('A'))) as usize
}

impl Gpio {
    pub(crate) fn new(leds: Vec<PinSettings>) -> Self {
        Self {
            ports: std::array::from_fn(Port::new),
            led_states: vec![false; leds.len()],
            leds,
            changes: Vec::new(),
        }
    }

    pub(crate) fn reset(&mut self, now: Time) {
        self.ports.iter_mut().for_each(Port::reset);
        self.watch_leds(now);
    }

    /// RCC's reset of one port.
    pub(crate) fn reset_port(&mut self, index: usize, now: Time) {
        if let Some(port) = self.ports.get_mut(index) {
            port.reset();
            self.watch_leds(now);
        }
    }

    /// Something outside drives a pin.
    pub(crate) fn drive(&mut self, pin: Pin, level: Level) {
        if let Some(port) = self.ports.get_mut(port_of(pin)) {
            let bit = 1 << pin.number;
            port.driven |= bit;
            port.levels = port.levels & !bit | if level == Level::High { bit } else { 0 };
        }
    }

    /// The level of a pin.
    pub(crate) fn level(&self, pin: Pin) -> bool {
        self.ports
            .get(port_of(pin))
            .is_some_and(|port| port.level(pin.number))
    }

    /// Whether the firmware drives a pin.
    pub(crate) fn is_output(&self, pin: Pin) -> bool {
        self.ports
            .get(port_of(pin))
            .is_some_and(|port| port.mode(pin.number) == OUTPUT)
    }

    pub(crate) fn alternate_function(&self, pin: Pin) -> Option<u8> {
        self.ports.get(port_of(pin))?.alternate_function(pin.number)
    }

    /// Whether each LED is on. A pin that is no output does not light one.
    pub(crate) fn leds(&self) -> &[bool] {
        &self.led_states
    }

    pub(crate) fn led_changes(&self) -> &[LedChange] {
        &self.changes
    }

    pub(crate) fn watch_leds(&mut self, at: Time) {
        for (index, led) in self.leds.iter().enumerate() {
            let port = &self.ports[port_of(led.pin).min(PORTS - 1)];
            let lit = port.level(led.pin.number) == (led.active == Level::High);
            let on = lit && port.mode(led.pin.number) == OUTPUT;
            if self.led_states[index] != on {
                self.led_states[index] = on;
                if self.changes.len() < MAX_CHANGES {
                    self.changes.push(LedChange { at, led: index, on });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Reports;
    use crate::wires::Wires;

    fn access<T>(port: &mut Port, f: impl FnOnce(&mut Port, &mut Context<'_>) -> T) -> T {
        let (wires, mut reports) = (Wires::new(3300), Reports::default());
        let mut context = Context::new(Time::ZERO, 0, &wires, &mut reports);
        f(port, &mut context)
    }

    fn write(port: &mut Port, offset: u32, write: Write) {
        access(port, |port, context| port.write(offset, write, context)).unwrap();
    }

    #[test]
    fn an_input_reads_its_driver_else_its_pull_else_0() {
        let mut port = Port::new(6);
        assert!(!port.level(15));
        write(&mut port, PUPDR, Write::word(1 << 30));
        assert!(port.level(15), "pulled up");
        port.driven = 1 << 15;
        assert!(!port.level(15), "driven low against the pull");
    }

    /// RM0090 section 8.4.7: the upper half resets, the lower half sets, half words reach one of them.
    #[test]
    fn bsrr_takes_half_words_and_setting_wins() {
        let mut port = Port::new(3);
        write(
            &mut port,
            BSRR,
            Write {
                value: 0x3000,
                mask: 0xFFFF,
            },
        );
        write(
            &mut port,
            BSRR,
            Write {
                value: 0x1000 << 16,
                mask: 0xFFFF_0000,
            },
        );
        assert_eq!(port.odr, 0x2000);
        write(&mut port, BSRR, Write::word(0x0001_0001));
        assert_eq!(port.odr, 0x2001);
    }

    /// RM0090 section 8.4: only an output drives its pin.
    #[test]
    fn leds_are_lit_by_outputs_at_their_active_level() {
        let pin = "PD12".parse().unwrap();
        let mut gpio = Gpio::new(vec![PinSettings {
            pin,
            active: Level::High,
        }]);
        write(&mut gpio.ports[3], BSRR, Write::word(1 << 12));
        gpio.watch_leds(Time::from_millis(1));
        assert_eq!(gpio.leds(), [false], "no output yet");
        write(&mut gpio.ports[3], MODER, Write::word(OUTPUT << 24));
        gpio.watch_leds(Time::from_millis(2));
        assert_eq!(
            gpio.led_changes(),
            [LedChange {
                at: Time::from_millis(2),
                led: 0,
                on: true
            }]
        );
    }
}
