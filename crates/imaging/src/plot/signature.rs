//! How a PNG is known to be a picture of this program that nobody has changed: a text in it holds a checksum of the
//! rest.

use std::path::Path;

/// Where the text stands: after the signature and the header, whose lengths are fixed.
const PLACE: usize = 33;

/// The picture with its signature.
pub(super) fn signed(mut png: Vec<u8>) -> Vec<u8> {
    let signature = signature(&png);
    png.splice(PLACE..PLACE, signature);
    png
}

/// Whether the file is a picture that was drawn here and has not been changed since.
pub fn is_own_picture(path: &Path) -> bool {
    let Ok(mut png) = std::fs::read(path) else {
        return false;
    };
    let length = signature(&[]).len();
    if png.len() < PLACE + length {
        return false;
    }
    let found: Vec<u8> = png.drain(PLACE..PLACE + length).collect();
    found == signature(&png)
}

/// A chunk of text, after the PNG specification (third edition, 11.3.3.2).
fn signature(png: &[u8]) -> Vec<u8> {
    let text = format!("Software\0calvaria {:08x}", crc32fast::hash(png));
    let content = [b"tEXt", text.as_bytes()].concat();
    let length = (text.len() as u32).to_be_bytes();
    let checksum = crc32fast::hash(&content).to_be_bytes();
    [&length[..], &content, &checksum].concat()
}
