use everlog_client::prelude::*;

#[activity(start_to_close = "5s")]
async fn mail(to: &str) -> Result<()> {
    Ok(())
}

fn main() {}
