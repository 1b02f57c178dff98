//! `iapctl sign`: an application as a signed `.iap` file, with a key on this machine or with one that never leaves its hardware module.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use iap_profile::PublicKey;
use iap_protocol::header::{ImageHeader, SIGNATURE_LEN, SIGNED_LEN};
use serde::Serialize;

use super::draft::{Source, require_file_name, write_whole};
use super::profile_args::{Chosen, ProfileArgs};
use crate::failure::{Exit, Failure};
use crate::image::report::{Summary, ready_to_send};
use crate::image::{self, HeaderOverrides, Image, LoadOptions};
use crate::output::{Human, Output, Paint, path};
use crate::signing::{self, KeyArgs, read_public};

/// Arguments of `iapctl sign`.
#[derive(clap::Args, Debug)]
pub struct SignArgs {
    /// The application: ELF, BIN, IAP, Intel HEX or S-records
    pub file: PathBuf,
    /// The signed image to write (.iap); with --detached the bytes to sign, and only then - is stdout. Not a file that is read
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)] // would replace clap's own text
    pub profile: ProfileArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub key: KeyArgs,
    /// Writes the bytes to be signed and nothing else, for a key in a hardware module
    #[arg(long, conflicts_with_all = ["key", "signature"], help_heading = "Signature")]
    pub detached: bool,
    /// Takes the signature that was made of the bytes that --detached wrote: 64 bytes, not encoded
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "key",
        help_heading = "Signature"
    )]
    pub signature: Option<PathBuf>,
    /// Public key that --detached and --signature are for (PEM) [default: the profile's key of --key-id]
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "key",
        help_heading = "Signature"
    )]
    pub public_key: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub header: HeaderOverrides,
}

#[derive(Serialize)]
struct Signed {
    #[serde(serialize_with = "path")]
    output: PathBuf,
    output_size: usize,
    profile: String,
    key_id: u32,
    /// The file is signed; otherwise it holds what is to be signed.
    signed: bool,
    image: Summary,
}

impl Human for Signed {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        let name = paint.strong(&self.output.display().to_string());
        let (size, id) = (self.output_size, self.key_id);
        match self.signed {
            true => writeln!(f, "{name}: {size} bytes written, signed with key {id}")?,
            false => writeln!(
                f,
                "{name}: {size} bytes to sign with key {id} (Ed25519), see iapctl sign --signature"
            )?,
        }
        self.image.human(f, paint)?;
        writeln!(f, "  profile  {}", self.profile)
    }
}

/// Reads, checks, signs, writes.
pub fn run(args: &SignArgs, output: &Output) -> Result<(), Failure> {
    if !args.detached {
        require_iap(&args.output)?;
    }
    let chosen = args.profile.choose()?;
    let target = chosen.target();
    let image = image::load(&args.file, &LoadOptions::new(target.map))?;
    let mut header = unsigned(&image).header_with(&args.header, target.map)?;
    if args.detached {
        return args.detach(&image, header, &chosen, output);
    }
    args.sign(&mut header, &chosen)?;
    let (header, file) = ready_to_send(&args.file, &image, header, &target)?;
    write_whole(&args.output, &args.sources(), &file)?;
    output.result(&Signed {
        output: args.output.clone(),
        output_size: file.len(),
        profile: chosen.label(),
        key_id: header.key_id,
        signed: true,
        image: Summary::new(&image, &header, &target),
    })
}

/// The image without the signature it may have: a new one takes its place.
fn unsigned(image: &Image) -> Image {
    let mut image = image.clone();
    if let Some(header) = &mut image.header {
        header.signature = [0; SIGNATURE_LEN];
    }
    image
}

/// A signed image is nothing but a `.iap` file: other extensions are mistakes, as for `convert`.
fn require_iap(path: &Path) -> Result<(), Failure> {
    require_file_name(path)?;
    let extension = path.extension().unwrap_or_default();
    if extension.eq_ignore_ascii_case("iap") {
        return Ok(());
    }
    let what = format!("{}: a signed image is a .iap file", path.display());
    Err(Failure::new(Exit::Usage, what)
        .help("name it so: -o app.iap")
        .help("the signature is in the image header, which a raw binary does not have"))
}

impl SignArgs {
    fn sources(&self) -> Vec<Source<'_>> {
        let keys = [
            ("key", &self.key.key),
            ("signature", &self.signature),
            ("public key", &self.public_key),
        ];
        let keys = keys
            .into_iter()
            .filter_map(|(word, file)| Some((word, file.as_deref()?)));
        (std::iter::once(("input", self.file.as_path())).chain(keys))
            .chain(self.profile.source())
            .collect()
    }

    /// Where the bytes to sign are all that is written.
    fn to_stdout(&self) -> bool {
        ["-", "/dev/stdout"]
            .map(Path::new)
            .contains(&self.output.as_path())
    }

    fn sign(&self, header: &mut ImageHeader, chosen: &Chosen) -> Result<(), Failure> {
        let Some(signature) = &self.signature else {
            if self.key.key.is_none() {
                let message = "nothing to sign with: give --key FILE";
                return Err(Failure::new(Exit::Usage, message)
                    .help("iapctl keygen -o FILE makes a key; --detached is for keys in a hardware module"));
            }
            return self.key.sign(header, &chosen.profile);
        };
        let public = self.public_key()?;
        self.key
            .signature
            .prepare(header, public.as_ref(), &chosen.profile)?;
        let keys = &chosen.profile.settings.iap.public_keys;
        let Some(public) = public.or_else(|| keys.get(header.key_id as usize).copied()) else {
            let message = "nothing says what the signature is to be checked with";
            return Err(Failure::new(Exit::Usage, message).help(
                "give --public-key FILE, or name a profile that lists the key with --profile",
            ));
        };
        signing::attach(header, &read_signature(signature)?, &public)
    }

    fn public_key(&self) -> Result<Option<PublicKey>, Failure> {
        self.public_key.as_deref().map(read_public).transpose()
    }

    /// Writes the bytes to sign.
    fn detach(
        &self,
        image: &Image,
        mut header: ImageHeader,
        chosen: &Chosen,
        output: &Output,
    ) -> Result<(), Failure> {
        let target = chosen.target();
        let public = self.public_key()?;
        self.key
            .signature
            .prepare(&mut header, public.as_ref(), &chosen.profile)?;
        let (header, _) = ready_to_send(&self.file, image, header, &target)?;
        let bytes = signing::to_be_signed(&header);
        if self.to_stdout() {
            let mut stdout = io::stdout().lock();
            // Bytes behind the last line end are kept back until then.
            let written = stdout.write_all(&bytes).and_then(|()| stdout.flush());
            return written.map_err(|error| {
                Failure::new(Exit::Local, format!("cannot write to stdout: {error}"))
            });
        }
        write_whole(&self.output, &self.sources(), &bytes)?;
        output.result(&Signed {
            output: self.output.clone(),
            output_size: SIGNED_LEN,
            profile: chosen.label(),
            key_id: header.key_id,
            signed: false,
            image: Summary::new(image, &header, &target),
        })
    }
}

fn read_signature(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::new(Exit::Local, format!("{}: {error}", path.display())))
}
