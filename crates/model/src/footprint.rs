//! What a job takes of a server's memory: an estimate, the same on all servers, that is never far below the truth.

use crate::After;
use crate::spec::{Driver, JobSpec, ProcessCommand, Stdin};

/// What a string or a list takes besides its content.
const ALLOCATION: u64 = 40;

impl JobSpec {
    /// Bytes of what its tasks are run with: arguments, script, environment, input and lines.
    pub fn input_bytes(&self) -> u64 {
        let lines = texts(&self.entries);
        let Driver::Process(command) = &self.driver else { return lines };
        let paths = [&command.cwd, &command.stdout, &command.stderr];
        let paths: u64 = paths.into_iter().flatten().map(|path| text(path)).sum();
        let env: u64 = command.env.iter().map(|(key, value)| text(key) + text(value)).sum();
        let stdin = match &command.stdin {
            Stdin::Empty => 0,
            Stdin::File(path) => text(path),
            Stdin::Bytes(bytes) => ALLOCATION + bytes.len() as u64,
        };
        let script = command.script.as_ref().map_or(0, |script| ALLOCATION + script.len() as u64);
        lines + texts(&command.argv) + paths + env + stdin + script
    }

    /// Bytes of the rest.
    pub fn other_bytes(&self) -> u64 {
        let terms = self.constraint.to_string().len() as u64;
        let lists = self.array.only.len() * size_of::<(u32, u32)>() + self.after.len() * size_of::<After>();
        size_of::<JobSpec>() as u64 + text(&self.name) + text(&self.queue) + 4 * terms + lists as u64
    }

    /// Forgets what its tasks are run with, when none of them will run again.
    pub fn drop_input(&mut self) {
        self.entries = Vec::new();
        if let Driver::Process(command) = &mut self.driver {
            *command = ProcessCommand::default();
        }
    }
}

fn text(text: &str) -> u64 {
    ALLOCATION + text.len() as u64
}

fn texts(list: &[String]) -> u64 {
    list.iter().map(|one| text(one)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_count_with_what_each_piece_takes_and_go_as_a_whole() {
        let mut spec = JobSpec::command(vec!["x".repeat(1_000); 10]);
        assert_eq!(spec.input_bytes(), 10 * (1_000 + ALLOCATION));
        spec.entries = vec![String::new(); 1_000];
        assert_eq!(
            spec.input_bytes(),
            10 * (1_000 + ALLOCATION) + 1_000 * ALLOCATION,
            "empty lines take room too"
        );
        let Driver::Process(command) = &mut spec.driver else { panic!("a command") };
        *command = ProcessCommand {
            env: vec![("K".into(), "V".repeat(99))],
            script: Some(vec![0; 500]),
            stdin: Stdin::Bytes(vec![0; 300]),
            cwd: Some("/".into()),
            ..ProcessCommand::default()
        };
        let expected = 100 + 500 + 300 + 1 + (5 + 1_000) * ALLOCATION;
        assert_eq!(spec.input_bytes(), expected);
        let other = spec.other_bytes();
        spec.drop_input();
        assert_eq!((spec.input_bytes(), spec.other_bytes()), (0, other));
    }
}
