//! Tests of the state through its public face: one program, so that it is linked once.

#![allow(clippy::unwrap_used, reason = "a test fails when it cannot go on")]

mod access;
mod after;
mod apply;
mod begin;
mod lives;
mod memory;
mod possible;
mod properties;
mod queues;
mod removal;
mod retention;
mod scripts;
mod suppose;
mod update;
mod usage;
mod world;
