//! The way back to the agent, and the timer.

use super::{Guarded, SharedKeeper};
use crate::clock::boot_ms;
use crate::keeper::proto::{FromKeeper, ToKeeper};
use bytes::{Buf, BytesMut};
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec};
use taskyard_wire::Codec;
use tokio_util::codec::Encoder;

/// Under load, events go to the agent at most this often. Each batch costs both sides some system calls and a context
/// switch, and the prepared attempts keep the slots busy meanwhile.
const FLUSH_EVERY_MS: u64 = 4;
/// Events of one message.
const EVENTS_PER_MESSAGE_MAX: usize = 8_192;

impl SharedKeeper {
    /// Sends events: at once if the last ones went a while ago, else when the timer says so.
    pub(crate) fn flush(&self, inner: &mut Guarded, anyway: bool) {
        if !inner.book.has_news() && inner.out.is_empty() {
            return;
        }
        let now = boot_ms();
        if !anyway && now < inner.flushed_ms + FLUSH_EVERY_MS {
            return self.arm(inner);
        }
        inner.flushed_ms = now;
        for message in inner.book.take_news(EVENTS_PER_MESSAGE_MAX) {
            // Far below the limit of a message: an event has some fifty bytes.
            let _ = Codec::<ToKeeper, FromKeeper>::default().encode(&message, &mut inner.out);
        }
        self.send(inner);
    }

    fn send(&self, inner: &mut Guarded) {
        while !inner.out.is_empty() {
            match rustix::net::send(&self.socket, &inner.out, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => inner.out.advance(sent),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // The io thread goes on when there is room.
                    let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
                    return;
                }
                // The agent is gone; the io thread will find out.
                Err(_) => inner.out.clear(),
            }
        }
        // A burst must not keep its memory.
        if inner.out.capacity() > 1 << 16 {
            inner.out = BytesMut::new();
        }
    }

    /// There is more to send than the socket took.
    pub(crate) fn has_backlog(&self) -> bool {
        !self.lock().out.is_empty()
    }

    pub(super) fn arm(&self, inner: &mut Guarded) {
        let now = boot_ms();
        let flush = inner.book.has_news().then(|| inner.flushed_ms + FLUSH_EVERY_MS);
        let Some(wanted) = inner.book.next_due(now).into_iter().chain(flush).min() else { return };
        if inner.armed_ms.is_some_and(|armed| armed <= wanted && armed > now) {
            return;
        }
        inner.armed_ms = Some(wanted);
        let at = wanted.max(1);
        let spec = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: (at / 1_000) as i64, tv_nsec: (at % 1_000 * 1_000_000) as i64 },
        };
        // Cannot fail with a valid descriptor and time.
        let _ = rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &spec);
    }
}
