use everlog_client::prelude::*;

#[workflow]
async fn looks_at_the_clock(cx: &Cx) -> Result<()> {
    let now = std::time::SystemTime::now();
    Ok(())
}

fn main() {}
