//! The events that earlier sessions of a run left in a folder.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use protobuf::{Message, RepeatedField};
use tensorboard_proto::event::Event;
use tensorboard_proto::summary::Summary_Value;
use tensorboard_rs::masked_crc32c::masked_crc32c;

/// Event files, and what is to be kept of them.
pub(super) struct Earlier {
    pub files: Vec<PathBuf>,
    pub events: Vec<Event>,
}

impl Earlier {
    /// Reads the event files in `folder`, in the order in which TensorBoard does. Curves and pictures are kept where
    /// `keep` is true of their tag and step; of a step that was recorded twice, the later record. Settings are not
    /// kept: the next session writes them anew.
    pub fn read(folder: &Path, keep: impl Fn(&str, usize) -> bool) -> Self {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let is_events = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.contains(super::tensorboard::MARK)
        };
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(is_events)
            .collect();
        files.sort();
        let mut places: HashMap<(String, i64), usize> = HashMap::new();
        let mut events: Vec<Event> = Vec::new();
        // What cannot be read stays where it is.
        files.retain(|file| {
            let Ok(bytes) = fs::read(file) else {
                return false;
            };
            let kept = records(&bytes).flat_map(singles);
            for (value, event) in
                kept.filter(|(value, event)| is_kept(value, event.get_step(), &keep))
            {
                let key = (value.get_tag().to_owned(), event.get_step());
                match places.get(&key) {
                    Some(place) => events[*place] = event,
                    None => {
                        places.insert(key, events.len());
                        events.push(event);
                    }
                }
            }
            true
        });
        Self { files, events }
    }
}

fn is_kept(value: &Summary_Value, step: i64, keep: impl Fn(&str, usize) -> bool) -> bool {
    // Settings have metadata.
    !value.has_metadata() && usize::try_from(step).is_ok_and(|step| keep(value.get_tag(), step))
}

/// Each value of an event as an event of its own.
fn singles(event: Event) -> Vec<(Summary_Value, Event)> {
    let values = event.get_summary().get_value();
    let single = |value: &Summary_Value| {
        let mut one = event.clone();
        one.mut_summary()
            .set_value(RepeatedField::from_vec(vec![value.clone()]));
        (value.clone(), one)
    };
    values.iter().map(single).collect()
}

/// The events of an event file up to the first that is damaged or was cut off.
fn records(mut bytes: &[u8]) -> impl Iterator<Item = Event> {
    std::iter::from_fn(move || {
        let data = checked(&mut bytes, |_| Some(8))?;
        let length = u64::from_le_bytes(data.try_into().ok()?);
        let data = checked(&mut bytes, |rest| {
            usize::try_from(length)
                .ok()
                .filter(|length| *length <= rest)
        })?;
        let mut event = Event::new();
        event.merge_from_bytes(data).ok()?;
        Some(event)
    })
}

/// The next bytes, if their checksum follows them.
fn checked<'a>(bytes: &mut &'a [u8], length: impl Fn(usize) -> Option<usize>) -> Option<&'a [u8]> {
    let (data, rest) = bytes.split_at_checked(length(bytes.len())?)?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    *bytes = rest;
    (masked_crc32c(data) == u32::from_le_bytes(*sum)).then_some(data)
}
