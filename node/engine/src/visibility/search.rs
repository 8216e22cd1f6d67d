//! Lists and counts of one shard: reading as few rows as the query allows, a bounded number at a time.
//!
//! What is read is in list order, so a list goes on behind the sort key up to which it was read, wherever
//! that was. The tables may change meanwhile: a run that closes moves to a later place, and may come twice.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
};

use super::{
    filter::{Filter, GroupBy},
    index::{Tally, Term, listed_start, tally_start, tally_type},
    page::{Counts, Found, Part, SortKeys},
    plan::{Path, Plan},
    row::Row,
};
use crate::{
    codec::CodecError,
    execution::Execution,
    key::{SLOTS_PER_BLOCK, WorkflowKey, block},
    rows::{Kind, end_of, executions_start, kind_end, kind_start, parse_run_row, push_text},
};

/// Types of workflows of one block whose index rows are merged; with more, all rows are read.
const TYPES_MERGED_MAX: usize = 256;
/// An index pays if it leaves out all but one of so many rows.
const INDEX_PAYS_FROM: i64 = 4;
/// So few runs of a block are read without looking for anything better.
const FEW_RUNS: i64 = 64;
/// Runs of a shard whose workflow ids begin alike; if there are more, list order finds some of them soon enough.
const RUNS_BY_PREFIX_MAX: usize = 4_096;

/// A part with so many bytes is long enough, whatever was asked for.
const PART_BYTES_MAX: usize = 8 << 20;

pub type Rows<'a> = Box<dyn Iterator<Item = (Vec<u8>, Vec<u8>)> + 'a>;

/// Tables, to be read.
pub trait Stored {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;
    /// The rows of a range in order, read no further than they are taken.
    fn scan(&self, from: Vec<u8>, to: Vec<u8>) -> Rows<'_>;
}

/// What one shard is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    pub namespace_id: &'a str,
    pub filter: &'a Filter,
    /// The shard's blocks of slots, each by its first slot.
    pub blocks: &'a [u16],
    /// Up to and including this sort key everything was read before.
    pub after: &'a [u8],
    /// Rows that are read at once.
    pub reads_max: usize,
}

