//! `calvaria devices`.

use serde::Serialize;

use super::Failed;
use crate::device::{Found, inventory, probe};

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
    found: Found,
    /// Why it cannot be used, if it cannot.
    problem: Option<String>,
}

pub(super) fn main(args: &Args) -> Result<(), Failed> {
    let mut devices = Vec::new();
    for (kind, found) in inventory() {
        match found {
            Ok(found) => {
                for found in found {
                    let problem = probe(found.name).err();
                    let tried = Tried { found, problem };
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
        let text = serde_json::to_string_pretty(&devices).map_err(Failed::work)?;
        outln!("{text}");
    }
    Ok(())
}

fn show(Tried { found, problem }: &Tried) {
    let memory = found.memory.map_or_else(String::new, |bytes| {
        format!(", {:.0} GiB", bytes as f64 / f64::powi(2.0, 30))
    });
    outln!(
        "{:<10}{}{memory}, {}",
        found.name.to_string(),
        found.model,
        found.details
    );
    if let Some(caution) = &found.caution {
        outln!("{:<10}{caution}", "");
    }
    if let Some(why) = problem {
        outln!("{:<10}cannot be used: {why}", "");
    }
}
