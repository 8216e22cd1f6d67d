//! Which clients are served, by the name and version that they send.
//!
//! A client that is not known here, or does not say what it is, is served: the check protects old
//! servers from new clients, not us from strangers (common/headers/version_checker.go).

use tonic::Status;

use super::status;

/// The server version that clients are told. They look at it to find out what they may use.
pub const SERVER_VERSION: &str = "1.32.0";

/// Clients with the first major version that is not served any more.
const SUPPORTED: [(&str, u64); 8] = [
    ("Nexus-go-sdk", 2),
    ("temporal-cli", 2),
    ("temporal-go", 2),
    ("temporal-java", 2),
    ("temporal-php", 2),
    ("temporal-server", 2),
    ("temporal-typescript", 2),
    ("temporal-ui", 3),
];

/// Clients that read history for people; all others with a name read it to replay it.
const READERS: [&str; 2] = ["temporal-cli", "temporal-ui"];

/// What the client says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    pub name: String,
    pub version: String,
}

impl Client {
    /// Refuses a client of a future generation.
    pub fn check(&self) -> Result<(), Status> {
        if self.name.is_empty() || self.version.is_empty() {
            return Ok(());
        }
        let Some((_, end)) = SUPPORTED.iter().find(|(name, _)| *name == self.name) else { return Ok(()) };
        let version = Version::parse(&self.version).map_err(|reason| {
            Status::invalid_argument(format!("Unable to parse client version: {reason}"))
        })?;
        // A pre-release of the first unsupported version precedes it, and so is still served.
        if version.major < *end || version.is_first_before(*end) {
            return Ok(());
        }
        Err(status::client_version(&self.name, &self.version, &range(*end)))
    }

    /// Whether this is a worker or client library, which replays the history that it reads.
    pub fn replays(&self) -> bool {
        !self.name.is_empty() && !READERS.contains(&self.name.as_str())
    }
}

/// Every supported client with its versions, as `GetClusterInfo` shows them.
pub fn supported() -> impl Iterator<Item = (String, String)> {
    SUPPORTED.iter().map(|(name, end)| ((*name).to_owned(), range(*end)))
}

fn range(end: u64) -> String {
    format!("<{end}.0.0")
}

struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    is_prerelease: bool,
}

impl Version {
    fn parse(text: &str) -> Result<Version, String> {
        let (core, _build) = text.split_once('+').unwrap_or((text, ""));
        let (numbers, prerelease) = match core.split_once('-') {
            Some((numbers, prerelease)) => (numbers, Some(prerelease)),
            None => (core, None),
        };
        let parts: Vec<&str> = numbers.splitn(3, '.').collect();
        let [major, minor, patch] = parts[..] else {
            return Err("No Major.Minor.Patch elements found".into());
        };
        let number = |name: &str, text: &str| {
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(format!("Invalid character(s) found in {name} number \"{text}\""));
            }
            if text.len() > 1 && text.starts_with('0') {
                return Err(format!("{name} number must not contain leading zeroes \"{text}\""));
            }
            text.parse().map_err(|_| format!("Invalid {name} number \"{text}\""))
        };
        Ok(Version {
            major: number("major", major)?,
            minor: number("minor", minor)?,
            patch: number("patch", patch)?,
            is_prerelease: prerelease.is_some(),
        })
    }

    fn is_first_before(&self, major: u64) -> bool {
        self.major == major && self.minor == 0 && self.patch == 0 && self.is_prerelease
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, version: &str) -> Result<(), String> {
        let client = Client { name: name.into(), version: version.into() };
        client.check().map_err(|status| status.message().to_owned())
    }

    #[test]
    fn clients_of_the_next_generation_are_refused() {
        assert_eq!(check("temporal-go", "1.99.0"), Ok(()));
        assert_eq!(
            check("temporal-go", "2.0.0"),
            Err("Client version 2.0.0 is not supported. Server supports temporal-go versions: <2.0.0".into())
        );
        assert_eq!(check("temporal-go", "2.0.0-rc1"), Ok(()));
        assert_eq!(check("temporal-ui", "2.9.1+build"), Ok(()));
        assert!(check("temporal-ui", "3.0.0").is_err());
        assert!(check("temporal-ui", "4.0.0-rc1").is_err());
    }

    #[test]
    fn unknown_clients_are_served() {
        assert_eq!(check("temporal-python", "5.0.0"), Ok(()));
        assert_eq!(check("", "2.0.0"), Ok(()));
        assert_eq!(check("temporal-go", ""), Ok(()));
    }

    #[test]
    fn a_version_must_be_one() {
        assert_eq!(
            check("temporal-go", "abc"),
            Err("Unable to parse client version: No Major.Minor.Patch elements found".into())
        );
        assert!(check("temporal-go", "1.x.0").is_err());
        assert!(check("temporal-go", "01.0.0").is_err());
    }

    #[test]
    fn people_do_not_replay() {
        let replays = |name: &str| Client { name: name.into(), version: String::new() }.replays();
        assert!(replays("temporal-python") && replays("temporal-go"));
        assert!(!replays("temporal-cli") && !replays("temporal-ui") && !replays(""));
    }
}
