//! The commands, one file each: arguments, plan, act, show. What they do with images and boards is in the other modules.

pub mod completions;
