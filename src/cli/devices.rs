//! `calvaria devices`.

use super::Failed;
use crate::device::{Found, inventory};

/// List the devices that experiments can run on, or why they cannot.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the list as JSON, for scripts.
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: &Args) -> Result<(), Failed> {
    let inventory = inventory();
    if args.json {
        let found: Vec<&Found> = inventory
            .iter()
            .filter_map(|(_, found)| found.as_ref().ok())
            .flatten()
            .collect();
        let text = serde_json::to_string_pretty(&found).map_err(Failed::work)?;
        outln!("{text}");
        return Ok(());
    }
    for (kind, found) in &inventory {
        match found {
            Ok(devices) => devices.iter().for_each(show),
            Err(why) => outln!("{kind:<10}none: {why}"),
        }
    }
    Ok(())
}

fn show(device: &Found) {
    let memory = device.memory.map_or_else(String::new, |bytes| {
        format!(", {:.0} GiB", bytes as f64 / f64::powi(2.0, 30))
    });
    outln!(
        "{:<10}{}{memory}, {}",
        device.name.to_string(),
        device.model,
        device.details
    );
}
