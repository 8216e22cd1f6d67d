use everlog_client::prelude::*;

struct Letter;

#[activity(start_to_close = "5s")]
async fn mail(_letter: Letter) -> Result<()> {
    Ok(())
}

fn main() {}
