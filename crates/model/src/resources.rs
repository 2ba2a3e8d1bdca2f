//! What tasks ask for, what nodes offer, and the one definition of "fits".

use crate::{Invalid, limits, validate};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// Divisible amounts, all integers: cpu in thousandths, memory in bytes, named resources in whole units.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Amounts {
    /// Thousandths of a core.
    #[n(0)]
    pub cpu_milli: u64,
    /// Bytes.
    #[n(1)]
    pub memory: u64,
    /// Whole units by name; a name that is missing means none.
    #[n(2)]
    pub named: BTreeMap<String, u64>,
}

/// What one task asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Request {
    /// Cpu, memory and named resources.
    #[n(0)]
    pub amounts: Amounts,
    /// Thousandths of GPUs. Up to 1,000 it is a share of one device; above, whole devices. Never split across devices.
    #[n(1)]
    pub gpu_milli: u32,
    /// It runs alone: nothing else on its node meanwhile.
    #[n(2)]
    #[cbor(default)]
    pub exclusive: bool,
}

impl Request {
    /// With so many attempts running on a node, no task like this starts there. One that asks for no CPU is not bounded by that of the node, so
    /// it is by number.
    #[inline]
    pub fn running_max(&self, without_cpu_max: u32) -> u32 {
        if self.amounts.cpu_milli > 0 { limits::RUNNING_PER_NODE_MAX } else { without_cpu_max }
    }
}

/// What a node offers in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Capacity {
    /// Cpu, memory and named resources.
    #[n(0)]
    pub amounts: Amounts,
    /// GPU devices.
    #[n(1)]
    pub gpus: u32,
}

impl Capacity {
    /// With so many attempts running on the node, none starts that asks for no CPU.
    #[inline]
    pub fn without_cpu_max(&self) -> u32 {
        let per_core = u64::from(limits::WITHOUT_CPU_PER_CORE_MAX);
        let most = self.amounts.cpu_milli.saturating_mul(per_core).div_ceil(1_000).max(per_core);
        u32::try_from(most).unwrap_or(u32::MAX).min(limits::RUNNING_PER_NODE_MAX)
    }
}

/// Why a request does not fit: the resource that binds, what was asked and what is there, in the resource's own unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Short {
    /// `cpu`, `memory`, `gpu` or the name of a named resource.
    pub resource: String,
    /// Amount asked for.
    pub asked: u64,
    /// Amount there. For GPUs: the most that one device (or, asked for several, all free devices) can give.
    pub there: u64,
}

impl Short {
    /// An amount of the resource, as users write it.
    pub fn show(&self, amount: u64) -> String {
        match self.resource.as_str() {
            "cpu" | "gpu" => crate::quantity::show_thousandths(amount),
            "memory" => crate::quantity::show_size(amount),
            _ => amount.to_string(),
        }
    }

    /// The same with the resource's name after it: `0 CPUs`, `64GiB of memory`, `2 licence`.
    pub fn phrase(&self, amount: u64) -> String {
        let (shown, many) = (self.show(amount), if amount == 1_000 { "" } else { "s" });
        match self.resource.as_str() {
            "cpu" => format!("{shown} CPU{many}"),
            "gpu" => format!("{shown} GPU{many}"),
            "memory" => format!("{shown} of memory"),
            name => format!("{shown} {name}"),
        }
    }
}

impl Amounts {
    /// `Ok` if `asked` is at most `self` in every dimension, else the first dimension that is short.
    pub fn covers(&self, asked: &Amounts) -> Result<(), Short> {
        let short = |resource: &str, asked, there| Err(Short { resource: resource.to_owned(), asked, there });
        if asked.cpu_milli > self.cpu_milli {
            return short("cpu", asked.cpu_milli, self.cpu_milli);
        }
        if asked.memory > self.memory {
            return short("memory", asked.memory, self.memory);
        }
        for (name, &amount) in &asked.named {
            let there = self.named.get(name).copied().unwrap_or(0);
            if amount > there {
                return short(name, amount, there);
            }
        }
        Ok(())
    }

