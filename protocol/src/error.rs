//! Why a board refuses or gives up. The codes are append-only: old tools meet new boards.
//!
//! A [`Refusal`] is a code with the values that explain it; its `Display` is the sentence that TFTP's ERROR, HTTP's answer and
//! `status.json` carry: what is wrong, what was expected, what to do.
//!
//! It is a hundred bytes, too many to be handed from function to function on a board. So whoever judges is lent one to be filled in, `why`,
//! and returns [`Refused`], which takes no place and cannot be had without one.

use core::fmt::{self, Write};

use heapless::String;
use serde::{Deserialize, Serialize};

use crate::packed;
use crate::text::{Writer, packed_len};

macro_rules! error_codes {
    ($($code:literal $name:ident $http:literal $tftp:literal $sentence:literal,)*) => {
        /// What went wrong, for programs. The number, the name and their meaning never change.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u16)]
        pub enum ErrorCode {
            $(#[doc = $sentence] $name = $code,)*
        }

        impl ErrorCode {
            /// Every code of this version.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code with this number.
            pub fn from_number(number: u16) -> Option<Self> {
                match number { $($code => Some(Self::$name),)* _ => None }
            }

            /// What is wrong and what to do, without values.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }

        /// What the board looks up: number, HTTP status above 400, TFTP code, and the sentence's length and text, packed.
        const LOOKUP_LEN: usize = 0 $(+ 4 + packed_len($sentence))*;
        static LOOKUP: [u8; LOOKUP_LEN] = {
            let mut table = Table { bytes: [0; LOOKUP_LEN], len: 0 };
            $(table.add(
                [$code, ($http - HTTP_BASE) as u8, $tftp, packed_len($sentence) as u8],
                packed!($sentence),
            );)*
            table.bytes
        };
    };
}

/// All statuses of refusals are from here on.
const HTTP_BASE: u16 = 400;

/// [`LOOKUP`] in the making.
struct Table {
    bytes: [u8; LOOKUP_LEN],
    len: usize,
}

impl Table {
    #[allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "at compile time, where a panic is an error"
    )]
    const fn add(&mut self, head: [u8; 4], text: &[u8]) {
        let mut i = 0;
        while i < head.len() + text.len() {
            self.bytes[self.len] = if i < head.len() {
                head[i]
            } else {
                text[i - head.len()]
            };
            self.len += 1;
            i += 1;
        }
    }
}

impl ErrorCode {
    /// HTTP status (RFC 9110 section 15).
    pub fn http_status(self) -> u16 {
        HTTP_BASE.wrapping_add(self.look_up().0.into())
    }

    /// TFTP error code (RFC 1350 section 5, RFC 2347 section 4).
    pub fn tftp_code(self) -> u16 {
        self.look_up().1.into()
    }

    /// The sentence, packed.
    pub fn packed_sentence(self) -> &'static [u8] {
        self.look_up().2
    }

    #[inline(never)]
    fn look_up(self) -> (u8, u8, &'static [u8]) {
        let mut rest = &LOOKUP[..];
        while let [number, http, tftp, len, tail @ ..] = rest {
            let (text, next) = tail.split_at_checked(usize::from(*len)).unwrap_or_default();
            if u16::from(*number) == self as u16 {
                return (*http, *tftp, text);
            }
            rest = next;
        }
        // Not reached: every code is in the table.
        (0, 0, &[])
    }
}

