//! Reads server-sent events out of chunks of bytes.

/// One event as it came over the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SseFrame {
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

/// A line longer than this is no event of ours.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Bytes so far.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    buffer: Vec<u8>,
    frame: SseFrame,
    has_data: bool,
}

impl Parser {
    /// Takes bytes in. `Err` when they cannot be events.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() > LINE_BYTES_MAX && !self.buffer.contains(&b'\n') {
            return Err("a line without end in the stream of events");
        }
        Ok(())
    }

    /// The next whole event. Comments, which servers send to keep connections open, are passed over.
    pub(crate) fn next(&mut self) -> Option<SseFrame> {
        let mut used = 0;
        let mut found = None;
        while let Some(length) = self.buffer[used..].iter().position(|b| *b == b'\n') {
            let line = &self.buffer[used..used + length];
            used += length + 1;
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
            if line.is_empty() {
                let frame = std::mem::take(&mut self.frame);
                if std::mem::take(&mut self.has_data) {
                    found = Some(frame);
                    break;
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => self.frame.id = Some(value.to_owned()),
                "data" => {
                    if std::mem::replace(&mut self.has_data, true) {
                        self.frame.data.push('\n');
                    }
                    self.frame.data.push_str(value);
                }
                _ => {}
            }
        }
        self.buffer.drain(..used);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_whatever_the_chunks() {
        let text =
            ": keep\n\nid: 5.0\nevent: x\ndata: {\"a\":1}\n\nid: 5.1\r\ndata: a\r\ndata: b\r\n\r\n:\n\n";
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let mut frames = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                parser.push(chunk).unwrap();
                frames.extend(std::iter::from_fn(|| parser.next()));
            }
            let want = [("5.0", "{\"a\":1}"), ("5.1", "a\nb")]
                .map(|(id, data)| SseFrame { id: Some(id.into()), data: data.into() });
            assert_eq!(frames, want, "chunks of {size}");
        }
    }
}
