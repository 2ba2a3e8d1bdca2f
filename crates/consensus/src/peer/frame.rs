//! Frames: length (4 bytes), kind (1), checksum of kind and content (4), content. Numbers are little-endian.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const HEADER: usize = 4 + 1 + 4;
const READ_BYTES: usize = 64 << 10;

/// One frame as it came.
#[derive(Debug)]
pub(super) struct PeerFrame {
    pub(super) kind: u8,
    pub(super) content: Bytes,
}

/// Reads frames. Waiting for one may be given up at any moment; nothing is lost.
pub(super) struct FrameReader<R> {
    inner: R,
    buffer: BytesMut,
    max: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(inner: R, max: usize) -> FrameReader<R> {
        FrameReader { inner, buffer: BytesMut::new(), max }
    }

    /// The next frame; an error at the end.
    pub(super) async fn next(&mut self) -> io::Result<PeerFrame> {
        loop {
            if let Some(frame) = self.parse()? {
                return Ok(frame);
            }
            self.buffer.reserve(READ_BYTES);
            if self.inner.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the other server closed the connection",
                ));
            }
        }
    }

    fn parse(&mut self) -> io::Result<Option<PeerFrame>> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let [a, b, c, d, kind, crc @ ..] = *header;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > self.max {
            return Err(invalid(format!("a frame of {length} bytes, and {} are allowed", self.max)));
        }
        if self.buffer.len() < HEADER + length {
            self.buffer.reserve(HEADER + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        let content = self.buffer.split_to(length).freeze();
        if checksum(kind, &content) != u32::from_le_bytes(crc) {
            return Err(invalid("a frame does not match its checksum"));
        }
        Ok(Some(PeerFrame { kind, content }))
    }
}

/// Writes one frame.
pub(super) async fn write(to: &mut (impl AsyncWrite + Unpin), kind: u8, content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len()).map_err(|_| invalid("a frame of more than 4 GiB"))?;
    let mut out = Vec::with_capacity(HEADER + content.len());
    out.extend_from_slice(&length.to_le_bytes());
    out.push(kind);
    out.extend_from_slice(&checksum(kind, content).to_le_bytes());
    out.extend_from_slice(content);
    to.write_all(&out).await?;
    to.flush().await
}

fn checksum(kind: u8, content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[kind]), content)
}

pub(super) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_whole_and_damage_is_seen() {
        let mut bytes = Vec::new();
        write(&mut bytes, 7, b"hello").await.expect("writes");
        write(&mut bytes, 8, b"").await.expect("writes");
        let mut reader = FrameReader::new(&bytes[..], 5);
        let first = reader.next().await.expect("a frame");
        assert_eq!((first.kind, &first.content[..]), (7, &b"hello"[..]));
        assert_eq!(reader.next().await.expect("a frame").kind, 8);
        assert_eq!(reader.next().await.expect_err("the end").kind(), io::ErrorKind::UnexpectedEof);
        let long = FrameReader::new(&bytes[..], 4).next().await.expect_err("too long");
        assert_eq!(long.kind(), io::ErrorKind::InvalidData);
        for at in 4..14 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let error = FrameReader::new(&damaged[..], 5).next().await.expect_err("damaged");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {at}");
        }
    }
}
