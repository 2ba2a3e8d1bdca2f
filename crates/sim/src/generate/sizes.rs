//! How many cpus jobs ask for.

use super::between;
use rand::{Rng, RngExt};
use taskyard_model::Invalid;

/// Sizes after Lublin and Feitelson: some jobs are serial; the logarithm of the others is uniform in two stages, and
/// often whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    /// Share of jobs of one cpu.
    pub serial: f64,
    /// Share of jobs, of the others, whose size is a power of two.
    pub power_of_two: f64,
    /// Smallest logarithm, to base 2.
    pub low: f64,
    /// How far below the logarithm of the machine the stages meet.
    pub middle_below: f64,
    /// Share of jobs in the lower stage.
    pub lower: f64,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes { serial: 0.244, power_of_two: 0.576, low: 0.8, middle_below: 2.5, lower: 0.86 }
    }
}

impl Sizes {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        between("serial", self.serial, 0.0, 1.0)?;
        between("power-of-two", self.power_of_two, 0.0, 1.0)?;
        between("low", self.low, 0.0, 32.0)?;
        between("middle-below", self.middle_below, 0.0, 32.0)?;
        between("lower", self.lower, 0.0, 1.0)
    }

    /// Between 1 and the whole machine.
    pub(super) fn draw(&self, machine: u32, chance: &mut impl Rng) -> u32 {
        if chance.random::<f64>() < self.serial {
            return 1;
        }
        let high = f64::from(machine).log2();
        let low = self.low.min(high);
        let middle = (high - self.middle_below).clamp(low, high);
        let (from, to) = if chance.random::<f64>() < self.lower { (low, middle) } else { (middle, high) };
        let logarithm = from + (to - from) * chance.random::<f64>();
        let whole = chance.random::<f64>() < self.power_of_two;
        let size = if whole { logarithm.round().exp2() } else { logarithm.exp2().round() };
        (size as u32).clamp(1, machine)
    }
}
