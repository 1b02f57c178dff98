//! A key that bounces.

/// Samples in a row that must agree: 50 ms at 100 samples a second. Keys bounce for a few milliseconds.
const STABLE_SAMPLES: u8 = 5;

/// Finds the moments at which a key is pressed.
///
/// A key that is held from the beginning counts only after it was let go: it may be the one that was held through the reset.
#[derive(Default)]
pub(crate) struct Debounced {
    /// What the key was the last time it was stable; nothing yet at first, which no press can follow.
    released: bool,
    /// The level of the last samples, and how many in a row had it.
    level: bool,
    agreeing: u8,
}

impl Debounced {
    /// Takes a sample; `true` once for each press.
    pub(crate) fn is_press(&mut self, pressed: bool) -> bool {
        if pressed != self.level {
            (self.level, self.agreeing) = (pressed, 0);
        }
        self.agreeing = self.agreeing.saturating_add(1);
        if self.agreeing != STABLE_SAMPLES {
            return false;
        }
        let is_press = pressed && self.released;
        self.released = !pressed;
        is_press
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The samples after which a press was seen; `#` is a pressed key.
    fn presses(samples: &str) -> Vec<usize> {
        let mut key = Debounced::default();
        (1..)
            .zip(samples.bytes())
            .filter(|&(_, sample)| key.is_press(sample == b'#'))
            .map(|(number, _)| number)
            .collect()
    }

    #[test]
    fn a_press_is_seen_once_after_the_key_has_stopped_bouncing() {
        assert_eq!(presses("......#.##.######################"), [16]);
        assert_eq!(presses(".....#####.....#####"), [10, 20]);
    }

    #[test]
    fn bounces_alone_are_no_press() {
        assert_eq!(presses(".....####.####.#.#.#....."), []);
        assert_eq!(presses(".....#####.##.#####....#####"), [10]);
    }

    #[test]
    fn a_key_held_from_the_beginning_counts_after_it_was_let_go() {
        assert_eq!(presses("####################"), []);
        assert_eq!(presses("##########.....#####"), [20]);
    }
}
