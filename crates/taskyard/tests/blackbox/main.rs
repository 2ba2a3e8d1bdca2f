//! The real binary as a user meets it: processes, files and HTTP, nothing of the product's code.
//!
//! One binary with a module for each subject, so that all are linked once; `cargo test -p taskyard --test blackbox
//! tls::` runs one module.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails when it cannot go on, and tells what it saw"
)]

mod common;

mod access;
mod agent_faults;
mod backup;
mod balancer;
mod commands;
mod damage;
mod data_dirs;
mod disks_of_three;
mod everyday;
mod examples;
mod exit_codes;
mod failover;
mod floating;
mod halfopen;
mod jobs;
mod kill;
mod links;
mod live_load;
mod lives;
mod minority;
mod one_of_three;
mod outage;
mod output;
mod partitions;
mod places;
mod plan;
mod powercut;
mod queues;
mod readme;
mod refused_server;
mod scheduling;
mod server_process;
mod servers;
mod simulate;
mod starting;
mod storage;
mod tls;
mod typed;
mod upgrade;
