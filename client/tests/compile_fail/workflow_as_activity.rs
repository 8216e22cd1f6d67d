use everlog_client::prelude::*;

#[workflow]
async fn inner(_cx: &Cx) -> Result<()> {
    Ok(())
}

#[workflow]
async fn outer(cx: &Cx) -> Result<()> {
    cx.call(inner, ()).await?;
    Ok(())
}

fn main() {}