    /// Whether [`Amounts::covers`] holds, for those who do not ask what is short.
    #[inline]
    pub fn has(&self, asked: &Amounts) -> bool {
        let has_named =
            |(name, amount): (&String, &u64)| *amount <= self.named.get(name).copied().unwrap_or(0);
        asked.cpu_milli <= self.cpu_milli
            && asked.memory <= self.memory
            && (asked.named.is_empty() || asked.named.iter().all(has_named))
    }

    /// Takes `asked` away. The caller has checked [`Amounts::covers`].
    pub fn take(&mut self, asked: &Amounts) {
        self.cpu_milli -= asked.cpu_milli;
        self.memory -= asked.memory;
        for (name, amount) in &asked.named {
            if let Some(there) = self.named.get_mut(name) {
                *there -= amount;
            }
        }
    }

    /// Whether there is enough for both.
    pub fn covers_both(&self, one: &Amounts, other: &Amounts) -> bool {
        let has = |there: u64, one: u64, other: u64| one.checked_add(other).is_some_and(|sum| sum <= there);
        let of = |amounts: &Amounts, name: &String| amounts.named.get(name).copied().unwrap_or(0);
        has(self.cpu_milli, one.cpu_milli, other.cpu_milli)
            && has(self.memory, one.memory, other.memory)
            && one.named.keys().chain(other.named.keys()).all(|n| has(of(self, n), of(one, n), of(other, n)))
    }

    /// Gives `amounts` back, so many times.
    pub fn give_times(&mut self, amounts: &Amounts, count: u32) {
        let count = u64::from(count);
        self.cpu_milli += amounts.cpu_milli * count;
        self.memory += amounts.memory * count;
        for (name, amount) in &amounts.named {
            *self.named.entry(name.clone()).or_default() += amount * count;
        }
    }

    /// Gives `amounts` back.
    pub fn give(&mut self, amounts: &Amounts) {
        self.cpu_milli += amounts.cpu_milli;
        self.memory += amounts.memory;
        for (name, amount) in &amounts.named {
            *self.named.entry(name.clone()).or_default() += amount;
        }
    }
}

impl Request {
    /// Checks limits and the GPU rule.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.gpu_milli > 1_000 && !self.gpu_milli.is_multiple_of(1_000) {
            let value = crate::quantity::show_thousandths(u64::from(self.gpu_milli));
            return Err(Invalid::new(
                "gpus",
                value,
                "request a share of one GPU (up to 1) or whole GPUs; a task's share is never split across devices",
            ));
        }
        check_named(&self.amounts.named)
    }
}

impl Capacity {
    /// Could a node of this capacity ever run the request?
    pub fn could_hold(&self, request: &Request) -> Result<(), Short> {
        self.amounts.covers(&request.amounts)?;
        let all = self.gpus.saturating_mul(1_000);
        if request.gpu_milli > all {
            return Err(Short { resource: "gpu".into(), asked: request.gpu_milli.into(), there: all.into() });
        }
        Ok(())
    }

    /// All that a node of this capacity lacks for the request. Empty if [`Capacity::could_hold`] it.
    pub fn lacks(&self, request: &Request) -> Vec<Short> {
        let Amounts { cpu_milli, memory, named } = &request.amounts;
        let there = &self.amounts;
        let mut all = vec![
            ("cpu", *cpu_milli, there.cpu_milli),
            ("memory", *memory, there.memory),
            ("gpu", request.gpu_milli.into(), self.gpus.saturating_mul(1_000).into()),
        ];
        all.extend(
            named.iter().map(|(name, n)| (name.as_str(), *n, there.named.get(name).copied().unwrap_or(0))),
        );
        let short = all.into_iter().filter(|(_, asked, there)| asked > there);
        short.map(|(name, asked, there)| Short { resource: name.to_owned(), asked, there }).collect()
    }

