//! What becomes of starts that are due while a workflow of the schedule runs.

use everlog_proto::api::enums::v1::ScheduleOverlapPolicy as Policy;

use super::state::BufferedStart;

/// What is to be done with the buffer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sorted {
    /// Started at once, whatever runs.
    pub(super) beside: Vec<BufferedStart>,
    /// Started because nothing else runs.
    pub(super) alone: Option<BufferedStart>,
    /// Left out: skipped because of an overlap (counted), or replaced by a later start (not counted).
    pub(super) skipped: Vec<u64>,
    pub(super) replaced: Vec<u64>,
    /// What runs has to make room for what stays in the buffer.
    pub(super) cancel: bool,
    pub(super) terminate: bool,
}

/// Sorts the starts of a buffer. `resolve` gives the policy that a start's own stands for.
pub(super) fn sort(buffer: &[BufferedStart], is_running: bool, resolve: impl Fn(i32) -> Policy) -> Sorted {
    let mut sorted = Sorted::default();
    let mut waiting = 0;
    for start in buffer {
        let policy = resolve(start.overlap);
        if policy == Policy::AllowAll {
            sorted.beside.push(start.clone());
            continue;
        }
        if !is_running && sorted.alone.is_none() {
            sorted.alone = Some(start.clone());
            continue;
        }
        match policy {
            Policy::BufferOne if waiting > 0 => sorted.skipped.push(start.number),
            Policy::BufferOne | Policy::BufferAll => waiting += 1,
            Policy::CancelOther | Policy::TerminateOther if is_running => {
                sorted.cancel |= policy == Policy::CancelOther;
                sorted.terminate |= policy == Policy::TerminateOther;
                waiting += 1;
            }
            // The other has not even been started: this one takes its place.
            Policy::CancelOther | Policy::TerminateOther => {
                let other = sorted.alone.replace(start.clone());
                sorted.replaced.extend(other.map(|other| other.number));
            }
            _ => sorted.skipped.push(start.number),
        }
    }
    if sorted.cancel || sorted.terminate {
        // They would only be stopped together with what runs.
        sorted.replaced.extend(std::mem::take(&mut sorted.beside).iter().map(|start| start.number));
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn sorted(policies: &[Policy], is_running: bool) -> Sorted {
        let starts: Vec<BufferedStart> = policies
            .iter()
            .enumerate()
            .map(|(number, policy)| BufferedStart {
                number: number as u64,
                nominal: Time(0),
                at: Time(0),
                overlap: *policy as i32,
                manual: false,
            })
            .collect();
        sort(&starts, is_running, |policy| Policy::try_from(policy).unwrap_or_default())
    }

    fn alone(sorted: &Sorted) -> Option<u64> {
        sorted.alone.as_ref().map(|start| start.number)
    }

    #[test]
    fn nothing_runs() {
        for policy in [Policy::Skip, Policy::BufferOne, Policy::BufferAll, Policy::CancelOther] {
            assert_eq!(alone(&sorted(&[policy], false)), Some(0), "{policy:?}");
        }
        assert_eq!(sorted(&[Policy::Skip, Policy::Skip], false).skipped, [1]);
        assert_eq!(sorted(&[Policy::BufferOne; 4], false).skipped, [2, 3]);
        assert_eq!(sorted(&[Policy::BufferAll; 4], false).skipped, [0; 0]);
        let replaced = sorted(&[Policy::CancelOther; 3], false);
        assert_eq!((alone(&replaced), replaced.replaced, replaced.cancel), (Some(2), vec![0, 1], false));
    }

    #[test]
    fn something_runs() {
        assert_eq!(sorted(&[Policy::Skip, Policy::BufferOne, Policy::BufferOne], true).skipped, [0, 2]);
        assert_eq!(alone(&sorted(&[Policy::BufferAll], true)), None);
        assert!(sorted(&[Policy::CancelOther], true).cancel);
        let both = sorted(&[Policy::AllowAll, Policy::TerminateOther], true);
        assert!(both.terminate && both.beside.is_empty());
        assert_eq!(sorted(&[Policy::AllowAll, Policy::Skip], true).beside.len(), 1);
    }
}
