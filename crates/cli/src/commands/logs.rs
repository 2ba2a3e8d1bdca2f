//! `logs`.

use crate::args::LogsArgs;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::select::Picked;
use std::io::{self, Write};
use std::time::Duration;
use taskyard_client::api::{Invalid, LogQuery, Stream, TasksQuery};

/// Between two looks at a task whose output has ended but whose end is not known yet.
const SETTLE: Duration = Duration::from_millis(200);

pub(crate) async fn logs(ctx: &mut Context, args: LogsArgs) -> Result<u8, Failure> {
    let picked = ctx.pick_one(&args.target).await?;
    let task = ctx.one_task(&picked, "logs").await?;
    let mut query = LogQuery {
        stream: if args.stderr { Stream::Stderr } else { Stream::Stdout },
        attempt: args.attempt,
        offset: None,
        tail: args.tail,
        follow: args.follow,
    };
    // As in `run`: the end of a stream does not say that the attempt is over, only the task does.
    let mut is_over = !args.follow;
    loop {
        let mut stream = ctx.client.logs(picked.job, task, query.clone()).await?;
        while let Some(bytes) = stream.next().await? {
            write(&mut io::stdout().lock(), &bytes)?;
        }
        if is_over {
            return Ok(exit::OK);
        }
        let now = ctx.client.task(picked.job, task).await?;
        is_over = now.state.is_finished() || stream.attempt().is_some_and(|read| now.attempt > read);
        if !is_over {
            tokio::time::sleep(SETTLE).await;
        }
        query = LogQuery { attempt: stream.attempt(), offset: Some(stream.offset()), tail: None, ..query };
    }
}

/// Passes bytes on as they are, at once.
pub(crate) fn write(to: &mut impl Write, bytes: &[u8]) -> Result<(), Failure> {
    to.write_all(bytes).and_then(|()| to.flush()).map_err(Failure::io("standard output"))
}

impl Context {
    /// The number of the one task that is meant: the one named, or the only one of the job.
    pub(crate) async fn one_task(&self, picked: &Picked, command: &str) -> Result<u64, Failure> {
        if let Some(tasks) = &picked.tasks {
            return tasks.single().ok_or_else(|| {
                let value = format!("{}.{tasks}", picked.job);
                Invalid::new("JOB.TASK", value, format!("{command} takes one task at a time")).into()
            });
        }
        let page =
            self.client.tasks(picked.job, &TasksQuery { limit: Some(2), ..TasksQuery::default() }).await?;
        match &page.items[..] {
            [only] => Ok(only.task),
            [first, ..] => {
                let remedy =
                    format!("job {0} has many tasks; name one, as in {0}.{1}", picked.job, first.task);
                Err(Invalid::new("JOB.TASK", picked.job, remedy).into())
            }
            [] => Err(Failure::NotFound(format!("job {} has no tasks", picked.job))),
        }
    }
}