impl Search<'_> {
    /// The first `most` runs that match.
    pub fn list(&self, stored: &dyn Stored, most: usize) -> Result<Part, CodecError> {
        let plan = Plan::of(self.filter);
        if let Some(runs) = self.by_id(stored, &plan)? {
            let mut first = BTreeMap::new();
            let mut read_to = None;
            for row in runs {
                let row = row?;
                let sort_key = row.sort_key();
                if sort_key.as_slice() > self.after && self.filter.matches(&row) {
                    first.insert(sort_key, row.encode());
                }
                if first.len() > most {
                    first.pop_last();
                    read_to = first.last_key_value().map(|(sort_key, _)| sort_key.clone());
                }
            }
            let rows = first.into_iter().map(|(sort_key, row)| Found { sort_key, row }).collect();
            return Ok(Part { rows, read_to });
        }
        self.page(self.streams(stored, &plan)?, most)
    }

    /// The same for rows in list order that lie behind these beginnings.
    pub fn list_at(
        &self,
        stored: &dyn Stored,
        starts: Vec<Vec<u8>>,
        most: usize,
    ) -> Result<Part, CodecError> {
        self.page(self.streams_at(stored, starts), most)
    }

    fn page(&self, streams: Vec<Stream<'_>>, most: usize) -> Result<Part, CodecError> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        let read_to = self.walk(streams, |found, _| {
            bytes += found.row.len();
            rows.push(found);
            rows.len() < most && bytes < PART_BYTES_MAX
        })?;
        Ok(Part { rows, read_to })
    }

    /// How many runs match, and up to where they are counted if there are more.
    pub fn count(&self, stored: &dyn Stored) -> Result<(Counts, Option<Vec<u8>>), CodecError> {
        let plan = Plan::of(self.filter);
        let mut counts = Counts::default();
        if plan.classes.is_all && self.filter.group_by() != Some(GroupBy::NamespaceDivision) {
            for block in self.blocks {
                self.tallies(stored, *block, |workflow_type, tally| {
                    for (division, status, runs) in tally.counts() {
                        if !division && plan.classes.hold(workflow_type, status) {
                            counts.add_runs(self.filter, status, runs);
                        }
                    }
                    true
                })?;
            }
            return Ok((counts, None));
        }
        if let Some(runs) = self.by_id(stored, &plan)? {
            for row in runs {
                counts.add(self.filter, &row?);
            }
            return Ok((counts, None));
        }
        self.count_walked(self.streams(stored, &plan)?)
    }

    /// The same for rows in list order that lie behind these beginnings.
    pub fn count_at(
        &self,
        stored: &dyn Stored,
        starts: Vec<Vec<u8>>,
    ) -> Result<(Counts, Option<Vec<u8>>), CodecError> {
        self.count_walked(self.streams_at(stored, starts))
    }

    fn count_walked(&self, streams: Vec<Stream<'_>>) -> Result<(Counts, Option<Vec<u8>>), CodecError> {
        let mut counts = Counts::default();
        let read_to = self.walk(streams, |_, row| {
            counts.add(self.filter, row);
            true
        })?;
        Ok((counts, read_to))
    }

    /// Gives matching runs to `visit`, in list order, for as long as it wants more. Returns up to where the
    /// list was read, unless that is its end.
    fn walk(
        &self,
        mut streams: Vec<Stream<'_>>,
        mut visit: impl FnMut(Found, &Row) -> bool,
    ) -> Result<Option<Vec<u8>>, CodecError> {
        let mut values = Vec::with_capacity(streams.len());
        let mut heads = BinaryHeap::with_capacity(streams.len());
        for (number, stream) in streams.iter_mut().enumerate() {
            values.push(stream.next().map(|(sort_key, value)| {
                heads.push(Reverse((sort_key, number)));
                value
            }));
        }
        let mut last: Option<Vec<u8>> = None;
        let mut reads = 0;
        while let Some(Reverse((sort_key, number))) = heads.pop() {
            let stream = &mut streams[number];
            let value = values[number].take().unwrap_or_default();
            // A run with two of the texts that are looked for comes twice.
            if last.as_ref() != Some(&sort_key) {
                if reads >= self.reads_max {
                    return Ok(last);
                }
                reads += 1;
                let row = match &stream.listed {
                    None => Some(value),
                    Some(listed) => stream.stored.get(&[&listed[..], &sort_key].concat()),
                };
                last = Some(sort_key.clone());
                if let Some(bytes) = row {
                    let row = Row::decode(&bytes)?;
                    if self.filter.matches(&row) && !visit(Found { sort_key, row: bytes }, &row) {
                        return Ok(last);
                    }
                }
            }
            values[number] = stream.next().map(|(sort_key, value)| {
                heads.push(Reverse((sort_key, number)));
                value
            });
        }
        Ok(None)
    }

    fn streams<'s>(&self, stored: &'s dyn Stored, plan: &Plan<'_>) -> Result<Vec<Stream<'s>>, CodecError> {
        let mut streams = Vec::new();
        for block in self.blocks {
            self.open_streams(stored, plan, *block, &mut streams)?;
        }
        Ok(streams)
    }

    fn streams_at<'s>(&self, stored: &'s dyn Stored, starts: Vec<Vec<u8>>) -> Vec<Stream<'s>> {
        let plan = Plan::of(self.filter);
        starts.into_iter().map(|start| self.stream(stored, &plan, start, None)).collect()
    }

    /// Where in a block the runs are.
    fn open_streams<'s>(
        &self,
        stored: &'s dyn Stored,
        plan: &Plan<'_>,
        block: u16,
        streams: &mut Vec<Stream<'s>>,
    ) -> Result<(), CodecError> {
        let classes = if plan.classes.is_any() { None } else { self.classes(stored, plan, block)? };
        let pays = classes.as_ref().is_some_and(|classes| classes.pay());
        let by_term = matches!(plan.path, Path::Parents(_) | Path::Attribute { .. });
        let terms = match (&plan.path, &classes) {
            // Few as they are, they are fewer than those of a term may be.
            (_, Some(classes)) if pays && (!by_term || classes.wanted <= FEW_RUNS) => classes.terms(),
            (Path::Parents(parents), _) => parents.iter().map(|parent| Term::Parent(parent)).collect(),
            (Path::Attribute { name, texts }, _) => {
                texts.iter().map(|text| Term::Attribute { name, text }).collect()
            }
            _ => {
                streams.push(self.stream(stored, plan, listed_start(block, self.namespace_id), None));
                return Ok(());
            }
        };
        for term in terms {
            let listed = Some(listed_start(block, self.namespace_id));
            streams.push(self.stream(stored, plan, term.start(block, self.namespace_id), listed));
        }
        Ok(())
    }

    fn stream<'s>(
        &self,
        stored: &'s dyn Stored,
        plan: &Plan<'_>,
        start: Vec<u8>,
        listed: Option<Vec<u8>>,
    ) -> Stream<'s> {
        let left = plan.within.iter().filter_map(|keys| keys.after(self.after)).collect();
        Stream { stored, start, listed, left, rows: None }
    }

    /// The types and statuses of a block that can match; none if there are too many types.
    fn classes(
        &self,
        stored: &dyn Stored,
        plan: &Plan<'_>,
        block: u16,
    ) -> Result<Option<Wanted>, CodecError> {
        let is_open_only = plan.within.iter().all(|keys| keys.is_open());
        let mut wanted = Wanted::default();
        let mut types = 0;
        self.tallies(stored, block, |workflow_type, tally| {
            types += 1;
            for (_, status, runs) in tally.counts() {
                if is_open_only && super::page::is_closed(status) {
                    continue;
                }
                wanted.all += runs;
                if plan.classes.hold(workflow_type, status) {
                    wanted.wanted += runs;
                    wanted.classes.push((workflow_type.to_owned(), status));
                }
            }
            types <= TYPES_MERGED_MAX
        })?;
        // Whether a run has a division makes two counts of one class.
        wanted.classes.sort();
        wanted.classes.dedup();
        Ok((types <= TYPES_MERGED_MAX).then_some(wanted))
    }

    fn tallies(
        &self,
        stored: &dyn Stored,
        block: u16,
        mut visit: impl FnMut(&str, &Tally) -> bool,
    ) -> Result<(), CodecError> {
        let start = tally_start(block, self.namespace_id);
        for (key, value) in stored.scan(start.clone(), end_of(&start)) {
            let Some(workflow_type) = tally_type(&key, &start) else { continue };
            if !visit(workflow_type, &Tally::decode(&value)?) {
                break;
            }
        }
        Ok(())
    }

    /// All runs of the workflow ids that the query names, in no order; none if it names none, or too many.
    fn by_id<'s>(
        &'s self,
        stored: &'s dyn Stored,
        plan: &Plan<'_>,
    ) -> Result<Option<Box<dyn Iterator<Item = Result<Row, CodecError>> + 's>>, CodecError> {
        let row = |(_, state): (Vec<u8>, Vec<u8>)| Execution::decode(&state).map(|run| Row::of(&run));
        let Search { namespace_id, blocks, .. } = *self;
        match &plan.path {
            Path::Ids(ids) => {
                let mut ids = ids.clone();
                ids.sort();
                ids.dedup();
                let runs = ids
                    .into_iter()
                    .map(move |id| WorkflowKey::new(namespace_id, &id))
                    .filter(move |workflow| blocks.contains(&block(workflow.slot())))
                    .map(|workflow| executions_start(&workflow))
                    .flat_map(move |start| stored.scan(start.clone(), end_of(&start)));
                Ok(Some(Box::new(runs.map(row))))
            }
            Path::IdsFrom(prefix) => {
                let mut found = Vec::new();
                for block in self.blocks {
                    for slot in *block..*block + SLOTS_PER_BLOCK {
                        self.runs_from(stored, slot, prefix, &mut found);
                        if found.len() > RUNS_BY_PREFIX_MAX {
                            return Ok(None);
                        }
                    }
                }
                Ok(Some(Box::new(found.into_iter().map(row))))
            }
            _ => Ok(None),
        }
    }

    /// The states of a slot's runs whose workflow ids begin like this. Ids lie in the order of their lengths
    /// first, so each length is looked at, except those that no id has.
    fn runs_from(&self, stored: &dyn Stored, slot: u16, prefix: &str, found: &mut Vec<(Vec<u8>, Vec<u8>)>) {
        let mut start = kind_start(slot, Kind::Execution);
        push_text(&mut start, self.namespace_id);
        let mut bytes = prefix.len();
        while bytes <= usize::from(u16::MAX) && found.len() <= RUNS_BY_PREFIX_MAX {
            let with = [&start[..], &(bytes as u16).to_be_bytes(), prefix.as_bytes()].concat();
            let mut next = None;
            for (key, state) in stored.scan(with.clone(), kind_end(slot, Kind::Execution)) {
                if !key.starts_with(&with) {
                    next = Some(key);
                    break;
                }
                found.push((key, state));
                if found.len() > RUNS_BY_PREFIX_MAX {
                    return;
                }
            }
            let after = next.filter(|key| key.starts_with(&start)).and_then(|key| parse_run_row(&key));
            match after.map(|run| run.workflow.workflow_id.len()) {
                Some(longer) => bytes = longer.max(bytes + 1),
                None => return,
            }
        }
    }
}

