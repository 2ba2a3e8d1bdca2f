//! What the options of `simulate` mean, and the jobs they name.

use crate::args::SimulateArgs;
use crate::exit::Failure;
use std::path::Path;
use taskyard_client::api::Invalid;
use taskyard_sim::compare::{
    Combination, Comparison, MaxWait, default_copies, disciplines, factors, max_waits, placements, policies,
};
use taskyard_sim::engine::Ties;
use taskyard_sim::generate::{GeneratorSettings, generate};
use taskyard_sim::metrics::Bounds;
use taskyard_sim::swf::{self, Estimates, Filter, SwfOptions, Windows};
use taskyard_sim::{TraceError, Workload, alibaba, limits};

/// Without `--policy`: what people run, what serves means best, and what is fair.
const POLICIES: &str = "fcfs,sjf,saf,soft-area,fair-share";
const DISCIPLINES: &str = "easy";
const PLACEMENTS: &str = "least-loaded";
/// Without `--policy` and `--max-wait`: as a queue has it unless it is set otherwise, and as published results have it.
const MAX_WAITS: &str = "1d,off";

/// The options, read and checked before anything is opened.
pub(super) struct Inputs {
    comparison: Comparison,
    /// As the user gave it.
    copies: Option<u32>,
    swf: SwfOptions,
    generate: Option<GeneratorSettings>,
    /// What chance begins with, where it has a part.
    pub(super) seed: Option<u64>,
}

impl Inputs {
    pub(super) fn of(args: &SimulateArgs) -> Result<Inputs, Failure> {
        let or = |text: &Option<String>, default: &str| text.clone().unwrap_or_else(|| default.to_owned());
        let combinations = Combination::all(
            &policies("--policy", &or(&args.policy, POLICIES))?,
            &disciplines("--discipline", &or(&args.discipline, DISCIPLINES))?,
            &placements("--placement", &or(&args.placement, PLACEMENTS))?,
            &longest_waits(args)?,
        );
        if args.copies.is_some_and(|copies| copies > limits::COPIES_MAX) {
            let remedy = format!("at most {}", limits::COPIES_MAX);
            return Err(Invalid::new("--copies", args.copies.unwrap_or(0), remedy).into());
        }
        let comparison = Comparison {
            combinations,
            ties: args.ties.as_deref().map_or(Ok(Ties::Batch), |text| Ties::parse("--ties", text))?,
            factors: args.factors.as_deref().map(|text| factors("--factors", text)).transpose()?,
            bounds: Bounds::default(),
            copies: 0,
            slow_copies: false,
            keep_outcomes: args.jobs_csv.is_some(),
            plots: args.html.is_some(),
            thorough: args.thorough,
        };
        let generate =
            args.generate.as_deref().map(|text| GeneratorSettings::parse("--generate", text)).transpose()?;
        for path in args.html.iter().chain(&args.jobs_csv) {
            super::files::check(path)?;
        }
        let seed = generate.as_ref().map(|s| s.seed);
        Ok(Inputs { comparison, copies: args.copies, swf: swf_options(args)?, seed, generate })
    }

    /// What to run on these workloads: on the past of a cluster what runs today too, if there is anything to compare.
    pub(super) fn comparison(&self, workloads: &[Workload]) -> Comparison {
        let mut comparison = self.comparison.clone();
        let settings = workloads.first().and_then(|workload| workload.settings.as_ref());
        if let Some(settings) = settings.filter(|_| comparison.combinations.len() > 1) {
            comparison.combinations = Combination::with_today(comparison.combinations, settings);
        }
        let default = || default_copies(&comparison.combinations, workloads, comparison.thorough);
        (comparison.copies, comparison.slow_copies) =
            self.copies.map_or_else(default, |copies| (copies, true));
        comparison
    }

    /// Whether run times are known beforehand.
    pub(super) fn clairvoyant(&self) -> bool {
        self.swf.estimates == Estimates::Clairvoyant
    }

    /// The workloads of a file or of a generator.
    pub(super) fn read(&self, args: &SimulateArgs) -> Result<Vec<Workload>, Failure> {
        if let Some(settings) = &self.generate {
            let mut workload = generate(settings)?;
            if self.clairvoyant() {
                workload.jobs.iter_mut().for_each(|job| job.estimate_ms = Some(job.run_ms));
            }
            return Ok(vec![workload]);
        }
        if let (Some(pods), Some(nodes)) = (&args.alibaba_pods, &args.alibaba_nodes) {
            let workload = alibaba::read(pods, nodes, self.swf.estimates);
            return Ok(vec![workload.map_err(|e| told("--alibaba-pods", e))?]);
        }
        let trace = args.trace.as_deref().unwrap_or(Path::new(""));
        let workloads = swf::read(trace).and_then(|log| log.workloads(&self.swf));
        workloads.map_err(|e| told("--trace", e))
    }
}

fn longest_waits(args: &SimulateArgs) -> Result<Vec<MaxWait>, Invalid> {
    match &args.max_wait {
        Some(text) => max_waits("--max-wait", text),
        None if args.from_cluster => Ok(vec![MaxWait::OfQueue]),
        None if args.policy.is_none() && args.discipline.is_none() => max_waits("--max-wait", MAX_WAITS),
        None => Ok(vec![MaxWait::Off]),
    }
}

fn swf_options(args: &SimulateArgs) -> Result<SwfOptions, Invalid> {
    let estimates = args.estimates.as_deref();
    let filter = args.filter.as_deref();
    let windows = args.windows.as_deref();
    Ok(SwfOptions {
        filter: filter.map_or(Ok(Filter::None), |text| Filter::parse("--filter", text))?,
        estimates: estimates.map_or(Ok(Estimates::User), |text| Estimates::parse("--estimates", text))?,
        procs: args.procs,
        windows: windows.map(|text| Windows::parse("--windows", text)).transpose()?,
    })
}

/// What went wrong with the jobs, by the option that named them.
pub(super) fn told(option: &str, error: TraceError) -> Failure {
    match error {
        TraceError::Open { path, source } => Failure::io(path.display().to_string())(source),
        TraceError::Invalid(error) => {
            let field = match error.field.as_str() {
                "procs" => "--procs",
                "windows" => "--windows",
                "trace" => option,
                _ => return error.into(),
            };
            error.in_field(field).into()
        }
        TraceError::Read { ref source, .. } => {
            let source = std::io::Error::new(source.kind(), source.to_string());
            Failure::io(error.to_string())(source)
        }
        TraceError::Empty { ref trace, .. } | TraceError::TooMany { ref trace } => {
            Invalid::new(option, trace, error.to_string()).into()
        }
    }
}

/// The command line, as it can be typed again.
pub(super) fn typed(words: impl Iterator<Item = String>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+@%".contains(c);
    let quoted = words.skip(1).map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    ["taskyard".to_owned()].into_iter().chain(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::typed;

    #[test]
    fn a_command_can_be_typed_again() {
        let words = ["/x/taskyard", "simulate", "--trace", "my log's.swf", ""].map(str::to_owned);
        assert_eq!(typed(words.into_iter()), r"taskyard simulate --trace 'my log'\''s.swf' ''");
    }
}
