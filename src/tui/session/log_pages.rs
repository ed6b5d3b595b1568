use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::mpsc::Sender;

use crate::control::{ClientError, ControlClient, LogPattern, LogQuery};
use crate::log::{LogItem, StatusMode};
use crate::tui::command::{Notice, PageRange, SearchFrom, TuiEvent};
use crate::tui::log_row::{LogRow, RowSource};
use crate::tui::log_window::WINDOW_ROWS;
use crate::tui::shown_lines::ShownLines;
use crate::tui::update::log::PAGE_ROWS;

/// Lines of the first part of the log in which a search looks, and of the largest one.
const SEARCH_FIRST: u64 = 10_000;
const SEARCH_MOST: u64 = 500_000;

/// Reads the stored log of the stack, a page at a time.
pub struct LogPages {
    pub client: ControlClient,
    pub view: ShownLines,
    /// What was shown when the page was asked for.
    pub generation: u64,
}

impl LogPages {
    /// Reads a page; reports it, or why it cannot be read.
    pub async fn load(self, range: PageRange, to: Sender<TuiEvent>) {
        let read = async {
            let end = match range {
                PageRange::Tail => self.end().await?,
                PageRange::Before(_) | PageRange::From(_) | PageRange::Around(_) => 0,
            };
            let rows = match range {
                PageRange::Tail => self.before(end).await?,
                PageRange::Before(seq) => self.before(seq).await?,
                PageRange::From(seq) => self.from(seq).await?,
                PageRange::Around(seq) => {
                    let mut rows = self.before(seq).await?;
                    rows.extend(self.from(seq).await?);
                    rows
                }
            };
            Ok(TuiEvent::Page { generation: self.generation, range, rows, end })
        };
        report(read.await, &to).await;
    }

    /// Reports new lines from this number on, until it is dropped or the stack ends.
    pub async fn follow(self, from: u64, to: Sender<TuiEvent>) {
        let read = async {
            let query = LogQuery { follow: true, from: Some(from), ..self.query()? };
            let mut lines = self.client.logs(&query).await?;
            let mut last = from.saturating_sub(1);
            while let Some(lines) = lines.next().await? {
                // Others could not be kept.
                let skipped = lines.len().saturating_sub(WINDOW_ROWS);
                let rows = rows(&lines[skipped..], &mut last)?;
                if to.send(TuiEvent::Lines(self.generation, rows)).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        if let Err(error) = read.await {
            report(Err(error), &to).await;
        }
    }

    /// Finds the nearest line that matches and reports its number.
    pub async fn search(self, from: SearchFrom, to: Sender<TuiEvent>) {
        let read = async {
            let found = match from {
                SearchFrom::Before(before) => self.search_back(before).await?,
                SearchFrom::From(seq) => {
                    self.first_rows(seq, 1, is_line).await?.pop().map(|row| row.seq)
                }
            };
            Ok(TuiEvent::Found(self.generation, from, found))
        };
        report(read.await, &to).await;
    }

    /// Looks at larger and larger parts of the log: what is near is found soon, also where services
    /// that do not have it have printed much.
    async fn search_back(&self, before: u64) -> Result<Option<u64>, ClientError> {
        let mut end = before.min(self.end().await?);
        let mut size = SEARCH_FIRST;
        while end > 0 {
            let from = end.saturating_sub(size);
            let query = LogQuery { from: Some(from), before: Some(end), ..self.query()? };
            // What is missing comes first.
            if let Some(row) = self.last_rows(&query, 1).await?.pop().filter(is_line) {
                return Ok(Some(row.seq));
            }
            (end, size) = (from, (size * 2).min(SEARCH_MOST));
        }
        Ok(None)
    }

    fn query(&self) -> Result<LogQuery, ClientError> {
        let patterns = self.view.patterns.iter().map(|pattern| LogPattern::new(pattern));
        let grep = patterns.collect::<Result<Vec<_>, _>>().map_err(ClientError::Refused)?;
        Ok(LogQuery {
            services: self.view.services.clone(),
            status_mode: StatusMode::With,
            grep,
            ..LogQuery::default()
        })
    }

    /// Returns the number after the last line of the stack.
    async fn end(&self) -> Result<u64, ClientError> {
        let query =
            LogQuery { last: Some(1), status_mode: StatusMode::With, ..LogQuery::default() };
        Ok(self.last_rows(&query, 1).await?.pop().map_or(0, |row| row.seq + 1))
    }

    async fn before(&self, seq: u64) -> Result<Vec<LogRow>, ClientError> {
        let query = LogQuery { before: Some(seq), ..self.query()? };
        if self.view == ShownLines::default() {
            // Numbers have few gaps: faster than asking for so many lines of each service.
            let from = seq.saturating_sub(PAGE_ROWS as u64);
            let rows = LogQuery { from: Some(from), ..query.clone() };
            let rows = self.last_rows(&rows, PAGE_ROWS).await?;
            if from == 0 || rows.len() == PAGE_ROWS {
                return Ok(rows);
            }
        }
        self.last_rows(&LogQuery { last: Some(PAGE_ROWS), ..query }, PAGE_ROWS).await
    }

    async fn from(&self, seq: u64) -> Result<Vec<LogRow>, ClientError> {
        self.first_rows(seq, PAGE_ROWS, |_| true).await
    }

    async fn last_rows(&self, query: &LogQuery, most: usize) -> Result<Vec<LogRow>, ClientError> {
        let mut found = VecDeque::new();
        let mut lines = self.client.logs(query).await?;
        let mut last = 0;
        while let Some(lines) = lines.next().await? {
            found.extend(rows(&lines, &mut last)?);
            found.drain(..found.len().saturating_sub(most));
        }
        Ok(found.into())
    }

    async fn first_rows(
        &self,
        from: u64,
        most: usize,
        is_wanted: fn(&LogRow) -> bool,
    ) -> Result<Vec<LogRow>, ClientError> {
        let query = LogQuery { from: Some(from), ..self.query()? };
        let mut found = Vec::new();
        let mut lines = self.client.logs(&query).await?;
        let mut last = from.saturating_sub(1);
        while found.len() < most
            && let Some(lines) = lines.next().await?
        {
            for line in &lines {
                // Only what is needed of it is read.
                if found.len() < most {
                    found.extend(rows(std::slice::from_ref(line), &mut last)?);
                    found.pop_if(|row| !is_wanted(row));
                }
            }
        }
        Ok(found)
    }
}

/// Whether a row is a line, and not a note that lines are missing.
fn is_line(row: &LogRow) -> bool {
    !matches!(row.source, RowSource::Missed(_))
}

fn rows(lines: &[Bytes], last: &mut u64) -> Result<Vec<LogRow>, ClientError> {
    let row = |line: &Bytes| {
        let item: LogItem =
            serde_json::from_slice(line).map_err(ClientError::unreadable_response)?;
        let row = LogRow::of(item, *last);
        *last = row.seq;
        Ok(row)
    };
    lines.iter().map(row).collect()
}

/// Reports a result. A stack that has ended is reported by its events.
async fn report(result: Result<TuiEvent, ClientError>, to: &Sender<TuiEvent>) {
    let event = match result {
        Ok(event) => event,
        Err(ClientError::NotRunning(_)) => return,
        Err(error) => TuiEvent::Notice(Notice::failed(error.message().text.clone())),
    };
    // Fails when the TUI has been closed.
    let _ = to.send(event).await;
}