    /// Checks limits of what an agent offers.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.gpus as usize > limits::GPU_DEVICES_MAX {
            return Err(Invalid::new("gpus", self.gpus, format!("at most {}", limits::GPU_DEVICES_MAX)));
        }
        check_named(&self.amounts.named)
    }
}

fn check_named(named: &BTreeMap<String, u64>) -> Result<(), Invalid> {
    if named.len() > limits::NAMED_RESOURCES_MAX {
        return Err(Invalid::new(
            "resource",
            named.len(),
            format!("at most {} named resources", limits::NAMED_RESOURCES_MAX),
        ));
    }
    for name in named.keys() {
        validate::name("resource", name)?;
        if matches!(name.as_str(), "cpu" | "cpus" | "memory" | "mem" | "gpu" | "gpus") {
            return Err(Invalid::new(
                "resource",
                name,
                "this resource is built in: use --cpus, --mem or --gpus",
            ));
        }
    }
    Ok(())
}

/// Which devices a GPU request gets, given the free thousandths of each: the fullest device that still has the share (so that whole devices
/// stay whole), or the first wholly free ones. `None` when it does not fit. Both the planner and `apply` call this.
pub fn place_gpus(free: &[u32], gpu_milli: u32) -> Option<Vec<(u16, u32)>> {
    if gpu_milli == 0 {
        return Some(Vec::new());
    }
    if gpu_milli <= 1_000 {
        let (device, _) =
            free.iter().enumerate().filter(|(_, f)| **f >= gpu_milli).min_by_key(|(i, f)| (**f, *i))?;
        return Some(vec![(device as u16, gpu_milli)]);
    }
    let wanted = (gpu_milli / 1_000) as usize;
    let whole: Vec<_> = free
        .iter()
        .enumerate()
        .filter(|(_, f)| **f == 1_000)
        .take(wanted)
        .map(|(i, _)| (i as u16, 1_000))
        .collect();
    (whole.len() == wanted).then_some(whole)
}

/// The most GPU thousandths that `free` could give a request like `gpu_milli`.
pub fn gpus_there(free: &[u32], gpu_milli: u32) -> u64 {
    if gpu_milli <= 1_000 {
        return free.iter().copied().max().unwrap_or(0).into();
    }
    free.iter().filter(|f| **f == 1_000).count() as u64 * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(cpu_milli: u64, memory: u64, licences: u64) -> Amounts {
        Amounts { cpu_milli, memory, named: [("licence".to_owned(), licences)].into() }
    }

    #[test]
    fn names_the_first_short_dimension() {
        let free = amounts(2_000, 100, 1);
        assert_eq!(free.covers(&amounts(2_000, 100, 1)), Ok(()));
        assert_eq!(free.covers(&amounts(2_001, 100, 1)).unwrap_err().resource, "cpu");
        assert_eq!(free.covers(&amounts(1, 101, 1)).unwrap_err().resource, "memory");
        let short = free.covers(&amounts(1, 1, 2)).unwrap_err();
        assert_eq!((short.resource.as_str(), short.asked, short.there), ("licence", 2, 1));
    }

    #[test]
    fn take_and_give_are_inverse() {
        let mut free = amounts(2_000, 100, 3);
        free.take(&amounts(500, 10, 3));
        free.give(&amounts(500, 10, 3));
        assert_eq!(free, amounts(2_000, 100, 3));
    }

    #[test]
    fn gpus_are_never_split() {
        assert_eq!(place_gpus(&[500, 500], 700), None);
        assert_eq!(
            place_gpus(&[1_000, 500], 300),
            Some(vec![(1, 300)]),
            "the fuller device keeps the other whole"
        );
        assert_eq!(place_gpus(&[1_000, 500, 1_000], 2_000), Some(vec![(0, 1_000), (2, 1_000)]));
        assert_eq!(place_gpus(&[1_000, 999], 2_000), None);
        assert!(Request { gpu_milli: 1_500, ..Request::default() }.check().is_err());
    }
}
