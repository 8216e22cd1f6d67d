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
    /// The versions of servers that it works with, such as `>=1.0.0 <2.0.0`. Empty means all.
    pub supported_servers: String,
}

impl Client {
    /// Refuses a client of a future generation, and one that would not work with this server.
    pub fn check(&self) -> Result<(), Status> {
        self.check_version()?;
        if self.supported_servers.is_empty() {
            return Ok(());
        }
        let is_supported = includes(&self.supported_servers, SERVER_VERSION).map_err(|reason| {
            Status::invalid_argument(format!("Unable to parse supported server versions: {reason}"))
        })?;
        if is_supported {
            Ok(())
        } else {
            Err(status::server_version(SERVER_VERSION, &self.supported_servers))
        }
    }

    fn check_version(&self) -> Result<(), Status> {
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

/// Whether a range includes a version: alternatives between `||`, each of comparisons that all have to hold.
fn includes(range: &str, version: &str) -> Result<bool, String> {
    let version = Version::parse(version)?.order();
    let mut included = false;
    for alternative in range.split("||") {
        let mut holds = true;
        for comparison in alternative.split_whitespace() {
            let at = comparison.find(|c: char| c.is_ascii_digit()).unwrap_or(comparison.len());
            let (operator, bound) = comparison.split_at(at);
            let bound = Version::parse(bound)
                .map_err(|_| format!("Could not parse Range {comparison:?}: {bound:?} is no version"))?
                .order();
            holds &= match operator {
                "<" => version < bound,
                "<=" => version <= bound,
                ">" => version > bound,
                ">=" => version >= bound,
                "" | "=" | "==" => version == bound,
                "!" | "!=" => version != bound,
                _ => return Err(format!("Could not parse comparator {operator:?} in {comparison:?}")),
            };
        }
        included |= holds;
    }
    Ok(included)
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

    /// Versions compare as this does. A pre-release precedes its release.
    fn order(&self) -> (u64, u64, u64, bool) {
        (self.major, self.minor, self.patch, !self.is_prerelease)
    }

    fn is_first_before(&self, major: u64) -> bool {
        self.major == major && self.minor == 0 && self.patch == 0 && self.is_prerelease
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, version: &str) -> Result<(), String> {
        let client = Client { name: name.into(), version: version.into(), ..Client::default() };
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
        let replays = |name: &str| Client { name: name.into(), ..Client::default() }.replays();
        assert!(replays("temporal-python") && replays("temporal-go"));
        assert!(!replays("temporal-cli") && !replays("temporal-ui") && !replays(""));
    }

    #[test]
    fn clients_say_with_which_servers_they_work() {
        let check = |range: &str| {
            let client = Client { supported_servers: range.into(), ..Client::default() };
            client.check().map_err(|status| status.message().to_owned())
        };
        for range in ["", ">=1.0.0 <2.0.0", "<1.0.0 || >1.31.9", "1.32.0", "!=1.0.0"] {
            assert_eq!(check(range), Ok(()), "{range}");
        }
        let refused = "Server version 1.32.0 is not supported. Client supports server versions: <0.5.0";
        assert_eq!(check("<0.5.0"), Err(refused.to_owned()));
        assert!(check("what?").unwrap_err().starts_with("Unable to parse supported server versions: "));
    }
}
