//! The LEDs as a person sees them: on, off, or blinking this fast.

use crate::gpio::LedChange;
use crate::time::Time;

/// Changes are looked at over so long: an LED that went on more than once in it blinks.
const WINDOW: Time = Time::from_millis(5000);

/// Watches LEDs, and says in words what they do.
#[derive(Debug, Default)]
pub struct Panel {
    said: String,
    seen: usize,
}

impl Panel {
    /// The LEDs in words at `now`, if that is new. Call it once in a while.
    pub fn look(&mut self, now: Time, leds: &[bool], changes: &[LedChange]) -> Option<String> {
        // Nothing changed and nothing that blinked has had the time to stop.
        let recent = changes
            .last()
            .is_some_and(|change| now.since(change.at) <= WINDOW + WINDOW);
        if changes.len() == self.seen && !recent && !self.said.is_empty() {
            return None;
        }
        self.seen = changes.len();
        let words = describe(now, leds, changes);
        (words != self.said).then(|| {
            self.said.clone_from(&words);
            words
        })
    }
}

/// One word for each LED.
fn describe(now: Time, leds: &[bool], changes: &[LedChange]) -> String {
    let from = changes.partition_point(|change| change.at + WINDOW < now);
    let words = leds.iter().enumerate().map(|(led, on)| {
        let went_on = changes[from..]
            .iter()
            .filter(|change| change.led == led && change.on);
        let times: Vec<Time> = went_on.map(|change| change.at).collect();
        match times.as_slice() {
            [first, .., last] => {
                let periods = times.len() as u64 - 1;
                let centihertz = periods * 100_000_000_000_000 / last.since(*first).picos().max(1);
                format!(
                    "blinks {}.{} Hz",
                    centihertz.div_ceil(10) / 10,
                    centihertz.div_ceil(10) % 10
                )
            }
            _ if *on => "on".to_owned(),
            _ => "off".to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_led_that_toggles_blinks_and_one_that_does_not_is_on_or_off() {
        let toggles = (0..10u64).map(|index| LedChange {
            at: Time::from_millis(250 * index),
            led: 1,
            on: index % 2 == 0,
        });
        let changes: Vec<_> = toggles.collect();
        let mut panel = Panel::default();
        let said = panel.look(Time::from_millis(2300), &[true, false], &changes);
        assert_eq!(said.as_deref(), Some("on, blinks 2.0 Hz"));
        assert_eq!(
            panel.look(Time::from_millis(2350), &[true, false], &changes),
            None,
            "nothing new"
        );
        let said = panel.look(Time::from_millis(7300), &[true, false], &changes);
        assert_eq!(said.as_deref(), Some("on, off"));
    }
}
