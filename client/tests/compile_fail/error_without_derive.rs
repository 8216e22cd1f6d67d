use everlog_client::prelude::*;

#[derive(Debug)]
struct Lost;

#[activity(start_to_close = "5s")]
async fn mail(_to: String) -> Result<(), Lost> {
    Ok(())
}

fn main() {}
