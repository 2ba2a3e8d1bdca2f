//! Length-prefixed frames over any byte stream.

use bytes::{Buf, BufMut, BytesMut};
use minicbor::{Decode, Encode};
use std::marker::PhantomData;
use taskyard_model::limits::MESSAGE_BYTES_MAX;
use tokio_util::codec::{Decoder, Encoder};

const LENGTH_BYTES: usize = 4;

/// Reads messages `In` and writes messages `Out`.
#[derive(Debug)]
pub struct Codec<In, Out>(PhantomData<fn() -> (In, Out)>);

impl<In, Out> Default for Codec<In, Out> {
    fn default() -> Self {
        Codec(PhantomData)
    }
}

/// A stream that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection failed.
    #[error("connection failed")]
    Io(#[from] std::io::Error),
    /// Checked before anything is allocated.
    #[error("message of {0} bytes: at most {MESSAGE_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// Not a message of this protocol.
    #[error("message cannot be read")]
    Malformed(#[from] minicbor::decode::Error),
}

impl<In: for<'b> Decode<'b, ()>, Out> Decoder for Codec<In, Out> {
    type Item = In;
    type Error = FrameError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<In>, FrameError> {
        let Some(prefix) = src.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(FrameError::TooLong(length));
        }
        if src.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        src.advance(LENGTH_BYTES);
        let frame = src.split_to(length);
        Ok(Some(minicbor::decode(&frame)?))
    }
}

impl<In, Out: Encode<()>> Encoder<&Out> for Codec<In, Out> {
    type Error = FrameError;

    fn encode(&mut self, message: &Out, dst: &mut BytesMut) -> Result<(), FrameError> {
        let start = dst.len();
        dst.put_u32(0);
        let mut body = Tail(dst);
        if minicbor::encode(message, &mut body).is_err() {
            unreachable!("writing to memory cannot fail");
        }
        let length = dst.len() - start - LENGTH_BYTES;
        if length > MESSAGE_BYTES_MAX {
            dst.truncate(start);
            return Err(FrameError::TooLong(length));
        }
        dst[start..start + LENGTH_BYTES].copy_from_slice(&(length as u32).to_be_bytes());
        Ok(())
    }
}

struct Tail<'a>(&'a mut BytesMut);

impl minicbor::encode::Write for Tail<'_> {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Load, ToAgent, ToServer};

    type Agent = Codec<ToAgent, ToServer>;
    type Server = Codec<ToServer, ToAgent>;

    #[test]
    fn messages_arrive_whole_however_they_are_cut() {
        let sent = ToServer::Heartbeat { sent_boot_ms: 77, load: Load::default() };
        let mut wire = BytesMut::new();
        Agent::default().encode(&sent, &mut wire).unwrap();
        let mut arrived = BytesMut::new();
        let mut got = Vec::new();
        for byte in wire.iter().chain(&wire.clone()) {
            arrived.extend_from_slice(&[*byte]);
            got.extend(Server::default().decode(&mut arrived).unwrap());
        }
        assert_eq!(got, [sent.clone(), sent]);
    }

    /// An agent from before connections could stand by, and a server from before refusals named the leader.
    #[test]
    fn messages_of_older_programs_are_understood() {
        #[derive(Encode)]
        struct OldRefused(#[n(0)] bool, #[n(1)] &'static str, #[n(2)] u64);
        let bytes = minicbor::to_vec(OldRefused(false, "not now", 200)).unwrap();
        let refused: crate::Refused = minicbor::decode(&bytes).unwrap();
        assert_eq!((refused.retry_after_ms, refused.leader), (200, None));
        #[derive(Encode)]
        struct OldHello(
            #[n(0)] &'static str,
            #[n(1)] &'static str,
            #[n(2)] &'static str,
            #[n(3)] &'static str,
            #[n(4)] Option<u64>,
            #[n(5)] u64,
            #[n(6)] taskyard_model::Capacity,
            #[n(7)] taskyard_model::constraint::Labels,
            #[n(8)] u64,
            #[n(9)] &'static str,
            #[n(10)] bool,
        );
        let hello =
            OldHello("1", "n1", "u", "b", None, 3, Default::default(), Default::default(), 1, "", true);
        let hello: crate::Hello = minicbor::decode(&minicbor::to_vec(hello).unwrap()).unwrap();
        assert_eq!((hello.term, hello.reports_end(), hello.standby), (3, false, false));
    }

    #[test]
    fn a_length_past_the_limit_is_refused_before_reading() {
        let mut wire = BytesMut::from(&0xffff_ffffu32.to_be_bytes()[..]);
        assert!(matches!(Server::default().decode(&mut wire), Err(FrameError::TooLong(_))));
    }

    #[test]
    fn garbage_is_an_error() {
        let mut wire = BytesMut::from(&[0, 0, 0, 3, 0xff, 0xff, 0xff][..]);
        assert!(matches!(Server::default().decode(&mut wire), Err(FrameError::Malformed(_))));
    }
}