error_codes! {
    // number name http tftp sentence
    1 ElfFile 415 2 "this is an ELF file: run iapctl convert, or iapctl push, which converts",
    2 HexFile 415 2 "this is an Intel HEX file: run iapctl convert, or iapctl push, which converts",
    3 SrecFile 415 2 "this is an S-record file: run iapctl convert, or iapctl push, which converts",
    4 Empty 422 2 "the file is empty",
    5 HeaderTruncated 422 2 "the transfer ended inside the image header",
    6 HeaderVersion 422 2 "image header of an unknown format version: update the IAP firmware or use an older iapctl",
    7 HeaderCrc 422 2 "image header damaged: its CRC is wrong",
    8 HeaderField 422 2 "image header has a field this IAP firmware does not understand",
    9 WrongBoard 422 2 "image is for another board",
    10 TooLarge 413 3 "image does not fit into user flash",
    11 WrongLoadAddress 422 2 "image is linked for another address",
    12 IapTooOld 422 2 "image asks for a newer IAP firmware",
    13 CounterTooLow 422 2 "image is older than the security counter allows",
    14 VectorTable 422 2 "image would not start: its vector table is wrong",
    15 Truncated 422 2 "the transfer ended before the image did",
    16 TrailingBytes 422 2 "the transfer goes on after the end of the image",
    17 PayloadCrc 422 2 "image damaged: the CRC of its payload is wrong",
    18 PayloadDigest 422 2 "image damaged: the digest of its payload is wrong",
    19 NotSigned 422 2 "this board takes signed images only: run iapctl sign",
    20 BadSignature 422 2 "the signature of the image is wrong",
    21 UnknownKey 422 2 "the image is signed with a key this board does not have",
    22 RawNotAllowed 422 2 "this board takes signed images only, no raw binaries: iapctl sign makes one",
    23 DataSectors 422 2 "image covers data sectors of the application without the DATA flag",
    24 PartialTransfer 422 2 "this board does not hold what the transfer leaves out: send the whole image",
    25 SectorCrc 422 2 "image header contradicts itself: a sector CRC does not match the payload",
    26 KeyRevoked 422 2 "the key that signed the image was revoked",
    30 Busy 409 2 "an update is in progress",
    31 Netascii 400 4 "netascii would change the bytes: type 'binary' (tftp-hpa: 'mode octet' or option -m binary) and put again",
    32 TftpNotAllowed 403 2 "this board takes no images over TFTP: push over HTTP with a login",
    33 UnknownFile 404 1 "no such file: this board serves status.json",
    34 BadOption 400 8 "TFTP option with a value that cannot be used",
    35 ClientSilent 408 0 "the client went silent",
    36 ClientAborted 400 0 "the client gave up",
    37 UnknownTransfer 400 5 "unknown transfer ID",
    38 IllegalOperation 400 4 "illegal TFTP operation",
    39 TakenOver 409 0 "the same host started a new transfer",
    40 ResetBody 400 2 "a file named iap-reset must contain the word reset",
    50 LoginRequired 401 2 "log in first",
    51 WrongPassword 401 2 "wrong user or password",
    52 BadRequest 400 4 "request not understood",
    53 LengthRequired 411 4 "send a Content-Length: chunked uploads are not supported",
    54 HeadersTooLarge 431 4 "request headers too large",
    55 UnsupportedMediaType 415 4 "send multipart/form-data with one file, or application/octet-stream",
    56 NotFound 404 1 "no such page",
    57 MethodNotAllowed 405 4 "method not allowed here",
    58 TooManyAttempts 429 2 "too many wrong passwords: wait before the next try",
    59 BadOrigin 403 2 "request comes from another site's page",
    60 NoFile 400 4 "the form contains no file",
    61 SeveralFiles 400 4 "the form contains more than one file",
    62 HttpVersion 505 4 "HTTP/1.0 or HTTP/1.1 expected",
    63 TargetTooLong 414 4 "request target too long",
    70 FlashErase 500 2 "flash sector did not erase",
    71 FlashProgram 500 2 "flash word was not programmed",
    72 FlashVerify 500 2 "flash reads back other content than was programmed",
    73 SupplyLow 503 2 "supply voltage too low for flash operations",
    74 WriteProtected 500 2 "flash sector is write-protected",
    75 Record 500 2 "the boot record cannot be written",
    76 FlashRead 500 2 "flash cannot be read",
    80 TryLater 503 2 "no free connection: try again in a moment",
}

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(*self as u16)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// Bytes of the text in a [`Refusal`].
pub const DETAIL_LEN: usize = 96;
/// Bytes of a refusal's sentence, at most.
pub const SENTENCE_LEN: usize = 240;

/// Something was refused, and the [`Refusal`] that was lent for it says why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused(());

/// A refusal with the values that explain it.
#[derive(Clone)]
pub struct Refusal {
    /// What went wrong.
    pub code: ErrorCode,
    /// How much of `detail` is used.
    len: u8,
    /// Values: who, what was expected, what came. Printable ASCII that needs no escaping anywhere.
    detail: [u8; DETAIL_LEN],
}

impl Refusal {
    /// A refusal that needs no values.
    pub const fn new(code: ErrorCode) -> Self {
        Self {
            code,
            len: 0,
            detail: [0; DETAIL_LEN],
        }
    }

    /// A refusal with numbers, as [`Refusal::refuse_with`] fills it in.
    pub fn with(code: ErrorCode, form: &[u8], numbers: &[u32]) -> Self {
        let mut refusal = Self::new(code);
        refusal.refuse_with(code, form, numbers);
        refusal
    }

    /// To be lent to those who judge; what it says before one of them has refused means nothing.
    pub const fn unsaid() -> Self {
        Self::new(ErrorCode::TryLater)
    }

    /// Refuses without values.
    #[inline(never)]
    pub fn refuse(&mut self, code: ErrorCode) -> Refused {
        self.code = code;
        self.len = 0;
        Refused(())
    }

