//! The commands, one file each: arguments, plan, act, show. What they do with images and boards is in the other modules.

mod boards;
pub mod completions;
pub mod convert;
mod draft;
pub mod factory;
pub mod inspect;
pub mod keygen;
pub mod profile_args;
pub mod profiles;
pub mod push;
pub mod reset;
pub mod sign;
pub mod status;
pub mod verify_image;
