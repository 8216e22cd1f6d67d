//! The one writer of the log.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    Shared,
    queue::{Refusal, Waiting},
    record::{self, Head, Kind, NO_GROUP},
    segment::{self, Place, Segment},
};

/// How long the writer waits at most for those who were just told to come back.
const PATIENCE_MAX: Duration = Duration::from_micros(300);
/// And not longer than this part of the last sync.
const PATIENCE_PART: u32 = 4;
/// Below so many records at once nobody is worth waiting for.
const PATIENCE_RECORDS_MIN: u64 = 8;

/// Where a group stands. Every segment begins with it, so that older segments can go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) chain: u64,
    pub(crate) vote: Option<Vec<u8>>,
    pub(crate) purged: Option<(u64, Vec<u8>)>,
    pub(crate) committed: Option<(u64, Vec<u8>)>,
}

impl Standing {
    /// Takes note of a record that says where the group stands.
    pub(crate) fn note(&mut self, head: &Head, body: &[u8]) {
        match head.kind {
            Kind::Vote => self.vote = Some(body.to_vec()),
            Kind::Purge => self.purged = Some((head.index, body.to_vec())),
            Kind::Committed => self.committed = Some((head.index, body.to_vec())),
            Kind::Entry | Kind::Truncate | Kind::Begin | Kind::Moved => {}
        }
    }
}

/// Closes the log when the writer ends, also by a panic.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.queue.refuse(&Refusal::closed());
        self.0.spares.close();
    }
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    /// The segment that is written to, and where it goes on. None before the first write.
    pub(crate) current: Option<(Arc<Segment>, u64)>,
    pub(crate) standing: BTreeMap<u64, Standing>,
}

impl Writer {
    pub(crate) fn start(self) -> io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name("log-writer".to_owned()).spawn(move || self.run())
    }

    fn run(mut self) {
        // However this thread ends, nobody may wait for it any longer.
        let _closing = Closing(self.shared.clone());
        let mut waiting = Waiting::default();
        let mut wanted_bytes = 0;
        let mut patience = Duration::ZERO;
        while self.shared.queue.take(&mut waiting, wanted_bytes, patience) {
            if let Some(why) = self.shared.queue.refuses() {
                waiting.fail(&why);
                continue;
            }
            if waiting.records.is_empty() {
                // Somebody only asked to be told; what was there before is durable.
                tell(&mut waiting, 0, 0);
                continue;
            }
            let began = Instant::now();
            match self.write(&mut waiting) {
                Ok((segment, base)) => tell(&mut waiting, segment, base),
                Err(error) => {
                    tracing::error!(%error, "the log cannot be written; it takes nothing more");
                    let why = Refusal::from(&error);
                    self.shared.queue.refuse(&why);
                    waiting.fail(&why);
                }
            }
            let is_crowd = waiting.count >= PATIENCE_RECORDS_MIN;
            wanted_bytes = if is_crowd { waiting.records.len() / 4 * 3 } else { 0 };
            patience = PATIENCE_MAX.min(began.elapsed() / PATIENCE_PART);
            waiting.clear();
        }
    }

    /// Writes everything that waited, syncs once, and says where it is.
    fn write(&mut self, waiting: &mut Waiting) -> io::Result<(u64, u64)> {
        let bytes = waiting.records.len() as u64;
        let fits = |(segment, at): &(Arc<Segment>, u64)| at + bytes <= segment.bytes;
        let (segment, batch, base) = match self.current.clone().filter(fits) {
            Some((segment, at)) => (segment, at, at),
            None => self.roll(bytes)?,
        };
        self.seal(&mut waiting.records, batch)?;
        segment.file.write_at(base, &waiting.records)?;
        if cfg!(planted = "early_ack") {
            tell(waiting, segment.number, base);
        }
        self.sync(&segment)?;
        if batch == segment::HEADER_BYTES {
            // Only now may older segments go: where every group stands is durable in this one.
            self.shared.segments().insert(segment.number, segment.clone());
        }
        let end = base + bytes;
        if end > segment.bytes / 2 {
            self.shared.spares.want();
        }
        let metrics = &self.shared.metrics;
        metrics.records.fetch_add(waiting.count, Ordering::Relaxed);
        metrics.batches.fetch_add(1, Ordering::Relaxed);
        metrics.bytes.fetch_add(end - batch, Ordering::Relaxed);
        let number = segment.number;
        self.current = Some((segment, end));
        Ok((number, base))
    }

    /// Gives all records their places in the chains of their groups.
    fn seal(&mut self, mut records: &mut [u8], batch: u64) -> io::Result<()> {
        while let Some(size) = record::size(records) {
            let (sealed, rest) = records.split_at_mut(size);
            if let Some(head) = record::head(sealed) {
                let standing = self.standing.entry(head.group).or_default();
                standing.chain = record::seal(sealed, standing.chain, batch);
                standing.note(&head, &sealed[record::HEADER_BYTES..]);
            }
            records = rest;
        }
        if !records.is_empty() {
            // What is not sealed would be taken for damage when it is read again.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "what waits is no sequence of records"));
        }
        Ok(())
    }

    /// Goes on in the next segment, which begins with where every group stands. That beginning and the
    /// records behind it are one write: they are synced together.
    fn roll(&mut self, bytes: u64) -> io::Result<(Arc<Segment>, u64, u64)> {
        let mut segment = self.shared.spares.take()?;
        let batch = segment::HEADER_BYTES;
        let beginning = self.beginning(batch);
        let base = batch + beginning.len() as u64;
        if base + bytes > segment.bytes {
            segment.file.preallocate(segment.bytes, base + bytes)?;
            segment.bytes = base + bytes;
        }
        segment.file.write_at(batch, &beginning)?;
        Ok((Arc::new(segment), batch, base))
    }

    fn beginning(&mut self, batch: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |group: u64, kind: Kind, index: u64, body: &[u8], chain: u64| {
            let start = record::begin(&mut out, &Head { group, kind, term: 0, index });
            out.extend_from_slice(body);
            record::end(&mut out, start);
            record::seal(&mut out[start..], chain, batch)
        };
        for (&group, standing) in &mut self.standing {
            put(group, Kind::Begin, 0, &[], standing.chain);
            if let Some(vote) = standing.vote.as_ref().filter(|_| !cfg!(planted = "forgotten_vote")) {
                standing.chain = put(group, Kind::Vote, 0, vote, standing.chain);
            }
            if let Some((index, body)) = &standing.purged {
                standing.chain = put(group, Kind::Purge, *index, body, standing.chain);
            }
            if let Some((index, body)) = &standing.committed {
                standing.chain = put(group, Kind::Committed, *index, body, standing.chain);
            }
        }
        put(NO_GROUP, Kind::Begin, 0, &[], 0);
        out
    }

    /// The sync that everything rests on. A planted bug leaves it out, and the power-cut test must notice.
    fn sync(&self, segment: &Segment) -> io::Result<()> {
        self.shared.metrics.syncs.fetch_add(1, Ordering::Relaxed);
        if cfg!(planted = "no_sync") {
            return Ok(());
        }
        segment.file.sync_data()
    }
}

/// Tells everyone, in order, where their records are.
fn tell(waiting: &mut Waiting, segment: u64, base: u64) {
    for waiter in waiting.waiters.drain(..) {
        let record = &waiting.records[waiter.at..];
        let bytes = record::size(record).unwrap_or_default() as u32;
        (waiter.done)(Ok(Place { segment, offset: base + waiter.at as u64, bytes }));
    }
}
