//! The words that IAP firmware and application leave each other in two RTC backup registers, which survive every reset but the loss of
//! the backup supply. The profile says which registers: `request-backup-register` and `reset-cause-backup-register`.
//!
//! - The request register: the application writes [`REQUEST_UPDATE`] and resets the chip to get into IAP mode, and [`NOTHING`] to
//!   confirm its start. The firmware counts starts in it that are to be confirmed.
//! - The cause register: the firmware writes [`reset_cause`] before it starts the application, because it has cleared the chip's own flags.

/// Nothing is asked, nothing is to be confirmed.
pub const NOTHING: u32 = 0;
/// The application asks for IAP mode.
pub const REQUEST_UPDATE: u32 = 0x4941_5055; // "IAPU"

const UNCONFIRMED: u32 = 0x4941_4300; // "IAC" and the number of starts
const CAUSE: u32 = 0x4941_5200; // "IAR" and the flags

/// What the request register says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Nothing, or a word of somebody else.
    Nothing,
    /// IAP mode, please.
    Update,
    /// The application was started so many times and has not confirmed it.
    Unconfirmed(u8),
}

impl Request {
    /// Reads the register's word.
    pub const fn decode(word: u32) -> Self {
        match word {
            REQUEST_UPDATE => Self::Update,
            _ if word & 0xFFFF_FF00 == UNCONFIRMED => Self::Unconfirmed(word as u8),
            _ => Self::Nothing,
        }
    }
}

/// The word for `starts` unconfirmed starts.
pub const fn unconfirmed(starts: u8) -> u32 {
    UNCONFIRMED | starts as u32
}

/// The word for a reset whose flags are `flags`: bits 25 to 31 of RCC_CSR in bits 1 to 7 (RM0090 section 7.3.21).
pub const fn reset_cause(flags: u8) -> u32 {
    CAUSE | flags as u32
}

/// The flags of the last reset; `None` if the word is not the firmware's.
pub const fn reset_flags(word: u32) -> Option<u8> {
    if word & 0xFFFF_FF00 == CAUSE {
        Some(word as u8)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_never_change() {
        assert_eq!(REQUEST_UPDATE.to_be_bytes(), *b"IAPU");
        assert_eq!(unconfirmed(2).to_be_bytes(), *b"IAC\x02");
        assert_eq!(reset_cause(0x14).to_be_bytes(), *b"IAR\x14");
    }

    #[test]
    fn a_word_of_somebody_else_asks_for_nothing() {
        for word in [0, 1, 0xFFFF_FFFF, 0x32F2, reset_cause(0x55)] {
            assert_eq!(Request::decode(word), Request::Nothing, "{word:#x}");
        }
        assert_eq!(reset_flags(REQUEST_UPDATE), None);
    }

    #[test]
    fn words_are_read_as_they_were_written() {
        assert_eq!(Request::decode(REQUEST_UPDATE), Request::Update);
        assert_eq!(Request::decode(unconfirmed(3)), Request::Unconfirmed(3));
        assert_eq!(reset_flags(reset_cause(0xFE)), Some(0xFE));
    }
}
