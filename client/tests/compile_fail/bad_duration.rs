use everlog_client::prelude::*;

#[activity(start_to_close = "5 fortnights")]
async fn mail(to: String) -> Result<()> {
    Ok(())
}

fn main() {}
