use everlog_client::prelude::*;

#[activity(start_to_close = "5s", colour = "red")]
async fn mail(to: String) -> Result<()> {
    Ok(())
}

fn main() {}