    /// Refuses with numbers; `form` as [`Writer::fill`] takes it. What does not fit is cut off.
    #[inline(never)]
    pub fn refuse_with(&mut self, code: ErrorCode, form: &[u8], numbers: &[u32]) -> Refused {
        self.refuse_hinting(code, b"", form, numbers)
    }

    /// As [`Refusal::refuse_with`], with a hint before the form.
    pub fn refuse_hinting(
        &mut self,
        code: ErrorCode,
        hint: &[u8],
        form: &[u8],
        numbers: &[u32],
    ) -> Refused {
        self.fill(code, hint, form, numbers, &[])
    }

    /// Refuses with somebody else's texts, in which what needs escaping is replaced.
    #[inline(never)]
    pub fn refuse_quoting(&mut self, code: ErrorCode, form: &[u8], texts: &[&[u8]]) -> Refused {
        self.fill(code, b"", form, &[], texts)
    }

    /// Refuses as somebody else has.
    pub fn refuse_as(&mut self, other: &Refusal) -> Refused {
        self.clone_from(other);
        Refused(())
    }

    fn fill(
        &mut self,
        code: ErrorCode,
        hint: &[u8],
        form: &[u8],
        numbers: &[u32],
        texts: &[&[u8]],
    ) -> Refused {
        let mut detail = Writer::new(&mut self.detail);
        detail.text(hint);
        detail.fill(form, numbers, texts);
        self.len = detail.len() as u8;
        self.code = code;
        Refused(())
    }

    fn detail(&self) -> &[u8] {
        self.detail.get(..self.len.into()).unwrap_or_default()
    }

    /// Writes the whole sentence, as it goes over the wire.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.text(self.code.packed_sentence());
        if self.len > 0 {
            out.text(b" (");
            out.plain(self.detail());
            out.text(b")");
        }
    }

    /// The whole sentence in `buffer`.
    pub fn sentence<'b>(&self, buffer: &'b mut [u8; SENTENCE_LEN]) -> &'b [u8] {
        let mut out = Writer::new(buffer);
        self.write(&mut out);
        out.into_written()
    }
}

// Not derived: what is behind the detail does not count.
impl PartialEq for Refusal {
    fn eq(&self, other: &Self) -> bool {
        (self.code, self.detail()) == (other.code, other.detail())
    }
}

impl Eq for Refusal {}

impl From<ErrorCode> for Refusal {
    #[inline(never)]
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; SENTENCE_LEN];
        let sentence = self.sentence(&mut buffer);
        sentence
            .iter()
            .try_for_each(|&byte| f.write_char(byte.into()))
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.code)
    }
}

impl core::error::Error for Refusal {}

/// A refusal as `status.json` carries it; the code is a plain number, because a newer board may send one this crate does not know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefusalReport {
    /// [`ErrorCode`] as a number.
    pub code: u16,
    /// The whole sentence.
    pub text: String<SENTENCE_LEN>,
}

impl From<&Refusal> for RefusalReport {
    fn from(refusal: &Refusal) -> Self {
        let mut text = String::new();
        // Cannot fail: a buffer of that size is where it is written.
        let _ = write!(text, "{refusal}");
        Self {
            code: refusal.code as u16,
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn every_sentence_fits_with_its_values() {
        for &code in ErrorCode::ALL {
            assert!(
                code.sentence().len() + 3 + DETAIL_LEN <= SENTENCE_LEN,
                "{code:?}"
            );
            assert!(
                !code.sentence().contains(['"', '\\', '<', '>', '&']),
                "{code:?} needs no escaping anywhere"
            );
            assert_eq!(ErrorCode::from_number(code as u16), Some(code));
            assert_eq!(Refusal::new(code).to_string(), code.sentence());
            assert!((400..=599).contains(&code.http_status()), "{code:?}");
            assert!(code.tftp_code() <= 8, "{code:?}");
        }
    }

    #[test]
    fn values_are_shown_and_cut_where_they_do_not_fit() {
        let mut refusal = Refusal::unsaid();
        refusal.refuse_quoting(
            ErrorCode::WrongBoard,
            packed!("expected {t}, image says {t}"),
            &[b"sim", b"a\"b"],
        );
        assert_eq!(
            refusal.to_string(),
            "image is for another board (expected sim, image says a?b)"
        );
        let plain = ErrorCode::WrongBoard.sentence();
        assert_eq!(Refusal::new(ErrorCode::WrongBoard).to_string(), plain);
        let mut long = Refusal::unsaid();
        long.refuse_quoting(ErrorCode::WrongBoard, packed!("{t}"), &[&[b'x'; 200]]);
        assert_eq!(long.to_string().len(), plain.len() + 3 + DETAIL_LEN);
    }
}
