//! Settings as text: `lublin:seed=7,jobs=20000,load=0.9`. What is shown holds every setting that
//! text can set, and reads back to the same workload.

use super::{GeneratorSettings, Runs};
use std::fmt;
use std::str::FromStr;
use taskyard_model::Invalid;

/// Names of presets.
pub const PRESETS: [&str; 3] = ["lublin", "heavy-tail", "daily"];
const KEYS: &str = "seed, jobs, procs, load, users, overestimate, amplitude, peak, serial, power-of-two";

impl GeneratorSettings {
    /// Parses `PRESET` or `PRESET:KEY=VALUE,…`, and checks ranges.
    pub fn parse(field: &str, text: &str) -> Result<GeneratorSettings, Invalid> {
        let (preset, pairs) = text.split_once(':').unwrap_or((text, ""));
        let mut settings = match preset.trim() {
            "lublin" => GeneratorSettings::lublin(),
            "heavy-tail" => GeneratorSettings::heavy_tail(),
            "daily" => GeneratorSettings::daily(),
            _ => return Err(Invalid::new(field, preset, format!("one of {}", PRESETS.join(", ")))),
        };
        for pair in pairs.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| Invalid::new(field, pair, "write KEY=VALUE, as in load=0.9"))?;
            settings.set(field, key.trim(), value.trim())?;
        }
        settings.check().map_err(|e| {
            let named = format!("{field} {}", e.field);
            e.in_field(named)
        })?;
        Ok(settings)
    }

    fn set(&mut self, field: &str, key: &str, text: &str) -> Result<(), Invalid> {
        let at = format!("{field} {key}");
        match key {
            "seed" => self.seed = value(&at, text)?,
            "jobs" => self.jobs = value(&at, text)?,
            "procs" => self.procs = value(&at, text)?,
            "load" => self.load = value(&at, text)?,
            "users" => self.users = value(&at, text)?,
            "overestimate" => self.overestimate = value(&at, text)?,
            "amplitude" => self.cycle.amplitude = value(&at, text)?,
            "peak" => self.cycle.peak_hour = value(&at, text)?,
            "serial" => self.sizes.serial = value(&at, text)?,
            "power-of-two" => self.sizes.power_of_two = value(&at, text)?,
            _ => return self.set_runs(field, key, text),
        }
        Ok(())
    }

    /// Keys that only some presets have.
    fn set_runs(&mut self, field: &str, key: &str, text: &str) -> Result<(), Invalid> {
        let at = format!("{field} {key}");
        match (&mut self.runs, key) {
            (Runs::Pareto { alpha, .. }, "alpha") => *alpha = value(&at, text)?,
            (Runs::Pareto { min_s, .. }, "min") => *min_s = value(&at, text)?,
            (Runs::Exponential { mean_s }, "mean") => *mean_s = value(&at, text)?,
            (runs, _) => {
                let own = match runs {
                    Runs::HyperGamma { .. } => "",
                    Runs::Pareto { .. } => ", alpha, min",
                    Runs::Exponential { .. } => ", mean",
                };
                return Err(Invalid::new(field, key, format!("{} has the keys {KEYS}{own}", self.preset)));
            }
        }
        Ok(())
    }
}

fn value<T: FromStr>(field: &str, text: &str) -> Result<T, Invalid> {
    text.parse().map_err(|_| Invalid::new(field, text, "write a number; counts must be whole"))
}

impl fmt::Display for GeneratorSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GeneratorSettings { preset, seed, jobs, procs, load, users, overestimate, cycle, sizes, runs } =
            self;
        write!(f, "{preset}:seed={seed},jobs={jobs},procs={procs},load={load},users={users}")?;
        write!(f, ",overestimate={overestimate},amplitude={},peak={}", cycle.amplitude, cycle.peak_hour)?;
        write!(f, ",serial={},power-of-two={}", sizes.serial, sizes.power_of_two)?;
        match runs {
            Runs::HyperGamma { .. } => Ok(()),
            Runs::Pareto { alpha, min_s } => write!(f, ",alpha={alpha},min={min_s}"),
            Runs::Exponential { mean_s } => write!(f, ",mean={mean_s}"),
        }
    }
}
