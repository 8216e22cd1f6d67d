use everlog_client::prelude::*;

#[activity(start_to_close = "5s")]
async fn charge(_cents: u64) -> Result<()> {
    Ok(())
}

#[workflow]
async fn pays(cx: &Cx) -> Result<()> {
    cx.call(charge, "five hundred").await?;
    Ok(())
}

fn main() {}
