use everlog_client::prelude::*;

#[workflow]
async fn naps(cx: &Cx) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

fn main() {}
