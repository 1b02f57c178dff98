//! The images that boards are sent: made from one file, for each kind of board once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use iap_profile::Profile;
use iap_protocol::header::ImageHeader;
use iap_protocol::status::Status;

use super::PushArgs;
use crate::board::partial;
use crate::board::state::Expected;
use crate::board::update::Update;
use crate::cmd::profile_args::Chosen;
use crate::failure::Failure;
use crate::image::report::{Summary, ready_to_send};
use crate::image::{Image, LoadOptions, Source};

/// The images for boards: the file is read once, and made into an image, judged and signed once for each kind of board.
pub(super) struct Images {
    source: Source,
    /// By the board id that boards say, unless a profile was chosen for all.
    prepared: RefCell<HashMap<Option<String>, Attempt>>,
}

type Attempt = Result<Rc<Prepared>, Failure>;

impl Images {
    /// Says what can be said about the file before anybody is asked anything.
    pub(super) fn new(args: &PushArgs) -> Result<Self, Failure> {
        let images = Self {
            source: Source::open(&args.file)?,
            prepared: RefCell::default(),
        };
        match args.profile.profile {
            Some(_) => images.for_board(args, None).map(|_| ())?,
            None => {
                let chosen = args.profile.choose()?;
                let options = LoadOptions::new(chosen.target().map);
                images.source.load(&options).map(|_| ())?;
            }
        }
        Ok(images)
    }

    pub(super) fn for_board(
        &self,
        args: &PushArgs,
        status: Option<&Status>,
    ) -> Result<Rc<Prepared>, Failure> {
        let by_board = status.filter(|_| args.profile.profile.is_none());
        let key = by_board.map(|status| status.board.to_string());
        (self.prepared.borrow_mut().entry(key))
            .or_insert_with(|| {
                let (label, chosen) = args.profile_for(status)?;
                args.prepare(&self.source, label, chosen).map(Rc::new)
            })
            .clone()
    }
}

impl PushArgs {
    /// The profile: as chosen, else the one of the board that answers, else the default.
    fn profile_for(&self, status: Option<&Status>) -> Result<(String, Chosen), Failure> {
        let named = match (&self.profile.profile, status) {
            (None, Some(status)) => profile_of(&status.board),
            _ => None,
        };
        match named {
            Some(profile) => Ok((
                format!("{} (as the board says)", profile.name),
                Chosen {
                    profile,
                    by_default: false,
                },
            )),
            None => {
                let chosen = self.profile.choose()?;
                Ok((chosen.label(), chosen))
            }
        }
    }

    fn prepare(&self, source: &Source, label: String, chosen: Chosen) -> Result<Prepared, Failure> {
        let target = chosen.target();
        let image = source.load(&LoadOptions::new(target.map))?;
        let mut header = image.header_with(&self.header, target.map)?;
        self.key.sign(&mut header, &chosen.profile)?;
        let (header, file) = ready_to_send(&self.file, &image, header, &target)?;
        Ok(Prepared {
            summary: Summary::new(&image, &header, &target),
            update: self.update(&image, &header, file),
            header,
            label,
            profile: chosen.profile,
        })
    }

    fn update(&self, image: &Image, header: &ImageHeader, file: Vec<u8>) -> Update {
        let (content, extension) = match self.raw {
            true => (image.payload.clone(), "bin"),
            false => (file, "iap"),
        };
        Update {
            file_name: wire_name(&self.file, extension),
            content: content.into(),
            expected: Expected::new(header, self.raw),
        }
    }
}

/// The shipped profile of a board id.
fn profile_of(board_id: &str) -> Option<Profile> {
    Profile::builtins()
        .filter_map(|name| Profile::builtin(name).ok())
        .find(|profile| profile.settings.board_id == board_id)
}

fn wire_name(file: &Path, extension: &str) -> String {
    let name = file.with_extension(extension);
    let name = name.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

impl Prepared {
    /// What is sent to a board that says `status`, in place of the whole image: without the sectors it holds.
    pub(super) fn partial(&self, args: &PushArgs, status: &Status) -> Option<Bytes> {
        if args.raw {
            return None;
        }
        let map = self.profile.memory_map();
        let held = partial::held(map, &self.header, status);
        partial::transfer(map, &self.header, &self.update.content, held)
    }
}

/// An image that a board of a profile would start.
pub(super) struct Prepared {
    pub(super) label: String,
    pub(super) profile: Profile,
    pub(super) summary: Summary,
    pub(super) header: ImageHeader,
    pub(super) update: Update,
}