#[derive(Debug, Default)]
struct Wanted {
    classes: Vec<(String, i32)>,
    /// Runs of these classes, and of all.
    wanted: i64,
    all: i64,
}

impl Wanted {
    fn pay(&self) -> bool {
        self.wanted * INDEX_PAYS_FROM <= self.all
    }

    fn terms(&self) -> Vec<Term<'_>> {
        self.classes
            .iter()
            .map(|(workflow_type, status)| Term::Class { workflow_type, status: *status })
            .collect()
    }
}

/// Rows behind one beginning, in list order.
struct Stream<'a> {
    stored: &'a dyn Stored,
    start: Vec<u8>,
    /// Where the runs' rows lie, if these are rows of an index.
    listed: Option<Vec<u8>>,
    left: VecDeque<SortKeys>,
    rows: Option<Rows<'a>>,
}

impl Iterator for Stream<'_> {
    type Item = (Vec<u8>, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.rows.as_mut().and_then(Iterator::next) {
                return Some((key[self.start.len()..].to_vec(), value));
            }
            let SortKeys { from, to } = self.left.pop_front()?;
            let at = |sort_key: &[u8]| [&self.start[..], sort_key].concat();
            self.rows = Some(self.stored.scan(at(&from), at(&to)));
        }
    }
}
