//! Writes the seeds of each target, one a file, into DIRECTORY/TARGET.

use std::fs;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let directory = PathBuf::from(std::env::args().nth(1).expect("usage: seeds DIRECTORY"));
    for (target, _) in mdns_registry_fuzz::TARGETS {
        let directory = directory.join(target);
        fs::create_dir_all(&directory)?;
        for (name, bytes) in mdns_registry_fuzz::seeds::of(target) {
            fs::write(directory.join(name), bytes)?;
        }
    }
    Ok(())
}
