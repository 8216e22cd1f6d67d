use everlog_client::prelude::*;

#[workflow]
async fn counts(cx: &Cx) -> Result<()> {
    let mut seen = std::collections::HashMap::new();
    seen.insert(cx.random(), ());
    Ok(())
}

fn main() {}
