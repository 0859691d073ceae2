//! Which evidence a path on the command line means.

use super::{Failure, USAGE};
use crate::evidence::Folder;
use sealgate_schema::{log::LOG_FOLDER, verify::Asked};
use std::path::{Path, PathBuf};

/// The evidence that a path means, which may be all of it, one gateway's or one window's, and what of it is asked for.
pub(super) fn find(path: &Path, asked: &mut Asked) -> Result<Folder, Failure> {
    // A window's folder may be gone; its gateway's log then says what was there.
    let here = |above: &Path| if above.as_os_str().is_empty() { PathBuf::from(".") } else { above.to_owned() };
    let above = path.parent().map(here).filter(|above| above.join(LOG_FOLDER).is_dir());
    if !path.is_dir() && above.is_none() {
        return Err(Failure::new(USAGE, format!("{} is not a folder", path.display())));
    }
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let whole = |path: &Path| path.canonicalize().map_err(|error| Failure::new(USAGE, format!("{}: {error}", path.display())));
    if path.join(LOG_FOLDER).is_dir() {
        let gateway = whole(path)?;
        asked.gateway = name(&gateway);
        return Ok(Folder::new(gateway.parent().unwrap_or(&gateway)));
    }
    let above = match path.is_dir() {
        true => whole(path)?.parent().filter(|above| above.join(LOG_FOLDER).is_dir()).map(Path::to_owned),
        false => above.as_deref().map(whole).transpose()?,
    };
    let Some(gateway) = above else { return Ok(Folder::new(path)) };
    asked.window = if path.is_dir() { name(&whole(path)?) } else { name(path) };
    asked.gateway = name(&gateway);
    Ok(Folder::new(gateway.parent().unwrap_or(&gateway)))
}
