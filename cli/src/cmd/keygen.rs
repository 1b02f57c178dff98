//! `iapctl keygen`: a new key for signing images, or the public key of an old one.

use std::io;
use std::path::{Path, PathBuf};

use iap_profile::{Profile, PublicKey};
use iap_protocol::header::MAX_PUBLIC_KEYS;
use serde::Serialize;

use super::draft::require_file_name;
use super::profile_args::ProfileArgs;
use crate::failure::{Exit, Failure};
use crate::output::{Human, Output, Paint, path};
use crate::signing::{PrivateKey, read_public};

/// Arguments of `iapctl keygen`.
#[derive(clap::Args, Debug)]
pub struct KeygenArgs {
    /// The file for the new private key (PKCS#8 PEM, mode 0600), not - (stdout); an existing file is never overwritten
    #[arg(short, long, value_name = "FILE", required_unless_present = "show")]
    pub output: Option<PathBuf>,
    /// Makes no key but shows the public key of this file: a private or a public key (PEM)
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    pub show: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)] // would replace clap's own text
    pub profile: ProfileArgs,
}

#[derive(Serialize)]
struct Key {
    #[serde(serialize_with = "path")]
    file: PathBuf,
    /// Made just now.
    new: bool,
    public_key: String,
    /// Its place in the profile's list, or the next free one; none if the list is full.
    key_id: Option<usize>,
    /// The profile lists it.
    listed: bool,
    profile: String,
    /// The line for the profile.
    public_keys: Vec<String>,
}

/// Makes or reads a key and shows what belongs in a profile.
pub fn run(args: &KeygenArgs, output: &Output) -> Result<(), Failure> {
    let chosen = args.profile.choose()?;
    let (file, new, public) = match (&args.show, &args.output) {
        (Some(file), _) => (file, false, read_public(file)?),
        (None, Some(file)) => (file, true, new_key(file)?),
        (None, None) => {
            let message = "name the file for the new key: iapctl keygen -o FILE";
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    let key = Key::new(file, new, public, &chosen.profile, chosen.label());
    output.result(&key)
}

fn new_key(file: &Path) -> Result<PublicKey, Failure> {
    require_file_name(file)?;
    let key = PrivateKey::generate()?;
    key.write_new(file)?;
    Ok(key.public())
}

impl Key {
    fn new(file: &Path, new: bool, public: PublicKey, profile: &Profile, label: String) -> Self {
        let known = &profile.settings.iap.public_keys;
        let place = known.iter().position(|key| *key == public);
        let listed = place.is_some();
        let free = (known.len() < MAX_PUBLIC_KEYS).then_some(known.len());
        let added = (!listed).then_some(public);
        Self {
            file: file.to_owned(),
            new,
            public_key: public.to_string(),
            key_id: place.or(free),
            listed,
            profile: label,
            public_keys: (known.iter().copied().chain(added))
                .map(|key| key.to_string())
                .collect(),
        }
    }
}

impl Human for Key {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        let file = self.file.display().to_string();
        match self.new {
            true => writeln!(
                f,
                "{}: new private key, keep it secret and keep a copy",
                paint.strong(&file)
            )?,
            false => writeln!(f, "{}", paint.strong(&file))?,
        }
        writeln!(f, "  public key  {}", self.public_key)?;
        match (self.key_id, self.listed) {
            (Some(id), true) => writeln!(f, "  key id      {id} in profile {}", self.profile),
            (Some(id), false) => {
                writeln!(
                    f,
                    "  key id      {id}, once the board's profile lists it (now: {})",
                    self.profile
                )?;
                writeln!(
                    f,
                    "\nin the profile of the board, [iap]:\n  policy = \"signed\"\n  public-keys = ["
                )?;
                for key in &self.public_keys {
                    writeln!(f, "    \"{key}\",")?;
                }
                writeln!(f, "  ]")
            }
            (None, _) => writeln!(
                f,
                "  key id      none: profile {} lists {MAX_PUBLIC_KEYS} keys already",
                self.profile
            ),
        }
    }
}
