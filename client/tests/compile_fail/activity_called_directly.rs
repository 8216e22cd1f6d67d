use everlog_client::prelude::*;

#[activity(start_to_close = "5s")]
async fn mail(_to: String) -> Result<()> {
    Ok(())
}

#[workflow]
async fn writes(cx: &Cx) -> Result<()> {
    mail("ada".to_owned()).await?;
    Ok(())
}

fn main() {}
