//! The clock that goes on while a machine sleeps, which leases are measured by.

use taskyard_consensus::boottime;

/// CLOCK_BOOTTIME in milliseconds.
pub(crate) fn boot_ms() -> u64 {
    boottime().as_millis() as u64
}
