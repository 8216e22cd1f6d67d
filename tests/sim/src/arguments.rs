//! The command line, by hand: three modes and a few numbers need no library.

pub(crate) const USAGE: &str = "\
usage: everlog-sim [--seeds N] [--first S] [--threads T] [--coverage]
       everlog-sim --seed S [--whole] [--planted NAME]
       everlog-sim --planted NAME [--seeds N] [--first S] [--threads T]
       everlog-sim --list-planted

Planted bugs need a build with `--features planted`.";

const SEEDS_DEFAULT: u64 = 200;

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) mode: Mode,
    pub(crate) threads: usize,
    /// The whole trace, not only what concerns the failure.
    pub(crate) whole: bool,
    pub(crate) coverage: bool,
    pub(crate) planted: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Mode {
    Many {
        first: u64,
        count: u64,
    },
    One {
        seed: u64,
    },
    /// Runs seeds until one of them finds the planted bug.
    Catch {
        first: u64,
        count: u64,
    },
    ListPlanted,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let (mut first, mut count, mut seed) = (1, SEEDS_DEFAULT, None);
        let (mut whole, mut coverage, mut list, mut planted) = (false, false, false, None);
        let mut threads = std::thread::available_parallelism().map_or(1, usize::from);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            let number = |text: String| text.parse::<u64>().map_err(|why| format!("{text}: {why}"));
            match word.as_str() {
                "--seeds" => count = number(value()?)?,
                "--first" => first = number(value()?)?,
                "--seed" => seed = Some(number(value()?)?),
                "--threads" => threads = number(value()?)? as usize,
                "--planted" => planted = Some(value()?),
                "--list-planted" => list = true,
                "--whole" => whole = true,
                "--coverage" => coverage = true,
                _ => return Err(format!("{word} is not known")),
            }
        }
        let mode = match seed {
            _ if list => Mode::ListPlanted,
            Some(seed) => Mode::One { seed },
            None if planted.is_some() => Mode::Catch { first, count },
            None => Mode::Many { first, count },
        };
        Ok(Arguments { mode, threads: threads.max(1), whole, coverage, planted })
    }
}
