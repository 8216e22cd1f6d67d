use everlog_client::prelude::*;

#[workflow]
async fn measures(cx: &Cx) -> Result<()> {
    let start = std::time::Instant::now();
    let took = start.elapsed();
    Ok(())
}

fn main() {}
