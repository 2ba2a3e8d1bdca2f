//! Arguments of `simulate`.

use super::value;
use clap::{ArgGroup, Args};
use std::path::PathBuf;

/// Arguments of `simulate`.
#[derive(Args, Clone, Debug, Default)]
#[command(group = ArgGroup::new("source").required(true).args(["trace", "alibaba_pods", "generate", "from_cluster"]))]
pub struct SimulateArgs {
    /// Jobs of a log in the Standard Workload Format (SWF): plain, gzip or xz; - is standard input
    #[arg(long, value_name = "FILE", help_heading = "Jobs")]
    pub trace: Option<PathBuf>,
    /// Pods of Alibaba's GPU cluster: its CSV table of pods; plain, gzip or xz
    #[arg(long, value_name = "FILE", requires = "alibaba_nodes", help_heading = "Jobs")]
    pub alibaba_pods: Option<PathBuf>,
    /// Nodes for --alibaba-pods: its table of nodes
    #[arg(long, value_name = "FILE", requires = "alibaba_pods", help_heading = "Jobs")]
    pub alibaba_nodes: Option<PathBuf>,
    /// Jobs generated from a seed: lublin, heavy-tail or daily, with settings as in lublin:load=0.9,seed=7
    #[arg(long, value_name = "MODEL", help_heading = "Jobs")]
    pub generate: Option<String>,
    /// Jobs that the cluster has run, on its current nodes
    #[arg(long, help_heading = "Jobs")]
    pub from_cluster: bool,
    /// With --from-cluster: jobs submitted since then, as in 7d or 2026-11-24 [default: 7d]
    #[arg(long, value_name = "TIME", requires = "from_cluster", help_heading = "Jobs")]
    pub since: Option<String>,
    /// With --trace: one node of N CPUs [default: MaxProcs of the log]
    #[arg(long, value_name = "N", requires = "trace", value_parser = value::count::<u32>, allow_hyphen_values = true, help_heading = "Jobs")]
    pub procs: Option<u32>,
    /// With --trace: filter of records: none (all that can run), sc15 or rlwin
    #[arg(long, value_name = "NAME", requires = "trace", help_heading = "Jobs")]
    pub filter: Option<String>,
    /// With --trace: only these windows of LENGTH jobs, each on an empty machine; results are means
    #[arg(long, value_name = "S1,S2,...:LENGTH", requires = "trace", help_heading = "Jobs")]
    pub windows: Option<String>,
    /// Run times known to the scheduler: user (users' estimates) or clairvoyant (exact) [default: user]
    #[arg(long, value_name = "NAME", help_heading = "Jobs")]
    pub estimates: Option<String>,

    /// Policies to compare: fcfs, sjf, saf, soft-area, f1, priority, multi-factor, fair-share, drf, or all [default:
    /// fcfs,sjf,saf,soft-area,fair-share]
    #[arg(long, value_name = "LIST", help_heading = "Policies")]
    pub policy: Option<String>,
    /// Disciplines to compare: strict, greedy, easy, easy-sjf, conservative, or all; commit and commit-backfill are
    /// protocols of a published table [default: easy]
    #[arg(long, value_name = "LIST", help_heading = "Policies")]
    pub discipline: Option<String>,
    /// Placements to compare: least-loaded, bin-pack, round-robin, spread, random-of-two, hash, or all [default:
    /// least-loaded]
    #[arg(long, value_name = "LIST", help_heading = "Policies")]
    pub placement: Option<String>,
    /// Weights of multi-factor, as in age=10,priority=100,size=0,fair-share=1000
    #[arg(long, value_name = "LIST", help_heading = "Policies")]
    pub factors: Option<String>,
    /// Let a job that has waited longer go before all younger jobs: times to compare, or off [default: off, as in
    /// published results; 1d and off without --policy; each queue's own with --from-cluster]
    #[arg(long, value_name = "LIST", allow_hyphen_values = true, help_heading = "Policies")]
    pub max_wait: Option<String>,
    /// Events of one instant: batch (all, then one pass) or pyss (a pass after each, as in SC'15) [default: batch]
    #[arg(long, value_name = "NAME", help_heading = "Policies")]
    pub ties: Option<String>,
    /// Repeat each run on N copies with submits shifted randomly by up to a minute, to show the effect of chance
    /// [default: 5 if that takes seconds, else 0]
    #[arg(long, value_name = "N", value_parser = value::count::<u32>, allow_hyphen_values = true, help_heading = "Policies")]
    pub copies: Option<u32>,
    /// Run every job through the scheduler itself, without the faster shortcut for one machine with processors only
    #[arg(long, help_heading = "Policies")]
    pub thorough: bool,

    /// Write the comparison with plots as one self-contained HTML file
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub html: Option<PathBuf>,
    /// Write job_id,submit,start,end,procs,est of every job; with several runs, one file per run
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub jobs_csv: Option<PathBuf>,
}
