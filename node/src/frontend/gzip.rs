//! Compression of single messages.
//!
//! Official clients compress every request, and most are a few hundred bytes: to set a decompressor up costs
//! far more than to run it, since its tables and window are cleared and moved about. So each thread keeps one
//! of each kind and resets it. The frame around the deflated bytes (RFC 1952) is read and written here.

use std::cell::RefCell;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const DEFLATED: u8 = 8;
/// Flags of optional parts of the header.
const HEADER_CHECKSUM: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
/// Magic, method, flags, four bytes of time, two that say what compressed it.
const HEADER_BYTES: usize = 10;
/// Checksum and length of the message.
const TRAILER_BYTES: usize = 8;
/// The header of what is compressed here: no time, no optional part, an unknown system.
const HEADER: [u8; HEADER_BYTES] = [MAGIC[0], MAGIC[1], DEFLATED, 0, 0, 0, 0, 0, 0, 0xff];
/// Room made for a message before anything of it is known, so that a few bytes cannot claim megabytes.
const EXPANSION_EXPECTED_MAX: usize = 8;
const ROOM_BYTES_MIN: usize = 256;

/// The texts are those of the Go library that the real server runs on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GzipError {
    #[error("gzip: invalid header")]
    Header,
    #[error("gzip: invalid checksum")]
    Checksum,
    #[error("flate: corrupt input before offset {0}")]
    Corrupt(u64),
    #[error("unexpected EOF")]
    Short,
}

thread_local! {
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(false));
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

/// The message in a gzip frame. Stops soon after `bytes_max`: a longer answer says only that it is too long.
pub(super) fn decompress(frame: &[u8], bytes_max: usize) -> Result<Vec<u8>, GzipError> {
    let deflated = after_header(frame)?;
    let expected = announced_length(deflated).min(deflated.len().saturating_mul(EXPANSION_EXPECTED_MAX));
    // One byte more than was announced, so that the end is seen in the first pass.
    let mut message = Vec::with_capacity(expected.max(ROOM_BYTES_MIN).min(bytes_max) + 1);
    let used = INFLATE.with_borrow_mut(|inflate| {
        inflate.reset(false);
        loop {
            let rest = &deflated[inflate.total_in() as usize..];
            let status = inflate
                .decompress_vec(rest, &mut message, FlushDecompress::None)
                .map_err(|_| GzipError::Corrupt(inflate.total_in()))?;
            if status == Status::StreamEnd || message.len() > bytes_max {
                return Ok(inflate.total_in() as usize);
            }
            if message.len() < message.capacity() {
                return Err(GzipError::Short);
            }
            message.reserve(message.len());
        }
    })?;
    if message.len() <= bytes_max {
        check_trailer(&message, &deflated[used..])?;
    }
    Ok(message)
}

/// Appends the message in a gzip frame.
pub(super) fn compress(message: &[u8], frame: &mut Vec<u8>) {
    frame.extend(HEADER);
    DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        loop {
            frame.reserve(ROOM_BYTES_MIN.max(message.len() / 2));
            let rest = &message[deflate.total_in() as usize..];
            let status = deflate.compress_vec(rest, frame, FlushCompress::Finish);
            if status.expect("compression into memory has nothing to fail on") == Status::StreamEnd {
                break;
            }
        }
    });
    frame.extend(checksum(message).to_le_bytes());
    frame.extend((message.len() as u32).to_le_bytes());
}

fn after_header(frame: &[u8]) -> Result<&[u8], GzipError> {
    let (header, mut rest) = frame.split_at_checked(HEADER_BYTES).ok_or(GzipError::Short)?;
    if header[..2] != MAGIC || header[2] != DEFLATED {
        return Err(GzipError::Header);
    }
    let flags = header[3];
    if flags & EXTRA != 0 {
        let length = rest.first_chunk::<2>().ok_or(GzipError::Short)?;
        rest = rest.get(2 + usize::from(u16::from_le_bytes(*length))..).ok_or(GzipError::Short)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0).ok_or(GzipError::Short)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & HEADER_CHECKSUM != 0 {
        rest = rest.get(2..).ok_or(GzipError::Short)?;
    }
    Ok(rest)
}

/// What the frame says of the message's length; a hint until the message is there.
fn announced_length(deflated: &[u8]) -> usize {
    deflated.last_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize)
}

fn check_trailer(message: &[u8], trailer: &[u8]) -> Result<(), GzipError> {
    let trailer = trailer.first_chunk::<TRAILER_BYTES>().ok_or(GzipError::Short)?;
    let (crc, length) = trailer.split_at(4);
    if crc != checksum(message).to_le_bytes() || length != (message.len() as u32).to_le_bytes() {
        return Err(GzipError::Checksum);
    }
    Ok(())
}

fn checksum(message: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(message);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use flate2::{GzBuilder, read::GzDecoder};

    use super::*;

    const BYTES_MAX: usize = 1 << 20;

    fn messages() -> Vec<Vec<u8>> {
        let mut random = 1_u32;
        let noise = (0..100_000).map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 24) as u8
        });
        vec![Vec::new(), b"x".to_vec(), b"payload ".repeat(40), vec![0; BYTES_MAX], noise.collect()]
    }

    /// As another program would compress it, with every optional part.
    fn framed_by_another(message: &[u8]) -> Vec<u8> {
        let builder = GzBuilder::new().filename("name").comment("why").extra(vec![1; 300]);
        let mut encoder = builder.write(Vec::new(), Compression::best());
        encoder.write_all(message).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_others_compress_is_read_and_what_we_compress_is_read_by_others() {
        for message in messages() {
            let mut ours = Vec::new();
            compress(&message, &mut ours);
            for frame in [framed_by_another(&message), ours.clone()] {
                assert_eq!(decompress(&frame, BYTES_MAX).unwrap(), message);
            }
            let mut read = Vec::new();
            GzDecoder::new(&*ours).read_to_end(&mut read).unwrap();
            assert_eq!(read, message);
        }
    }

    #[test]
    fn a_frame_that_is_cut_or_damaged_is_refused_and_spoils_nothing() {
        let message = b"payload ".repeat(40);
        let frame = framed_by_another(&message);
        for length in 0..frame.len() {
            assert!(decompress(&frame[..length], BYTES_MAX).is_err(), "cut at {length}");
        }
        let mut ours = Vec::new();
        compress(&message, &mut ours);
        for position in (0..4).chain(HEADER_BYTES..ours.len()) {
            let mut damaged = ours.clone();
            damaged[position] ^= 0x44;
            assert!(decompress(&damaged, BYTES_MAX).is_err(), "damaged at {position}");
            assert_eq!(decompress(&ours, BYTES_MAX).unwrap(), message);
        }
        assert_eq!(decompress(b"no gzip at all", BYTES_MAX), Err(GzipError::Header));
    }

    #[test]
    fn it_stops_soon_after_the_bound() {
        let mut bomb = Vec::new();
        compress(&vec![0; 64 << 20], &mut bomb);
        let read = decompress(&bomb, 1000).unwrap();
        assert!((1001..10_000).contains(&read.len()), "{}", read.len());
    }
}
