//! A result that is handed on as the database sends it, however long it is: lines through a short channel, from a
//! task that owns the connection and always gives it up in time.

use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::{Stream, StreamExt as _, future::join3, stream};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::Instant,
};

use crate::{
    Error,
    asking::{Asking, Value},
    reader::{CLAIMS, Reader},
};

/// Downloads at a time; who comes while so many are under way waits as for any connection, and is then told so.
pub(crate) const DOWNLOADS_MAX: usize = 2;
/// Longest download. It holds a connection, and a snapshot that keeps old rows from being cleared away.
const DOWNLOAD_MAX: Duration = Duration::from_secs(300);
/// The same for the server, which would otherwise stop after its `statement_timeout` of 2 s.
const BEGIN: &str = "begin read only; set local statement_timeout = '300s'; set local role authenticated";
/// Longest wait for the first line, which a large result is sorted before.
const FIRST_LINE_MAX: Duration = Duration::from_secs(20);
/// Lines between the database and whoever reads them.
const LINES_AHEAD: usize = 256;

/// What a person asked for: a statement whose only column is `line`, and its values.
pub(crate) struct Wanted {
    pub(crate) claims: String,
    pub(crate) header: &'static str,
    pub(crate) sql: &'static str,
    pub(crate) values: [String; 2],
}

/// What is asked, as it is sent.
struct Statements {
    claim: Asking,
    header: Asking,
    lines: Asking,
}

/// What the task says.
enum Said {
    Line(String),
    End,
    Failed(Error),
}

/// Lines, the header's first, each without its end. An error ends them; without one they are all there.
///
/// # Errors
/// What went wrong before the first line.
pub(crate) async fn download(
    reader: &Reader,
    wanted: Wanted,
) -> Result<impl Stream<Item = Result<String, Error>> + use<>, Error> {
    let object = reader.object().await?;
    let statements = Statements {
        claim: reader.asking(&object, CLAIMS).await?,
        header: reader.asking(&object, wanted.header).await?,
        lines: reader.asking(&object, wanted.sql).await?,
    };
    let (sender, mut receiver) = mpsc::channel(LINES_AHEAD);
    tokio::spawn(send(Borrowed(Some(object)), statements, wanted, sender));
    let first = match tokio::time::timeout(FIRST_LINE_MAX, receiver.recv()).await {
        Ok(Some(Said::Line(header))) => header,
        Ok(Some(Said::Failed(error))) => return Err(error),
        Ok(Some(Said::End) | None) => return Err(Error::Corrupt("a download had no header".into())),
        Err(_) => return Err(Error::Deadline(FIRST_LINE_MAX)),
    };
    Ok(stream::iter([Ok(first)]).chain(stream::unfold(Some(receiver), next)))
}

async fn next(receiver: Option<Receiver<Said>>) -> Option<(Result<String, Error>, Option<Receiver<Said>>)> {
    let mut receiver = receiver?;
    match receiver.recv().await {
        Some(Said::Line(line)) => Some((Ok(line), Some(receiver))),
        Some(Said::End) => None,
        Some(Said::Failed(error)) => Some((Err(error), None)),
        // The task gave up while nobody took its lines.
        None => Some((Err(Error::Deadline(DOWNLOAD_MAX)), None)),
    }
}

/// A connection inside a transaction: given up, unless the transaction ended well.
struct Borrowed(Option<Object>);

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

async fn send(mut borrowed: Borrowed, statements: Statements, wanted: Wanted, sender: Sender<Said>) {
    let Some(object) = &borrowed.0 else { return };
    let ends = Instant::now() + DOWNLOAD_MAX;
    let done = tokio::select! {
        done = tokio::time::timeout_at(ends, copy(object, &statements, &wanted, &sender)) => done,
        // Nobody reads any more: the server is to stop too.
        () = sender.closed() => return,
    };
    match done {
        Ok(Ok(())) => {
            drop(borrowed.0.take());
            let _ = tokio::time::timeout_at(ends, sender.send(Said::End)).await;
        }
        Ok(Err(error)) => {
            drop(borrowed);
            let _ = tokio::time::timeout_at(ends, sender.send(Said::Failed(error))).await;
        }
        Err(_) => {}
    }
}

async fn copy(
    object: &Object,
    statements: &Statements,
    wanted: &Wanted,
    sender: &Sender<Said>,
) -> Result<(), Error> {
    let Statements { claim, header, lines } = statements;
    let claims: [Value<'_>; 1] = [&wanted.claims];
    let (begun, claimed, headers) =
        join3(object.batch_execute(BEGIN), claim.query(object, &claims), header.query(object, &[])).await;
    begun?;
    claimed?;
    let headers = headers?;
    let header = headers.first().ok_or_else(|| Error::Corrupt("a download had no header".into()))?;
    let header: String = header.try_get("line")?;
    let values: [Value<'_>; 2] = [&wanted.values[0], &wanted.values[1]];
    let mut rows = std::pin::pin!(lines.stream(object, &values).await?);
    let mut line = Some(header);
    while let Some(text) = line {
        // It fails where nobody reads any more, so nobody hears of it.
        sender.send(Said::Line(text)).await.map_err(|_| Error::Unreachable)?;
        line = rows.next().await.transpose()?.map(|row| row.try_get("line")).transpose()?;
    }
    Ok(object.batch_execute("commit").await?)
}
