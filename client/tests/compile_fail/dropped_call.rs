use everlog_client::prelude::*;

#[activity(start_to_close = "5s")]
async fn charge(_cents: u64) -> Result<()> {
    Ok(())
}

#[workflow]
#[deny(unused_must_use)]
async fn pays(cx: &Cx) -> Result<()> {
    cx.call(charge, 500);
    Ok(())
}

fn main() {}
