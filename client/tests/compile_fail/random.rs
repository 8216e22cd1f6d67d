use everlog_client::prelude::*;

#[workflow]
async fn throws_dice(cx: &Cx) -> Result<u8> {
    Ok(rand::random())
}

fn main() {}
