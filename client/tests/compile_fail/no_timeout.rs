use everlog_client::prelude::*;

#[activity]
async fn mail(to: String) -> Result<()> {
    Ok(())
}

fn main() {}
