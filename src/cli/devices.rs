//! `calvaria devices`.

use serde::Serialize;

use super::CliError;
use crate::device::{DeviceInfo, inventory, probe};

/// List the devices that experiments can run on, or why they cannot.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the list as JSON, for scripts.
    #[arg(long)]
    json: bool,
}

/// A device that was tried.
#[derive(Serialize)]
struct Tried {
    #[serde(flatten)]
    device: DeviceInfo,
    /// Why it cannot be used, if it cannot.
    problem: Option<String>,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    let mut devices = Vec::new();
    for (kind, found) in inventory() {
        match found {
            Ok(found) => {
                for device in found {
                    let problem = probe(device.name).err();
                    let tried = Tried { device, problem };
                    if !args.json {
                        show(&tried);
                    }
                    devices.push(tried);
                }
            }
            Err(why) if !args.json => outln!("{kind:<10}none: {why}"),
            Err(_) => {}
        }
    }
    if args.json {
        let text = serde_json::to_string_pretty(&devices).map_err(CliError::work)?;
        outln!("{text}");
    }
    Ok(())
}

fn show(Tried { device, problem }: &Tried) {
    let memory = device.memory.map_or_else(String::new, |bytes| {
        format!(", {:.0} GiB", bytes as f64 / f64::powi(2.0, 30))
    });
    outln!(
        "{:<10}{}{memory}, {}",
        device.name.to_string(),
        device.model,
        device.details
    );
    if let Some(warning) = &device.warning {
        outln!("{:<10}{warning}", "");
    }
    if let Some(why) = problem {
        outln!("{:<10}cannot be used: {why}", "");
    }
}
