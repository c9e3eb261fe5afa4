//! A gzipped stream, read as `gunzip` reads it.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The bytes of a gzipped stream: of all its members one after another. Zeros may follow the last, as tapes and
/// some archives pad files.
pub(super) struct Members<R> {
    /// The member that is being read; none at the end.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(stream: R) -> Self {
        Self {
            member: Some(GzDecoder::new(stream)),
        }
    }

    /// The member after one that ended in `stream`, if there is one.
    fn next(mut stream: R) -> io::Result<Option<GzDecoder<R>>> {
        loop {
            let bytes = stream.fill_buf()?;
            if bytes.is_empty() {
                return Ok(None);
            }
            match bytes.iter().position(|byte| *byte != 0) {
                None => {
                    let zeros = bytes.len();
                    stream.consume(zeros);
                }
                // What is no member fails on reading.
                Some(0) => return Ok(Some(GzDecoder::new(stream))),
                Some(_) => {
                    let why = "bytes other than zeros follow its end";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
            }
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut member) = self.member.take() {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                self.member = Some(member);
                return Ok(count);
            }
            self.member = Self::next(member.into_inner())?;
        }
        Ok(0)
    }
}
