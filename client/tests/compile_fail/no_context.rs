use everlog_client::prelude::*;

#[workflow]
async fn alone(name: String) -> Result<String> {
    Ok(name)
}

fn main() {}
