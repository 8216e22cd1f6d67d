use everlog_client::prelude::*;

#[workflow]
fn sits(cx: &Cx) -> Result<()> {
    Ok(())
}

fn main() {}
