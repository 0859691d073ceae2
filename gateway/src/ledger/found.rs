//! Records that a start found: for who has to know whether something was written before a crash.

use super::{
    Opened,
    disk::Disk,
    part::{PartError, PartWriter},
};
use sealgate_schema::{
    Hash, LedgerId, Record,
    parquet::{self, Rows},
    seal::Table,
};

impl Opened {
    /// Every record of a window as the start found it, in order. Nothing is left in the journal alone by then: recovery has made
    /// parts of it. Reads all of them, so it is for the rare case.
    pub fn records(&self, window: &str, each: impl FnMut(&Record)) -> Result<(), PartError> {
        let ledger = LedgerId::new(self.gateway.clone(), window.to_owned())
            .map_err(|error| PartError::Disagreement(window.to_owned(), error.to_string()))?;
        records(&self.parts, &*self.disk, &ledger, each)
    }
}

fn records(parts: &PartWriter, disk: &dyn Disk, ledger: &LedgerId, mut each: impl FnMut(&Record)) -> Result<(), PartError> {
    let Some(manifest) = parts.manifest(ledger)? else { return Ok(()) };
    for file in manifest.files.iter().filter(|file| file.table == Table::Records) {
        let path = parts.folder(ledger).join(&file.name);
        let bytes = disk.read(&path).map_err(|error| PartError::Disk(path, error))?;
        if Hash::of(&[&bytes]).to_string() != file.sha256 {
            return Err(PartError::Disagreement(ledger.origin(), format!("{} is not what was signed", file.name)));
        }
        if let Rows::Records(rows) = parquet::read(Table::Records, ledger, file.first_seq, &bytes.into()).rows {
            rows.iter().for_each(|row| each(&row.record));
        }
    }
    Ok(())
}
