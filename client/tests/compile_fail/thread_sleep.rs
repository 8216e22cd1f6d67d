use everlog_client::prelude::*;

#[workflow]
async fn blocks(cx: &Cx) -> Result<()> {
    std::thread::sleep(Duration::from_secs(1));
    Ok(())
}

fn main() {}
