//! Reading a node's figures, in Prometheus' text form over plain HTTP.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const LIMIT: Duration = Duration::from_secs(3);

/// All figures of one node at one moment.
#[derive(Clone, Debug)]
pub struct Figures(Vec<(String, String, f64)>);

impl Figures {
    /// The labels and values of a figure.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.iter().filter(move |(of, _, _)| of == name).map(|(_, labels, value)| (labels.as_str(), *value))
    }
}

pub async fn read(address: &str) -> Result<Figures> {
    let (status, body) = get(address, "/metrics").await?;
    ensure!(status == 200, "{address}/metrics answers {status}");
    Ok(parse(&body))
}

/// One label's value in `a="1",b="2"`.
pub fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let value = labels.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\""))?;
    value.strip_suffix('"')
}

/// The status and the body of an HTTP answer.
pub async fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer =
        tokio::time::timeout(LIMIT, exchange).await.with_context(|| format!("{address} is silent"))??;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of head")?;
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok((status.context("the answer has no status")?, body.to_owned()))
}

fn parse(text: &str) -> Figures {
    let figure = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        let (name, labels) = match name.split_once('{') {
            Some((name, labels)) => (name, labels.trim_end_matches('}')),
            None => (name, ""),
        };
        Some((name.to_owned(), labels.to_owned(), value.parse().ok()?))
    };
    Figures(text.lines().filter(|line| !line.starts_with('#')).filter_map(figure).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_name_and_label() {
        let figures = parse(
            "# HELP raft_is_leader x\nraft_is_leader{shard=\"3\",node=\"1\"} 1\nraft_term{shard=\"3\"} 7\nplain 2.5\n",
        );
        let leaders: Vec<_> = figures.all("raft_is_leader").collect();
        assert_eq!(leaders.len(), 1);
        assert_eq!(
            (label(leaders[0].0, "shard"), label(leaders[0].0, "node"), leaders[0].1),
            (Some("3"), Some("1"), 1.0)
        );
        assert_eq!(figures.all("plain").collect::<Vec<_>>(), [("", 2.5)]);
        assert_eq!(figures.all("absent").count(), 0);
    }
}
