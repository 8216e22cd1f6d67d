use everlog_client::prelude::*;

#[workflow]
async fn spawns(cx: &Cx) -> Result<()> {
    tokio::spawn(async {});
    Ok(())
}

fn main() {}
