//! Asking for a secret: from a terminal without showing it, or from whatever standard input is.

use crate::exit::{Failure, STANDARD_ERROR};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, BufRead, IsTerminal, Read, Write};

/// No secret is longer.
const BYTES_MAX: u64 = 4 << 10;

/// Shows the terminal's input again, whatever happens.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> io::Result<Quiet> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Quiet(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Nothing is left to do about a terminal that has gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// One line of the terminal, or all of what standard input is.
pub(crate) fn secret(prompt: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let read = stdin.lock().take(BYTES_MAX).read_to_string(&mut text);
        return read.map(|_| text).map_err(Failure::io("standard input"));
    }
    let mut error = anstream::stderr();
    write!(error, "{prompt}").and_then(|()| error.flush()).map_err(Failure::io(STANDARD_ERROR))?;
    let quiet = Quiet::begin().map_err(Failure::io("the terminal"))?;
    let read = stdin.lock().take(BYTES_MAX).read_line(&mut text);
    drop(quiet);
    read.map(|_| text).map_err(Failure::io("standard input"))
}
