//! Why a specification cannot be followed, in the words of the real server.

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("{field} is not in range [{min}-{max}]")]
    NotInRange { field: &'static str, min: i32, max: i32 },
    #[error("{field} Start is not in range [{min}-{max}]")]
    StartNotInRange { field: &'static str, min: i32, max: i32 },
    #[error("{field} End is before Start or not in range [{min}-{max}]")]
    EndNotInRange { field: &'static str, min: i32, max: i32 },
    #[error("{field} has invalid Step")]
    Step { field: &'static str },
    #[error("{field} has too many dashes")]
    Dashes { field: &'static str },
    #[error("{field} has too many slashes")]
    Slashes { field: &'static str },
    #[error("strconv.Atoi: parsing {text:?}: {why}")]
    Number { text: String, why: &'static str },
    #[error("CronString does not have 5-7 fields")]
    CronFields,
    #[error("CronString has time zone but missing fields")]
    CronOnlyZone,
    #[error("CronString does not have interval after @every")]
    CronNoInterval,
    #[error("time: {0}")]
    Duration(String),
    #[error("conflicting timezone names")]
    ConflictingZones,
    #[error("unknown time zone {0}")]
    UnknownZone(String),
    #[error("time: invalid location name")]
    ZoneName,
    #[error("malformed time zone information")]
    ZoneData,
    #[error("invalid calendar spec: {}", join(.0))]
    Calendar(Vec<SpecError>),
    #[error("comment is too long")]
    Comment,
    #[error("interval is too small")]
    IntervalTooSmall,
    #[error("phase is negative")]
    PhaseNegative,
    #[error("phase cannot be greater than Interval")]
    PhaseTooLarge,
}

fn join(errors: &[SpecError]) -> String {
    errors.iter().map(SpecError::to_string).collect::<Vec<_>>().join(", ")
}
