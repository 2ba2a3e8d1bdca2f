//! Arguments of `simulate`.

use super::value;
use clap::{ArgGroup, Args};
use std::path::PathBuf;

/// Arguments of `simulate`.
#[derive(Args, Clone, Debug, Default)]
#[command(group = ArgGroup::new("source").required(true).args(["trace", "alibaba_pods", "generate", "from_cluster"]))]
pub struct SimulateArgs {
    /// Jobs of a log in the Standard Workload Format (SWF), plain, gzip or xz
    #[arg(long, value_name = "FILE", help_heading = "Jobs")]
    pub trace: Option<PathBuf>,
    /// Pods of Alibaba's GPU cluster: its table of pods, CSV, plain, gzip or xz
    #[arg(long, value_name = "FILE", requires = "alibaba_nodes", help_heading = "Jobs")]
    pub alibaba_pods: Option<PathBuf>,
    /// The nodes for --alibaba-pods: the table of nodes
    #[arg(long, value_name = "FILE", requires = "alibaba_pods", help_heading = "Jobs")]
    pub alibaba_nodes: Option<PathBuf>,
    /// Jobs made from a seed: lublin, heavy-tail or daily, with settings as in lublin:load=0.9,seed=7
    #[arg(long, value_name = "MODEL", help_heading = "Jobs")]
    pub generate: Option<String>,
    /// What the cluster itself has run, on the nodes it has now
    #[arg(long, help_heading = "Jobs")]
    pub from_cluster: bool,
    /// With --from-cluster: jobs submitted since then, as in 7d or 2026-11-24 [default: 7d]
    #[arg(long, value_name = "TIME", requires = "from_cluster", help_heading = "Jobs")]
    pub since: Option<String>,
    /// With --trace: one node of N cpus [default: MaxProcs of the log]
    #[arg(long, value_name = "N", requires = "trace", value_parser = value::count::<u32>, allow_hyphen_values = true, help_heading = "Jobs")]
    pub procs: Option<u32>,
    /// With --trace: which records count: none (all that can run), sc15, rlwin
    #[arg(long, value_name = "NAME", requires = "trace", help_heading = "Jobs")]
    pub filter: Option<String>,
    /// With --trace: only these stretches of LENGTH jobs, each on an empty machine; shown are means over them
    #[arg(long, value_name = "S1,S2,...:LENGTH", requires = "trace", help_heading = "Jobs")]
    pub windows: Option<String>,
    /// What is told of run times: user (what users said) or clairvoyant (the truth) [default: user]
    #[arg(long, value_name = "NAME", help_heading = "Jobs")]
    pub estimates: Option<String>,

    /// Orders to compare: fcfs, sjf, saf, soft-area, f1, priority, multi-factor, fair-share, drf, or all [default: fcfs,sjf,saf,soft-area,fair-share]
    #[arg(long, value_name = "LIST", help_heading = "Policies")]
    pub policy: Option<String>,
    /// Disciplines to compare: strict, greedy, easy, easy-sjf, conservative, or all; commit and commit-backfill are protocols of a published table [default: easy]
    #[arg(long, value_name = "LIST", help_heading = "Policies")]
    pub discipline: Option<String>,
    /// Placements to compare: least-loaded, bin-pack, round-robin, spread, random-of-two, hash, or all [default: least-loaded]
    #[arg(long, value_name = "LIST", help_heading = "Policies")]
    pub placement: Option<String>,
    /// Weights of multi-factor, as in age=10,priority=100,size=0,fair-share=1000
    #[arg(long, value_name = "LIST", help_heading = "Policies")]
    pub factors: Option<String>,
    /// A job that has waited longer goes before all younger ones; times to compare, or off [default: off, as published results have it; 1d and off without --policy; each queue's own with --from-cluster]
    #[arg(long, value_name = "LIST", allow_hyphen_values = true, help_heading = "Policies")]
    pub max_wait: Option<String>,
    /// Within one instant: batch (all events, then one pass) or pyss (a pass after each, as SC'15 has it) [default: batch]
    #[arg(long, value_name = "NAME", help_heading = "Policies")]
    pub ties: Option<String>,
    /// Copies of the jobs, submitted up to a minute later by chance, that every run is repeated on: how much of its slowdown is chance [default: 5 where that takes seconds, else 0]
    #[arg(long, value_name = "N", value_parser = value::count::<u32>, allow_hyphen_values = true, help_heading = "Policies")]
    pub copies: Option<u32>,
    /// Run every job through the scheduler itself, also where there is a shortcut (one machine, processors only), which is many times as fast
    #[arg(long, help_heading = "Policies")]
    pub thorough: bool,

    /// Write the comparison with plots as one HTML file that needs nothing else
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub html: Option<PathBuf>,
    /// Write job_id,submit,start,end,procs,est of every job; of several runs each gets a file with its name in it
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub jobs_csv: Option<PathBuf>,
}
